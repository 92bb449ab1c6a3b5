"""Pictures of any size as patches behind each other, with their grids (arXiv 2409.12191)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, full, tensor
from tallow.nn import Linear, Module, ModuleList, param
from tallow.nn.init import uniform
from tallow.ops import attention, cat, linear, rope, where
from tallow.tensor import Tensor

Grid = tuple[int, int, int]  # times, rows and columns of patches
Run = tuple[int, int]  # how many pieces, and how many patches each has


def grids_of(given: Any, patches: int | None, merge: int) -> list[Grid]:
    """Grids as a tensor `(pictures, 3)`, a list of such or of triples, as triples.

    Raises:
        ArgumentError: they are none, are no multiples of `merge`, or have another number of
            patches than `patches`.
    """
    if isinstance(given, Tensor):
        rows = given.tolist() if given.ndim == 2 else []
    else:
        rows = [row for each in given or () for row in _rows(each)]
    good = bool(rows) and all(len(row) == 3 and min(row) > 0 for row in rows)
    good = good and all(row[1] % merge == 0 and row[2] % merge == 0 for row in rows)
    wanted = f"times, rows and columns, in multiples of {merge}, of each picture"
    expect(good, "image_grid_thw", wanted, str(given)[:80], ArgumentError)
    count = sum(t * h * w for t, h, w in rows)
    expect(patches in (None, count), "image_grid_thw", f"{patches} patches", count, ArgumentError)
    return [(t, h, w) for t, h, w in rows]


def _rows(each: Any) -> list[list[int]]:
    if isinstance(each, Tensor):
        return each.reshape(-1, 3).tolist()
    return [list(each)]


def patch_places(grids: Sequence[Grid], merge: int) -> Tensor:
    """Row and column of each patch, `(2, patches)`; squares of `merge` stand together."""
    found = []
    for times, rows, columns in grids:
        shape = (times, rows // merge, columns // merge, merge, merge)
        down = arange(rows, dtype=i64).reshape(1, rows // merge, 1, merge, 1)
        across = arange(columns, dtype=i64).reshape(1, 1, columns // merge, 1, merge)
        found.append(cat([at.expand(*shape).reshape(1, -1) for at in (down, across)]))
    return found[0] if len(found) == 1 else cat(found, 1)


def square_shares(places: Tensor, grids: Sequence[Grid], side: int) -> list[tuple[Tensor, Tensor]]:
    """Four rows of a table of `side²` positions for each patch, and how much of each it takes.

    It is linear interpolation between the corners of the square table and of each picture.
    """
    axes = []
    for axis, place in enumerate(places):
        sizes = [grid[1 + axis] for grid in grids for _ in range(grid[0] * grid[1] * grid[2])]
        last = tensor([max(edge - 1, 1) for edge in sizes], dtype=f32)
        at = place.to(f32) * (side - 1) / last
        low = at.floor()
        share = at - low
        first = low.to(i64)
        axes.append(((first, 1 - share), ((first + 1).clamp(max=side - 1), share)))
    return [(r * side + c, a * b) for r, a in axes[0] for c, b in axes[1]]


def windows_of(grids: Sequence[Grid], merge: int, edge: int) -> tuple[list[int], list[Run]]:
    """The order of merged patches by windows of `edge` times `edge`, and how many each has.

    Within each picture the windows of one size stand together.
    """
    order: list[int] = []
    runs: list[Run] = []
    first = 0
    for times, rows, columns in grids:
        down, across = rows // merge, columns // merge
        for _ in range(times):
            windows = [
                [
                    first + row * across + column
                    for row in range(top, min(top + edge, down))
                    for column in range(left, min(left + edge, across))
                ]
                for top in range(0, down, edge)
                for left in range(0, across, edge)
            ]
            windows.sort(key=len, reverse=True)
            for window in windows:
                order += window
                count = runs.pop()[0] if runs and runs[-1][1] == len(window) else 0
                runs.append((count + 1, len(window)))
            first += down * across
    return order, runs


def axial_table(places: Tensor, size: int, theta: float) -> Tensor:
    """`table_of` where rows and columns have the same frequencies, those of half a head."""
    half = size // 2
    freqs = [theta ** (-2 * i / half) for i in range(half // 2)]
    return table_of(places, (freqs, freqs))


def table_of(places: Tensor, freqs: Sequence[Sequence[float]]) -> Tensor:
    """Cosines and sines `(1, patches, size)`, the angles of rows before those of columns."""
    each = zip(places, freqs, strict=True)
    angles = cat([at.to(f32).unsqueeze(1) * tensor(list(f), dtype=f32) for at, f in each], 1)
    return cat([angles.cos(), angles.sin()], 1).unsqueeze(0)


def text_places(ids: Tensor, token: int, mask: Tensor | None, grids: Sequence[Grid]) -> Tensor:
    """Positions `(3, batch, length)` of ids, in which `token` stands for merged patches.

    A picture's are those of times, rows and columns after what is before it; what comes behind it
    counts on from its longest edge. Padding, where `mask` is 0, has position 0.
    """
    offsets, steps = [], []
    for times, rows, columns in grids:
        shape = (times, rows, columns)
        axes = (
            arange(times, dtype=i64).reshape(times, 1, 1),
            arange(rows, dtype=i64).reshape(1, rows, 1),
            arange(columns, dtype=i64).reshape(1, 1, columns),
        )
        offsets.append(cat([axis.expand(*shape).reshape(1, -1) for axis in axes]))
        steps += [0] * (times * rows * columns - 1) + [max(rows, columns)]
    offset, step = cat(offsets, 1), tensor(steps, dtype=i64)
    here = ids.eq(token)
    order = (here.reshape(-1).to(i64).cumsum(0) - 1).clamp(0, len(step) - 1)
    kept = full(ids.shape, 1, dtype=i64) if mask is None else mask.to(i64)
    advance = where(here, step.index_select(0, order).reshape(*ids.shape), kept)
    start = (advance.cumsum(1) - advance) * kept
    inside = offset.index_select(1, order).reshape(3, *ids.shape) * here.to(i64).unsqueeze(0)
    return start.unsqueeze(0) + inside


class PatchLinear(Module):
    """Patches of values `(…, channels * times * edge * edge)` as vectors; a convolution's names."""

    exact = False  # as of `Linear`

    def __init__(self, size: int, shape: Sequence[int], *, bias: bool) -> None:
        self.proj = _Projection(size, shape, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(patches, values)` → `(patches, size)`."""
        weight = self.proj.weight
        return linear(x, weight.reshape(weight.shape[0], -1), self.proj.bias)


class _Projection(Module):
    def __init__(self, size: int, shape: Sequence[int], *, bias: bool) -> None:
        self.weight = param(size, *shape, init=uniform(0.02))
        self.bias = param(size, init=uniform(0.02)) if bias else None


def attend_within(q: Tensor, k: Tensor, v: Tensor, runs: Sequence[Run]) -> Tensor:
    """Attention of `(1, n, heads, d)` within the pieces that `runs` say, `(n, heads * d)`."""
    heads, size = q.shape[2:]
    seen, at = [], 0
    for pieces, length in runs:
        count, shape = pieces * length, (pieces, length, heads, size)
        q1, k1, v1 = (
            each.narrow(1, at, count).reshape(*shape).transpose(1, 2) for each in (q, k, v)
        )
        seen.append(attention(q1, k1, v1).transpose(1, 2).reshape(count, heads * size))
        at += count
    return seen[0] if len(seen) == 1 else cat(seen)


class PackedAttention(Module):
    """Attention within pieces of a list, of queries, keys and values in one matrix, `qkv`."""

    def __init__(self, size: int, heads: int) -> None:
        self.qkv = Linear(size, 3 * size)
        self.proj = Linear(size, size)
        self.heads, self.head_dim = heads, size // heads

    def forward(self, x: Tensor, table: Tensor, runs: Sequence[Run]) -> Tensor:
        """`(patches, size)` → the same shape; `runs` cut it into pieces, in order."""
        parts = self.qkv(x).reshape(1, x.shape[0], 3, self.heads, self.head_dim)
        q, k = (rope(parts[:, :, i], table) for i in range(2))
        return self.proj(attend_within(q, k, parts[:, :, 2], runs))


class PatchBlock(Module):
    """Attention within pieces and feed-forward, each normalised before."""

    def __init__(self, norm1: Module, attn: Module, norm2: Module, mlp: Module) -> None:
        self.norm1, self.norm2, self.attn, self.mlp = norm1, norm2, attn, mlp

    def forward(self, x: Tensor, table: Tensor, runs: Sequence[Run]) -> Tensor:
        """`(patches, size)` → the same shape."""
        x = x + self.attn(self.norm1(x), table, runs)
        return x + self.mlp(self.norm2(x))


class PatchMerger(Module):
    """Squares of patches as one vector each: a norm, then two layers under `mlp`."""

    def __init__(self, norm: Module, size: int, squared: int, out: int, act: Module) -> None:
        self.ln_q = norm
        self.mlp = ModuleList([Linear(size * squared, size * squared), act])
        self.mlp.append(Linear(size * squared, out))
        self.width = size * squared

    def forward(self, x: Tensor) -> Tensor:
        """`(patches, size)` → `(patches / squared, out)`."""
        x = self.ln_q(x).reshape(-1, self.width)
        for layer in self.mlp:
            x = layer(x)
        return x
