"""Weights at odd addresses of a file: read when they are used, and kept only if asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tallow.dtype import by_name
from tallow.formats.onnx import StoredTensor
from tallow.nn.parameter import FLOAT, Declaration, DeferredParameter
from tallow.tensor import Tensor

_SMALL: Final = 1 << 16  # bytes of a tensor that is read at once


class ReadFrom:
    """Fills a parameter with what a file holds."""

    def __init__(self, stored: StoredTensor) -> None:
        self.stored = stored

    def __call__(self, x: Tensor) -> None:
        """Copy the elements into `x`."""
        x.copy_(self.stored.value())

    def __reduce__(self) -> tuple[Any, ...]:
        given = self.stored
        copy = StoredTensor(given.name, given.elem_type, given.shape, bytes(given.data))
        return ReadFrom, (copy,)


def unread(stored: StoredTensor) -> DeferredParameter | None:
    """A parameter for a large tensor of floats of which a view would be a copy, else None."""
    name = stored.type.dtype
    if name is None or type(stored) is not StoredTensor or len(stored.data) < _SMALL:
        return None
    dtype = by_name(name)
    from tallow.borrowing import from_buffer

    address = from_buffer(stored.data, "u8", (len(stored.data),)).data_ptr()
    if not dtype.is_floating_point or address % dtype.itemsize == 0:
        return None
    return DeferredParameter(Declaration(stored.shape, ReadFrom(stored), dtype, FLOAT), False)


def is_unread(weight: Tensor) -> bool:
    """Whether a weight has no memory yet, and needs none."""
    return type(weight) is DeferredParameter and not weight.requires_grad


def read(weight: Tensor) -> Tensor:
    """The elements of a weight; those of one that is unread are not kept."""
    if not is_unread(weight):
        return weight
    declared = weight._declared  # type: ignore[attr-defined]
    if not isinstance(declared.init, ReadFrom):
        return weight
    return declared.init.stored.value().to(declared.dtype)  # type: ignore[no-any-return]


def release(weights: Iterable[Tensor]) -> None:
    """Unmap the pages of files that unread weights have been read from."""
    from tallow.formats.zip_map import release_pages

    views: dict[int, memoryview] = {}
    for weight in weights:
        init = weight._declared.init if is_unread(weight) else None  # type: ignore[attr-defined]
        if isinstance(init, ReadFrom) and isinstance(init.stored.data, memoryview):
            views[id(init.stored.data.obj)] = init.stored.data
    for view in views.values():
        release_pages(view)
