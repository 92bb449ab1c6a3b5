"""Where the windows of convolutions and pools lie: sizes from attributes and `auto_pad`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import dataclass

_AUTO_PADS: Final = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


@dataclass(frozen=True)
class Windows:
    """Windows along each spatial axis; `behind` is the padding after the last element."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    behind: tuple[int, ...]
    size: tuple[int, ...]

    @property
    def params(self) -> tuple[int, ...]:
        """Kernel, stride, padding and dilation as pooling ops take them, three each."""
        missing = 3 - len(self.kernel)
        ones, zeros = (1,) * missing, (0,) * missing
        return (
            *ones, *self.kernel, *ones, *self.strides, *zeros, *self.before, *ones, *self.dilations
        )  # fmt: skip


def per_axis(
    where: str, what: str, given: Sequence[int] | None, n: int, least: int = 1
) -> tuple[int, ...]:
    """An attribute with a number for each of `n` spatial axes; `least` where it is left out."""
    found = (least,) * n if not given else tuple(given)
    good = len(found) == n and min(found, default=least) >= least
    expect(good, where, f"{n} {what} of at least {least}", list(found), ArgumentError)
    return found


def spatial(where: str, shape: Sequence[int]) -> tuple[int, ...]:
    """The lengths of the spatial axes, of which there are 1 to 3."""
    expect(3 <= len(shape) <= 5, where, "an input of 3 to 5 axes (batch, channels, …)", shape)
    return tuple(shape[2:])


def sides(
    where: str, auto_pad: str, pads: Sequence[int] | None, n: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Explicit padding before and behind; zeros where `auto_pad` says so or settles it later."""
    known = auto_pad in _AUTO_PADS
    expect(known, where, f"auto_pad of {', '.join(_AUTO_PADS)}", auto_pad, ArgumentError)
    if not pads or auto_pad != "NOTSET":
        return (0,) * n, (0,) * n
    good = len(pads) == 2 * n and min(pads) >= 0
    expect(good, where, f"{2 * n} pads of at least 0", list(pads), ArgumentError)
    return tuple(pads[:n]), tuple(pads[n:])


def halves(total: int, auto_pad: str) -> tuple[int, int]:
    """Padding before and behind; an odd element stands behind for SAME_UPPER."""
    small = total // 2
    return (small, total - small) if auto_pad == "SAME_UPPER" else (total - small, small)


def settle(
    where: str,
    shape: Sequence[int],
    kernel: Sequence[int],
    *,
    auto_pad: str,
    pads: Sequence[int] | None,
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    ceil_mode: int = 0,
) -> Windows:
    """The windows over an input of `shape`."""
    lengths = spatial(where, shape)
    n = len(lengths)
    kernel = per_axis(where, "kernel sizes", kernel, n)
    steps = per_axis(where, "strides", strides, n)
    gaps = per_axis(where, "dilations", dilations, n)
    before, behind = sides(where, auto_pad, pads, n)
    spans = [d * (k - 1) + 1 for d, k in zip(gaps, kernel, strict=True)]
    if auto_pad.startswith("SAME"):
        size = tuple(-(-length // s) for length, s in zip(lengths, steps, strict=True))
        axes = zip(size, steps, spans, lengths, strict=True)
        pairs = [halves(max((o - 1) * s + r - i, 0), auto_pad) for o, s, r, i in axes]
        before, behind = tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
    else:
        counts = zip(lengths, spans, steps, before, behind, strict=True)
        size = tuple(_count(*each, ceil_mode if auto_pad == "NOTSET" else 0) for each in counts)
    fits = min(size) > 0
    expect(fits, where, f"an input as large as windows of {spans}, with its padding", lengths)
    return Windows(kernel, steps, gaps, before, behind, size)


def _count(length: int, span: int, step: int, before: int, behind: int, ceil_mode: int) -> int:
    """How many windows an axis has; none that starts in the padding behind."""
    room = length + before + behind - span
    if not ceil_mode:
        return room // step + 1
    count = -(-room // step) + 1
    return count - 1 if (count - 1) * step >= length + before else count
