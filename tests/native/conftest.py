"""Kernels called directly, on numpy's memory and strides; the float dtypes to try."""

import ml_dtypes
import numpy as np
import pytest

from tallow import _native

CODES = {name: code for code, (name, *_) in enumerate(_native.DTYPES)}
FLOATS = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f64": np.dtype(np.float64),
}
# A result in the dtype may be off by its rounding, and by a little of the float arithmetic.
RTOL = {"f32": 2e-6, "f16": 1.1e-3, "bf16": 8.5e-3, "f64": 1e-13}


def native(x):
    """A native array over numpy's own memory; other arguments as they are."""
    if not isinstance(x, np.ndarray):
        return x
    if x.dtype == ml_dtypes.bfloat16:
        return _native.Array.from_strided(x.view(np.uint16)).reinterpret(CODES["bf16"])
    return _native.Array.from_strided(x)


@pytest.fixture(scope="session")
def call():
    """`call(kernel, *outputs, *inputs)` with numpy arrays, integers, floats and None."""
    return lambda name, *args: _native.call(name, *map(native, args))


@pytest.fixture(params=FLOATS)
def dtype(request):
    return FLOATS[request.param]


@pytest.fixture
def rtol(dtype):
    return next(RTOL[name] for name, known in FLOATS.items() if known == dtype)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def layouts(x):
    """The same values in every kind of layout."""
    yield "contiguous", np.array(x, order="C")
    if x.ndim == 0:
        return
    yield "fortran", np.asfortranarray(x)
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1] + 1), x.dtype)
    wide[..., 1::2] = x
    yield "every second", wide[..., 1::2]
    yield "backwards", np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    if x.ndim > 1:
        yield "rows of a wider array", np.concatenate([x, x], axis=-1)[..., : x.shape[-1]]


@pytest.fixture(name="layouts")
def layouts_fixture():
    return layouts
