"""The array API's names, beside numpy's."""

import numpy as np
import pytest

import tallow as tl

CASES = {
    "reshape": lambda xp, x: xp.reshape(x, (3, 2)),
    "permute_dims": lambda xp, x: xp.permute_dims(x, (1, 0)),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=1),
    "concat": lambda xp, x: xp.concat([x, x], axis=1),
    "concat flat": lambda xp, x: xp.concat([x, x], axis=None),
    "stack": lambda xp, x: xp.stack([x, x], axis=2),
    "sum": lambda xp, x: xp.sum(x, axis=0),
    "mean": lambda xp, x: xp.mean(x, axis=1, keepdims=True),
    "max": lambda xp, x: xp.max(x, axis=1),
    "min": lambda xp, x: xp.min(x, axis=(0, 1)),
    "max of all": lambda xp, x: xp.max(x),
    "prod": lambda xp, x: xp.prod(x, axis=1),
    "astype": lambda xp, x: xp.astype(x, xp.float64),
    "asarray": lambda xp, x: xp.asarray(x, copy=True),
    "matrix_transpose": lambda xp, x: xp.matrix_transpose(x),
    "any": lambda xp, x: xp.any(x > 2, axis=1),
    "tile": lambda xp, x: xp.tile(x, (2, 1)),
    "exp": lambda xp, x: xp.exp(x),
}


@pytest.mark.parametrize("name", CASES)
def test_names_mean_what_they_mean_in_numpy(name):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = tl.from_numpy(array.copy())
    found = CASES[name](x.__array_namespace__(), x).numpy()
    wanted = CASES[name](np, array)
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
