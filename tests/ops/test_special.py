"""Incomplete gamma and Bessel functions: exact values, borders, gradients in closed form."""

import math

import numpy as np
import pytest

import tallow as tl
from tallow.errors import GradError


def f64(*values):
    return tl.tensor(values, dtype="f64")


def test_incomplete_gamma_of_whole_orders_is_elementary():
    """Q(n, x) is e^-x times the first n terms of the exponential series."""
    x = np.array([1e-8, 0.1, 0.5, 1.0, 1.1, 2.0, 5.0, 20.0, 29.0, 31.0, 60.0])
    for n in (1, 2, 5, 30):
        terms = [np.exp(k * np.log(x) - x - math.lgamma(k + 1)) for k in range(n)]
        upper = sum(terms)
        order = tl.full(x.shape, float(n), dtype="f64")
        np.testing.assert_allclose(tl.igammac(order, tl.from_numpy(x)).numpy(), upper, rtol=2e-13)
        both = tl.igamma(order, tl.from_numpy(x)) + tl.igammac(order, tl.from_numpy(x))
        np.testing.assert_allclose(both.numpy(), 1.0, rtol=1e-14)


def test_incomplete_gamma_of_one_half_is_erf():
    x = np.array([1e-10, 1e-3, 0.3, 1.0, 1.5, 4.0, 30.0])
    half = tl.full(x.shape, 0.5, dtype="f64")
    lower = [math.erf(math.sqrt(value)) for value in x]
    upper = [math.erfc(math.sqrt(value)) for value in x]
    np.testing.assert_allclose(tl.special.gammainc(half, tl.from_numpy(x)).numpy(), lower, 1e-14)
    np.testing.assert_allclose(tl.special.gammaincc(half, tl.from_numpy(x)).numpy(), upper, 2e-13)


def test_incomplete_gamma_at_its_borders():
    inf, nan = math.inf, math.nan
    a, b = f64(0, 1, 0, 1, inf, inf, -1, 1, nan, 1), f64(0, 0, 1, inf, 1, inf, 1, -1, 1, nan)
    lower = [nan, 0, 1, 1, 0, nan, nan, nan, nan, nan]
    np.testing.assert_array_equal(a.igamma(b).numpy(), lower)
    np.testing.assert_array_equal(a.igammac(b).numpy(), 1 - np.array(lower))


@pytest.mark.parametrize(("name", "sign"), [("igamma", 1), ("igammac", -1)])
def test_the_gradient_by_the_bound_is_the_density(name, sign):
    a, x = f64(0.5, 1.0, 3.0), f64(0.2, 2.0, 5.0).requires_grad_()
    getattr(a, name)(x).sum().backward()
    wanted = [sign * v ** (k - 1) * math.exp(-v) / math.gamma(k)
              for k, v in zip(a.tolist(), x.tolist(), strict=True)]  # fmt: skip
    np.testing.assert_allclose(x.grad.numpy(), wanted, 1e-14)
    assert tl.autograd.gradcheck(lambda x: getattr(tl, name)(a, x), x)


def test_the_order_has_no_gradient():
    order = f64(1.0).requires_grad_()
    with pytest.raises(GradError, match="igamma: expected an order without gradient"):
        tl.igamma(order, f64(2.0)).sum().backward()


def test_bessel_functions_by_their_series():
    """Sums of exact fractions: J_n(73/10), and Wronskian J1 Y0 - J0 Y1 = 2 / (pi x)."""
    x = f64(7.3)
    assert tl.special.bessel_j0(x).item() == pytest.approx(0.2882169476350144, rel=1e-15)
    x = tl.linspace(0.1, 50, 200, dtype="f64")
    j0, j1, y0, y1 = (getattr(tl.special, f"bessel_{name}")(x) for name in ("j0", "j1", "y0", "y1"))
    np.testing.assert_allclose((j1 * y0 - j0 * y1).numpy(), 2 / (math.pi * x.numpy()), 1e-12)


@pytest.mark.parametrize("name", ["j0", "j1"])
def test_the_slope_of_bessel_functions_at_zero(name):
    x = f64(0.0).requires_grad_()
    getattr(tl.special, f"bessel_{name}")(x).sum().backward()
    assert x.grad.tolist() == [{"j0": 0.0, "j1": 0.5}[name]]
