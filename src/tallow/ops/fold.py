"""The patches of an image as columns, and columns added up into an image (unfold, fold)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.record import recomputed
from ..dtype import bool_, f32
from ..errors import ShapeError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .conv import by_parts
from .join import stack
from .pad import constant_pad_nd
from .spatial import Sizes, check_float, sizes


@op(name="nn.image_to_columns")
def image_to_columns(image: Tensor, params: tuple[int, ...]) -> Tensor:
    """(batch, channels, height, width) to (batch, channels * kernel, patches), by `_patches`."""
    kh, kw, dh, dw, ph, pw, sh, sw = params
    h, w = _patch_count(image.shape[2:], params)
    x = constant_pad_nd(image, (pw, pw, ph, ph))
    parts = [
        x[..., dh * i : dh * i + (h - 1) * sh + 1 : sh, dw * j : dw * j + (w - 1) * sw + 1 : sw]
        for i in range(kh)
        for j in range(kw)
    ]
    return stack([part.flatten(2) for part in parts], 2).flatten(1, 2)


@image_to_columns.out
def _(image: Tensor, params: tuple[int, ...]) -> Any:
    count = _patch_count(image.shape[2:], params)
    channels = image.shape[1] * params[0] * params[1]
    return (image.shape[0], channels, count[0] * count[1]), image.dtype


@image_to_columns.kernel("unfold")
def _(image: Tensor, params: tuple[int, ...]) -> tuple[Any, ...]:
    return image, *params


@op(name="nn.columns_to_image")
def columns_to_image(columns: Tensor, size: tuple[int, int], params: tuple[int, ...]) -> Tensor:
    """The transpose of `nn.image_to_columns`: overlapping elements are added up."""
    channels = columns.shape[1] // (params[0] * params[1])
    zero = columns.new_zeros((columns.shape[0], channels, *size))
    return recomputed(lambda x: image_to_columns.reference(x, params), (zero,), columns)[0]


@columns_to_image.out
def _(columns: Tensor, size: tuple[int, int], params: tuple[int, ...]) -> Any:
    channels = columns.shape[1] // (params[0] * params[1])
    return (columns.shape[0], channels, *size), columns.dtype


@columns_to_image.kernel("fold")
def _(columns: Tensor, size: tuple[int, int], params: tuple[int, ...]) -> tuple[Any, ...]:
    return columns, *params


@image_to_columns.grad
def _(g: Tensor, _image: Any, params: tuple[int, ...]) -> Any:
    return lambda: columns_to_image(g, _image.shape[2:], params)


@columns_to_image.grad
def _(g: Tensor, _columns: Any, size: tuple[int, int], params: tuple[int, ...]) -> Any:
    return lambda: image_to_columns(g, params)


def _patches(
    where: str, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes
) -> tuple[int, ...]:
    """Kernel, dilation, padding and stride, two each, in the kernel's order."""
    return (
        *sizes(kernel_size, 2, where, "kernel_size", 1),
        *sizes(dilation, 2, where, "dilation", 1),
        *sizes(padding, 2, where, "padding"),
        *sizes(stride, 2, where, "stride", 1),
    )


def _patch_count(size: Sequence[int], params: tuple[int, ...]) -> list[int]:
    return [
        (size[i] + 2 * params[4 + i] - params[2 + i] * (params[i] - 1) - 1) // params[6 + i] + 1
        for i in (0, 1)
    ]  # fmt: skip


def _check_columns(where: str, input: Tensor) -> None:
    unwrap_tensor(input, where)
    if input.dtype.kind != "c":
        check_float(where, input)


@op(name="nn.unfold")
def unfold(
    input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """The patches of an image as columns, `torch.nn.functional.unfold`.

    Shapes: (batch, channels, height, width) or without batch, to (batch, channels * kernel height *
    kernel width, patches).
    """
    unwrap_tensor(input, "unfold")
    if input.dtype is bool_:  # copies, which f32 holds exactly
        return unfold(input.to(f32), kernel_size, dilation, padding, stride).to(bool_)
    _check_columns("unfold", input)
    text = "an image of shape (batch, channels, height, width) or (channels, height, width)"
    fits = input.ndim in (3, 4) and 0 not in input.shape[-3:]
    expect(fits, "unfold", text, input.shape)
    params = _patches("unfold", kernel_size, dilation, padding, stride)
    if min(_patch_count(input.shape[-2:], params)) < 1:
        expect(False, "unfold", f"an image as large as a patch ({params})", input.shape)
    if input.ndim == 3:
        return by_parts(image_to_columns, input.unsqueeze(0), params).squeeze(0)
    return by_parts(image_to_columns, input, params)


@op(name="nn.fold")
def fold(
    input: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:  # fmt: skip
    """Columns added up into the image they were the patches of, `torch.nn.functional.fold`.

    Shapes: (batch, channels * kernel height * kernel width, patches) or without batch, to
    (batch, channels, *output_size).
    """
    _check_columns("fold", input)
    expect(input.ndim in (2, 3), "fold", "columns of 2 or 3 axes", input.shape)
    params = _patches("fold", kernel_size, dilation, padding, stride)
    height, width = sizes(output_size, 2, "fold", "output_size", 1)
    count, elements = _patch_count((height, width), params), params[0] * params[1]
    fits = min(count) >= 1 and input.shape[-1] == count[0] * count[1]
    fits = fits and input.shape[-2] > 0 and input.shape[-2] % elements == 0
    if not fits:
        patches = count[0] * count[1] if min(count) >= 1 else 0
        text = f"(…, a multiple of {elements}, {patches}) for an image of {(height, width)}"
        expect(False, "fold", text, input.shape, ShapeError)
    if input.ndim == 2:
        image = by_parts(columns_to_image, input.unsqueeze(0), (height, width), params)
        return image.squeeze(0)
    return by_parts(columns_to_image, input, (height, width), params)
