"""Images: DepthToSpace, SpaceToDepth, Col2Im, ImageDecoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.dtype import i64, u8
from tallow.errors import ArgumentError, TallowError, expect
from tallow.factories import zeros
from tallow.onnx.operators.moving import moves, whole
from tallow.onnx.operators.table import operator
from tallow.ops.fold import fold
from tallow.ops.spatial import is_float
from tallow.tensor import Tensor


def _check(where: str, x: Tensor, blocksize: int, mode: str) -> None:
    expect(x.ndim == 4, where, "4 axes", x.shape)
    expect(blocksize > 0, where, "a blocksize above 0", blocksize, ArgumentError)
    expect(mode in ("DCR", "CRD"), where, "mode DCR or CRD", repr(mode), ArgumentError)


@operator("DepthToSpace", since=11, host=True)
@moves()
def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Channels moved to blocks of pixels; in mode DCR the blocks' axes are in front of depth."""
    _check("DepthToSpace", x, blocksize, mode)
    (n, c, h, w), b = x.shape, blocksize
    expect(c % (b * b) == 0, "DepthToSpace", f"a multiple of {b * b} channels", c)
    if mode == "DCR":
        parts = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        parts = x.reshape(n, c // (b * b), b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return parts.reshape(n, c // (b * b), h * b, w * b)


@operator("DepthToSpace", since=1, until=10, host=True)
@moves()
def depth_to_space_1(x: Tensor, *, blocksize: int) -> Tensor:
    """DepthToSpace in mode DCR."""
    return depth_to_space(x, blocksize=blocksize)


@operator("SpaceToDepth", since=28, host=True)
@moves()
def space_to_depth(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Blocks of pixels moved to channels; in mode DCR the blocks' axes are in front of depth."""
    _check("SpaceToDepth", x, blocksize, mode)
    (n, c, h, w), b = x.shape, blocksize
    expect(h % b == w % b == 0, "SpaceToDepth", f"multiples of {b} as sizes", (h, w))
    parts = x.reshape(n, c, h // b, b, w // b, b)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return parts.permute(order).reshape(n, c * b * b, h // b, w // b)


@operator("SpaceToDepth", since=1, until=27, host=True)
@moves()
def space_to_depth_1(x: Tensor, *, blocksize: int) -> Tensor:
    """SpaceToDepth in mode DCR."""
    return space_to_depth(x, blocksize=blocksize)


# --- Col2Im ---------------------------------------------------------------------------------------


@operator("Col2Im", since=18, reads=("image_shape", "block_shape"))
def col2im(
    columns: Tensor, image_shape: list[int], block_shape: list[int], *,
    dilations: list[int] | None = None, pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:  # fmt: skip
    """Columns added up into the image of which they were the blocks."""
    image, block = whole(image_shape), whole(block_shape)
    n = len(image)
    by, apart, around = strides or [1] * n, dilations or [1] * n, pads or [0] * 2 * n
    good = n == len(block) == len(by) == len(apart) and len(around) == 2 * n > 0
    good = good and min(*image, *block, *by, *apart) > 0 and min(around) >= 0
    expect(good, "Col2Im", "a length, stride, … above 0 for each axis, and two pads", image_shape)
    wide = [length + around[i] + around[n + i] for i, length in enumerate(image)]
    counts = [(wide[i] - apart[i] * (block[i] - 1) - 1) // by[i] + 1 for i in range(n)]
    size = math.prod(block)
    fits = columns.ndim == 3 and min(counts) > 0 and columns.shape[2] == math.prod(counts)
    fits = fits and columns.shape[1] % size == 0
    expect(fits, "Col2Im", f"(batch, a multiple of {size}, {math.prod(counts)})", columns.shape)
    if n == 2 and is_float(columns.dtype):
        made = fold(columns, wide, block, apart, 0, by)
    else:
        made = _added_up(columns, wide, block, apart, by, counts)
    key = [slice(around[i], around[i] + length) for i, length in enumerate(image)]
    return made[(slice(None), slice(None), *key)].contiguous()


def _added_up(
    columns: Tensor, wide: Sequence[int], block: Sequence[int], apart: Sequence[int],
    by: Sequence[int], counts: Sequence[int],
) -> Tensor:  # fmt: skip
    """Columns of any number of axes in an image of lengths `wide`."""
    n = len(wide)
    index = zeros((1,) * (2 * n), dtype=i64, device=columns.device)
    for i in range(n):
        inner = ops.arange(block[i], dtype=i64) * apart[i]
        outer = ops.arange(counts[i], dtype=i64) * by[i]
        beside = [1] * (2 * n)
        beside[i], beside[n + i] = block[i], counts[i]
        index = index * wide[i] + (inner.unsqueeze(1) + outer).reshape(beside)
    batch, total = columns.shape[0], columns.shape[1] * columns.shape[2]
    channels = columns.shape[1] // math.prod(block)
    rows = columns.reshape(batch * channels, total // channels)
    empty = rows.new_zeros((batch * channels, math.prod(wide)))
    made = ops.scatter_add(empty, 1, index.reshape(1, -1).expand(rows.shape), rows)
    return made.reshape(batch, channels, *wide)


# --- ImageDecoder ---------------------------------------------------------------------------------


_FORMATS = ("BMP", "JPEG", "JPEG2000", "TIFF", "PNG", "WEBP", "PPM")  # the standard's


@operator("ImageDecoder", since=20)
def image_decoder(stream: Tensor, *, pixel_format: str = "RGB") -> Tensor:
    """The pixels (height, width, channels) of an image's file, by Pillow; none, if it is none."""
    from tallow.borrowing import of_numpy

    known = pixel_format in ("RGB", "BGR", "Grayscale")
    expect(known, "ImageDecoder", "RGB, BGR or Grayscale", repr(pixel_format), ArgumentError)
    fits = stream.ndim == 1 and stream.dtype is u8
    expect(fits, "ImageDecoder", "bytes", f"{stream.dtype.name} {stream.shape}")
    found = _decoded(stream.numpy().tobytes(), "L" if pixel_format == "Grayscale" else "RGB")
    if found is None:
        return zeros((0, 0, 1 if pixel_format == "Grayscale" else 3), dtype=u8)
    pixels = of_numpy(found.reshape(*found.shape[:2], -1))
    return pixels.flip(2) if pixel_format == "BGR" else pixels


def _decoded(data: bytes, mode: str) -> Any:
    """The pixels as an array, or None for what cannot be decoded, as the standard has it."""
    import io

    import numpy as np

    from tallow.vision.images import FAULTS, MAX_PIXELS, pillow

    image = pillow()
    try:
        with image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            size = picture.width * picture.height
            expect(size <= MAX_PIXELS, "ImageDecoder", f"at most {MAX_PIXELS} pixels", size,
                   ArgumentError)  # fmt: skip
            return np.array(picture.convert(mode))
    except TallowError:
        raise
    except image.DecompressionBombError as error:
        raise ArgumentError(
            f"ImageDecoder: expected at most {MAX_PIXELS} pixels: {error}"
        ) from None
    except FAULTS:
        return None
