"""Layers without parameters that reshape, pad, resize or compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.errors import DTypeError, expect
from tallow.nn import functional as F
from tallow.nn.module import Module
from tallow.tensor import Tensor


class Flatten(Module):
    """Axes `start_dim` to `end_dim` merged into one; by default all but the batch."""

    _repr_names = ("start_dim", "end_dim")

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return input.flatten(self.start_dim, self.end_dim)


class Unflatten(Module):
    """Axis `dim` cut into axes of the sizes `unflattened_size`."""

    _repr_names = ("dim", "unflattened_size")

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        good = isinstance(unflattened_size, (tuple, list)) and all(
            isinstance(size, (int, tuple, list)) for size in unflattened_size
        )
        expect(good, "Unflatten", "a tuple of integers", unflattened_size, DTypeError)
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        """Any shape."""
        return input.unflatten(self.dim, self.unflattened_size)


def _as_factors(given: Any) -> Any:
    """A factor as a float, one for each axis as a tuple of them."""
    if isinstance(given, (list, tuple)):
        return tuple(float(factor) for factor in given)
    return float(given) if given else None


class Upsample(Module):
    """Resize to `size`, or by `scale_factor`; as `functional.interpolate`."""

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        self.name = type(self).__name__
        self.size = tuple(size) if isinstance(size, (list, tuple)) else size
        self.scale_factor = _as_factors(scale_factor)
        self.mode = mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, *sizes)` → the same with other sizes."""
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners,
            self.recompute_scale_factor,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The target."""
        if self.scale_factor is not None:
            return f"scale_factor={self.scale_factor}, mode={self.mode!r}"
        return f"size={self.size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` of images with mode nearest."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images with mode bilinear and aligned corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


class _OneOption(Module):
    """A layer that calls the function named `_function` with its attribute `_option`."""

    _function = ""
    _option = ""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, height, width)`."""
        return getattr(F, self._function)(input, getattr(self, self._option))

    def extra_repr(self) -> str:
        """The option."""
        return f"{self._option}={getattr(self, self._option)}"


class PixelShuffle(_OneOption):
    """Channels spread over space: (n, c·r², h, w) to (n, c, h·r, w·r)."""

    _function, _option = "pixel_shuffle", "upscale_factor"

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = upscale_factor


class PixelUnshuffle(_OneOption):
    """Space gathered into channels: (n, c, h·r, w·r) to (n, c·r², h, w)."""

    _function, _option = "pixel_unshuffle", "downscale_factor"

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = downscale_factor


class ChannelShuffle(_OneOption):
    """Channels of (batch, channels, ...) dealt out in turn from `groups` groups."""

    _function, _option = "channel_shuffle", "groups"

    def __init__(self, groups: int) -> None:
        self.groups = groups


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Two shapes that broadcast; without axis `dim`."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of `x1 - x2 + eps` along the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """`(n, d)` twice → `(n,)`."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


# --- padding --------------------------------------------------------------------------------------


class _Pad(Module):
    """Padding of the last `axes` axes: one number, or two for each axis, the last axis first."""

    mode, axes = "constant", 0
    value = 0.0

    def __init__(self, padding: int | Sequence[int]) -> None:
        sides = (padding,) * (2 * self.axes) if isinstance(padding, int) else tuple(padding)
        wanted = f"a number, or {2 * self.axes} of them"
        expect(len(sides) == 2 * self.axes, type(self), wanted, padding)
        self.padding = sides

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, *sizes)`, or without the batch."""
        return F.pad(input, self.padding, self.mode, self.value or None)

    def extra_repr(self) -> str:
        """The sides."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Padding with `value`."""

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The sides and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Padding of length with one value."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """Padding of images with one value."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """Padding of volumes with one value."""

    axes = 3


class ZeroPad1d(_Pad):
    """Padding of length with 0."""

    axes = 1


class ZeroPad2d(_Pad):
    """Padding of images with 0."""

    axes = 2


class ZeroPad3d(_Pad):
    """Padding of volumes with 0."""

    axes = 3


class ReflectionPad1d(_Pad):
    """Padding of length with its mirror image, the edge not repeated."""

    mode, axes = "reflect", 1


class ReflectionPad2d(_Pad):
    """Padding of images with its mirror image, the edge not repeated."""

    mode, axes = "reflect", 2


class ReflectionPad3d(_Pad):
    """Padding of volumes with its mirror image, the edge not repeated."""

    mode, axes = "reflect", 3


class ReplicationPad1d(_Pad):
    """Padding of length with its edge."""

    mode, axes = "replicate", 1


class ReplicationPad2d(_Pad):
    """Padding of images with its edge."""

    mode, axes = "replicate", 2


class ReplicationPad3d(_Pad):
    """Padding of volumes with its edge."""

    mode, axes = "replicate", 3


class CircularPad1d(_Pad):
    """Padding of length with its other end."""

    mode, axes = "circular", 1


class CircularPad2d(_Pad):
    """Padding of images with its other end."""

    mode, axes = "circular", 2


class CircularPad3d(_Pad):
    """Padding of volumes with its other end."""

    mode, axes = "circular", 3
