"""What the tests of ops share: samples as tensors, layouts, comparing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tallow as tl
from ops.table import FLOATS, HALVES, NUMPY, Case, Sample, all_cases, draw_samples
from tallow.registry import OPS

# Relative to the largest magnitude of the result: a few units in the last place of each dtype.
TOLERANCE = {"f32": 4e-6, "f64": 1e-12, "f16": 4e-3, "bf16": 3.2e-2, "complex64": 8e-6}

tl.ops.open_all()
CASES: dict[str, Case] = {name: case for name, case in all_cases().items() if name in OPS}


def pairs(keep: Callable[[str, Case], bool] = lambda *_: True) -> list[tuple[str, str]]:
    """(op, dtype) of all cases that `keep` takes."""
    return [(name, dtype) for name, c in CASES.items() if keep(name, c) for dtype in c.dtypes]


@functools.cache
def samples(name: str, dtype: str) -> list[Sample]:
    """Drawn once; nothing writes into them."""
    return draw_samples(name, CASES[name], dtype)


def convert(value: Any, array: Callable[[np.ndarray], Any]) -> Any:
    """`value` with `array(x)` in the place of each array x, in lists, tuples and dicts too."""
    if isinstance(value, np.ndarray):
        return array(value)
    if isinstance(value, slice):
        return slice(*(convert(v, array) for v in (value.start, value.stop, value.step)))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(convert(v, array) for v in value))
    if isinstance(value, list | tuple):
        return type(value)(convert(v, array) for v in value)
    if isinstance(value, dict):
        return {key: convert(v, array) for key, v in value.items()}
    return value


def arrays_of(sample: Sample) -> list[np.ndarray]:
    """All arrays of a sample, in order."""
    found: list[np.ndarray] = []
    convert([sample.args, sample.kwargs], lambda x: found.append(x))
    return found


def call(
    name: str, sample: Sample, array: Callable[[np.ndarray], Any], function: Any = None
) -> Any:
    """The op (or `function`) on the sample, each array turned into a tensor by `array`."""
    function = OPS[name] if function is None else function
    args, kwargs = convert(sample.args, array), convert(sample.kwargs, array)
    out = function(*args, **kwargs)
    settled = CASES[name].output
    return out if settled is None else settled(out)


def tensor(array: np.ndarray) -> tl.Tensor:
    """A contiguous tensor with storage of its own."""
    return tl.from_numpy(np.array(array)).clone()


def widened(array: np.ndarray) -> np.ndarray:
    """Floats as f64, all else as it is."""
    return array.astype(np.float64) if array.dtype.name in WIDENED else array


WIDENED = ("bfloat16", "float16", "float32")


def transposed(x: np.ndarray) -> tl.Tensor:
    """Axes in memory the other way round."""
    axes = tuple(reversed(range(x.ndim)))
    return tensor(np.ascontiguousarray(x.transpose(axes))).permute(*axes) if x.ndim else tensor(x)


def backwards(x: np.ndarray) -> tl.Tensor:
    """Every second element of the last axis, from the end."""
    return tensor(np.repeat(x[..., ::-1], 2, axis=-1))[..., ::-2] if x.ndim else tensor(x)


def offset(x: np.ndarray) -> tl.Tensor:
    """Inside a larger tensor: an offset, and gaps between the rows."""
    if not x.ndim:
        return tensor(np.stack([x, x]))[1]
    padded = np.pad(x, [(1, 2)] * x.ndim, mode="edge" if x.size else "constant")
    return tensor(padded)[tuple(slice(1, 1 + n) for n in x.shape)]


LAYOUTS: dict[str, Callable[[np.ndarray], tl.Tensor]] = {
    "transposed": transposed,
    "every second, backwards": backwards,
    "offset": offset,
}


def mixed() -> Callable[[np.ndarray], tl.Tensor]:
    """A layout of its own for each argument."""
    turns = iter([backwards, tensor, transposed, offset] * 50)
    return lambda x: next(turns)(x)


def layouts() -> Iterator[tuple[str, Callable[[np.ndarray], tl.Tensor]]]:
    """(name, array -> tensor) of every layout but the contiguous one."""
    yield from LAYOUTS.items()
    yield "mixed", mixed()


def leaves(value: Any) -> list[Any]:
    """The tensors and numbers in nested tuples, lists and dicts."""
    if isinstance(value, list | tuple):
        return [leaf for v in value for leaf in leaves(v)]
    if isinstance(value, dict):
        return [leaf for v in value.values() for leaf in leaves(v)]
    return [value]


def numpy_of(x: Any) -> np.ndarray:
    """A result as an array, halves and f32 as f64."""
    if isinstance(x, tl.Tensor):
        x = x.detach().to("f64").numpy() if x.dtype.name in HALVES else x.detach().numpy()
    return widened(np.asarray(x))


def dtype_name(x: Any) -> str:
    """The dtype of a result in Tallow's names."""
    if isinstance(x, tl.Tensor):
        return x.dtype.name
    name = np.asarray(x).dtype.name
    return {np.dtype(v).name: k for k, v in NUMPY.items()}.get(name, name)


def same(got: Any, wanted: Any, factor: float = 1.0, dtypes: bool = True, said: str = "") -> None:
    """Equal structure, shapes and dtypes; floats within the tolerance of got's dtype."""
    mine, theirs = leaves(got), leaves(wanted)
    assert len(mine) == len(theirs), f"{said}: {len(theirs)} results expected, got {len(mine)}"
    for g, w in zip(mine, theirs, strict=True):
        if not isinstance(g, tl.Tensor):
            assert g is w or g == w or (g != g and w != w), f"{said}: expected {w}, got {g}"
            continue
        kind = dtype_name(g)
        if dtypes:
            assert kind == dtype_name(w), f"{said}: expected {dtype_name(w)}, got {kind}"
        assert tuple(g.shape) == tuple(w.shape), f"{said}: expected shape {w.shape}, got {g.shape}"
        near(numpy_of(g), numpy_of(w), kind, factor, said)


def near(
    values: np.ndarray, wanted: np.ndarray, kind: str, factor: float, said: str, extra: float = 0.0
) -> None:
    """`values` of dtype `kind` agree with `wanted`."""
    if kind not in TOLERANCE:
        np.testing.assert_array_equal(values, wanted, said)
        return
    with np.errstate(all="ignore"):
        if kind in FLOATS and wanted.dtype.kind == "f":
            wanted = wanted.astype(NUMPY[kind]).astype(np.float64)  # overflows where the dtype does
        finite = np.abs(wanted[np.isfinite(wanted)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    limit = TOLERANCE[kind] * factor * scale + extra
    np.testing.assert_allclose(values, wanted, rtol=0, atol=limit, err_msg=said)
