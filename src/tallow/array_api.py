"""The array API's names on Tallow, which `Tensor.__array_namespace__` gives to other libraries.

Source: https://data-apis.org/array-api/2024.12/. What is not here is found in `tallow` itself.
"""

from __future__ import annotations

from typing import Any

import tallow
from tallow.factories import as_tensor, tensor
from tallow.tensor import Tensor


def asarray(
    obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None
) -> Tensor:
    """A tensor of numbers, lists or an array; with `copy` never on the same memory."""
    return tensor(obj, dtype, device) if copy else as_tensor(obj, dtype, device)


def astype(x: Tensor, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """`x` in another dtype; a copy unless `copy` is False."""
    return x.to(dtype, device=device, copy=copy)


def expand_dims(x: Tensor, /, *, axis: int = 0) -> Tensor:
    """A view with a new axis of length 1."""
    return x.unsqueeze(axis)


def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """A view with the axes in another order."""
    return x.permute(tuple(axes))


def matrix_transpose(x: Tensor, /) -> Tensor:
    """A view with the last two axes swapped."""
    return x.mT


def concat(arrays: Any, /, *, axis: int | None = 0) -> Tensor:
    """The arrays one after another along an axis, or flattened where it is None."""
    if axis is None:
        return tallow.cat([x.flatten() for x in arrays], 0)
    return tallow.cat(list(arrays), axis)


def max(x: Tensor, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest elements: their values alone, where PyTorch's `max` gives positions too."""
    return tallow.amax(x, () if axis is None else axis, keepdims)


def min(x: Tensor, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest elements."""
    return tallow.amin(x, () if axis is None else axis, keepdims)


def __getattr__(name: str) -> Any:
    return getattr(tallow, name)
