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


def product(factors):
    """The matrix of LAPACK's factors: P₁ L₁ P₂ L₂ … D … L₂ᴴ P₂ᵀ L₁ᴴ P₁ᵀ, in double."""
    ld, pivots = factors.LD.numpy().astype(complex), factors.pivots.numpy()
    n, k = len(ld), 0
    left, middle = np.eye(n, dtype=complex), np.zeros((n, n), complex)
    while k < n:
        last = k + int(pivots[k] < 0)
        other = abs(int(pivots[k])) - 1
        left[:, [last, other]] = left[:, [other, last]]
        step = np.eye(n, dtype=complex)
        step[last + 1 :, k : last + 1] = ld[last + 1 :, k : last + 1]
        left = left @ step
        block = np.tril(ld[k : last + 1, k : last + 1])
        middle[k : last + 1, k : last + 1] = block + np.tril(block, -1).conj().T
        k = last + 1
    return left @ middle @ left.conj().T


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_the_factors_of_large_matrices_make_them_again(dtype):
    """Its triangles must not round apart: at 70 rows that cost 6e-4, where LAPACK loses 1e-5."""
    for seed in range(5):
        rng = np.random.RandomState(seed)
        a = rng.randn(70, 70) + 1j * rng.randn(70, 70)
        a = (a + a.conj().T) / 2
        a = (a if dtype is np.complex64 else a.real).astype(dtype)
        made = product(tl.linalg.ldl_factor(tl.from_numpy(a), hermitian=True))
        np.testing.assert_allclose(made, a, rtol=0, atol=2e-5)


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
