"""What a model keeps between the steps of a generation: one state a layer, lengths a row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, Self

from tallow.autograd.mode import inference_mode
from tallow.dtype import DType, f16, f32, i64
from tallow.errors import ArgumentError, ContextError, ModelError, expect
from tallow.factories import arange, tensor, zeros
from tallow.models.cache_dtypes import checked_dtype
from tallow.models.layer_states import (
    Cross,
    KeyValue,
    LayerState,
    Recurrent,
    Ring,
    SelfAndCross,
    Span,
)
from tallow.ops import cat
from tallow.tensor import Tensor

__all__ = ["Cross", "KeyValue", "LayerState", "Recurrent", "Ring", "SelfAndCross", "State"]


class State:
    """The states of a model's layers for `batch` rows; `model.make_state` makes it.

    `layers[i]` is what layer i is called with: a `LayerState`, or a named tuple of several. Memory
    is taken when the first positions arrive and grows up to `context`. `lengths` are the positions
    that each row holds, `tokens` the ids whose keys they are, where the decoding loop knows them.
    `spans` are places in memory by window (0: all positions); `version` counts how often memory was
    taken, for plans that hold addresses; `key` is what keys follow from beside `tokens`, for who
    uses a state for several prompts; `counts` are the positions of each row of the pass that is
    under way, for recurrent layers. `dtype` is that of keys and values: f32, f16, bf16 or
    q8_0 (for sizes of a head that are multiples of 32); the other tensors are of the model's.

    Raises:
        ArgumentError: another dtype, or a size of a head that blocks of q8_0 do not divide.
    """

    def __init__(
        self,
        layers: Sequence[Any],
        batch: int = 1,
        *,
        context: int,
        capacity: int = 256,
        dtype: DType | str = f32,
    ) -> None:
        expect(batch >= 1, State, "a batch of at least 1", batch, ArgumentError)
        expect(capacity >= 1, State, "a capacity of at least 1", capacity, ArgumentError)
        self.layers = list(layers)
        self.context, self.dtype = context, checked_dtype(dtype, self.parts())
        self.lengths = [0] * batch
        self.tokens: list[list[int]] = [[] for _ in range(batch)]
        self.starts = zeros(batch, dtype=i64)
        self.counts = zeros(batch, dtype=i64)
        self._open = False  # whether a pass has begun and not ended
        self.version = 0
        self.key: object = None
        self._wanted = min(capacity, context)
        self.spans: dict[int, Span] = {}
        self._attach()

    def _attach(self) -> None:
        self._tell_contexts()
        for part in self.parts():
            if isinstance(part, KeyValue):
                span = self.spans.setdefault(part.window, Span(part.window, self.batch))
                part.span = span
                span.layers.append(part)
            elif isinstance(part, Recurrent):
                part.counts = self.counts
        if 0 in self.spans:
            self.spans[0].starts = self.starts

    def _tell_contexts(self) -> None:
        # Contexts grow no more: blocks would save little, and cost their bits.
        narrow = f16 if self.dtype.is_quantized else self.dtype
        for part in self.parts():
            if isinstance(part, Cross):
                part.dtype = None if narrow is f32 else narrow

    def parts(self) -> Iterator[LayerState]:
        """The layers' states one by one."""
        return (part for _, part in self.named_parts())

    def recurrent(self) -> list[Recurrent]:
        """Those of recurrent layers, which cannot be trimmed."""
        return [part for part in self.parts() if isinstance(part, Recurrent)]

    @property
    def batch(self) -> int:
        """The number of rows."""
        return len(self.lengths)

    @property
    def length(self) -> int:
        """Positions of the longest row."""
        return max(self.lengths)

    @property
    def capacity(self) -> int:
        """Positions that memory has been taken for."""
        return max((span.capacity for span in self.spans.values()), default=0)

    @property
    def nbytes(self) -> int:
        """Bytes taken at present."""
        return sum(t.nbytes for part in self.parts() for t in _of(part))

    @inference_mode()
    def reserve(self, count: int | Sequence[int], width: int = 0) -> Tensor:
        """Make room for `count` more positions, in all rows or by row; the first ones, `(batch,)`.

        `width` is how many the coming pass writes in every row, when that is more. The tensor is
        the same at every call, so that a plan may read it.

        Raises:
            ContextError: that would be more positions than the model was made for.
            ModelError: recurrent layers cannot take that, or are left in the middle of a pass that
                was broken off (`trim` and `reset` let the state begin anew).
        """
        lengths = self.lengths
        counts = self._by_row(State.reserve, count)
        needed = max(map(int.__add__, lengths, counts))
        if needed > self.context:
            raise ContextError(f"state: expected at most {self.context} positions, got {needed}")
        self._begin(counts)
        width = max(width, *counts) if len(counts) > 1 else max(width, counts[0])
        for span in self.spans.values():
            if span.needs(lengths, width):
                span.make_room(lengths, width, self._wanted, self.context, self.dtype)
                self.version += 1
            if span.window:
                _set(span.starts, [a - b for a, b in zip(lengths, span.bases, strict=True)])
        _set(self.starts, lengths)
        return self.starts

    def _begin(self, counts: list[int]) -> None:
        """Make recurrent layers ready for a pass of so many positions by row."""
        recurrent = self.recurrent()
        if not recurrent:
            return
        if self._open:
            wanted = "a state between two passes"
            raise ModelError(f"state: expected {wanted}, got one whose last pass was broken off")
        if len(set(counts)) > 1 and not all(part.sizes for part in recurrent):
            raise ModelError("state: expected rows of one length for recurrent layers, got several")
        taken = [part.take(self.batch) for part in recurrent]
        self.version += any(taken)
        _set(self.counts, counts)
        self._open = True

    def positions(self, count: int) -> Tensor:
        """Positions of `count` new tokens, `(batch, count)`; at most the last of the context."""
        first = self.starts.unsqueeze(1)
        if count == 1:
            return first
        return (first + arange(count, dtype=i64)).clamp(max=self.context - 1)

    @inference_mode()
    def commit(self, count: int | Sequence[int]) -> None:
        """Take note that every layer has written `count` positions, in all rows or by row."""
        counts = self._by_row(State.commit, count)
        self._open = False
        self.lengths = [a + b for a, b in zip(self.lengths, counts, strict=True)]
        for span in self.spans.values():
            if span.window and span.shrink(self.lengths, self.dtype):
                self.version += 1

    @inference_mode()
    def trim(self, length: int | Sequence[int]) -> list[int]:
        """Keep the first positions only, in all rows or by row; how many are kept of each.

        That is nothing where a layer has given up what the positions after them would need (a ring,
        a recurrent layer). What was made of a context stays.
        """
        lengths = self._by_row(State.trim, length)
        recurrent = self.recurrent()
        broken, self._open = self._open and bool(recurrent), False
        for row, (held, wanted) in enumerate(zip(self.lengths, lengths, strict=True)):
            if wanted >= held and not broken:
                continue
            good = all(span.holds(row, wanted) for span in self.spans.values())
            if not good or recurrent:
                wanted = 0
            if not wanted:
                for span in self.spans.values():
                    span.bases[row] = 0
                for part in recurrent:
                    _clear(part, row)
            self.lengths[row] = wanted
            del self.tokens[row][wanted:]
        return list(self.lengths)

    def restore(self, lengths: Sequence[int], tokens: Sequence[int]) -> None:
        """Be as long as before by row, with so many ids; recurrent layers are the caller's."""
        self.lengths, self._open = list(lengths), False
        for ids, count in zip(self.tokens, tokens, strict=True):
            del ids[count:]

    def memory(self) -> list[Tensor]:
        """What a step reads and writes beside `starts`; `version` changes when it does."""
        places = [span.starts for span in self.spans.values() if span.window]
        places += [self.counts] if self.recurrent() else []
        return places + [held for part in self.parts() for held in _of(part)]

    def reset(self) -> None:
        """Forget everything, contexts too; the memory for positions is kept."""
        self.trim(0)
        for part in self.parts():
            if not isinstance(part, KeyValue):
                part.tensors, part.filled = {}, False
                self.version += 1

    def restart(self, lengths: list[int], tokens: list[list[int]], dtype: DType) -> None:
        """Become a state of these rows without any memory."""
        self.lengths, self.tokens, self.dtype = list(lengths), tokens, dtype
        for part in self.parts():
            part.tensors, part.filled = {}, False
        for span in self.spans.values():
            span.capacity, span.bases = 0, [0] * self.batch
        self._tell_contexts()
        self._renew()

    @inference_mode()
    def select(self, rows: Sequence[int]) -> None:
        """Let the rows be these of the present ones: in a new order, repeated or left out."""
        rows = list(rows)
        if rows == list(range(self.batch)):
            return
        good = bool(rows) and all(0 <= row < self.batch for row in rows)
        expect(good, State.select, f"rows from 0 to {self.batch - 1}", rows, ArgumentError)
        same, index = len(rows) == self.batch, tensor(rows, dtype=i64)
        for part in self.parts():
            if isinstance(part, Cross):
                self.version += part.select(rows, self.batch)
                continue
            for name, held in part.tensors.items():
                used = held
                if same and isinstance(part, KeyValue) and part.span is not None:
                    used = held.narrow(2, 0, self._used(part.span))
                if used.dtype.is_quantized:
                    picked = cat([used.narrow(0, row, 1) for row in rows])
                else:
                    picked = used.index_select(0, index)
                if same:  # in the same memory, which plans know
                    used.copy_(picked)
                else:
                    part.tensors[name] = picked
        self.lengths = [self.lengths[row] for row in rows]
        self.tokens = [list(self.tokens[row]) for row in rows]
        for span in self.spans.values():
            span.bases = [span.bases[row] for row in rows]
        if not same:
            self._renew()

    def _by_row(self, where: object, counts: int | Sequence[int]) -> list[int]:
        rows = [counts] * self.batch if isinstance(counts, int) else list(counts)
        if len(rows) != self.batch or min(rows) < 0:
            wanted = f"a number of at least 0, or {self.batch} of them"
            expect(False, where, wanted, counts, ArgumentError)
        return rows

    def _used(self, span: Span) -> int:
        return max(a - b for a, b in zip(self.lengths, span.bases, strict=True))

    def _renew(self) -> None:
        """Tensors of the new batch for where rows begin."""
        self.version += 1
        self.starts = tensor(self.lengths, dtype=i64)
        self.counts = zeros(self.batch, dtype=i64)
        for part in self.recurrent():
            part.counts = self.counts
        for span in self.spans.values():
            span.starts = zeros(self.batch, dtype=i64) if span.window else self.starts

    @inference_mode()
    def fork(self, length: int | None = None) -> Self:
        """An independent copy of what the state holds, or of the first `length` positions alone.

        The latter takes memory for no more, and holds nothing where `trim` would keep nothing.
        """
        if length is not None:
            return self._beginning(length)
        copied = copy(self)
        copied.lengths, copied.tokens = list(self.lengths), [list(ids) for ids in self.tokens]
        copied.layers, copied.spans = [], {}
        for layer in self.layers:
            single = isinstance(layer, LayerState)
            parts = [_copied(part) for part in ((layer,) if single else layer)]
            copied.layers.append(parts[0] if single else type(layer)(*parts))
        copied.starts = tensor(self.lengths, dtype=i64)
        copied.counts = zeros(self.batch, dtype=i64)
        copied._attach()
        for window, span in copied.spans.items():
            span.capacity, span.bases = self.spans[window].capacity, [*self.spans[window].bases]
        return copied

    def _beginning(self, length: int) -> Self:
        rows = range(self.batch)
        good = all(span.holds(row, length) for span in self.spans.values() for row in rows)
        good = good and not self.recurrent()
        copied = copy(self)
        copied.layers, copied.spans = [_bare(layer) for layer in self.layers], {}
        copied.lengths = [min(length, held) * good for held in self.lengths]
        copied.tokens = [ids[:length] if good else [] for ids in self.tokens]
        copied.starts = tensor(copied.lengths, dtype=i64)
        copied.counts, copied._open = zeros(self.batch, dtype=i64), False
        copied._attach()
        for part, old in zip(copied.parts(), self.parts(), strict=True):
            if not isinstance(old, KeyValue | Recurrent):  # a context, which stays as it is
                part.tensors, part.filled = _copied(old).tensors, old.filled
        for window, span in copied.spans.items() if copied.length else ():
            span.bases = list(self.spans[window].bases)
            used = copied._used(span)
            room = min(self._wanted, self.context, 2 * window or self.context)
            room = max(room, used)
            for layer, old in zip(span.layers, self.spans[window].layers, strict=True):
                layer.tensors = dict(old.tensors)
                layer.move((self.batch, room), self.dtype, [(0, used)] * self.batch)
            span.capacity = room
        return copied

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what the state holds as a safetensors file."""
        from tallow.models.state_files import save_state

        save_state(self, path)

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Take what `save` wrote from a model of the same sizes, with its batch and dtype.

        Raises:
            FormatError: the file is damaged.
            ModelError: it is no such file, or belongs to a model of other sizes.
        """
        from tallow.models.state_files import load_state

        load_state(self, path)
        return self

    def named_parts(self) -> Iterator[tuple[str, LayerState]]:
        """Pairs of name and state, such as `layers.0` or `layers.0.self_attn`."""
        for i, layer in enumerate(self.layers):
            if isinstance(layer, LayerState):
                yield f"layers.{i}", layer
            else:
                for name in layer._fields:
                    yield f"layers.{i}.{name}", getattr(layer, name)

    def __repr__(self) -> str:
        size = f"batch {self.batch}, {self.length} of {self.capacity} positions"
        return f"State({size}, {self.dtype.name}, {self.nbytes / 1e6:.1f} MB)"


def _of(part: LayerState) -> list[Tensor]:
    return list(part.tensors.values())


def _bare(layer: Any) -> Any:
    """A layer's states of the same sizes with nothing in them."""
    if not isinstance(layer, LayerState):
        return type(layer)(*map(_bare, layer))
    bare = copy(layer)
    bare.tensors, bare.filled = {}, False
    return bare


def _copied(part: LayerState) -> LayerState:
    copied = copy(part)
    copied.tensors = {name: held.clone() for name, held in part.tensors.items()}
    return copied


def _clear(part: LayerState, row: int) -> None:
    for held in part.tensors.values():
        held.narrow(0, row, 1).fill_(0)


def _set(target: Tensor, values: Sequence[int]) -> None:
    if len(values) == 1:
        target.fill_(values[0])
    else:
        target.copy_(tensor(list(values), dtype=i64))
