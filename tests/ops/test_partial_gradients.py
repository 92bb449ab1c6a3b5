"""Gradients of what is only partly read, and of complex numbers: torch 2.13's values."""

import numpy as np
import pytest

import tallow as tl

FACTOR = [[2.0, 5.0, 1.0], [1.0, 3.0, 4.0], [0.5, -1.0, 2.0]]
SIDES = [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]
SOLVED = {
    False: (
        [[1.262153, -2.177475, 10.303211], [-2.576389, 4.030985, -20.249397],
         [-4.895833, 7.602792, -38.384187]],
        [[-0.470486, -0.34375], [0.743056, 0.875], [1.395833, 1.625]],
        [[0.597222, 1.543885, 0.269579], [-0.611111, -0.366127, -2.463349],
         [-1.166667, -0.804398, -4.512731]],
    ),
    True: (
        [[-14.0625, 6.0, -4.375], [-76.047936, 32.447531, -23.704282],
         [-122.105758, 52.087963, -38.009549]],
        [[2.826389, 5.263889], [-1.222222, -2.222222], [0.958333, 1.583333]],
        [[-0.388889, 0.222222, -0.333333], [-6.652778, 2.972222, -2.611111],
         [-7.979167, 3.708333, -3.666667]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("upper", [False, True])
def test_gradients_of_cholesky_factors(upper):
    factor = tl.tensor(FACTOR, dtype="f64").requires_grad_()
    sides = tl.tensor(SIDES, dtype="f64").requires_grad_()
    weights = tl.arange(1.0, 7.0).to("f64").reshape(3, 2)
    (tl.cholesky_solve(sides, factor, upper) * weights).sum().backward()
    for got, wanted in zip((factor.grad, sides.grad), SOLVED[upper][:2], strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=0, atol=1e-6)
    factor.grad = None
    (tl.cholesky_inverse(factor, upper) * tl.arange(9.0).to("f64").reshape(3, 3)).sum().backward()
    np.testing.assert_allclose(factor.grad.numpy(), SOLVED[upper][2], rtol=0, atol=1e-6)
    # Of the triangle that is read they are derivatives.
    half = (lambda x: x.triu()) if upper else (lambda x: x.tril())
    for f in (
        lambda x, b: tl.cholesky_solve(b, half(x), upper),
        lambda x, b: tl.cholesky_solve(b.expand(2, 3, 2), half(x), upper),
        lambda x, b: tl.cholesky_inverse(half(x), upper),
    ):
        x, b = (tl.tensor(v, dtype="f64").requires_grad_() for v in (FACTOR, SIDES))
        assert tl.autograd.gradcheck(f, (x, b))


def test_gradient_of_as_strided_scatter():
    x = tl.zeros(12, dtype="f64").requires_grad_()
    src = tl.zeros(2, 3, dtype="f64").requires_grad_()
    weights = tl.arange(1.0, 13.0).to("f64")
    (tl.as_strided_scatter(x, src, (2, 3), (1, 2), 3) * weights).sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 4, 5, 6, 7, 8, 9, 0, 0, 0]
    assert src.grad.tolist() == [[4, 6, 8], [5, 7, 9]]


def test_products_of_complex_numbers():
    values = np.array([[1 + 2j, 3 - 1j], [0.5j, 2], [0, 1 + 1j]], np.complex64)
    x = tl.from_numpy(values)
    np.testing.assert_allclose(x.prod(1).numpy(), values.prod(1), rtol=1e-6)
    np.testing.assert_allclose(x.prod(0, keepdim=True).numpy(), values.prod(0)[None], rtol=1e-6)
    assert x[:2].prod().item() == pytest.approx(values[:2].prod())
    assert tl.zeros(0, dtype="complex64").prod().item() == 1
    assert x.real.prod(dtype="complex64").item() == 0
    z = x[:2, 0].clone().requires_grad_()
    z.prod().real.backward()  # of a * b: the conjugates of b and a
    assert z.grad.tolist() == [-0.5j, 1 - 2j]
    z = tl.from_numpy(np.array([0j, 2 + 1j], np.complex64)).requires_grad_()
    z.prod().real.backward()
    assert z.grad.tolist() == [2 - 1j, 0]
