"""Tiny models with goldens from transformers (tests/golden/make_models.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import tallow as tl
from tallow.models import CausalLM, build
from tallow.weights import open_weights

ROOT = Path(__file__).parent.parent / "golden" / "models"


class Golden:
    """One tiny model: its files, and the logits that transformers gives for them."""

    def __init__(self, case: str) -> None:
        self.case = case
        self.folder = ROOT / case
        self.arrays = load_file(self.folder / "golden.safetensors")
        self.ids = self.arrays["ids"].tolist()

    def path(self, form: str) -> Path:
        return self.folder if form == "hf" else self.folder / f"{self.case}.{form}.gguf"

    def load(self, form: str, **options) -> CausalLM:
        options = {"activations": "float", **options}
        return build(open_weights(self.path(form)), **options)

    def logits(self, form: str) -> np.ndarray:
        return self.arrays[form]


@pytest.fixture
def golden():
    return Golden


@pytest.fixture
def run():
    def call(model, ids, *args, **options) -> np.ndarray:
        return model(tl.tensor(ids, dtype=tl.i64), *args, **options).logits.numpy()

    return call
