"""Arrays for the hand-written tests of ops: small random ones, their layouts, comparing."""

from typing import Any

import numpy as np

import tallow as tl
from ops.table import FLOATS, INTEGERS, NUMPY

# Relative to the largest magnitude of the result: a few units in the last place of each dtype.
TOLERANCE = {"f32": 2e-6, "f64": 1e-12, "f16": 2e-3, "bf16": 1.6e-2}
ALL = (*FLOATS, *INTEGERS, "bool")


def draw(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Small random values of the dtype; floats that all float dtypes hold."""
    rng = np.random.default_rng([seed, *shape])
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype in FLOATS:
        return (rng.integers(-24, 25, shape) / 8).astype(NUMPY[dtype])
    return rng.integers(0 if dtype.startswith("u") else -5, 8, shape).astype(NUMPY[dtype])


def tensor(array: np.ndarray) -> tl.Tensor:
    """A tensor with storage of its own."""
    return tl.from_numpy(np.array(array)).clone()


def wide(array: Any) -> np.ndarray:
    """Floats as f64, everything else as it is: what oracles compute in."""
    array = np.asarray(array)
    return (
        array.astype(np.float64)
        if array.dtype.name in ("bfloat16", "float16", "float32")
        else array
    )


def layouts(array: np.ndarray) -> dict[str, tl.Tensor]:
    """The same elements in every kind of memory layout."""
    out = {"contiguous": tensor(array)}
    if array.ndim == 0:
        return out
    axes = range(array.ndim)
    turned = tensor(np.ascontiguousarray(array.transpose(*reversed(axes))))
    out["transposed"] = turned.permute(*reversed(axes))
    doubled = np.repeat(array[..., ::-1], 2, axis=-1)
    out["every second, backwards"] = tensor(doubled)[..., ::-2]
    padded = np.concatenate([array[:1].repeat(2, 0) if len(array) else array, array], 0)
    out["offset"] = tensor(padded)[len(padded) - len(array) :]
    return out


def close(got: Any, wanted: Any, dtype: str | None = None, factor: float = 1.0) -> None:
    """Equal shape and dtype; floats within the dtype's tolerance, all else exactly."""
    if isinstance(wanted, tuple | list):
        assert len(got) == len(wanted)
        for g, w in zip(got, wanted, strict=True):
            close(g, w, dtype, factor)
        return
    wanted = np.asarray(wanted)
    assert got.shape == wanted.shape
    if dtype is not None:
        assert got.dtype.name == dtype
    values = wide(got.numpy())
    if got.dtype.name not in TOLERANCE:
        np.testing.assert_array_equal(values, wanted)
        return
    finite = np.abs(wanted[np.isfinite(wanted)]) if wanted.size else wanted
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    tolerance = TOLERANCE[got.dtype.name] * factor * scale
    np.testing.assert_allclose(values, wanted.astype(np.float64), rtol=0, atol=tolerance)


def softmax(x: np.ndarray, dim: int = -1) -> np.ndarray:
    """numpy's softmax."""
    if not x.ndim:
        return np.ones(())
    e = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
    return e / e.sum(dim, keepdims=True)
