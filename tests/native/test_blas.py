"""TALLOW_BLAS: products by another library, in processes of their own."""

import ctypes.util
import os
import subprocess
import sys

import pytest

from tallow import _native

CODE = """
import numpy as np
import tallow as tl
from tallow import _native

rng = np.random.default_rng(0)


def product(m, k, n, batch=()):
    return (rng.standard_normal((*batch, m, k), np.float32),
            rng.standard_normal((*batch, k, n), np.float32))


def near(got, want, k):
    np.testing.assert_allclose(got.numpy(), want, rtol=0, atol=4e-6 * k)


for m, k, n in ((200, 300, 100), (1, 3000, 2000), (3000, 2000, 1), (257, 129, 511), (4, 2, 3)):
    a, b = product(m, k, n)
    want = a.astype("f8") @ b.astype("f8")
    x, y = tl.from_numpy(a), tl.from_numpy(b)
    for left in (x, x.T.contiguous().T, tl.from_numpy(np.repeat(a, 2, 1))[:, ::2]):
        for right in (y, y.T.contiguous().T, tl.cat([y, y], 1)[:, :n]):
            near(left @ right, want, k)
    out = tl.zeros(2 * m, n + 3)[::2, :n]
    tl.matmul(x, y, out=out)
    near(out, want, k)
    bias = rng.standard_normal(n).astype("f4")
    near(tl.nn.functional.linear(x, y.T, tl.from_numpy(bias)), want + bias, k)
    near(tl.nn.functional.relu(tl.nn.functional.linear(x, y.T.contiguous())), want.clip(0), k)
a, b = product(150, 300, 120, (3,))
near(tl.from_numpy(a) @ tl.from_numpy(b), a.astype("f8") @ b.astype("f8"), 300)
near((tl.from_numpy(a).half() @ tl.from_numpy(b).half()).float(), a.astype("f8") @ b, 50000)
assert (tl.zeros(0, 5) @ tl.zeros(5, 3)).shape == (0, 3)
assert (tl.zeros(500, 0) @ tl.zeros(0, 300)).abs().max().item() == 0
x = tl.rand(400, 400)
assert np.isnan((x * float("nan") @ x).numpy()).all()
print(_native.BLAS)
"""


def run(name, code=CODE):
    env = {**os.environ, "TALLOW_BLAS": name}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)


def test_no_library_is_asked_for():
    assert os.environ.get("TALLOW_BLAS", "builtin") == _native.BLAS


@pytest.mark.parametrize("name", ["builtin", "openblas", "mkl"])
def test_products(name):
    done = run(name)
    if name != "builtin" and "none that can be loaded" in done.stderr:
        assert not ctypes.util.find_library({"openblas": "openblas", "mkl": "mkl_rt"}[name])
        pytest.skip(f"{name} is not installed")
    assert (done.stdout, done.stderr) == (f"{name}\n", "")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nonsense", "TALLOW_BLAS: expected builtin, openblas, mkl or accelerate, got nonsense"),
        ("accelerate", "TALLOW_BLAS: expected /System/Library/"),
    ],
)
def test_what_cannot_be_loaded_is_refused(name, said):
    if sys.platform == "darwin" and name == "accelerate":
        pytest.skip("it is there")
    done = run(name, "import tallow")
    assert done.returncode != 0
    assert said in done.stderr
