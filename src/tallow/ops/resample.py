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
from ..dtype import DType, f32, f64, i64
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

    __slots__ = ("_tensors", "_transposed", "length", "starts", "weights")

    def __init__(
        self, length: int, starts: Sequence[int], weights: Sequence[Sequence[float]]
    ) -> None:
        self.length, self.starts, self.weights = length, starts, weights
        self._tensors: dict[Device, tuple[Tensor, ...]] = {}
        self._transposed: WeightTable | None = None

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
def _steps(tables: tuple[WeightTable | None, ...]) -> list[tuple[int, WeightTable]]:
    """Which axis, counted from the last, is weighed by which table, in the order of the work."""
    steps = [(i - len(tables), table) for i, table in enumerate(tables) if table is not None]
    # Axes that shrink most go first, then the last ones, along which memory is contiguous.
    steps.sort(key=lambda step: (len(step[1].starts) / max(step[1].length, 1), -step[0]))
    return steps


def resample_axes(input: Tensor, tables: Sequence[WeightTable | None]) -> Tensor:
    """The last axes of `input` each weighed by its table (None: left alone); halves go by f32."""
    n, dtype = input.ndim, input.dtype
    steps = _steps(tuple(tables))
    left = len(steps)
    for dim, table in steps:
        left -= 1
        wide = f32 if left and dtype.itemsize == 2 else dtype
        input = resample(input, table, n + dim, wide)
    return input


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
