"""The onnx package's own backend tests: all pass but those that are named here, with reasons."""

import importlib.util

import pytest

from tallow.errors import TallowError

from .node_cases import cases, check

pytestmark = pytest.mark.needs_formats

KINDS = ("node", "pytorch-converted", "pytorch-operator", "simple")
LEAST = {"node": 0.98, "pytorch-converted": 0.98, "pytorch-operator": 0.98, "simple": 0.98}
# Halves are rounded once, after sums and softmax in f32; the reference rounds each operation, and
# 1e-3 is less than a step of bf16.
ROUNDED = (
    "test_attention_4d_causal_bf16",
    "test_attention_4d_causal_bf16_expanded",
    "test_attention_4d_causal_fp16_expanded",
    "test_attention_4d_padded_kv_bf16",
    "test_attention_4d_padded_kv_bf16_expanded",
    "test_attention_4d_causal_padded_kv_bf16",
    "test_attention_4d_causal_padded_kv_bf16_expanded",
    "test_attention_4d_attn_mask_causal_bf16",
    "test_attention_4d_attn_mask_causal_bf16_expanded",
    "test_attention_3d_causal_bf16",
    "test_attention_3d_causal_bf16_expanded",
)
# What is 0 in exact arithmetic is some 1e-7 in f32, as the reference has it at other places.
SMALL = (
    "test_dft_inverse_opset19",
    "test_dft_inverse",
)
# What fails, and the text that it fails with. Whatever passes must not stand here.
KNOWN = dict.fromkeys((*ROUNDED, *SMALL), "Not equal to tolerance")


def names(kind):
    """The cases of a kind; none where the package is not there."""
    return [*cases(kind)] if importlib.util.find_spec("onnx.backend") else []


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in KINDS for n in names(k)])
def test_backend(kind, name):
    case = cases(kind)[name]
    if name in KNOWN:
        with pytest.raises((AssertionError, TallowError), match=KNOWN[name]):
            check(case)
    else:
        check(case)


@pytest.mark.parametrize("kind", KINDS)
def test_few_are_known_to_fail(kind):
    found = names(kind)
    assert found
    assert len([n for n in found if n in KNOWN]) <= (1 - LEAST[kind]) * len(found)


def test_every_known_one_is_a_case():
    assert {n for kind in KINDS for n in names(kind)} >= KNOWN.keys()
