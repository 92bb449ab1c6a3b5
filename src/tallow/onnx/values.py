"""Values of a graph as numpy's, and numpy's as values: tensors, host arrays, sequences, maps."""

from __future__ import annotations

from typing import Any

from tallow import _native
from tallow.borrowing import PLAIN, of_numpy
from tallow.errors import DTypeError
from tallow.formats.onnx.types import OF_NUMPY, TYPES
from tallow.tensor import Tensor, wrap


def as_value(given: Any) -> Any:
    """What a graph computes with: a Tensor on an array's memory where there is such a dtype.

    Takes tensors, numpy arrays and scalars, lists of them (a sequence), dicts (a map) and None.
    """
    if given is None or isinstance(given, Tensor | dict):
        return given
    if isinstance(given, list):
        return [as_value(each) for each in given]
    import numpy as np

    return of_array(np.asarray(given))


def of_array(array: Any) -> Any:
    """The same for a numpy array."""
    dtype = array.dtype
    if dtype.char in PLAIN and dtype.isnative and array.flags.aligned:
        return wrap(_native.Array.from_strided(array))  # asking for a name takes longer
    if dtype.kind in "OUST":
        return array.astype(object)
    name = dtype.name
    code = OF_NUMPY.get(name)
    if code is None:
        raise DTypeError(f"onnx: expected a dtype of ONNX, got {name}")
    return array if TYPES[code].dtype is None else of_numpy(array)


def as_numpy(value: Any) -> Any:
    """A value as numpy arrays, in lists and dicts as the value is."""
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, list | tuple):
        return [as_numpy(each) for each in value]
    if isinstance(value, dict):
        return {key: as_numpy(each) for key, each in value.items()}
    return value
