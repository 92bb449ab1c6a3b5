"""An element has the same bits however its arrays lie, wherever it stands in them, and in place.

A kernel has a loop for each of these, and a compiler may contract a * b + c * d in two ways.
"""

import pytest

from native.calls import (
    BYTES,
    CALLS,
    CODES,
    LAYOUTS,
    SIGNATURES,
    ArrayText,
    Laid,
    calls,
    contents,
    modes_of,
    parse,
)
from tallow import _native
from tallow.errors import TallowError

DTYPES = [CODES[name] for name in ("f32", "f64", "bf16", "complex64", "i32")]
# They add in the order that is fastest in their layout.
SUMS = {"sum", "mean", "prod", "var", "softmax", "softmax_backward"}
CONTIGUOUS = {
    "group_norm",
    "whiten_channels",
    "channel_moments",
    "rms_norm_backward",
    "conv_transformed",
    "conv_depthwise_last",
    "layer_norm_backward",  # their gradients always are
    "best_boxes",
    "causal_conv1d",
    "expert_linear",
    "expert_outer",
    "gated_recurrence",
    "gather_sum",
    "sample_grid",
    "conv_int8",
    "conv_last",
    "int8_columns",
    "int8_rows",
    "linear_attention",
    "matmul_int8",
    "quantize_dynamic",
    "recurrent_weight",
    "repeat_pixels",  # their ops see to it
    "selective_scan",
}
ELEMENTWISE = {name for name in SIGNATURES if name not in CALLS or name.endswith("_step")}
TURNS = (1, 2, 3, 13, 34)


def turned(raw, by):
    """The first `by` bytes behind the others."""
    return raw[by:] + raw[:by]


def outputs(name, text, dtype, kinds=("contiguous", "contiguous"), turn=0, in_place=False):
    """What a call writes to outputs of a layout from inputs of one; turned on the way and back."""
    modes = modes_of(name)
    args = parse(text, modes)
    laid, bytes_of = {}, {}
    for i, array in enumerate(args):
        if isinstance(array, ArrayText):
            code = dtype if array.dtype is None else array.dtype
            bytes_of[i] = BYTES[code]
            kind = kinds["out" not in modes[i]]
            laid[i] = Laid(array, code, kind, at_end=True, locked=False)
            laid[i].fill(turned(contents(array, code, i), turn * bytes_of[i]), 0)
    written = [i for i in laid if "out" in modes[i]]
    if in_place:
        laid[0] = laid[1]
    _native.call(name, *(laid[i].array if i in laid else arg for i, arg in enumerate(args)))
    return [turned(laid[i].elements(), -turn * bytes_of[i]) for i in written]


def works_in_place(name, text):
    """Whether the first input may be the output."""
    out, x, *_ = parse(text, modes_of(name))
    return name in ELEMENTWISE | {"rope"} and modes_of(name)[0] == "out" and out == x


def valid(name):
    """The calls of a kernel, each with the dtypes it takes and what it gives."""
    for text in calls(name):
        for dtype in DTYPES:
            try:
                yield text, dtype, outputs(name, text, dtype)
            except TallowError:
                continue


@pytest.mark.parametrize("name", sorted(SIGNATURES.keys() - SUMS))
def test_any_layout_gives_the_same_bits(name):
    found = 0
    for text, dtype, wanted in valid(name):
        for kind in LAYOUTS[1:]:
            for kinds in ((kind, kind), (kind, "contiguous"), ("contiguous", kind)):
                try:
                    given = outputs(name, text, dtype, kinds)
                except TallowError:  # a layout that the op does not hand to the kernel
                    continue
                assert given == wanted, (text, dtype, kinds)
                found += 1
    assert found or name in CONTIGUOUS


@pytest.mark.parametrize("name", sorted(ELEMENTWISE | {"rope"}))
def test_in_place_gives_the_same_bits(name):
    for text, dtype, wanted in valid(name):
        for kind in LAYOUTS if works_in_place(name, text) else ():
            given = outputs(name, text, dtype, (kind, kind), in_place=True)
            assert given == wanted, (text, dtype, kind)


@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_any_place_gives_the_same_bits(name):
    """The rest of a vector is computed in another loop than its whole."""
    for text, dtype, wanted in valid(name):
        for turn in TURNS:
            assert outputs(name, text, dtype, turn=turn) == wanted, (text, dtype, turn)
