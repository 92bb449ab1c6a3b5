"""Shuffles between channels and pixels, and of channels."""

from __future__ import annotations

from ..errors import ArgumentError, NoKernelError, expect
from ..registry import op
from ..tensor import Tensor, unwrap_tensor


def _images(where: str, input: Tensor, least: int = 3) -> None:
    unwrap_tensor(input, where)
    expect(input.ndim >= least, where, f"at least {least} axes", input.shape)
    plain = input.dtype.kind != "q"
    expect(plain, where, "a plain dtype", input.dtype.name, NoKernelError)


@op(cached=True)
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(…, channels * r * r, height, width) to (…, channels, height * r, width * r) (Shi 2016)."""
    r = upscale_factor
    _images("pixel_shuffle", input)
    expect(r > 0, "pixel_shuffle", "a positive upscale_factor", r, ArgumentError)
    *front, channels, height, width = input.shape
    text = f"channels that {r} * {r} divides"
    expect(channels % (r * r) == 0, "pixel_shuffle", text, input.shape)
    n = len(front)
    split = input.reshape((*front, channels // (r * r), r, r, height, width))
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return split.permute(order).reshape((*front, channels // (r * r), height * r, width * r))


@op(cached=True)
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(…, channels, height * r, width * r) to (…, channels * r * r, height, width)."""
    r = downscale_factor
    _images("pixel_unshuffle", input)
    expect(r > 0, "pixel_unshuffle", "a positive downscale_factor", r, ArgumentError)
    *front, channels, height, width = input.shape
    fits = height % r == 0 and width % r == 0
    expect(fits, "pixel_unshuffle", f"height and width that {r} divides", input.shape)
    n = len(front)
    split = input.reshape((*front, channels, height // r, r, width // r, r))
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return split.permute(order).reshape((*front, channels * r * r, height // r, width // r))


@op(cached=True)
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels (axis 1) dealt out: those of the groups alternate (Zhang 2018)."""
    _images("channel_shuffle", input)
    expect(groups > 0, "channel_shuffle", "a positive number of groups", groups, ArgumentError)
    batch, channels, *rest = input.shape
    text = f"channels that {groups} groups divide"
    expect(channels % groups == 0, "channel_shuffle", text, input.shape)
    split = input.reshape((batch, groups, channels // groups, *rest))
    return split.transpose(1, 2).reshape(input.shape)
