"""KVCache: the keys and values of a decoder's layers, kept outside the model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tallow.dtype import DType, by_name, f16, f32, i64
from tallow.errors import ArgumentError, ContextError, FormatError, ModelError, expect
from tallow.factories import tensor, zeros
from tallow.models.config import DecoderConfig
from tallow.models.states import KeyValue
from tallow.ops import kv_write
from tallow.tensor import Tensor

_FORMAT = "tallow.kv_cache.1"


class KVCache:
    """Keys and values of `length` positions for `batch` rows; grows by doubling up to the context.

    Memory is taken when the first positions arrive: `2 * layers * batch * kv_heads * capacity *
    head_dim` elements of `dtype`. `tokens` holds the ids whose keys are in the cache, when the
    decoding loop filled it (batch 1).
    """

    def __init__(
        self,
        config: DecoderConfig,
        batch: int = 1,
        capacity: int = 256,
        dtype: DType = f32,
    ) -> None:
        expect(batch >= 1, KVCache, "a batch of at least 1", batch, ArgumentError)
        expect(capacity >= 1, KVCache, "a capacity of at least 1", capacity, ArgumentError)
        expect(dtype in (f32, f16), KVCache, "dtype f32 or f16", dtype, ArgumentError)
        self.config = config
        self.batch = batch
        self.dtype = dtype
        self.length = 0
        self.tokens: list[int] = []
        self.slots: list[KeyValue] = []
        self._start = tensor([0] * batch, dtype=i64)
        self._capacity = 0
        self._wanted = min(capacity, config.context)

    @property
    def capacity(self) -> int:
        """Positions that memory has been taken for."""
        return self._capacity

    @property
    def nbytes(self) -> int:
        """Bytes taken at present."""
        cfg = self.config
        row = cfg.num_key_value_heads * cfg.head_dim * self.dtype.itemsize
        return 2 * cfg.num_hidden_layers * self.batch * self._capacity * row

    def begin(self, batch: int, count: int) -> Tensor:
        """Make room for `count` more positions and return the first of them, `(batch,)`.

        Raises:
            ShapeError: `batch` is not the cache's.
            ContextError: that would be more positions than the model was made for.
        """
        expect(batch == self.batch, KVCache, f"a batch of {self.batch}", batch)
        if self.length + count > self._capacity:
            self._grow(self.length + count)
        self._start.fill_(self.length)
        return self._start

    def advance(self, count: int) -> None:
        """Take note that every layer has written `count` positions."""
        self.length += count

    def reset(self) -> None:
        """Forget everything; the memory is kept."""
        self.cut(0)

    def cut(self, length: int) -> None:
        """Keep the first `length` positions only (fewer when it holds fewer)."""
        expect(length >= 0, KVCache.cut, "a length of at least 0", length, ArgumentError)
        self.length = min(self.length, length)
        del self.tokens[self.length :]

    def fork(self) -> Self:
        """An independent copy of what the cache holds."""
        copy = type(self)(self.config, self.batch, max(self.length, 1), self.dtype)
        if self.length:
            copy._grow(self.length)
            copy._write(self.slots, self.length)
        copy.length = self.length
        copy.tokens = list(self.tokens)
        return copy

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what the cache holds as a safetensors file."""
        from tallow.formats.safetensors import save_safetensors

        tensors: dict[str, Tensor] = {}
        for i, slot in enumerate(self.slots if self.length else ()):
            tensors[f"layers.{i}.keys"] = slot.keys.narrow(2, 0, self.length).contiguous()
            tensors[f"layers.{i}.values"] = slot.values.narrow(2, 0, self.length).contiguous()
        state = {"length": self.length, "batch": self.batch, "dtype": self.dtype.name}
        metadata = {
            "format": _FORMAT,
            "state": json.dumps(state),
            "tokens": json.dumps(self.tokens),
        }
        save_safetensors(tensors, path, metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str], config: DecoderConfig) -> Self:
        """Read a cache that `save` wrote for a model of the same sizes.

        Raises:
            FormatError: the file is not such a cache.
            ModelError: it belongs to a model of other sizes.
        """
        from tallow.formats.safetensors import open_safetensors

        file = open_safetensors(path)
        length, batch, dtype, tokens = _read_state(Path(path), file.metadata)
        layers = range(config.num_hidden_layers if length else 0)
        names = [(f"layers.{i}.keys", f"layers.{i}.values") for i in layers]
        shape = (batch, config.num_key_value_heads, length, config.head_dim)
        if (
            length > config.context
            or set(file.tensors) != {name for pair in names for name in pair}
            or any((i.shape, i.dtype) != (shape, dtype) for i in file.tensors.values())
        ):
            wanted = f"{dtype} of shape {shape} for each of {config.num_hidden_layers} layers"
            raise ModelError(f"{path}: expected keys and values in {wanted}, found others")
        cache = cls(config, batch, max(length, 1), by_name(dtype))
        if length:
            cache._grow(length)
            cache._write(
                [KeyValue(file.tensor(k), file.tensor(v), cache._start) for k, v in names], length
            )
        cache.length, cache.tokens = length, tokens
        return cache

    def _grow(self, needed: int) -> None:
        cfg = self.config
        if needed > cfg.context:
            raise ContextError(f"cache: expected at most {cfg.context} positions, got {needed}")
        capacity = max(self._capacity, self._wanted)
        while capacity < needed:
            capacity *= 2
        capacity = min(capacity, cfg.context)
        # Zeros, for a masked position is multiplied by 0 and must not hold a NaN from before.
        shape = (self.batch, cfg.num_key_value_heads, capacity, cfg.head_dim)
        slots = [
            KeyValue(zeros(*shape, dtype=self.dtype), zeros(*shape, dtype=self.dtype), self._start)
            for _ in range(cfg.num_hidden_layers)
        ]
        before, self.slots, self._capacity = self.slots, slots, capacity
        if self.length:
            self._write(before, self.length)

    def _write(self, slots: list[KeyValue], length: int) -> None:
        start = tensor([0] * self.batch, dtype=i64)
        for old, new in zip(slots, self.slots, strict=True):
            keys, values = old.keys.narrow(2, 0, length), old.values.narrow(2, 0, length)
            kv_write(new.keys, new.values, keys, values, start)

    def __repr__(self) -> str:
        size = f"batch {self.batch}, {self.length} of {self._capacity} positions"
        return f"KVCache({size}, {self.dtype.name}, {self.nbytes / 1e6:.1f} MB)"


def _read_state(path: Path, metadata: Mapping[str, str]) -> tuple[int, int, str, list[int]]:
    expect(
        metadata.get("format") == _FORMAT,
        path,
        f"a file of format {_FORMAT}",
        "another",
        ModelError,
    )
    try:
        state, tokens = json.loads(metadata["state"]), json.loads(metadata["tokens"])
        length, batch, dtype = state["length"], state["batch"], state["dtype"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise FormatError(path, "state", "length, batch, dtype and tokens", error) from error
    good = isinstance(tokens, list) and all(
        type(value) is int for value in [length, batch, *tokens]
    )
    if not good or dtype not in ("f32", "f16") or batch < 1 or not len(tokens) <= length:
        raise FormatError(path, "state", "sizes that belong together", metadata["state"][:80])
    return length, batch, dtype, tokens
