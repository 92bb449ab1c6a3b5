"""Rotary scaling of GGUF files: every key and tensor as llama.cpp reads it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.gguf_files import rewritten
from tallow.errors import ModelError
from tallow.models import build
from tallow.weights import open_weights

BASE, SIZE, CONTEXT = 10000.0, 16, 64
FACTORS = np.linspace(1.0, 6.0, SIZE // 2, dtype=np.float32)


def ggml_table(position, *, scale=1.0, ext=0.0, attn=1.0, original=CONTEXT, fast=32.0, slow=1.0,
               factors=None):  # fmt: skip
    """Cosines and sines by the definition of ggml's rope: `scale` is 1 / factor.

    A frequency factor divides the angle first; then the angle is scaled, and with `ext` (1 for
    yarn) mixed with the unscaled one along a ramp, and the amplitude grows.
    """
    pairs = np.arange(SIZE // 2)
    extrapolated = position * BASE ** (-2.0 * pairs / SIZE)
    if factors is not None:
        extrapolated = extrapolated / factors.astype(np.float64)
    angle = scale * extrapolated
    if ext:

        def dimension(turns):
            return SIZE * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(BASE))

        low = max(0.0, math.floor(dimension(fast)))
        high = min(SIZE - 1.0, math.ceil(dimension(slow)))
        ramp = 1 - np.clip((pairs - low) / max(0.001, high - low), 0, 1)
        angle = angle * (1 - ramp * ext) + extrapolated * ramp * ext
        attn *= 1 + 0.1 * math.log(1 / scale)
    return np.concatenate([np.cos(angle), np.sin(angle)]) * attn


HEAD = "llama.rope."
YARN = {HEAD + "scaling.type": "yarn", HEAD + "scaling.factor": 4.0}
FREQS = {"rope_freqs.weight": FACTORS}
LONG = {
    HEAD + "scaling.type": "longrope",
    HEAD + "scaling.attn_factor": 1.25,
}
LONG_TENSORS = {"rope_factors_long.weight": FACTORS, "rope_factors_short.weight": FACTORS[::-1]}
CASES = {
    "plain": ({}, {}, {}),
    "old key": ({HEAD + "scale_linear": 3.0}, {}, {"scale": 1 / 3}),
    "no type": ({HEAD + "scaling.factor": 3.0}, {}, {"scale": 1 / 3}),
    "new key before the old": (
        {HEAD + "scaling.factor": 3.0, HEAD + "scale_linear": 5.0}, {}, {"scale": 1 / 3},
    ),
    "zero is none": ({HEAD + "scaling.factor": 0.0, HEAD + "scale_linear": 5.0}, {}, {}),
    "type alone": ({HEAD + "scaling.type": "linear"}, {}, {}),
    "type none": ({HEAD + "scaling.type": "none", HEAD + "scaling.factor": 3.0}, {}, {}),
    "amplitude": ({HEAD + "scaling.attn_factor": 1.25}, {}, {"attn": 1.25}),
    "linear with amplitude": (
        {HEAD + "scale_linear": 3.0, HEAD + "scaling.attn_factor": 1.25},
        {},
        {"scale": 1 / 3, "attn": 1.25},
    ),
    "factors": ({}, FREQS, {"factors": FACTORS}),
    "factors with linear": (
        {HEAD + "scaling.factor": 3.0}, FREQS, {"factors": FACTORS, "scale": 1 / 3},
    ),
    "factors with amplitude": (
        {HEAD + "scaling.attn_factor": 1.25}, FREQS, {"factors": FACTORS, "attn": 1.25},
    ),
    "factors with none": ({HEAD + "scaling.type": "none"}, FREQS, {"factors": FACTORS}),
    "yarn": (YARN, {}, {"scale": 1 / 4, "ext": 1.0}),
    "yarn by the old key": (
        {HEAD + "scaling.type": "yarn", HEAD + "scale_linear": 4.0}, {}, {"scale": 1 / 4, "ext": 1},
    ),
    "yarn without a factor": ({HEAD + "scaling.type": "yarn"}, {}, {"ext": 1.0}),
    "yarn from a context": (
        {**YARN, HEAD + "scaling.original_context_length": 16},
        {},
        {"scale": 1 / 4, "ext": 1.0, "original": 16},
    ),
    "yarn with amplitude": (
        {**YARN, HEAD + "scaling.attn_factor": 1.25}, {}, {"scale": 1 / 4, "ext": 1, "attn": 1.25},
    ),
    "yarn by its bounds": (
        {**YARN, HEAD + "scaling.yarn_beta_fast": 4.0, HEAD + "scaling.yarn_beta_slow": 0.5},
        {},
        {"scale": 1 / 4, "ext": 1.0, "fast": 4.0, "slow": 0.5},
    ),
    "factors with yarn": (YARN, FREQS, {"factors": FACTORS, "scale": 1 / 4, "ext": 1.0}),
    "finetuned says nothing": ({HEAD + "scaling.finetuned": True}, {}, {}),
    "longrope beyond": (
        {**LONG, HEAD + "scaling.original_context_length": 16},
        LONG_TENSORS,
        {"factors": FACTORS, "attn": 1.25},
    ),
    "longrope within": (LONG, LONG_TENSORS, {"factors": FACTORS[::-1], "attn": 1.25}),
}  # fmt: skip


def table(path, position):
    """What the model multiplies queries and keys with, read off its rope."""
    import tallow as tl

    model = build(open_weights(path))
    return model.model.rope.table(tl.tensor([[position]])).numpy()[0, 0]


@pytest.mark.parametrize("name", CASES)
def test_angles_are_ggml_s(name, golden, tmp_path):
    keys, tensors, options = CASES[name]
    path = rewritten(golden, tmp_path, changes=keys, add=tensors)
    for position in (1, 7, 63):
        np.testing.assert_allclose(
            table(path, position), ggml_table(position, **options), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("key", ["scale_linear", "scaling.factor"])
def test_logits_are_those_of_the_folder(key, golden, run, tmp_path):
    """transformers' logits for `rope_type: linear`, which is the same model."""
    expected = golden("llama")
    path = rewritten(golden, tmp_path, changes={HEAD + key: 3.0}, form="f16")
    logits = run(build(open_weights(path)), expected.ids)
    np.testing.assert_allclose(logits, expected.logits("variant.linear"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {HEAD + "scaling.type": "dynamic"},
            r"rope\.scaling\.type: expected none, linear, yarn or",
        ),
        ({HEAD + "scaling.type": 3}, r"rope\.scaling\.type: expected a string"),
        ({HEAD + "scaling.factor": -2.0}, r"rope\.scaling\.factor: expected a number above 0"),
        ({HEAD + "scale_linear": "x"}, r"rope\.scale_linear: expected a number above 0"),
        ({HEAD + "scaling.attn_factor": 0.0}, r"attn_factor: expected a number above 0"),
        (LONG, r"rope_factors_short\.weight: expected the factors of longrope, found nothing"),
    ],
)
def test_scalings_that_are_refused(changes, message, golden, tmp_path):
    path = rewritten(golden, tmp_path, changes=changes)
    with pytest.raises(ModelError, match=message):
        build(open_weights(path))


def test_factors_of_longrope_mean_nothing_elsewhere(golden, tmp_path):
    path = rewritten(golden, tmp_path, add=LONG_TENSORS)
    with pytest.raises(ModelError, match="expected no such tensor"):
        build(open_weights(path))
