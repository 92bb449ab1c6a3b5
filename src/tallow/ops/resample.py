"""Resampling: an axis weighed by a table.

What works axis by axis (averages, every mode of `interpolate`) is a table of weights per axis and
one op, `nn.resample`, whose gradient is the same op with the transposed table.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..borrowing import from_buffer
from ..device import Device
from ..dtype import UNQUANTIZED, DType, f32, f64, i64
from ..errors import expect
from ..factories import tensor
from ..registry import op
from ..tensor import Tensor

# Tables are made in Python, an output at a time.
_LONGEST = 1 << 24


def check_longest(where: str, size: Sequence[int]) -> None:
    """Refuse outputs for which making the table would take minutes."""
    expect(max(size) <= _LONGEST, where, f"at most {_LONGEST} elements an axis", tuple(size))


class WeightTable:
    """Weights of one axis: output o is the sum of `weights[o][j] * input[starts[o] + j]`."""

    __slots__ = ("_tensors", "_times", "_transposed", "length", "starts", "weights")

    def __init__(
        self, length: int, starts: Sequence[int], weights: Sequence[Sequence[float]]
    ) -> None:
        self.length, self.starts, self.weights = length, starts, weights
        self._tensors: dict[Device, tuple[Tensor, ...]] = {}
        self._transposed: WeightTable | None = None
        self._times: int | None = None

    def arrays(self, device: Device) -> tuple[Tensor, ...]:
        """Starts, offsets into the weights, weights: what the kernel reads."""
        found = self._tensors.get(device)
        if found is None:
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
            found = self._tensors[device] = tuple(x.to(device) for x in made)
        return found

    @property
    def times(self) -> int:
        """How many results each element is, one behind the other; 0 if they are made otherwise."""
        if self._times is None:
            times, rest = divmod(len(self.starts), self.length or 1)
            same = not rest and all(start == o // times for o, start in enumerate(self.starts))
            self._times = times if same and all([*row] == [1.0] for row in self.weights) else 0
        return self._times

    @property
    def transposed(self) -> WeightTable:
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
            self._transposed = WeightTable(len(self.starts), first, rows)
            self._transposed._transposed = self
        return self._transposed


@op(name="nn.resample", cached=True)
def resample(input: Tensor, table: WeightTable, dim: int, dtype: DType) -> Tensor:
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
def _(input: Tensor, table: WeightTable, dim: int, dtype: DType) -> Any:
    shape = input.shape
    return (*shape[:dim], len(table.starts), *shape[dim + 1 :]), dtype


@resample.kernel("resample")
def _(input: Tensor, table: WeightTable, dim: int, dtype: DType) -> tuple[Any, ...]:
    return input, dim, *table.arrays(input.device)


@resample.grad
def _(g: Tensor, _input: Any, table: WeightTable, dim: int, dtype: DType) -> Any:
    return lambda: resample(g, table.transposed, dim, _input.dtype)


@lru_cache(256)
def without_blocks(
    tables: tuple[WeightTable | None, ...],
) -> tuple[int, int, tuple[WeightTable | None, ...]]:
    """How often `repeat_pixels` repeats rows and columns, and the tables of what is left to do."""
    times = [1 if table is None else table.times for table in tables[-2:]]
    if len(times) < 2 or 0 in times:
        return 1, 1, tables
    return times[0], times[1], (*tables[:-2], None, None)


@lru_cache(256)
def _steps(tables: tuple[WeightTable | None, ...]) -> list[tuple[int, WeightTable]]:
    """Which axis, counted from the last, is weighed by which table, in the order of the work."""
    steps = [(i - len(tables), table) for i, table in enumerate(tables) if table is not None]
    # Axes that shrink most go first, then the last ones, along which memory is contiguous.
    steps.sort(key=lambda step: (len(step[1].starts) / max(step[1].length, 1), -step[0]))
    return steps


def resample_axes(input: Tensor, tables: Sequence[WeightTable | None]) -> Tensor:
    """The last axes of `input` each weighed by its table (None: left alone); halves go by f32."""
    rows, columns, tables = without_blocks(tuple(tables))
    if rows * columns > 1:
        input = repeat_pixels(input, rows, columns)
    n, dtype = input.ndim, input.dtype
    steps = _steps(tables)
    left = len(steps)
    for dim, table in steps:
        left -= 1
        wide = f32 if left and dtype.itemsize == 2 else dtype
        input = resample(input, table, n + dim, wide)
    return input


# --- whole factors --------------------------------------------------------------------------------


@op(name="nn.repeat_pixels", cached=True)
def repeat_pixels(input: Tensor, rows: int, columns: int) -> Tensor:
    """Each element of the last two axes as a block of `rows` × `columns` equal ones."""
    *outer, height, width = input.shape
    wide = input.reshape(*outer, height, 1, width, 1).expand(*outer, height, rows, width, columns)
    return wide.reshape(*outer, height * rows, width * columns)


@repeat_pixels.check
def _(input: Tensor, rows: int, columns: int) -> None:
    good = input.ndim >= 2 and rows > 0 and columns > 0
    expect(good, repeat_pixels, "two axes and factors above 0", (input.shape, rows, columns))


@repeat_pixels.out
def _(input: Tensor, rows: int, columns: int) -> Any:
    *outer, height, width = input.shape
    return (*outer, height * rows, width * columns), input.dtype


@repeat_pixels.kernel("repeat_pixels", dtypes=UNQUANTIZED)
def _(input: Tensor, rows: int, columns: int) -> tuple[Any, ...]:
    return input.contiguous(), rows, columns


@repeat_pixels.grad
def _(g: Tensor, _input: Any, rows: int, columns: int) -> Tensor:
    *outer, height, width = _input.shape
    return g.reshape(*outer, height, rows, width, columns).sum((-3, -1))


@lru_cache(256)
def window_table(
    length: int, count: int, kernel: int, stride: int, padding: int, include_pad: bool,
    scale: float | None,
) -> WeightTable:  # fmt: skip
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
    return WeightTable(length, starts, weights)
