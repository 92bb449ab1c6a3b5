"""Mixed precision: inside `autocast` products and convolutions run in bf16, the rest in f32.

The ops concerned are listed in the registry; their callers look whether the thread is in an
`autocast`, all others do not.

The recipe for training with less memory still is bf16 parameters with f32 copies in the optimiser:
`model.to(tl.bf16)` and `AdamW(model.parameters(), master_weights=True)`. bf16 has the exponents of
f32, so no gradient scaling is needed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self, TypeVar, cast

from tallow.autograd.mode import MODE
from tallow.dtype import DType, as_dtype, bf16, f16, f32
from tallow.errors import ArgumentError, expect
from tallow.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


class _Caster:
    """What `MODE.autocast` is inside a block: casts the tensors of one call."""

    def __init__(self, dtype: DType, cache: bool) -> None:
        self.dtype = dtype
        self._cache: dict[int, tuple[Tensor, Any, Tensor]] | None = {} if cache else None

    def anew(self) -> _Caster:
        """The same, with nothing cast yet."""
        return _Caster(self.dtype, self._cache is not None)

    def __call__(self, kind: str, *tensors: Any) -> tuple[Any, ...]:
        cast = self._low if kind == "low" else _full
        return tuple(cast(x) if isinstance(x, Tensor) else x for x in tensors)

    def _low(self, x: Tensor) -> Tensor:
        """In the low dtype; leaves that take gradients are cast only once."""
        if x.dtype is self.dtype or x.dtype not in (f32, f16, bf16):
            return x
        if self._cache is None or not (x.requires_grad and x.is_leaf and MODE.enabled):
            return x.to(self.dtype)
        found = self._cache.get(id(x))
        state = (x._array, x._array.storage_version)
        if found is None or found[1] != state:
            found = self._cache[id(x)] = (x, state, x.to(self.dtype))
        return found[2]


def _full(x: Tensor) -> Tensor:
    return x.to(f32) if x.dtype in (f16, bf16) else x


class autocast:  # noqa: N801  (PyTorch's name)
    """`with autocast("cpu"):` products, linear layers, convolutions and attention in bf16.

    Their f32 arguments are cast, parameters once per block; losses, softmax and norms get f32.
    f64 stays as it is. Gradients come back in the parameters' own dtype. Run the backward pass
    outside of the block. Also a decorator; blocks nest, and hold for the calling thread.
    """

    def __init__(
        self,
        device_type: str = "cpu",
        dtype: DType | str | None = None,
        enabled: bool = True,
        cache_enabled: bool = True,
    ) -> None:
        chosen = bf16 if dtype is None else as_dtype(dtype)
        known = ("cpu", "cuda")
        expect(device_type in known, autocast, "cpu or cuda", device_type, ArgumentError)
        expect(chosen in (bf16, f16), autocast, "bf16 or f16", chosen.name, ArgumentError)
        self.dtype, self.enabled, self.cache_enabled = chosen, enabled, cache_enabled
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        before = MODE.autocast
        self._before.append(before)
        if not self.enabled:
            MODE.autocast = None
        elif not (isinstance(before, _Caster) and before.dtype is self.dtype):
            MODE.autocast = _Caster(self.dtype, self.cache_enabled)
        return self

    def __exit__(self, *_: object) -> None:
        MODE.autocast = self._before.pop()

    def __call__(self, function: F) -> F:
        """Run `function` in such a block."""

        @functools.wraps(function)
        def within(*args: Any, **options: Any) -> Any:
            # A block of its own: the function may recurse, or run on several threads.
            with autocast("cpu", self.dtype, self.enabled, self.cache_enabled):
                return function(*args, **options)

        return cast("F", within)


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether the calling thread is in an `autocast`."""
    return MODE.autocast is not None


def get_autocast_dtype(device_type: str = "cpu") -> DType:
    """What the current `autocast` casts to (bf16 outside of one)."""
    return MODE.autocast.dtype if isinstance(MODE.autocast, _Caster) else bf16
