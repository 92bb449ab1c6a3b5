"""The patches of an image as columns, and columns added up into an image (unfold, fold)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import _native
from ..dtype import bool_, f32
from ..errors import ShapeError, expect
from ..registry import op, primitive
from ..tensor import Tensor, unwrap_tensor, wrap
from .conv import Sizes, by_parts, check_float, sizes

_unfold = _native.kernel("unfold")
_fold = _native.kernel("fold")


@primitive(name="nn.image_to_columns")
def image_to_columns(image: Tensor, how: tuple[int, ...]) -> Tensor:
    """(batch, channels, height, width) to (batch, channels * taps, patches); `how`: see `_patches`."""  # noqa: E501
    batch, channels, height, width = image.shape
    count = _patch_count((height, width), how)
    shape = (batch, channels * how[0] * how[1], count[0] * count[1])
    out = _native.Array.empty(shape, image._array.dtype)
    _unfold(out, image._array, *how)
    return wrap(out)


@primitive(name="nn.columns_to_image")
def columns_to_image(columns: Tensor, size: tuple[int, int], how: tuple[int, ...]) -> Tensor:
    """The transpose of `nn.image_to_columns`: overlapping elements are added up."""
    channels = columns.shape[1] // (how[0] * how[1])
    out = _native.Array.empty((columns.shape[0], channels, *size), columns._array.dtype)
    _fold(out, columns._array, *how)
    return wrap(out)


@image_to_columns.grad
def _(g: Tensor, _image: Any, how: tuple[int, ...]) -> Any:
    return lambda: columns_to_image(g, _image.shape[2:], how)


@columns_to_image.grad
def _(g: Tensor, _columns: Any, size: tuple[int, int], how: tuple[int, ...]) -> Any:
    return lambda: image_to_columns(g, how)


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


def _patch_count(size: Sequence[int], how: tuple[int, ...]) -> list[int]:
    return [
        (size[i] + 2 * how[4 + i] - how[2 + i] * (how[i] - 1) - 1) // how[6 + i] + 1
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
    how = _patches("unfold", kernel_size, dilation, padding, stride)
    if min(_patch_count(input.shape[-2:], how)) < 1:
        expect(False, "unfold", f"an image as large as a patch ({how})", input.shape)
    if input.ndim == 3:
        return by_parts(image_to_columns, input.unsqueeze(0), how).squeeze(0)
    return by_parts(image_to_columns, input, how)


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
    how = _patches("fold", kernel_size, dilation, padding, stride)
    height, width = sizes(output_size, 2, "fold", "output_size", 1)
    count, taps = _patch_count((height, width), how), how[0] * how[1]
    fits = min(count) >= 1 and input.shape[-1] == count[0] * count[1]
    fits = fits and input.shape[-2] > 0 and input.shape[-2] % taps == 0
    if not fits:
        patches = count[0] * count[1] if min(count) >= 1 else 0
        text = f"(…, a multiple of {taps}, {patches}) for an image of {(height, width)}"
        expect(False, "fold", text, input.shape, ShapeError)
    if input.ndim == 2:
        image = by_parts(columns_to_image, input.unsqueeze(0), (height, width), how)
        return image.squeeze(0)
    return by_parts(columns_to_image, input, (height, width), how)
