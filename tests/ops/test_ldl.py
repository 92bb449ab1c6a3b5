"""LDL factors: what they solve, matrices without factors, pivots that are none."""

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, GradError, LinAlgError, NoKernelError, ShapeError


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("dtype", ["f32", "f64", "complex64"])
def test_a_solution_solves(dtype, hermitian):
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 30):
        a = rng.normal(size=(3, n, n)) + 1j * rng.normal(size=(3, n, n)) * (dtype == "complex64")
        if n > 1:
            a *= 1 - np.eye(n)  # blocks of two rows alone
        below = np.tril(a, -1)
        whole = below + np.swapaxes(below.conj() if hermitian else below, -1, -2)
        whole += (n == 1) * 1.5
        given = tl.tensor(np.tril(whole).tolist()).to(dtype) if dtype != "f64" else None
        given = tl.from_numpy(np.tril(whole).real.copy()) if given is None else given
        factors = tl.linalg.ldl_factor(given, hermitian=hermitian)
        assert n == 1 or (factors.pivots < 0).any().item()
        b = tl.randn(3, n, 2).to(dtype)
        x = tl.linalg.ldl_solve(*factors, b, hermitian=hermitian).numpy()
        np.testing.assert_allclose(whole @ x, b.numpy(), atol=1e-9 if dtype == "f64" else 2e-3)


def test_matrices_without_factors():
    a = tl.zeros(2, 3, 3)
    assert tl.linalg.ldl_factor_ex(a).info.tolist() == [1, 1]
    for function in (tl.linalg.ldl_factor, lambda a: tl.linalg.ldl_factor_ex(a, check_errors=True)):
        with pytest.raises(
            LinAlgError, match="expected invertible matrices, got a zero pivot at 1"
        ):
            function(a)
    with pytest.raises(ShapeError, match="square"):
        tl.linalg.ldl_factor(tl.zeros(2, 3))
    with pytest.raises(NoKernelError, match="f32, f64 or complex64"):
        tl.linalg.ldl_factor(tl.eye(2, dtype="f16"))


def test_what_does_not_belong_together():
    ld, b = tl.eye(3), tl.ones(3, 1)
    for pivots in ([0, 2, 3], [1, 2, 4], [-2, 2, 3], [1, 2, -3], [3, 1, 3], [-(2**31), 2, 3]):
        with pytest.raises(ArgumentError, match="expected pivots of ldl_factor"):
            tl.linalg.ldl_solve(ld, tl.tensor(pivots, dtype=tl.int32), b)
    fine = tl.tensor([1, 2, 3], dtype=tl.int32)
    assert tl.equal(tl.linalg.ldl_solve(ld, fine, b), b)
    with pytest.raises(NoKernelError, match="pivots of i32"):
        tl.linalg.ldl_solve(ld, fine.long(), b)
    with pytest.raises(ShapeError, match="B of 3 rows"):
        tl.linalg.ldl_solve(ld, fine, tl.ones(2, 1))
    with pytest.raises(ShapeError, match=r"pivots of shape \(3,\)"):
        tl.linalg.ldl_solve(ld, fine[:2], b)
    with pytest.raises(LinAlgError, match="expected invertible matrices"):
        tl.linalg.ldl_solve(tl.zeros(3, 3), tl.tensor([-2, -2, 3], dtype=tl.int32), b)


def test_the_missing_gradient_is_said_in_backward():
    made = tl.linalg.ldl_factor(tl.eye(2).requires_grad_())
    with pytest.raises(GradError, match="ldl_factor"):
        made.LD.sum().backward()
    solved = tl.linalg.ldl_solve(
        *tl.linalg.ldl_factor(tl.eye(2)), tl.ones(2, 1, requires_grad=True)
    )
    with pytest.raises(GradError, match="ldl_solve"):
        solved.sum().backward()
