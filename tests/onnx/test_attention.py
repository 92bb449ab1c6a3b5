"""Attention, rotary positions and linear attention, compared with onnx's reference evaluator."""

import numpy as np
import pytest

import tallow as tl
from onnx_nodes import check, values
from tallow.errors import TallowError
from tallow.onnx.operators import find

CASES = {
    "4-d": ((2, 4, 5, 8), (2, 4, 7, 8), {}),
    "grouped": ((2, 6, 5, 8), (2, 2, 7, 8), {"scale": 0.3}),
    "3-d": ((2, 5, 32), (2, 7, 16), {"q_num_heads": 4, "kv_num_heads": 2}),
    "causal": ((2, 4, 5, 8), (2, 4, 5, 8), {"is_causal": 1}),
    "causal, more keys": ((2, 4, 3, 8), (2, 4, 7, 8), {"is_causal": 1, "softcap": 2.0}),
    "causal, more queries": ((2, 4, 7, 8), (2, 4, 3, 8), {"is_causal": 1}),
}
MASKS = {
    "no mask": None,
    "matrix": (5, 7),
    "of batches": (2, 1, 1, 7),
    "of heads": (4, 5, 7),
    "row": (7,),
    "short": (5, 4),
}


@pytest.mark.needs_formats
@pytest.mark.parametrize("opset", [23, 24])
@pytest.mark.parametrize("case", CASES)
def test_attention(case, opset):
    q, k, attributes = CASES[case]
    check("Attention", [values(q), values(k, seed=1), values(k, seed=2)], opset, runtime=False,
          **attributes)  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("kind", ["bool", "float32"])
@pytest.mark.parametrize("case", MASKS)
def test_masks(case, kind, causal):
    shape = MASKS[case]
    mask = None if shape is None else values(shape, seed=3)
    if kind == "bool" and mask is not None:
        mask = mask > -1
        mask[..., 0] = True
    if causal and mask is not None:  # the evaluator's causal rule needs a row for each query
        mask = np.broadcast_to(mask, (*mask.shape[:-2], 5, mask.shape[-1])).copy()
    given = [values((2, 4, 5, 8)), values((2, 4, 7, 8), seed=1), values((2, 4, 7, 8), seed=2)]
    check("Attention", [*given, mask], 23, runtime=False, is_causal=causal)


@pytest.mark.needs_formats
@pytest.mark.parametrize("mode", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("causal", [0, 1])
def test_past_and_scores(mode, causal):
    q, k, v = (values((2, 4, 3, 8), seed=i) for i in range(3))
    past = values((2, 4, 6, 8), seed=3), values((2, 4, 6, 8), seed=4)
    attributes = {"is_causal": causal}
    if mode is not None:
        attributes["qk_matmul_output_mode"] = mode
    outputs = (True,) * (3 if mode is None else 4)
    mask = values((3, 9), seed=5)
    check("Attention", [q, k, v, mask, *past], 23, outputs, runtime=False, **attributes)


@pytest.mark.needs_formats
@pytest.mark.parametrize("window", [(-1, -1), (2, -1), (0, 0), (1, 2), (-1, 1)], ids=str)
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("lengths", [None, (7, 5), (3, 1)], ids=str)
def test_lengths_and_windows(lengths, causal, window):
    q, k, v = values((2, 4, 4, 8)), values((2, 2, 7, 8), seed=1), values((2, 2, 7, 8), seed=2)
    valid = None if lengths is None else np.array(lengths, dtype=np.int64)
    left, right = window
    check("Attention", [q, k, v, None, None, None, valid], 25, runtime=False, is_causal=causal,
          left_window_size=left, right_window_size=right)  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_attention_dtypes(dtype):
    given = [values((1, 2, 5, 8), dtype, i) for i in range(3)]
    check("Attention", given, 23, runtime=False, is_causal=1)


@pytest.mark.needs_formats
@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("flat", [False, True], ids=["4-d", "3-d"])
@pytest.mark.parametrize("part", [0, 4])
@pytest.mark.parametrize("placed", [False, True], ids=["table", "positions"])
def test_rotary(placed, part, flat, interleaved):
    x = values((2, 5, 24) if flat else (2, 3, 5, 8))
    half = (part or 8) // 2
    caches = [values((11, half) if placed else (2, 5, half), seed=i) for i in (1, 2)]
    ids = np.array([[0, 3, 10, 4, 2], [1, 1, 2, 3, 9]]) if placed else None
    attributes = {"num_heads": 3} if flat else {}
    check("RotaryEmbedding", [x, *caches, ids], 23, runtime=False, interleaved=interleaved,
          rotary_embedding_dim=part, **attributes)  # fmt: skip


@pytest.mark.needs_formats
@pytest.mark.parametrize("past", [False, True], ids=["fresh", "past"])
@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
def test_linear_attention(rule, past):
    q, k = values((2, 5, 4 * 6)), values((2, 5, 2 * 6), seed=1, scale=0.3)
    v = values((2, 5, 2 * 3), seed=2)
    state = values((2, 2, 6, 3), seed=3) if past else None
    decay = -abs(values((2, 5, 2 if past else 12), seed=4)) if "gated" in rule else None
    beta = abs(values((2, 5, 1 if past else 2), seed=5)) if "delta" in rule else None
    check("LinearAttention", [q, k, v, state, decay, beta], 27, (True, True), runtime=False,
          update_rule=rule, q_num_heads=4, kv_num_heads=2)  # fmt: skip


def test_a_query_that_sees_no_key_gives_zeros():
    row = find("", "Attention", 24).function
    x = tl.ones(1, 1, 3, 4)
    hidden = tl.zeros(3, 3, dtype=tl.bool_)
    assert row(x, x, x, hidden)[0].abs().sum().item() == 0
    short = row(x, x, x, None, None, None, tl.tensor([1]), is_causal=1)[0]
    assert short[0, 0, 1].abs().sum().item() == 0
    assert short[0, 0, 2, 0].item() == 1


BAD = {
    "heads": ("Attention", ((1, 2, 8),) * 3, {"q_num_heads": 3, "kv_num_heads": 3}, "divides"),
    "no heads": ("Attention", ((1, 2, 8),) * 3, {}, "number of heads"),
    "mode": ("Attention", ((1, 2, 3, 8),) * 3, {
        "qk_matmul_output_mode": 4, "wanted": (True,) * 4}, "mode of 0 to 3"),
    "caches": ("RotaryEmbedding", ((1, 2, 3, 8), (1, 3, 2), (1, 3, 2)), {}, "4 angles"),
    "rule": ("LinearAttention", ((1, 2, 8),) * 3, {
        "update_rule": "x", "q_num_heads": 1, "kv_num_heads": 1}, "update_rule"),
    "no decay": ("LinearAttention", ((1, 2, 8),) * 3, {
        "q_num_heads": 1, "kv_num_heads": 1}, "a decay"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_attributes(case):
    op, shapes, attributes, text = BAD[case]
    with pytest.raises(TallowError, match=text):
        find("", op, 27).function(*(tl.ones(shape) for shape in shapes), **attributes)
