"""Resampling: interpolation, and shuffles between channels and pixels.

What works axis by axis (averages, every mode of `interpolate`) is a table of weights per axis and
one op, `nn.resample`, whose gradient is the same op with the transposed table.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from ..borrowing import from_buffer
from ..device import Device
from ..dtype import DType, f32, f64, i64, u8
from ..errors import ArgumentError, NoKernelError, UnsupportedCaseError, expect
from ..factories import tensor
from ..registry import op
from ..tensor import Tensor, unwrap_tensor
from .conv import check_float

# Tables are made in Python, an output at a time.
_LONGEST = 1 << 24


def check_longest(where: str, size: Sequence[int]) -> None:
    """Refuse outputs for which making the table would take minutes."""
    expect(max(size) <= _LONGEST, where, f"at most {_LONGEST} elements an axis", tuple(size))


class Table:
    """Weights of one axis: output o is the sum of `weights[o][j] * input[starts[o] + j]`."""

    __slots__ = ("_tensors", "_transposed", "length", "starts", "weights")

    def __init__(
        self, length: int, starts: Sequence[int], weights: Sequence[Sequence[float]]
    ) -> None:
        self.length, self.starts, self.weights = length, starts, weights
        self._tensors: dict[Device, tuple[Tensor, ...]] = {}
        self._transposed: Table | None = None

    def arrays(self, device: Device) -> tuple[Tensor, ...]:
        """Starts, offsets into the weights, weights: what the kernel reads."""
        if device not in self._tensors:
            offsets, flat = [0], array("d")
            for row in self.weights:
                flat.extend(row)
                offsets.append(len(flat))
            count = len(self.starts)
            made = (
                from_buffer(array("q", self.starts), i64, (count,)),
                from_buffer(array("q", offsets), i64, (count + 1,)),
                from_buffer(flat, f64, (len(flat),)),
            )
            self._tensors[device] = tuple(x.to(device) for x in made)
        return self._tensors[device]

    @property
    def transposed(self) -> Table:
        """The table of the gradient."""
        if self._transposed is None:
            # Windows move upwards, so the outputs that read an input follow each other; a gap
            # within them gets a weight of 0.
            first = [0] * self.length
            rows: list[list[float]] = [[] for _ in range(self.length)]
            for o, (start, weights) in enumerate(zip(self.starts, self.weights, strict=True)):
                for i, w in enumerate(weights, start):
                    row = rows[i]
                    if not row:
                        first[i] = o
                    row.extend([0.0] * (o - first[i] - len(row)))
                    row.append(w)
            self._transposed = Table(len(self.starts), first, rows)
            self._transposed._transposed = self
        return self._transposed


@op(name="nn.resample")
def resample(input: Tensor, table: Table, dim: int, dtype: DType) -> Tensor:
    """Axis `dim` of `input` weighed by `table`, as `dtype` (that of the input, or f32 for a half)."""  # noqa: E501
    wide = f32 if dtype.itemsize == 2 else dtype
    rows = [
        [0.0] * start + weights + [0.0] * (table.length - start - len(weights))
        for start, weights in zip(table.starts, map(list, table.weights), strict=True)
    ]
    matrix = tensor(rows, dtype=wide, device=input.device).reshape(len(rows), table.length)
    out = input.to(wide).movedim(dim, -1) @ matrix.transpose(0, 1)
    return out.movedim(-1, dim).to(dtype).contiguous()


@resample.out
def _(input: Tensor, table: Table, dim: int, dtype: DType) -> Any:
    shape = input.shape
    return (*shape[:dim], len(table.starts), *shape[dim + 1 :]), dtype


@resample.kernel("resample")
def _(out: Tensor, input: Tensor, table: Table, dim: int, dtype: DType) -> tuple[Any, ...]:
    shape = input.shape
    before, after = math.prod(shape[:dim]), math.prod(shape[dim + 1 :])
    flat = input.reshape(before, shape[dim], after)
    return out.view(before, len(table.starts), after), flat, *table.arrays(input.device)


@resample.grad
def _(g: Tensor, _input: Any, table: Table, dim: int, dtype: DType) -> Any:
    return lambda: resample(g, table.transposed, dim, _input.dtype)


def resample_axes(input: Tensor, tables: Sequence[Table | None]) -> Tensor:
    """The last axes of `input` each weighed by its table (None: left alone); halves go by f32."""
    n, dtype = len(tables), input.dtype
    steps = [(input.ndim - n + i, t) for i, t in enumerate(tables) if t is not None]
    # Axes that shrink most go first, then the last ones, along which memory is contiguous.
    steps.sort(key=lambda step: (len(step[1].starts) / max(step[1].length, 1), -step[0]))
    for left, (dim, table) in zip(range(len(steps) - 1, -1, -1), steps, strict=True):
        wide = f32 if dtype.itemsize == 2 and left else dtype
        input = resample(input, table, dim, wide)
    return input


@lru_cache(256)
def window_table(
    length: int, count: int, kernel: int, stride: int, padding: int, include_pad: bool,
    scale: float | None,
) -> Table:  # fmt: skip
    """Means of `count` windows of an axis; a kernel of 0 cuts it into equal parts.

    `scale` is a weight that replaces one over the number of elements.
    """
    starts, weights = [], []
    for o in range(count):
        if kernel == 0:
            start, end = o * length // count, -(-(o + 1) * length // count)
            size = end - start
        else:
            start = o * stride - padding
            end = min(start + kernel, length + padding)
            size = end - start
            start, end = max(start, 0), min(end, length)
            if not include_pad:
                size = end - start
        end = max(start, end)
        starts.append(min(start, length))
        weights.append([1.0 / size if scale is None else scale] * (end - start))
    return Table(length, starts, weights)


# --- interpolation --------------------------------------------------------------------------------

LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


def _single(x: float) -> float:
    """`x` rounded to f32, in which PyTorch picks nearest neighbours of anything but f64."""
    return float(struct.unpack("f", struct.pack("f", x))[0])


def _cubic(x: float, a: float) -> float:
    """The cubic convolution kernel (Keys 1981)."""
    x = abs(x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


@lru_cache(256)
def nearest_table(length: int, count: int, scale: float | None, exact: bool, double: bool) -> Table:
    """Nearest neighbours: floor(o * scale), or with `exact` that of the pixels' middles."""
    rounded = (lambda x: x) if double else _single
    step = rounded(1.0 / scale if scale else length / count)
    shift = 0.5 if exact else 0.0
    starts = [min(int(rounded((o + shift) * step)), length - 1) for o in range(count)]
    return Table(length, starts, [[1.0]] * count)


def _merged(length: int, taps: Sequence[tuple[int, float]]) -> tuple[int, list[float]]:
    """Taps as one window inside the axis: those outside count for the border."""
    inside = [(min(max(i, 0), length - 1), w) for i, w in taps]
    first = min(i for i, _ in inside)
    weights = [0.0] * (max(i for i, _ in inside) - first + 1)
    for i, w in inside:
        weights[i - first] += w
    return first, weights


@lru_cache(256)
def interpolation_table(
    length: int, count: int, scale: float | None, align_corners: bool, cubic: bool
) -> Table:
    """Linear interpolation between two neighbours, or cubic between four (a = -0.75)."""
    if align_corners:
        step, middle = (length - 1) / (count - 1) if count > 1 else 0.0, 0.0
    else:
        step, middle = 1.0 / scale if scale else length / count, 0.5
    starts, weights = [], []
    for o in range(count):
        at = step * (o + middle) - middle
        if not cubic:
            at = min(max(at, 0.0), length - 1.0)
        i = math.floor(at)
        part = at - i
        if cubic:
            taps = [(i + k, _cubic(part - k, -0.75)) for k in (-1, 0, 1, 2)]
        else:
            taps = [(i, 1 - part), (i + 1, part)] if part else [(i, 1.0)]
        start, row = _merged(length, taps)
        starts.append(start)
        weights.append(row)
    return Table(length, starts, weights)


@lru_cache(256)
def antialias_table(
    length: int, count: int, scale: float | None, align_corners: bool, cubic: bool
) -> Table:
    """The triangle or the cubic (a = -0.5) as a filter as wide as the reduction, as in Pillow."""
    if align_corners:
        step = (length - 1) / (count - 1) if count > 1 else 0.0
    else:
        step = 1.0 / scale if scale else length / count
    reach = (2 if cubic else 1) * max(step, 1.0)
    shrink = 1 / max(step, 1.0)
    starts, weights = [], []
    for o in range(count):
        center = step * (o + 0.5)
        start = max(int(center - reach + 0.5), 0)
        end = min(int(center + reach + 0.5), length)
        places = [(i - center + 0.5) * shrink for i in range(start, end)]
        row = [_cubic(p, -0.5) if cubic else _triangle(p) for p in places]
        total = sum(row)
        starts.append(start)
        weights.append([w / total for w in row] if total else row)
    return Table(length, starts, weights)


def _list(value: Any, n: int, what: str) -> list[Any]:
    given = list(value) if isinstance(value, (tuple, list)) else [value] * n
    if len(given) != n:
        text = f"{what}: a number or {n} of them, one per spatial axis"
        expect(False, "interpolate", text, value, ArgumentError)
    return given


def _sizes_of(
    input: Tensor, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """Output sizes, and the factors by which coordinates are scaled (None: the ratio of sizes)."""
    n = input.ndim - 2
    one = (size is None) != (scale_factor is None)
    expect(one, "interpolate", "either size or scale_factor", (size, scale_factor), ArgumentError)
    factors: list[float | None] = [None] * n
    if size is not None:
        if recompute:
            text = "scale_factor with recompute_scale_factor"
            expect(False, "interpolate", text, f"size {size}", ArgumentError)
        made = [int(s) for s in _list(size, n, "size")]
    else:
        given = [float(s) for s in _list(scale_factor, n, "scale_factor")]
        for s in given:
            good = s > 0 and math.isfinite(s)
            expect(good, "interpolate", "positive scale factors", scale_factor, ArgumentError)
        made = [math.floor(i * s) for i, s in zip(input.shape[2:], given, strict=True)]
        if not recompute:
            factors = list(given)
    fits = min(made) > 0
    expect(fits, "interpolate", "an output of at least one element an axis", tuple(made))
    check_longest("interpolate", made)
    return made, factors


@op
def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:  # fmt: skip
    """The spatial axes resampled to `size`, or by `scale_factor`.

    Shapes: (batch, channels, *spatial) with 1 to 3 spatial axes. mode: nearest, nearest-exact,
    area, linear (1 axis), bilinear or bicubic (2), trilinear (3). `align_corners` makes the outer
    pixels' middles the ends of the axis; `antialias` (bilinear, bicubic) widens the filter when
    shrinking. ArgumentError for a combination that has no meaning.
    """
    unwrap_tensor(input, "interpolate")
    pixels = input.dtype is u8 and mode in ("nearest", "nearest-exact", "bilinear", "bicubic")
    input = input.to(f32) if pixels else input
    check_float("interpolate", input)
    expect(input.ndim in (3, 4, 5), "interpolate", "3 to 5 axes", input.shape, UnsupportedCaseError)
    expect(0 not in input.shape[1:], "interpolate", "axes with elements", input.shape)
    modes = ["nearest", "nearest-exact", "area", LINEAR[input.ndim]]
    modes += ["bicubic"] if input.ndim == 4 else []
    text = f"a mode of {', '.join(modes)} for {input.ndim - 2} spatial axes"
    expect(mode in modes, "interpolate", text, repr(mode), UnsupportedCaseError)
    smooth = mode not in modes[:3]
    if align_corners is not None and not smooth:
        text = f"align_corners with {', '.join(modes[3:])} only"
        expect(False, "interpolate", text, repr(mode), ArgumentError)
    if antialias and mode not in ("bilinear", "bicubic"):
        text = "antialias with bilinear or bicubic only"
        expect(False, "interpolate", text, repr(mode), ArgumentError)
    made, factors = _sizes_of(input, size, scale_factor, recompute_scale_factor)
    corners, cubic = bool(align_corners), mode == "bicubic"
    tables: list[Table | None] = []
    for length, count, factor in zip(input.shape[2:], made, factors, strict=True):
        if mode == "area":
            tables.append(window_table(length, count, 0, 1, 0, False, None))
        elif not smooth:
            exact, double = mode == "nearest-exact", input.dtype is f64
            tables.append(nearest_table(length, count, factor, exact, double))
        else:
            maker: Callable[..., Table] = antialias_table if antialias else interpolation_table
            tables.append(maker(length, count, factor, corners, cubic))
    if not pixels:
        return resample_axes(input, tables)
    # As torch: columns first, rounded to pixels, and then rows of these.
    for axis in reversed(range(len(tables))):
        alone = [table if i == axis else None for i, table in enumerate(tables)]
        input = (resample_axes(input, alone) + 0.5).floor().clamp(0, 255)
    return input.to(u8)


@op
def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """`interpolate` by its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


@op
def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode nearest."""
    return interpolate(input, size, scale_factor, "nearest")


@op
def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode bilinear and aligned corners."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


# --- between channels and pixels ------------------------------------------------------------------


def _images(where: str, input: Tensor, least: int = 3) -> None:
    unwrap_tensor(input, where)
    expect(input.ndim >= least, where, f"at least {least} axes", input.shape)
    plain = input.dtype.kind != "q"
    expect(plain, where, "a plain dtype", input.dtype.name, NoKernelError)


@op
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


@op
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


@op
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels (axis 1) dealt out: those of the groups alternate (Zhang 2018)."""
    _images("channel_shuffle", input)
    expect(groups > 0, "channel_shuffle", "a positive number of groups", groups, ArgumentError)
    batch, channels, *rest = input.shape
    text = f"channels that {groups} groups divide"
    expect(channels % groups == 0, "channel_shuffle", text, input.shape)
    split = input.reshape((batch, groups, channels // groups, *rest))
    return split.transpose(1, 2).reshape(input.shape)
