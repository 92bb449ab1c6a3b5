"""Convolutions over 1 to 3 axes, and transposed ones.

All of them are three native rows, which are each other's gradients: with o the output, i the input
and w the weight of one convolution, `nn.convolution` makes o of (i, w), `nn.convolution_input_grad`
i of (o, w), and `nn.convolution_weight_grad` w of (o, i).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import _native
from ..dtype import f64, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..registry import op, primitive
from ..tensor import Tensor, unwrap_tensor, wrap
from .join import stack

Sizes = int | Sequence[int]
_conv = _native.kernel("conv")
_conv_input_grad = _native.kernel("conv_input_grad")
_conv_weight_grad = _native.kernel("conv_weight_grad")


def sizes(value: Any, n: int, where: object, what: str, least: int = 0) -> tuple[int, ...]:
    """`value` as n integers of at least `least`: a number stands for all, a list gives each."""
    found = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(found) == 1:
        found *= n
    whole = all(hasattr(v, "__index__") for v in found)
    good = len(found) == n and whole and all(v >= least for v in found)
    if not good:
        kind = "a positive integer" if least == 1 else f"an integer of at least {least}"
        each = kind if n == 1 else f"{kind}, or {n} of them"
        expect(False, where, f"{what} of {each}", value, ArgumentError)
    return tuple(int(v) for v in found)


def is_float(dtype: Any) -> bool:
    """Whether a dtype is one of f64, f32, f16 and bf16, which these ops compute with."""
    return bool(dtype.kind == "f" and dtype.itemsize >= 2)


def check_float(where: object, *tensors: Tensor | None) -> None:
    """DTypeError unless all are float tensors of one dtype."""
    first: Any = None
    for x in tensors:
        if x is None:
            continue
        unwrap_tensor(x, where)
        first = first or x.dtype
        if not is_float(x.dtype):
            expect(False, where, "f32, f64, f16 or bf16", x.dtype.name, NoKernelError)
        if x.dtype is not first:
            expect(False, where, f"all of dtype {first.name}", x.dtype.name, NoKernelError)


# --- the three rows -------------------------------------------------------------------------------


def _padded(numbers: Sequence[int], fill: int) -> tuple[int, ...]:
    return (fill,) * (3 - len(numbers)) + tuple(numbers)


def _numbers(
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> tuple[int, ...]:
    offset = tuple(-p for p in _padded(padding, 0))
    return (*_padded(stride, 1), *offset, *_padded(dilation, 1), groups)


def _array(x: Tensor | None) -> Any:
    return None if x is None else x._array


def _bias_grad(g: Tensor) -> Tensor:
    return g.sum((0, *range(2, g.ndim)))


@primitive(name="nn.convolution")
def convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Tensor:  # fmt: skip
    """`out[n, r, o] = bias[r] + sum of input[n, c, o*stride - padding + t*dilation] * weight[r, c, t]`.

    Shapes: input (batch, channels, *spatial), weight (rows, channels / groups, *kernel), out
    (batch, rows, *size); what lies outside the input counts as zero, whatever `size` says.
    """  # noqa: E501
    out = _native.Array.empty((input.shape[0], weight.shape[0], *size), input._array.dtype)
    numbers = _numbers(stride, padding, dilation, groups)
    _conv(out, input._array, weight._array, _array(bias), *numbers)
    return wrap(out)


@primitive(name="nn.convolution_input_grad")
def convolution_input_grad(
    g: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Tensor:  # fmt: skip
    """The gradient of `nn.convolution` for an input of spatial shape `size`, from that of its result.

    With `bias` (added per channel) this is the transposed convolution.
    """  # noqa: E501
    shape = (g.shape[0], weight.shape[1] * groups, *size)
    out = _native.Array.empty(shape, g._array.dtype)
    numbers = _numbers(stride, padding, dilation, groups)
    _conv_input_grad(out, g._array, weight._array, _array(bias), *numbers)
    return wrap(out)


@primitive(name="nn.convolution_weight_grad")
def convolution_weight_grad(
    g: Tensor, input: Tensor, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Tensor:  # fmt: skip
    """The gradient of `nn.convolution` for a weight of kernel shape `size`, from that of its result."""  # noqa: E501
    shape = (g.shape[1], input.shape[1] // groups, *size)
    out = _native.Array.empty(shape, g._array.dtype)
    _conv_weight_grad(out, g._array, input._array, *_numbers(stride, padding, dilation, groups))
    return wrap(out)


@convolution.grad(uses={"input": ("weight",), "weight": ("input",)})
def _(
    g: Tensor, input: Tensor, weight: Tensor, _bias: Any, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Any:  # fmt: skip
    how = (stride, padding, dilation, groups)
    return (
        lambda: convolution_input_grad(g, weight, None, *how, input.shape[2:]),
        lambda: convolution_weight_grad(g, input, *how, weight.shape[2:]),
        lambda: _bias_grad(g),
    )


@convolution_input_grad.grad(uses={"g": ("weight",), "weight": ("g",)})
def _(
    v: Tensor, g: Tensor, weight: Tensor, _bias: Any, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Any:  # fmt: skip
    how = (stride, padding, dilation, groups)
    return (
        lambda: convolution(v, weight, None, *how, g.shape[2:]),
        lambda: convolution_weight_grad(g, v, *how, weight.shape[2:]),
        lambda: _bias_grad(v),
    )


@convolution_weight_grad.grad(uses={"g": ("input",), "input": ("g",)})
def _(
    v: Tensor, g: Tensor, input: Tensor, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Any:  # fmt: skip
    how = (stride, padding, dilation, groups)
    return (
        lambda: convolution(input, v, None, *how, g.shape[2:]),
        lambda: convolution_input_grad(g, v, None, *how, input.shape[2:]),
    )


# --- convolutions ---------------------------------------------------------------------------------


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    pair = x.view_as_real()
    return pair.select(-1, 0), pair.select(-1, 1)


def by_parts(row: Callable[..., Tensor], x: Tensor, *how: Any) -> Tensor:
    """A linear row of one tensor, which may be complex."""
    if x.dtype.kind != "c":
        return row(x, *how)
    return stack([row(part, *how) for part in _parts(x)], -1).view_as_complex()


def _run(
    row: Callable[..., Tensor], input: Tensor, weight: Tensor, bias: Tensor | None, *how: Any
) -> Tensor:
    """One of the rows; complex tensors by their parts, integers in f64 while that is exact."""
    kind = input.dtype.kind
    if kind == "f":
        return row(input, weight, bias, *how)
    if kind == "c":
        (xr, xi), (wr, wi) = _parts(input), _parts(weight)
        br, bi = (None, None) if bias is None else _parts(bias)
        real = row(xr, wr, br, *how) - row(xi, wi, None, *how)
        imag = row(xr, wi, bi, *how) + row(xi, wr, None, *how)
        return stack([real, imag], -1).view_as_complex()
    wide = [None if x is None else x.to(f64) for x in (input, weight, bias)]
    if input.numel() and weight.numel():
        most = [0.0 if x is None else float(x.abs().amax()) for x in wide]
        bound = most[0] * most[1] * (weight.numel() // weight.shape[0]) * len(weight) + most[2]
        text = "integers whose sums stay below 2**53"
        expect(bound < 2**53, row, text, f"up to {bound:.3g}", ArgumentError)
    return row(*wide, *how).to(input.dtype)


def _check(
    where: str, n: int, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int,
    transposed: bool,
) -> None:  # fmt: skip
    for x in (input, weight, bias):
        if x is None:
            continue
        unwrap_tensor(x, where)
        known = is_float(x.dtype) or x.dtype.kind == "c" or x.dtype is i64
        if not known:
            text = "f32, f64, f16, bf16, complex64 or i64"
            expect(False, where, text, x.dtype.name, NoKernelError)
        if x.dtype is not input.dtype:
            expect(False, where, f"all of dtype {input.dtype.name}", x.dtype.name, NoKernelError)
    if input.ndim not in (n + 1, n + 2):
        axes = ", ".join(("length",) if n == 1 else ("depth", "height", "width")[3 - n :])
        wanted = f"an input of shape (batch, channels, {axes}) or (channels, {axes})"
        expect(False, where, wanted, input.shape)
    if weight.ndim != n + 2:
        expect(False, where, f"a weight of {n + 2} axes", weight.shape)
    if 0 in weight.shape[2:]:
        expect(False, where, "a kernel of at least one element", weight.shape)
    expect(groups > 0, where, "a positive number of groups", groups, ArgumentError)
    given = input.shape[-n - 1]
    if weight.shape[0] % groups:
        expect(False, where, f"a weight whose first axis {groups} groups divide", weight.shape)
    wanted_channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if given != wanted_channels:
        text = f"an input of {wanted_channels} channels (weight {weight.shape}, groups {groups})"
        expect(False, where, text, f"{given} channels in {input.shape}")
    rows = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and bias.shape != (rows,):
        expect(False, where, f"a bias of shape ({rows},)", bias.shape)


def _convolve(
    where: str, n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes,
    padding: str | Sizes, dilation: Sizes, groups: int,
) -> Tensor:  # fmt: skip
    _check(where, n, input, weight, bias, groups, False)
    step = sizes(stride, n, where, "stride", 1)
    spread = sizes(dilation, n, where, "dilation", 1)
    kernel, length = weight.shape[2:], input.shape[-n:]
    reach = [d * (k - 1) for d, k in zip(spread, kernel, strict=True)]
    if isinstance(padding, str):
        known = padding in ("same", "valid")
        expect(known, where, "padding 'same', 'valid' or integers", repr(padding), ArgumentError)
        if padding == "same":
            text = "a stride of 1 with padding 'same'"
            expect(max(step) == 1, where, text, step, ArgumentError)
        total = reach if padding == "same" else [0] * n
        low = tuple(t // 2 for t in total)
    else:
        low = sizes(padding, n, where, "padding")
        total = [2 * p for p in low]
    size = [(i + t - r - 1) // s + 1 for i, t, r, s in zip(length, total, reach, step, strict=True)]
    if min(size) < 1:
        fits = [i + t for i, t in zip(length, total, strict=True)]
        text = f"an input that with its padding is as large as the kernel {[r + 1 for r in reach]}"
        expect(False, where, text, fits)
    batched = input.ndim == n + 2
    x = input if batched else input.unsqueeze(0)
    out = _run(convolution, x, weight, bias, step, low, spread, groups, tuple(size))
    return out if batched else out.squeeze(0)


def _transposed(
    where: str, n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes,
    padding: Sizes, output_padding: Sizes, groups: int, dilation: Sizes,
) -> Tensor:  # fmt: skip
    _check(where, n, input, weight, bias, groups, True)
    step = sizes(stride, n, where, "stride", 1)
    spread = sizes(dilation, n, where, "dilation", 1)
    low = sizes(padding, n, where, "padding")
    more = sizes(output_padding, n, where, "output_padding")
    if any(m >= max(s, d) for m, s, d in zip(more, step, spread, strict=True)):
        text = "an output_padding smaller than stride or dilation"
        expect(False, where, text, more, ArgumentError)
    size = [
        (i - 1) * s - 2 * p + d * (k - 1) + m + 1
        for i, s, p, d, k, m in zip(
            input.shape[-n:], step, low, spread, weight.shape[2:], more, strict=True
        )
    ]
    if min(size) < 1 or 0 in input.shape[-n:]:
        text = "an input and padding that leave a result of at least one element an axis"
        expect(False, where, text, f"{input.shape} and padding {low}")
    batched = input.ndim == n + 2
    x = input if batched else input.unsqueeze(0)
    how = (step, low, spread, groups, tuple(size))
    out = _run(convolution_input_grad, x, weight, bias, *how)
    return out if batched else out.squeeze(0)


@op
def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: str | Sizes = 0, dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Cross-correlation along the last axis.

    Shapes: input (batch, channels, length) or (channels, length), weight (rows, channels / groups,
    kernel), out (batch, rows, length'). padding: integers, 'same' or 'valid'. f16 and bf16 are
    computed in f32. ShapeError when shapes do not fit.
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@op
def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: str | Sizes = 0, dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Cross-correlation over the last two axes.

    Shapes: input (batch, channels, height, width) or (channels, height, width), weight (rows,
    channels / groups, kernel height, kernel width), out (batch, rows, height', width'). Many 3 × 3
    kernels of stride 1 in f32, f16 and bf16 take Winograd's way F(2×2, 3×3) (Lavin & Gray 2016):
    the result differs by rounding, and an infinite input makes its 4 × 4 neighbourhood NaN.
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@op
def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: str | Sizes = 0, dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Cross-correlation over the last three axes.

    Shapes: input (batch, channels, depth, height, width) or without batch, weight (rows, channels /
    groups, *kernel), out (batch, rows, depth', height', width').
    """
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


@op
def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """The transpose of `conv1d`: each input element adds a scaled kernel to the output.

    Shapes: input (batch, channels, length) or (channels, length), weight (channels, rows / groups,
    kernel), out (batch, rows, (length - 1) * stride - 2 * padding + dilation * (kernel - 1) +
    output_padding + 1).
    """
    where = "conv_transpose1d"
    return _transposed(
        where, 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@op
def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """The transpose of `conv2d`, over the last two axes; sizes as in `conv_transpose1d`."""
    where = "conv_transpose2d"
    return _transposed(
        where, 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@op
def conv_transpose3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """The transpose of `conv3d`, over the last three axes; sizes as in `conv_transpose1d`."""
    where = "conv_transpose3d"
    return _transposed(
        where, 3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
