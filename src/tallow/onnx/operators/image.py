"""Images: DepthToSpace, SpaceToDepth."""

from __future__ import annotations

from tallow.errors import ArgumentError, expect
from tallow.onnx.operators.moving import moves
from tallow.onnx.operators.table import operator
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
