"""Convolutions over 1 to 3 axes, and transposed ones.

All of them are three ops, which are each other's gradients: with o the output, i the input and w
the weight of one convolution, `nn.convolution` makes o of (i, w), `nn.convolution_input_grad` i of
(o, w), and `nn.convolution_weight_grad` w of (o, i).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from ..autograd.record import recomputed
from ..dtype import f32, f64, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .join import stack
from .spatial import Sizes, is_float, sizes

# --- the three ops --------------------------------------------------------------------------------


def _padded(numbers: Sequence[int], fill: int) -> tuple[int, ...]:
    return (fill,) * (3 - len(numbers)) + tuple(numbers)


def numbers(
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> tuple[int, ...]:
    """What kernels of convolutions take: strides, offsets and dilations of three axes, groups."""
    offset = tuple(-p for p in _padded(padding, 0))
    return (*_padded(stride, 1), *offset, *_padded(dilation, 1), groups)


def _bias_grad(g: Tensor) -> Tensor:
    return g.sum((0, *range(2, g.ndim)))


@op(name="nn.convolution")
def convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Tensor:  # fmt: skip
    """`out[n, r, o] = bias[r] + sum of input[n, c, o*stride - padding + t*dilation] * weight[r, c, t]`.

    Shapes: input (batch, channels, *spatial), weight (out channels, channels / groups, *kernel),
    out (batch, out channels, *size); what lies outside the input counts as zero, whatever `size`
    says.
    """  # noqa: E501
    from .pad import constant_pad_nd

    wide = f32 if input.dtype.itemsize == 2 else input.dtype
    batch, kernel, sides = input.shape[0], weight.shape[2:], list[int]()
    axes = list(zip(size, stride, dilation, kernel, padding, input.shape[2:], strict=True))
    for n, s, d, k, before, length in reversed(axes):
        sides += before, (n - 1) * s + d * (k - 1) + 1 - before - length
    x = constant_pad_nd(input.to(wide), sides)
    x = x.reshape(batch, groups, weight.shape[1], *x.shape[2:])
    w = weight.to(wide).reshape(groups, -1, *weight.shape[1:])
    out = x.new_zeros((batch, groups, w.shape[1], *size)).flatten(3)
    for at in product(*map(range, kernel)):  # an element of the kernel at a time
        steps = zip(at, size, stride, dilation, strict=True)
        key = [slice(t * d, t * d + (n - 1) * s + 1, s) for t, n, s, d in steps]
        out = out + w[(..., *at)] @ x[(..., *key)].flatten(3)
    out = out.reshape(batch, weight.shape[0], *size)
    if bias is not None:
        out = out + bias.to(wide).reshape(-1, *(1,) * len(size))
    return out.to(input.dtype)


@convolution.out
def _(input: Tensor, weight: Tensor, *params: Any) -> Any:
    return (input.shape[0], weight.shape[0], *params[5]), input.dtype


@convolution.kernel("conv")
def _(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], groups: int, size: Sequence[int],
) -> tuple[Any, ...]:  # fmt: skip
    return input, weight, bias, *numbers(stride, padding, dilation, groups)


@op(name="nn.convolution_input_grad")
def convolution_input_grad(
    g: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Tensor:  # fmt: skip
    """The gradient of `nn.convolution` for an input of spatial shape `size`, from that of its result.

    With `bias` (added per channel) this is the transposed convolution.
    """  # noqa: E501
    zero = g.new_zeros((g.shape[0], weight.shape[1] * groups, *size))
    params = (None, stride, padding, dilation, groups, g.shape[2:])
    out = recomputed(lambda x: convolution.reference(x, weight, *params), (zero,), g)[0]
    return out if bias is None else out + bias.reshape(-1, *(1,) * len(size))


@convolution_input_grad.out
def _(g: Tensor, weight: Tensor, *params: Any) -> Any:
    return (g.shape[0], weight.shape[1] * params[4], *params[5]), g.dtype


@convolution_input_grad.kernel("conv_input_grad")
def _(
    g: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, size: Sequence[int],
) -> tuple[Any, ...]:  # fmt: skip
    return g, weight, bias, *numbers(stride, padding, dilation, groups)


@op(name="nn.convolution_weight_grad")
def convolution_weight_grad(
    g: Tensor, input: Tensor, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Tensor:  # fmt: skip
    """The gradient of `nn.convolution` for a weight of kernel shape `size`, from that of its result."""  # noqa: E501
    zero = g.new_zeros((g.shape[1], input.shape[1] // groups, *size))
    params = (None, stride, padding, dilation, groups, g.shape[2:])
    return recomputed(lambda w: convolution.reference(input, w, *params), (zero,), g)[0]


@convolution_weight_grad.out
def _(g: Tensor, input: Tensor, *params: Any) -> Any:
    return (g.shape[1], input.shape[1] // params[3], *params[4]), g.dtype


@convolution_weight_grad.kernel("conv_weight_grad")
def _(
    g: Tensor, input: Tensor, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, size: Sequence[int],
) -> tuple[Any, ...]:  # fmt: skip
    return g, input, *numbers(stride, padding, dilation, groups)


@convolution.grad(uses={"input": ("weight",), "weight": ("input",)})
def _(
    g: Tensor, input: Tensor, weight: Tensor, _bias: Any, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Any:  # fmt: skip
    params = (stride, padding, dilation, groups)
    return (
        lambda: convolution_input_grad(g, weight, None, *params, input.shape[2:]),
        lambda: convolution_weight_grad(g, input, *params, weight.shape[2:]),
        lambda: _bias_grad(g),
    )


@convolution_input_grad.grad(uses={"g": ("weight",), "weight": ("g",)})
def _(
    v: Tensor, g: Tensor, weight: Tensor, _bias: Any, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Any:  # fmt: skip
    params = (stride, padding, dilation, groups)
    return (
        lambda: convolution(v, weight, None, *params, g.shape[2:]),
        lambda: convolution_weight_grad(g, v, *params, weight.shape[2:]),
        lambda: _bias_grad(v),
    )


@convolution_weight_grad.grad(uses={"g": ("input",), "input": ("g",)})
def _(
    v: Tensor, g: Tensor, input: Tensor, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], groups: int, size: Sequence[int],
) -> Any:  # fmt: skip
    params = (stride, padding, dilation, groups)
    return (
        lambda: convolution(input, v, None, *params, g.shape[2:]),
        lambda: convolution_input_grad(g, v, None, *params, input.shape[2:]),
    )


# --- convolutions ---------------------------------------------------------------------------------


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    pair = x.view_as_real()
    return pair.select(-1, 0), pair.select(-1, 1)


def by_parts(made: Callable[..., Tensor], x: Tensor, *params: Any) -> Tensor:
    """A linear op of one tensor, which may be complex."""
    if x.dtype.kind != "c":
        return made(x, *params)
    return stack([made(part, *params) for part in _parts(x)], -1).view_as_complex()


def _run(
    made: Callable[..., Tensor], input: Tensor, weight: Tensor, bias: Tensor | None, *params: Any
) -> Tensor:
    """One of the ops; complex tensors by their parts, integers in f64 while that is exact."""
    kind = input.dtype.kind
    if kind == "f":
        return made(input, weight, bias, *params)
    if kind == "c":
        (xr, xi), (wr, wi) = _parts(input), _parts(weight)
        br, bi = (None, None) if bias is None else _parts(bias)
        real = made(xr, wr, br, *params) - made(xi, wi, None, *params)
        imag = made(xr, wi, bi, *params) + made(xi, wr, None, *params)
        return stack([real, imag], -1).view_as_complex()
    wide = [None if x is None else x.to(f64) for x in (input, weight, bias)]
    if input.numel() and weight.numel() and not input.is_meta:
        most = [0.0 if x is None else float(x.abs().amax()) for x in wide]
        bound = most[0] * most[1] * (weight.numel() // weight.shape[0]) * len(weight) + most[2]
        text = "integers whose sums stay below 2**53"
        expect(bound < 2**53, made, text, f"up to {bound:.3g}", ArgumentError)
    return made(*wide, *params).to(input.dtype)


def check_operands(
    where: str, n: int, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int,
    transposed: bool,
) -> None:  # fmt: skip
    """Refuse dtypes, and shapes of input, weight and bias, that no convolution over n axes has."""
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
    out_channels = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and bias.shape != (out_channels,):
        expect(False, where, f"a bias of shape ({out_channels},)", bias.shape)


def _convolve(
    where: str, n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes,
    padding: str | Sizes, dilation: Sizes, groups: int,
) -> Tensor:  # fmt: skip
    check_operands(where, n, input, weight, bias, groups, False)
    strides = sizes(stride, n, where, "stride", 1)
    dilations = sizes(dilation, n, where, "dilation", 1)
    kernel, length = weight.shape[2:], input.shape[-n:]
    span = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    if isinstance(padding, str):
        known = padding in ("same", "valid")
        expect(known, where, "padding 'same', 'valid' or integers", repr(padding), ArgumentError)
        if padding == "same":
            text = "a stride of 1 with padding 'same'"
            expect(max(strides) == 1, where, text, strides, ArgumentError)
        total = span if padding == "same" else [0] * n
        pad_before = tuple(t // 2 for t in total)
    else:
        pad_before = sizes(padding, n, where, "padding")
        total = [2 * p for p in pad_before]
    size = [
        (i + t - r - 1) // s + 1 for i, t, r, s in zip(length, total, span, strides, strict=True)
    ]
    if min(size) < 1:
        fits = [i + t for i, t in zip(length, total, strict=True)]
        text = f"an input that with its padding is as large as the kernel {[r + 1 for r in span]}"
        expect(False, where, text, fits)
    batched = input.ndim == n + 2
    x = input if batched else input.unsqueeze(0)
    out = _run(convolution, x, weight, bias, strides, pad_before, dilations, groups, tuple(size))
    return out if batched else out.squeeze(0)


def _transposed(
    where: str, n: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes,
    padding: Sizes, output_padding: Sizes, groups: int, dilation: Sizes,
) -> Tensor:  # fmt: skip
    check_operands(where, n, input, weight, bias, groups, True)
    strides = sizes(stride, n, where, "stride", 1)
    dilations = sizes(dilation, n, where, "dilation", 1)
    pad_before = sizes(padding, n, where, "padding")
    extra = sizes(output_padding, n, where, "output_padding")
    if any(m >= max(s, d) for m, s, d in zip(extra, strides, dilations, strict=True)):
        text = "an output_padding smaller than stride or dilation"
        expect(False, where, text, extra, ArgumentError)
    size = [
        (i - 1) * s - 2 * p + d * (k - 1) + m + 1
        for i, s, p, d, k, m in zip(
            input.shape[-n:], strides, pad_before, dilations, weight.shape[2:], extra, strict=True
        )
    ]
    if min(size) < 1 or 0 in input.shape[-n:]:
        text = "an input and padding that leave a result of at least one element an axis"
        expect(False, where, text, f"{input.shape} and padding {pad_before}")
    batched = input.ndim == n + 2
    x = input if batched else input.unsqueeze(0)
    params = (strides, pad_before, dilations, groups, tuple(size))
    out = _run(convolution_input_grad, x, weight, bias, *params)
    return out if batched else out.squeeze(0)


@op
def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: str | Sizes = 0, dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Cross-correlation along the last axis.

    Shapes: input (batch, channels, length) or (channels, length), weight (out channels, channels /
    groups, kernel), out (batch, out channels, length'). padding: integers, 'same' or 'valid'. f16
    and bf16 are computed in f32. ShapeError when shapes do not fit.
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@op
def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: str | Sizes = 0, dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Cross-correlation over the last two axes.

    Shapes: input (batch, channels, height, width) or (channels, height, width), weight (out
    channels, channels / groups, kernel height, kernel width), out (batch, out channels, height',
    width'). Many 3 × 3 kernels of stride 1 in f32, f16 and bf16 take Winograd's way F(2×2, 3×3)
    (Lavin & Gray 2016): the result differs by rounding, and an infinite input makes its 4 × 4
    neighbourhood NaN.
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@op
def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: str | Sizes = 0, dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Cross-correlation over the last three axes.

    Shapes: input (batch, channels, depth, height, width) or without batch, weight (out channels,
    channels / groups, *kernel), out (batch, out channels, depth', height', width').
    """
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


@op
def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Sizes = 1,
    padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """The transpose of `conv1d`: each input element adds a scaled kernel to the output.

    Shapes: input (batch, channels, length) or (channels, length), weight (channels, out channels /
    groups, kernel), out (batch, out channels, (length - 1) * stride - 2 * padding + dilation *
    (kernel - 1) + output_padding + 1).
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
