"""The goldens of tests/golden/families: tiny checkpoints and what transformers makes of them."""

from __future__ import annotations

import json
import struct
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import tallow as tl
from tallow.models import build
from tallow.weights import open_weights

ROOT = Path(__file__).parent.parent / "golden" / "families"
CASES = sorted(path.name for path in ROOT.iterdir())
TOLERANCE = 1e-4
SMALL = 1e-2  # of the largest gradient: what smaller ones are measured by
KEPT = 64  # elements of a gradient


class Case:
    """One golden."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = ROOT / name
        self.arrays = load_file(self.folder / "golden.safetensors")
        lists = json.loads(self.notes.get("given", "[]"))
        given = self.part("in")
        self.lists = {n: given.pop(n).tolist() for n in lists}
        self.inputs = {n: tl.tensor(a) for n, a in given.items()}
        self.expected = self.part("out")

    def part(self, kind: str) -> dict[str, np.ndarray]:
        head = f"{kind}."
        found = {n.removeprefix(head): a for n, a in self.arrays.items() if n.startswith(head)}
        return dict(sorted(found.items()))

    @cached_property
    def notes(self) -> dict[str, str]:
        with (self.folder / "golden.safetensors").open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            return json.loads(file.read(size))["__metadata__"]

    @cached_property
    def options(self) -> dict:
        """What a call is given beside tensors."""
        return {**self.lists, **json.loads(self.notes["options"])}

    @cached_property
    def reads_places(self) -> bool:
        """Whether values decide shapes: where pictures stand among ids, or their sizes."""
        return {"input_ids", "pixel_values"} <= self.inputs.keys() and any(
            key in self.config
            for key in ("image_token_id", "image_token_index", "vision_start_token_id")
        )

    @cached_property
    def config(self) -> dict:
        return json.loads((self.folder / "config.json").read_text())

    def others(self) -> dict[str, tl.Tensor]:
        """Inputs of the same shapes with other values; places of pictures among ids stay."""
        return {
            k: x.roll(1) if x.dtype.kind == "f" else x if self.reads_places else x.flip(-1)
            for k, x in self.inputs.items()
        }

    def load(self, **options):
        return build(open_weights(self.folder), **options)

    def run(self, model, inputs=None) -> dict[str, tl.Tensor]:
        """The results that the golden has, by their names there."""
        given = self.inputs if inputs is None else inputs
        found = model(**given, **self.options)
        return flat(found, self.expected)

    def check(self, found, tolerance=TOLERANCE) -> None:
        assert self.expected
        for name, want in self.expected.items():
            close(found[name].numpy(), want, tolerance, name)

    def model_with(self, change) -> object:
        """The model with each tensor of the file replaced by `change(name, tensor)`."""
        source = open_weights(self.folder)
        tensors = {name: change(name, source.take(name)) for name in source.names()}
        changed = open_weights(tensors)
        changed.config, changed.path = source.config, source.path
        return build(changed, activations="float")


def flat(found, names) -> dict[str, tl.Tensor]:
    made = {}
    for name in names:
        stem, _, index = name.partition(".")
        value = found[stem]
        made[name] = value[int(index)] if index else value
    return made


def close(found, want, tolerance=TOLERANCE, name="") -> None:
    assert found.shape == want.shape, name
    scale = max(1.0, float(want.std())) if want.size > 1 else 1.0
    np.testing.assert_allclose(
        found, want, rtol=tolerance, atol=tolerance * scale, err_msg=name, strict=False
    )


def kept(gradient: np.ndarray) -> np.ndarray:
    """The elements that a golden keeps, as make_families.py chooses them."""
    flat_ = gradient.reshape(-1)
    count = min(KEPT, flat_.size)
    return flat_[[i * (flat_.size - 1) // max(count - 1, 1) for i in range(count)]]
