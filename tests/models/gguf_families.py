"""Goldens of families as GGUF files of our writing, and what llama.cpp makes of them."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np

import tallow as tl
from models.golden_families import CASES, ROOT
from tallow.conversion.gguf_model import gguf_content
from tallow.formats.gguf import LazyTensor, save_gguf
from tallow.models import FAMILIES
from tallow.weights import open_weights

CONTEXT = 256  # llama.cpp's is a multiple of it


def _stands_in_gguf(name: str) -> bool:
    values = json.loads((ROOT / name / "config.json").read_text())
    row = FAMILIES.get(str(values.get("model_type")))
    if row is None or row.gguf is None or values.get("is_encoder_decoder"):
        return False  # test_gguf_t5.py has those of encoders and decoders
    own = {row.architecture(row.generative), "LlamaForCausalLM"}  # as which EXAONE 3 is saved
    return set(values["architectures"]) <= own


NAMES = [
    name
    for name in CASES
    # Windows and factors that files have no key for, rotations that they have no tensors for, and
    # mixers with biases or limits of time steps have no place in files.
    if _stands_in_gguf(name)
    and not name.endswith(("_embedded", "_context", "_biased", "_limits", "_scaled", "_dynamic"))
    and not name.endswith("_short")
    and name != "deepseek_v2_groups"  # which llama.cpp chooses in another way
    and "_local" not in name
]


def written(folder: Path, path: Path) -> tuple[Path, tuple[str, ...]]:
    """A folder's model as a GGUF file in f32, and what that loses.

    llama.cpp rounds activations to the dtype of matrices, so that others would not be exact.
    """
    content = gguf_content(open_weights(folder))
    tensors = {
        e.name: LazyTensor("f32", e.shape, lambda e=e: e.take().to(tl.f32))
        for e in content.entries.values()
    }
    save_gguf(tensors, path, content.metadata)
    return path, content.losses


class LlamaCpp:
    """llama.cpp on a file, in f32, one thread."""

    def __init__(self, path: Path) -> None:
        import llama_cpp

        with contextlib.redirect_stderr(io.StringIO()):
            self._model = llama_cpp.Llama(
                str(path), n_ctx=CONTEXT, logits_all=True, verbose=False, n_threads=1,
                type_k=0, type_v=0, flash_attn=False,
            )  # fmt: skip

    def logits(self, ids: list[int]) -> np.ndarray:
        """Of each position, `(n, vocabulary)`."""
        self._model.reset()
        self._model.eval(ids)
        return np.array(self._model.scores[: len(ids)])

    def greedy(self, ids: list[int], count: int) -> list[int]:
        """The likeliest continuation."""
        found = list(ids)
        self._model.reset()
        self._model.eval(found)
        for _ in range(count):
            found.append(int(np.argmax(self._model.scores[len(found) - 1])))
            self._model.eval(found[-1:])
        return found[len(ids) :]
