"""What single layers keep between the steps of a generation, and where their memory stands."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, i64
from tallow.factories import tensor, zeros
from tallow.ops import kv_write
from tallow.tensor import Tensor


class LayerState:
    """Tensors of one layer by name, each with a row of the batch on its first axis.

    `filled` says of a state that is made once, at the first step, that it was.
    """

    filled = False

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}


class KeyValue(LayerState):
    """Keys and values of all positions, `(batch, heads, capacity, size)`; memory grows."""

    window = 0

    def __init__(self, heads: int, size: int, value_size: int | None = None) -> None:
        super().__init__()
        self.heads, self.size, self.value_size = heads, size, value_size or size
        self.span: Span | None = None

    @property
    def keys(self) -> Tensor:
        """`(batch, heads, capacity, size)`."""
        return self.tensors["keys"]

    @property
    def values(self) -> Tensor:
        """`(batch, heads, capacity, value_size)`."""
        return self.tensors["values"]

    def update(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Write what is new; all keys and values, and where the new ones begin in each row."""
        assert self.span is not None, "a layer's state is part of a State"
        keys, values, starts = self.tensors["keys"], self.tensors["values"], self.span.starts
        kv_write(keys, values, k, v, starts)
        return keys, values, starts

    def move(self, shape: tuple[int, int], dtype: DType, kept: Sequence[tuple[int, int]]) -> None:
        """Take memory for `shape` (batch, capacity) and keep (first place, count) of each row."""
        batch, capacity = shape
        before = dict(self.tensors)
        # Zeros, for a masked position is multiplied by 0 and must not hold a NaN from before.
        keys = zeros(batch, self.heads, capacity, self.size, dtype=dtype)
        values = zeros(batch, self.heads, capacity, self.value_size, dtype=dtype)
        self.tensors = {"keys": keys, "values": values}
        same = len(set(kept)) == 1
        for row, (first, count) in enumerate(kept[:1] if same else kept):
            if count:
                at, rows = (0, batch) if same else (row, 1)
                new = [t.narrow(0, at, rows) for t in (keys, values)]
                old = [t.narrow(0, at, rows).narrow(2, first, count) for t in before.values()]
                kv_write(new[0], new[1], old[0], old[1], zeros(rows, dtype=i64))


class Ring(KeyValue):
    """Keys and values of the last positions alone, for attention that sees no more than `window`.

    Memory holds up to two windows: what is older moves out when it is full, and for one pass that
    is longer, that pass.
    """

    def __init__(self, heads: int, size: int, window: int, value_size: int | None = None) -> None:
        super().__init__(heads, size, value_size)
        self.window = window


class Cross(LayerState):
    """Keys and values of a context such as an encoder's output, computed at the first step.

    They are rounded to `dtype`, which the state says; None keeps them as they come. Where the
    state has more rows than there are contexts, equally many beside each other share one, such as
    the hypotheses of a beam search.
    """

    dtype: DType | None = None

    def fill(self, k: Tensor, v: Tensor, mask: Tensor | None) -> None:
        """Keep them, and the mask of the context; in the memory of those before, if it fits.

        Plans that know the memory then go on with the new context.
        """
        if self.dtype is not None:
            k, v = k.to(self.dtype), v.to(self.dtype)
        given = {"keys": k, "values": v} | ({} if mask is None else {"mask": mask})
        held = self.tensors
        same = held.keys() == given.keys() and all(
            held[name].shape == x.shape and held[name].dtype == x.dtype and not x.requires_grad
            for name, x in given.items()
        )
        if same:
            for name, x in given.items():
                held[name].copy_(x)
        else:
            # The mask is the caller's own, which `select` and the next context would write over.
            self.tensors = {
                name: x.clone() if name == "mask" else x.contiguous() for name, x in given.items()
            }
        self.filled = True

    def select(self, rows: Sequence[int], batch: int) -> bool:
        """Let the rows be these of `batch` present ones; whether other memory was taken."""
        count = next((held.shape[0] for held in self.tensors.values()), 0)
        if not count:
            return False
        runs = [(key, len(list(run))) for key, run in groupby(row * count // batch for row in rows)]
        alike = len({length for _, length in runs}) == 1
        kept = [key for key, length in runs for _ in range(1 if alike else length)]
        if kept == list(range(count)):
            return False
        index = tensor(kept, dtype=i64)
        for name, held in self.tensors.items():
            picked = held.index_select(0, index)
            if len(kept) == count:  # in the same memory, which plans know
                held.copy_(picked)
            else:
                self.tensors[name] = picked
        return len(kept) != count

    def held(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys, values and mask."""
        return self.tensors["keys"], self.tensors["values"], self.tensors.get("mask")


class SelfAndCross(NamedTuple):
    """The states of a decoder's layer that attends to what it has written and to a context."""

    self_attn: KeyValue
    cross_attn: Cross


class Recurrent(LayerState):
    """Any tensors that a layer carries from step to step, such as `hidden`.

    They cannot be trimmed but to nothing. Those of given `sizes`, by row, are zeros at first; ops
    advance them in place, by `counts` `(batch,)` positions of each row, so that padding never
    enters them. Others are there once they were put.
    """

    def __init__(self, **sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = sizes
        self.counts: Tensor | None = None

    def take(self, batch: int) -> bool:
        """Take memory for what is not there yet; whether there was such."""
        missing = {name: size for name, size in self.sizes.items() if name not in self.tensors}
        for name, size in missing.items():
            self.tensors[name] = zeros(batch, *size)
        return bool(missing)

    def held(self, name: str) -> Tensor:
        """The tensor of a given size."""
        return self.tensors[name]

    def get(self, name: str) -> Tensor | None:
        """The tensor of that name, None before the first step."""
        return self.tensors.get(name)

    @inference_mode()
    def put(self, name: str, value: Tensor) -> None:
        """Keep a value, in the memory of the one before, which a plan knows."""
        held = self.tensors.get(name)
        if held is not None and held.shape == value.shape:
            held.copy_(value)
        else:
            self.tensors[name] = value.clone()


class Span:
    """Where layers of one window keep positions: place p holds position `bases[row] + p`."""

    def __init__(self, window: int, batch: int) -> None:
        self.window = window
        self.layers: list[KeyValue] = []
        self.capacity = 0
        self.bases = [0] * batch
        self.starts = zeros(batch, dtype=i64)

    def kept(self, lengths: Sequence[int]) -> list[tuple[int, int]]:
        """First place and number of the positions that later ones may need, by row."""
        if not self.window:
            return [(0, max(lengths))] * len(lengths)
        used = [length - base for length, base in zip(lengths, self.bases, strict=True)]
        counts = [min(count, self.window - 1) for count in used]
        return [(have - count, count) for have, count in zip(used, counts, strict=True)]

    def needs(self, lengths: Sequence[int], count: int) -> bool:
        """Whether `count` more positions find no room."""
        if not self.window:
            return max(lengths) + count > self.capacity
        return max(a - b for a, b in zip(lengths, self.bases, strict=True)) + count > self.capacity

    def make_room(
        self, lengths: Sequence[int], count: int, wanted: int, context: int, dtype: DType
    ) -> None:
        """Grow by doubling; a window no further than to twice its size, giving up the oldest."""
        used = max(a - b for a, b in zip(lengths, self.bases, strict=True))
        capacity, needed = max(self.capacity, wanted), used + count
        while capacity < needed:
            capacity *= 2
        capacity = min(capacity, max(context, needed))
        if self.window and capacity > 2 * self.window:
            capacity = max(2 * self.window, self.window - 1 + count)
        self._move(lengths, capacity, dtype)

    def shrink(self, lengths: Sequence[int], dtype: DType) -> bool:
        """Return memory that a long pass needed beyond two windows."""
        spare = bool(self.window) and self.capacity > 2 * self.window
        if spare:
            self._move(lengths, 2 * self.window, dtype)
        return spare

    def _move(self, lengths: Sequence[int], capacity: int, dtype: DType) -> None:
        kept = self.kept(lengths)
        for layer in self.layers:
            layer.move((len(lengths), capacity), dtype, kept)
        self.capacity = capacity
        if self.window:
            self.bases = [length - count for length, (_, count) in zip(lengths, kept, strict=True)]

    def take(self, capacity: int, dtype: DType) -> None:
        """Take memory of this size, with nothing in it."""
        for layer in self.layers:
            layer.tensors = {}
            layer.move((len(self.bases), capacity), dtype, [(0, 0)])
        self.capacity = capacity

    def holds(self, row: int, length: int) -> bool:
        """Whether a row may be cut to `length` positions."""
        return self.bases[row] <= max(length - self.window + 1, 0) or not self.window
