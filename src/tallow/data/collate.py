"""How a list of samples becomes a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallow.dtype import f64, i64
from tallow.errors import DTypeError, ShapeError, expect
from tallow.factories import tensor
from tallow.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Tensors and numpy arrays are stacked, numbers become a tensor (f64, i64 or bool as in torch).

    Mappings, tuples and lists are collated entry by entry; texts and bytes stay lists. ShapeError
    when samples differ in length, DTypeError for what has no collation.
    """
    from tallow.ops import stack

    first = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch), 0)
    if isinstance(first, (bool, int)):
        return tensor(list(batch), dtype=None if isinstance(first, bool) else i64)
    if isinstance(first, float):
        return tensor(list(batch), dtype=f64)
    if isinstance(first, (str, bytes)):
        return list(batch)
    if hasattr(first, "__array_interface__"):  # of numpy, 0-d scalars too
        return stack([tensor(array) for array in batch], 0)
    if isinstance(first, Mapping):
        made = {key: default_collate([sample[key] for sample in batch]) for key in first}
        return made if type(first) is dict else _again(first, made)
    if isinstance(first, Sequence):
        sizes = {len(sample) for sample in batch}
        expect(len(sizes) == 1, default_collate, "samples of one length", sorted(sizes), ShapeError)
        parts = [default_collate(list(column)) for column in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    known = "tensors, arrays, numbers, texts, mappings or sequences"
    raise DTypeError(f"default_collate: expected {known}, got {type(first).__name__}")


def _again(like: Any, made: dict[Any, Any]) -> Any:
    try:
        return type(like)(made)
    except TypeError:  # a mapping that is not made from another
        return made


def default_convert(data: Any) -> Any:
    """What a loader without batches hands out: the sample, its numpy arrays as tensors."""
    if isinstance(data, Tensor):
        return data
    if hasattr(data, "__array_interface__"):
        if data.dtype.kind in "SUO":
            return data
        return tensor(data) if data.shape else tensor(data[None])[0]  # keeps its dtype
    if isinstance(data, Mapping):
        made = {key: default_convert(value) for key, value in data.items()}
        return made if type(data) is dict else _again(data, made)
    if isinstance(data, tuple):
        parts = [default_convert(part) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else parts
    if isinstance(data, list):
        return [default_convert(part) for part in data]
    return data
