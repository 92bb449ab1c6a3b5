"""The adapters of tests/golden/adapters, and models that they are for."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

import tallow as tl
from tallow.adapters import adapters_of

GOLDEN = Path(__file__).parent / "golden"
ROOT = GOLDEN / "adapters"
CASES = sorted(path.name for path in ROOT.iterdir() if path.is_dir())
CHAT = GOLDEN / "models" / "llama"
TOLERANCE = 1e-4
QUESTION = "Hello there"
FORMS = ["", "llama.f16.gguf", "llama.q8_0.gguf", "llama.q4_0.gguf"]


def base_of(name: str) -> Path:
    with (ROOT / name / "golden.safetensors").open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return GOLDEN / json.loads(file.read(size))["__metadata__"]["base"]


def close(found, wanted, tolerance=TOLERANCE):
    np.testing.assert_allclose(found, wanted, tolerance, tolerance * np.abs(wanted).max())


def ids_and_logits(name: str):
    arrays = load_file(ROOT / name / "golden.safetensors")
    return tl.tensor(arrays["ids"]), arrays["logits"]


def load(name: str, **options):
    model = tl.models.load(base_of(name), activations="float", dtype="f32", **options)
    return model, adapters_of(model)


def changed(tmp_path, name="attention", *, drop=(), config=None, tensors=None) -> Path:
    """A copy of an adapter with other values."""
    folder = tmp_path / "changed"
    folder.mkdir()
    values = json.loads((ROOT / name / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**values, **(config or {})}))
    held = load_file(ROOT / name / "adapter_model.safetensors")
    kept = {k: v for k, v in held.items() if k not in drop}
    save_file({**kept, **(tensors or {})}, folder / "adapter_model.safetensors")
    return folder
