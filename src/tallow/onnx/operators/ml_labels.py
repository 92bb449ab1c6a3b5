"""ai.onnx.ml: labels to others, and maps to tensors and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallow import ops
from tallow.borrowing import from_numpy
from tallow.dtype import f32, f64, i64
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.factories import tensor
from tallow.onnx.operators.ml_common import ML, kept, texts
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


@operator("LabelEncoder", 1, 1, domain=ML, host=True)
def label_places(
    x: Any, *, classes_strings: Sequence[str], default_int64: int = -1,
    default_string: str = "_Unused",
) -> Any:  # fmt: skip
    """Texts to their places in a list, or places to texts."""
    if isinstance(x, Tensor):
        return _found(x.numpy(), dict(enumerate(classes_strings)), default_string)
    return _found(x, {text: i for i, text in enumerate(classes_strings)}, default_int64, "int64")


@operator("CategoryMapper", domain=ML, host=True)
def category_mapper(
    x: Any, *, cats_int64s: Sequence[int], cats_strings: Sequence[str], default_int64: int = -1,
    default_string: str = "_Unused",
) -> Any:  # fmt: skip
    """Texts to integers, or integers to texts."""
    if isinstance(x, Tensor):
        pairs: dict[Any, Any] = dict(zip(cats_int64s, cats_strings, strict=True))
        return _found(x.numpy(), pairs, default_string)
    pairs = dict(zip(cats_strings, cats_int64s, strict=True))
    return _found(x, pairs, default_int64, "int64")


@operator("LabelEncoder", 2, domain=ML, host=True)
def label_encoder(
    x: Any, *, keys_floats: Any = None, keys_int64s: Any = None, keys_strings: Any = None,
    keys_tensor: Any = None, values_floats: Any = None, values_int64s: Any = None,
    values_strings: Any = None, values_tensor: Any = None, default_float: float = -0.0,
    default_int64: int = -1, default_string: str = "_Unused", default_tensor: Any = None,
) -> Any:  # fmt: skip
    """Values by their keys, the first of equal ones; NaN is a key like others."""
    keys = kept(_vector, keys_floats, keys_int64s, keys_strings, keys_tensor)
    values = kept(_vector, values_floats, values_int64s, values_strings, values_tensor)
    expect(len(keys) == len(values), "LabelEncoder", f"{len(keys)} values", len(values))
    if default_tensor is not None:
        default = default_tensor.reshape(-1).tolist()[0]
    elif not isinstance(values, Tensor):
        default = default_string
    else:
        default = default_float if values.dtype.is_floating_point else default_int64
    if isinstance(x, Tensor) and isinstance(keys, Tensor) and isinstance(values, Tensor):
        ordered, of_them, nan = kept(_sorted, keys, values)
        return _looked_up(x, ordered, of_them, nan, default)
    of_texts = not isinstance(keys, Tensor)
    expect(of_texts != isinstance(x, Tensor), "LabelEncoder",
           "keys of the input's dtype", "others", DTypeError)  # fmt: skip
    pairs = kept(_pairs, keys, values)
    dtype = values.numpy().dtype if isinstance(values, Tensor) else object
    return _found(x.numpy() if isinstance(x, Tensor) else x, pairs, default, dtype)


def _vector(numbers: Any, integers: Any, strings: Any, given: Any) -> Any:
    """Keys or values, however they are written."""
    if given is not None:
        return given.reshape(-1)
    if strings:
        return texts(strings)
    expect(bool(numbers or integers), "LabelEncoder", "keys and values", "none", ArgumentError)
    if numbers:
        return tensor([*numbers], dtype=f32)
    return tensor([*integers], dtype=i64)


def _pairs(keys: Any, values: Any) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in zip(keys.tolist(), values.tolist(), strict=True):
        found.setdefault(_NAN if key != key else key, value)
    return found


def _sorted(keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, float | None]:
    """Keys in order with their values, and what NaN becomes."""
    pairs = _pairs(keys, values)
    nan = pairs.pop(_NAN, None)
    order = sorted(pairs)
    return (
        tensor(order, dtype=keys.dtype),
        tensor([pairs[key] for key in order], dtype=values.dtype),
        nan,
    )


def _looked_up(x: Tensor, keys: Tensor, values: Tensor, nan: float | None, default: Any) -> Tensor:
    """Numbers by their keys, which are sorted."""
    expect(x.dtype is keys.dtype, "LabelEncoder", f"keys of {x.dtype.name}",
           keys.dtype.name, DTypeError)  # fmt: skip
    otherwise = tensor(default, dtype=values.dtype)
    found = otherwise.expand(x.shape)
    if len(keys):
        places = ops.searchsorted(keys, x.contiguous()).clamp(max=len(keys) - 1)
        found = ops.where(keys[places] == x, values[places], otherwise)
    if nan is not None:
        found = ops.where(x.isnan(), tensor(nan, dtype=values.dtype), found)
    return found


_NAN = object()


def _found(x: Any, pairs: Mapping[Any, Any], default: Any, dtype: Any = object) -> Any:
    """The value of each element in a mapping, or a default."""
    import numpy as np

    found = [pairs.get(_NAN if key != key else key, default) for key in x.reshape(-1).tolist()]
    made = np.empty(len(found), dtype)
    made[:] = found
    made = made.reshape(x.shape)
    return made if made.dtype == object else from_numpy(made)


# --- maps -----------------------------------------------------------------------------------------


@operator("ZipMap", domain=ML, host=True)
def zip_map(
    x: Tensor, *, classlabels_int64s: Sequence[int] = (), classlabels_strings: Sequence[str] = ()
) -> list[dict[Any, float]]:
    """A map for each row, of labels to the elements."""
    keys: Sequence[Any] = classlabels_int64s or classlabels_strings
    rows = x.unsqueeze(0) if x.ndim == 1 else x
    expect(rows.ndim == 2 and rows.shape[1] == len(keys), "ZipMap",
           f"rows of {len(keys)} elements", x.shape)  # fmt: skip
    return [dict(zip(keys, row, strict=True)) for row in rows.tolist()]


@operator("DictVectorizer", domain=ML, host=True)
def dict_vectorizer(
    x: Any, *, int64_vocabulary: Sequence[int] = (), string_vocabulary: Sequence[str] = ()
) -> Any:
    """A map's values in the order of a vocabulary, zeros for keys that it lacks; a row a map."""
    keys: Sequence[Any] = int64_vocabulary or string_vocabulary
    maps = [x] if isinstance(x, dict) else x
    unknown = {key for each in maps for key in each} - {*keys}
    expect(not unknown, "DictVectorizer", "keys of the vocabulary", sorted(unknown), ArgumentError)
    values = [value for each in maps for value in each.values()]
    if any(isinstance(value, str) for value in values):
        return texts([each.get(key, "") for each in maps for key in keys]).reshape(len(maps), -1)
    dtype = _dtype_of(values)
    rows = [[_number(each.get(key, 0)) for key in keys] for each in maps]
    return tensor(rows, dtype=dtype)


def _dtype_of(values: Sequence[Any]) -> Any:
    """The dtype of a map's values: Python's floats are f32, as most maps of ONNX have them."""
    if values and hasattr(values[0], "dtype"):
        return {"float64": f64, "int64": i64}.get(str(values[0].dtype), f32)
    return i64 if all(isinstance(value, int) for value in values) else f32


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


@operator("CastMap", domain=ML, host=True)
def cast_map(
    x: Mapping[int, Any], *, cast_to: str = "TO_FLOAT", map_form: str = "DENSE", max_map: int = 1
) -> Any:
    """A map's values as a row: in the order of their keys (dense), or at these places (sparse)."""
    convert: dict[str, Any] = {
        "TO_FLOAT": float,
        "TO_INT64": lambda v: int(float(v)),
        "TO_STRING": _text,
    }
    expect(cast_to in convert, "CastMap", f"one of {[*convert]}", cast_to, ArgumentError)
    expect(map_form in ("DENSE", "SPARSE"), "CastMap", "DENSE or SPARSE", map_form, ArgumentError)
    pairs = [(key, convert[cast_to](_number(x[key]))) for key in sorted(x)]
    if map_form == "DENSE":
        row = [value for _, value in pairs]
    else:
        row = ["" if cast_to == "TO_STRING" else 0] * max_map
        for key, value in pairs:
            expect(0 <= key < max_map, "CastMap", f"keys below {max_map}", key, ArgumentError)
            row[key] = value
    if cast_to == "TO_STRING":
        return texts(row)[None]
    return tensor([row], dtype=f32 if cast_to == "TO_FLOAT" else i64)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:f}"
