"""ai.onnx.ml: features scaled, filled in, chosen and joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow import ops
from tallow.borrowing import from_numpy
from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import tensor
from tallow.onnx.operators.ml_common import ML, floats, kept
from tallow.onnx.operators.table import operator
from tallow.tensor import Tensor


@operator("ArrayFeatureExtractor", domain=ML, host=True)
def array_feature_extractor(x: Any, indices: Tensor) -> Any:
    """Elements of the last axis; of a vector, as a matrix of one row."""
    if x.ndim == 1:
        x = x.reshape(1, -1) if isinstance(x, Tensor) else x[None]
    if isinstance(x, Tensor):
        return ops.index_select(x, -1, indices.reshape(-1))
    return x[..., indices.numpy().reshape(-1)]


@operator("Binarizer", domain=ML)
def binarizer(x: Tensor, *, threshold: float = 0.0) -> Tensor:
    """1 above the threshold, 0 elsewhere."""
    return (x > threshold).to(x.dtype)


@operator("FeatureVectorizer", domain=ML)
def feature_vectorizer(*xs: Tensor, inputdimensions: Sequence[int]) -> Tensor:
    """Inputs beside one another, each cut or filled with zeros to its number of features."""
    expect(len(inputdimensions) == len(xs), "FeatureVectorizer",
           f"{len(xs)} inputdimensions", len(inputdimensions), ArgumentError)  # fmt: skip
    parts = []
    for x, wanted in zip(xs, inputdimensions, strict=True):
        rows = (x.unsqueeze(-1) if x.ndim == 1 else x).to(f32)
        missing = wanted - rows.shape[1]
        parts.append(ops.pad(rows, (0, missing)) if missing > 0 else rows[:, :wanted])
    return ops.cat(parts, 1)


@operator("Imputer", domain=ML)
def imputer(
    x: Tensor, *, imputed_value_floats: Sequence[float] = (),
    imputed_value_int64s: Sequence[int] = (), replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Tensor:  # fmt: skip
    """Another value in the place of one that stands for "missing" (NaN, too)."""
    is_float = x.dtype.is_floating_point
    values: Any = imputed_value_floats if is_float else imputed_value_int64s
    lost: Any = replaced_value_float if is_float else replaced_value_int64
    expect(len(values) in (1, x.shape[-1] if x.ndim else 1), "Imputer",
           "1 imputed value, or one for each feature", len(values), ArgumentError)  # fmt: skip
    missing = x.isnan() if lost != lost else x == lost
    return ops.where(missing, kept(_values, values, x.dtype.name), x)


def _values(values: Sequence[float], dtype: str) -> Tensor:
    return tensor([*values], dtype=dtype)


@operator("Normalizer", domain=ML)
def normalizer(x: Tensor, *, norm: str = "MAX") -> Tensor:
    """Rows divided by their largest element, or by a norm; rows whose divisor is 0 stay."""
    x = x.to(f32)
    axis = min(x.ndim - 1, 1)
    if norm == "MAX":
        size = x.amax(axis, keepdim=True)
    elif norm == "L1":
        size = x.abs().sum(axis, keepdim=True)
    else:
        expect(norm == "L2", "Normalizer", "MAX, L1 or L2", norm, ArgumentError)
        size = x.square().sum(axis, keepdim=True).sqrt()
    return ops.where(size == 0, x, x / size)


@operator("Scaler", domain=ML)
def scaler(x: Tensor, *, offset: Sequence[float] = (), scale: Sequence[float] = ()) -> Tensor:
    """`(x - offset) * scale`."""
    counts = {len(offset), len(scale)} - {0}
    expect(counts <= {1, x.shape[-1]}, "Scaler",
           f"1 or {x.shape[-1]} offsets and scales", sorted(counts), ArgumentError)  # fmt: skip
    x = x if x.dtype.is_floating_point else x.to(f32)
    if offset:
        x = x - kept(floats, offset)
    return (x * kept(floats, scale) if scale else x).to(f32)


@operator("OneHotEncoder", domain=ML, host=True)
def one_hot_encoder(
    x: Any, *, cats_int64s: Sequence[int] = (), cats_strings: Sequence[str] = (), zeros: int = 1
) -> Tensor:
    """A 1 at the place of each element among the categories."""
    if isinstance(x, Tensor):
        expect(bool(cats_int64s), "OneHotEncoder", "cats_int64s", "none", ArgumentError)
        hits = x.to(i64).unsqueeze(-1) == kept(_values, cats_int64s, "i64")
    else:
        import numpy as np

        hits = from_numpy(x[..., None] == np.array([*cats_strings], object))
    if not zeros and hits.numel():
        expect(bool(hits.any(-1).all()), "OneHotEncoder",
               "elements that are categories", "others", ArgumentError)  # fmt: skip
    found: Tensor = hits.to(f32)
    return found
