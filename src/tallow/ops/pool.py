"""Pooling over 1 to 3 axes: maxima (with positions), averages, power means, and unpooling.

Averages are products with small tables (see `resample.py`); maxima have kernels of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dtype import f64, i64
from ..errors import ArgumentError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .conv import Sizes, check_float, sizes
from .resample import check_longest, resample_axes, window_table

# --- by position ----------------------------------------------------------------------------------


@op(name="nn.plane_gather")
def plane_gather(input: Tensor, indices: Tensor) -> Tensor:
    """`out[n, c, j] = input[n, c, indices[n, c, j]]`; the indices (i64) must lie inside."""
    return input.gather(2, indices)


@plane_gather.out
def _(input: Tensor, indices: Tensor) -> Any:
    return indices.shape, input.dtype


plane_gather.kernel("plane_gather")


@op(name="nn.plane_scatter")
def plane_scatter(input: Tensor, indices: Tensor, places: int, add: bool) -> Tensor:
    """Zeros of `places` per plane, `input[n, c, j]` added (or written) at `indices[n, c, j]`."""
    zero = input.new_zeros((*input.shape[:2], places))
    return zero.scatter_add(2, indices, input) if add else zero.scatter(2, indices, input)


@plane_scatter.out
def _(input: Tensor, indices: Tensor, places: int, add: bool) -> Any:
    return (*input.shape[:2], places), input.dtype


@plane_scatter.kernel("plane_scatter")
def _(input: Tensor, indices: Tensor, places: int, add: bool) -> tuple[Any, ...]:
    return input, indices, bool(add)


@plane_gather.grad
def _(g: Tensor, _input: Any, indices: Tensor) -> Any:
    return lambda: plane_scatter(g, indices, _input.shape[2], True), None


@plane_scatter.grad
def _(g: Tensor, _input: Any, indices: Tensor, places: int, add: bool) -> Any:
    return lambda: plane_gather(g, indices), None


# --- maxima ---------------------------------------------------------------------------------------

# Kernel, stride, padding and dilation, three each; kernels of 0 cut the axes into equal parts.
Params = tuple[int, ...]


@op(name="nn.max_pool")
def max_windows(input: Tensor, params: Params, size: Sequence[int]) -> Tensor:
    """The maxima of windows: (batch, channels, *spatial) to (batch, channels, *size); NaN wins."""
    return max_windows_indices(input, params, size)[0]


@max_windows.out
def _(input: Tensor, params: Params, size: Sequence[int]) -> Any:
    return (*input.shape[:2], *size), input.dtype


@max_windows.kernel("max_pool")
def _(input: Tensor, params: Params, size: Sequence[int]) -> tuple[Any, ...]:
    return input, *params


@op(name="nn.max_pool_indices")
def max_windows_indices(
    input: Tensor, params: Params, size: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The maxima of windows, and where they are in the flattened spatial axes (i64)."""
    ...


@max_windows_indices.out
def _(input: Tensor, params: Params, size: Sequence[int]) -> Any:
    shape = (*input.shape[:2], *size)
    return [(shape, input.dtype), (shape, i64)]


@max_windows_indices.kernel("max_pool_indices")
def _(input: Tensor, params: Params, size: Sequence[int]) -> tuple[Any, ...]:
    return input, *params


def _put_back(g: Tensor, indices: Tensor, spatial: Sequence[int]) -> Tensor:
    """The gradient `g` of windows put back where the maxima were."""
    places = 1
    for n in spatial:
        places *= n
    flat = plane_scatter(g.flatten(2), indices.flatten(2), places, True)
    return flat.reshape((*g.shape[:2], *spatial))


# The positions are found again in the backward pass: that costs one pooling there, where keeping
# them would cost every forward pass, and 8 bytes an element.
@max_windows.grad
def _(g: Tensor, input: Tensor, params: Params, size: Sequence[int]) -> Any:
    return lambda: _put_back(
        g, max_windows_indices(input.detach(), params, size)[1], input.shape[2:]
    )


@max_windows_indices.grad
def _(
    g: tuple[Tensor, Any], _input: Any, params: Params, size: Sequence[int], indices: Tensor
) -> Any:
    return lambda: _put_back(g[0], indices, _input.shape[2:])


def _spatial(where: str, n: int, input: Tensor, integers: bool = False) -> None:
    unwrap_tensor(input, where)
    if not (integers and input.dtype.kind in "iu"):
        check_float(where, input)
    fits = input.ndim in (n + 1, n + 2) and 0 not in input.shape[-n - 1 :]
    if not fits:
        axes = ", ".join(("length",) if n == 1 else ("depth", "height", "width")[3 - n :])
        wanted = f"shape (batch, channels, {axes}) or (channels, {axes}), none but the batch 0"
        expect(False, where, wanted, input.shape)


def _length(length: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """How many windows an axis has; the last one must start inside the input or its padding."""
    room = length + 2 * p - d * (k - 1) - 1
    if ceil_mode:
        room += s - 1
    count = room // s + 1
    if ceil_mode and (count - 1) * s >= length + p:
        count -= 1
    return count


def _windows(
    where: str, n: int, input: Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    dilation: Sizes, ceil_mode: bool,
) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:  # fmt: skip
    """Kernel, stride, padding and dilation per axis, and params many windows each axis has."""
    kernel = sizes(kernel_size, n, where, "kernel_size", 1)
    if stride is None or (isinstance(stride, (tuple, list)) and not stride):
        step = kernel
    else:
        step = sizes(stride, n, where, "stride", 1)
    pad = sizes(padding, n, where, "padding")
    spread = sizes(dilation, n, where, "dilation", 1)
    for p, k, d in zip(pad, kernel, spread, strict=True):
        if 2 * p > d * (k - 1) + 1:
            text = f"a padding of at most half the kernel {kernel}"
            expect(False, where, text, padding, ArgumentError)
    count = tuple(
        _length(*each, ceil_mode)
        for each in zip(input.shape[-n:], kernel, step, pad, spread, strict=True)
    )
    if min(count) < 1:
        expect(False, where, f"an input as large as the kernel {kernel}", input.shape)
    return [kernel, step, pad, spread], count


def _three(numbers: Sequence[int], fill: int) -> tuple[int, ...]:
    return (fill,) * (3 - len(numbers)) + tuple(numbers)


def _max(
    where: str, n: int, input: Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    dilation: Sizes, ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    _spatial(where, n, input, integers=True)
    numbers, size = _windows(where, n, input, kernel_size, stride, padding, dilation, ceil_mode)
    params = sum((_three(x, fill) for x, fill in zip(numbers, (1, 1, 0, 1), strict=True)), ())
    return _max_of(n, input, params, size, return_indices)


def _max_of(
    n: int, input: Tensor, params: Params, size: Sequence[int], return_indices: bool
) -> Any:
    batched = input.ndim == n + 2
    x = input if batched else input.unsqueeze(0)
    if not return_indices:
        out = max_windows(x, params, tuple(size))
        return out if batched else out.squeeze(0)
    pair = max_windows_indices(x, params, tuple(size))
    return pair if batched else (pair[0].squeeze(0), pair[1].squeeze(0))


@op
def max_pool1d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    dilation: Sizes = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window of the last axis; with `return_indices` a pair with its position.

    Shapes: (batch, channels, length) or (channels, length). NaN wins; padding never does.
    """
    where = "max_pool1d"
    return _max(where, 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@op
def max_pool2d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    dilation: Sizes = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window of the last two axes; positions count through both axes."""
    where = "max_pool2d"
    return _max(where, 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@op
def max_pool3d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    dilation: Sizes = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window of the last three axes; positions count through all three."""
    where = "max_pool3d"
    return _max(where, 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _targets(where: str, n: int, input: Tensor, output_size: Any) -> tuple[int, ...]:
    """The output sizes, None standing for the input's own."""
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(given) == 1:
        given *= n
    if len(given) != n:
        expect(False, where, f"an output_size of {n} integers", output_size, ArgumentError)
    own = input.shape[-n:]
    filled = tuple(o if s is None else s for s, o in zip(given, own, strict=True))
    return sizes(filled, n, where, "output_size")


def _adaptive_max(where: str, n: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    _spatial(where, n, input, integers=True)
    size = _targets(where, n, input, output_size)
    # An axis that is not there is one window of length 1.
    params = ((1,) * (3 - n) + (0,) * n) + (1, 1, 1) + (0, 0, 0) + (1, 1, 1)
    return _max_of(n, input, params, size, return_indices)


@op
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of `output_size` equal parts of the last axis, which overlap if need be."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


@op
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of equal parts of the last two axes; None keeps an axis."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


@op
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of equal parts of the last three axes; None keeps an axis."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


# --- averages -------------------------------------------------------------------------------------


def _average(
    where: str, n: int, input: Tensor, kernel_size: Sizes, stride: Sizes | None, padding: Sizes,
    ceil_mode: bool, count_include_pad: bool, divisor: int | None,
) -> Tensor:  # fmt: skip
    whole = input.dtype is i64
    _spatial(where, n, input, integers=whole)
    if divisor is not None:
        expect(divisor != 0, where, "a divisor_override other than 0", divisor, ArgumentError)
    (kernel, step, pad, _), count = _windows(
        where, n, input, kernel_size, stride, padding, 1, ceil_mode
    )
    tables = []
    for i in range(n):
        scale = None if divisor is None else 1.0 / divisor if i == 0 else 1.0
        tables.append(
            window_table(
                input.shape[i - n], count[i], kernel[i], step[i], pad[i], count_include_pad, scale
            )
        )
    if not whole:
        return resample_axes(input, tables)
    # A sum over its divisor, without the fraction: what is a hair short of a whole number is one.
    mean = resample_axes(input.to(f64), tables)
    return (mean + mean.sign() * 1e-6).trunc().to(i64)


@op
def avg_pool1d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    ceil_mode: bool = False, count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last axis.

    Shapes: (batch, channels, length) or (channels, length). Padding counts as zeros, or not at all
    without `count_include_pad`.
    """
    return _average(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


@op
def avg_pool2d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last two axes; `divisor_override` divides the sum instead."""
    return _average(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip


@op
def avg_pool3d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last three axes."""
    return _average(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip


def adaptive_average(where: str, n: int, input: Tensor, output_size: Any) -> Tensor:
    """The means of equal parts of the last n axes."""
    _spatial(where, n, input)
    size = _targets(where, n, input, output_size)
    check_longest(where, size)
    if set(size) == {1}:
        return input.mean(tuple(range(-n, 0)), keepdim=True)
    tables = [window_table(input.shape[i - n], size[i], 0, 1, 0, False, None) for i in range(n)]
    return resample_axes(input, tables)


@op
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The means of `output_size` equal parts of the last axis, which overlap if need be."""
    return adaptive_average("adaptive_avg_pool1d", 1, input, output_size)


@op
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of equal parts of the last two axes; None keeps an axis."""
    return adaptive_average("adaptive_avg_pool2d", 2, input, output_size)


@op
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The means of equal parts of the last three axes; None keeps an axis."""
    return adaptive_average("adaptive_avg_pool3d", 3, input, output_size)


def _power(
    where: str, n: int, input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None,
    ceil_mode: bool,
) -> Tensor:  # fmt: skip
    check_float(where, input)
    kernel = sizes(kernel_size, n, where, "kernel_size", 1)
    count = 1
    for k in kernel:
        count *= k
    mean = _average(where, n, input.pow(norm_type), kernel, stride, 0, ceil_mode, True, None)
    return (mean.sign() * mean.abs().relu() * count).pow(1.0 / norm_type)


@op
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """The `norm_type` norm of each window of the last axis."""
    return _power("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


@op
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """The `norm_type` norm of each window of the last two axes."""
    return _power("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


@op
def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    """The `norm_type` norm of each window of the last three axes."""
    return _power("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


# --- unpooling ------------------------------------------------------------------------------------


def _unpool(
    where: str, n: int, input: Tensor, indices: Tensor, kernel_size: Sizes,
    stride: Sizes | None, padding: Sizes, output_size: Sequence[int] | None,
) -> Tensor:  # fmt: skip
    check_float(where, input)
    unwrap_tensor(indices, where)
    expect(indices.dtype is i64, where, "indices of i64", indices.dtype.name, NoKernelError)
    expect(input.ndim in (n + 1, n + 2), where, f"{n + 1} or {n + 2} axes", input.shape)
    expect(indices.shape == input.shape, where, f"indices of {input.shape}", indices.shape)
    kernel = sizes(kernel_size, n, where, "kernel_size", 1)
    step = kernel if stride is None else sizes(stride, n, where, "stride", 1)
    pad = sizes(padding, n, where, "padding")
    size = [
        (length - 1) * s - 2 * p + k
        for length, k, s, p in zip(input.shape[-n:], kernel, step, pad, strict=True)
    ]
    if output_size is not None:
        given = tuple(output_size)[-n:]
        good = len(output_size) in (n, n + 2, n + 1) and all(
            d - s < o < d + s for o, d, s in zip(given, size, step, strict=True)
        )
        text = f"an output_size within a stride of {tuple(size)}"
        expect(good, where, text, tuple(output_size), ArgumentError)
        size = list(given)
    places = 1
    for length in size:
        places *= length
    expect(min(size) > 0, where, "a result of at least one element an axis", tuple(size))
    batched = input.ndim == n + 2
    x, at = (input, indices) if batched else (input.unsqueeze(0), indices.unsqueeze(0))
    flat = plane_scatter(x.flatten(2), at.flatten(2), places, False)
    out = flat.reshape((*x.shape[:2], *size))
    return out if batched else out.squeeze(0)


@op
def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None,
    padding: Sizes = 0, output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros with the elements of `input` at the positions that `max_pool1d` returned."""
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


@op
def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None,
    padding: Sizes = 0, output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros with the elements of `input` at the positions that `max_pool2d` returned."""
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


@op
def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Sizes, stride: Sizes | None = None,
    padding: Sizes = 0, output_size: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """Zeros with the elements of `input` at the positions that `max_pool3d` returned."""
    return _unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
