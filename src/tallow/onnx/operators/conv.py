"""Convolutions and transposed convolutions over one to three axes."""

from __future__ import annotations

from collections.abc import Sequence

from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.table import operator
from tallow.onnx.operators.windows import halves, per_axis, settle, sides, spatial
from tallow.ops import conv as convolutions
from tallow.tensor import Tensor

_Ints = Sequence[int] | None


@operator("Conv")
def conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
    dilations: _Ints = None, group: int = 1, kernel_shape: _Ints = None, pads: _Ints = None,
    strides: _Ints = None,
) -> Tensor:  # fmt: skip
    """Cross-correlation; padding of any kind is the kernel's, no copy."""
    n = len(spatial("Conv", x.shape))
    convolutions.check_operands("Conv", n, x, w, b, group, False)
    _check_kernel("Conv", kernel_shape, w)
    found = settle(
        "Conv", x.shape, w.shape[2:], auto_pad=auto_pad, pads=pads, strides=strides,
        dilations=dilations,
    )  # fmt: skip
    return convolutions.convolution(
        x, w, b, found.strides, found.before, found.dilations, group, found.size
    )


def _check_kernel(where: str, kernel_shape: _Ints, w: Tensor) -> None:
    same = not kernel_shape or tuple(kernel_shape) == tuple(w.shape[2:])
    expect(same, where, f"a kernel_shape as of W, {w.shape[2:]}", kernel_shape, ArgumentError)


@operator("ConvTranspose")
def conv_transpose(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
    dilations: _Ints = None, group: int = 1, kernel_shape: _Ints = None,
    output_padding: _Ints = None, output_shape: _Ints = None, pads: _Ints = None,
    strides: _Ints = None,
) -> Tensor:  # fmt: skip
    """The transpose of Conv: each input element adds a scaled kernel to the output."""
    where = "ConvTranspose"
    lengths = spatial(where, x.shape)
    n = len(lengths)
    convolutions.check_operands(where, n, x, w, b, group, True)
    _check_kernel(where, kernel_shape, w)
    steps = per_axis(where, "strides", strides, n)
    gaps = per_axis(where, "dilations", dilations, n)
    extra = per_axis(where, "output_padding", output_padding, n, 0)
    before, behind = sides(where, auto_pad, pads, n)
    axes = zip(lengths, steps, extra, gaps, w.shape[2:], strict=True)
    whole = [s * (i - 1) + e + d * (k - 1) + 1 for i, s, e, d, k in axes]
    if output_shape or auto_pad.startswith("SAME"):
        given = output_shape or [i * s for i, s in zip(lengths, steps, strict=True)]
        good = len(given) in (n, n + 2)  # some exporters give batch and channels, too
        expect(good, where, f"an output_shape of {n} lengths", given, ArgumentError)
        size = tuple(given[-n:])
        totals = (max(all_ - o, 0) for all_, o in zip(whole, size, strict=True))
        before = tuple(halves(total, auto_pad)[0] for total in totals)
    else:
        size = tuple(a - p - q for a, p, q in zip(whole, before, behind, strict=True))
    expect(min(size) > 0, where, "a result of at least one element an axis", size)
    return convolutions.convolution_input_grad(x, w, b, steps, before, gaps, group, size)
