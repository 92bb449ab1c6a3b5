"""Rows that move elements and compute with none serve arrays on the host, too: by positions.

Such a row is called with the positions of an array's elements (i64 tensors) in the place of the
array; where it puts a position, the element goes. So strings and 4-bit numbers need no second code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tallow import ops
from tallow.dtype import i64
from tallow.errors import DTypeError, IndexRangeError, expect
from tallow.tensor import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def on_host(value: Any) -> bool:
    """Whether a value is a numpy array."""
    return value is not None and type(value).__module__ == "numpy"


def moves(*places: int) -> Callable[[Function], Function]:
    """Decorate a row that only moves the elements of its inputs at `places` (none: of all)."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def row(*inputs: Any, **attributes: Any) -> Any:
            chosen = [i for i in places or range(len(inputs)) if i < len(inputs)]
            for i, value in enumerate(inputs):
                if on_host(value) and i not in chosen:
                    expect(False, "indices", "a tensor", value.dtype, DTypeError)
            if not any(on_host(inputs[i]) for i in chosen):
                return function(*inputs, **attributes)
            given, pool = list(inputs), list[Any]()
            for i in chosen:
                given[i] = _pooled(inputs[i], pool)
            return _elements(function(*given, **attributes), pool)

        return row  # type: ignore[return-value]

    return decorate


def with_default(array: Any) -> tuple[Any, Tensor, int]:
    """An array's elements and a default behind them, their positions, and that of the default."""
    import numpy as np

    empty = np.array([""], object) if array.dtype.kind == "O" else np.zeros(1, array.dtype)
    flat = np.concatenate([array.reshape(-1), empty])
    return flat, _pooled(array, []), array.size


def taken(elements: Any, places: Tensor) -> Any:
    """The elements at these places, as an array."""
    return elements[places.numpy()]


def _pooled(array: Any, pool: list[Any]) -> Any:
    if array is None:
        return None
    if not on_host(array) or (pool and pool[0].dtype != array.dtype):
        wanted = f"{pool[0].dtype} as the others" if pool else "one dtype"
        expect(False, "inputs", wanted, array.dtype, DTypeError)
    start = sum(each.size for each in pool)
    pool.append(array)
    return ops.arange(start, start + array.size, dtype=i64).reshape(array.shape)


def _elements(found: Any, pool: Sequence[Any]) -> Any:
    import numpy as np

    elements = np.concatenate([each.reshape(-1) for each in pool])
    if isinstance(found, Tensor):
        return taken(elements, found)
    return tuple(taken(elements, each) for each in found)


def listed(value: Any) -> list[Any]:
    """The numbers of a vector that a row reads, or of a single one; None has none."""
    if value is None:
        return []
    found = value if isinstance(value, list) else [value]
    good = all(isinstance(each, int | float) for each in found)
    expect(
        good, "input", "a vector of numbers", type(found[0]).__name__ if found else "", DTypeError
    )
    return found


def whole(value: Any) -> list[int]:
    """The integers of a vector that a row reads, or a single one; None has none."""
    found = listed(value)
    good = all(isinstance(each, int) for each in found)
    expect(good, "input", "a vector of integers", found, DTypeError)
    return found


def axes_in(axes: Sequence[int], ndim: int, where: str) -> list[int]:
    """Axes counted from the front, each once."""
    made = [axis + ndim if axis < 0 else axis for axis in axes]
    good = all(0 <= axis < ndim for axis in made)
    expect(good, where, f"axes in [{-ndim}, {ndim - 1}]", list(axes), IndexRangeError)
    expect(len(set(made)) == len(made), where, "each axis once", list(axes))
    return made


def axis_in(axis: int, ndim: int, where: str) -> int:
    """An axis counted from the front."""
    return axes_in([axis], ndim, where)[0]
