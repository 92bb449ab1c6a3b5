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


# By mpmath with 30 digits, at places where series give way to integrals and to asymptotic ones.
KNOWN = {
    "airy_ai": {-30.5: -0.004333637288742865, -9.3: 0.24047379685318643,
                -9.0: -0.022133721547341403, 1.5: 0.07174949700810541,
                20.0: 1.6916728686705404e-27},
    "modified_bessel_k0": {1e-6: 13.93144207362642, 2.0: 0.11389387274953344,
                           30.0: 2.1324774964630563e-14},
    "modified_bessel_k1": {1e-6: 999999.9999927843, 2.0: 0.13986588181652243,
                           30.0: 2.1677320018915495e-14},
    "scaled_modified_bessel_k0": {2.5: 0.7595486903280996, 1e4: 0.012532984717699286},
    "scaled_modified_bessel_k1": {2.5: 0.900174423907878, 1e4: 0.012533611351270506},
    "spherical_bessel_j0": {1e-9: 1.0, 4.0: -0.18920062382698205},
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_functions_of_the_second_kind(name):
    x = f64(*KNOWN[name])
    found = getattr(tl.special, name)(x)
    np.testing.assert_allclose(
        found.numpy(),
        list(KNOWN[name].values()),
        rtol=5e-14,
        atol=2e-14 if name == "airy_ai" else 0,
    )
    ends = getattr(tl.special, name)(f64(0.0, math.inf, math.nan))
    assert math.isnan(ends[2].item())
    if "_k" in name:
        assert ends[:2].tolist() == [math.inf, 0.0]
        assert math.isnan(getattr(tl.special, name)(f64(-1.0)).item())


def test_airys_function_vanishes_for_the_largest_numbers():
    assert tl.special.airy_ai(f64(1e100, 1e206, 1e308)).tolist() == [0, 0, 0]


def test_digamma_beside_its_poles():
    """It is -1/x - 0.577... near 0, and by recurrence digamma(x) = digamma(x + 1) - 1/x."""
    x = f64(-1e-300, -1e-30, -1e-20)
    np.testing.assert_allclose((x.digamma() * x).numpy(), -1, 1e-15)
    x = f64(-1e-9, -0.3, -2.0 + 1e-9, -3.5, -7.999999)
    np.testing.assert_allclose(x.digamma().numpy(), ((x + 1).digamma() - 1 / x).numpy(), 1e-9)


def test_chebyshev_polynomials_are_multiple_angles():
    t = np.linspace(0.05, 3.1, 40)
    x = tl.from_numpy(np.cos(t))
    for n in (0, 1, 2, 7, 8, 9, 40):
        wanted = {
            "t": np.cos(n * t),
            "u": np.sin((n + 1) * t) / np.sin(t),
            "v": np.cos((n + 0.5) * t) / np.cos(t / 2),
            "w": np.sin((n + 0.5) * t) / np.sin(t / 2),
        }
        for kind, values in wanted.items():
            found = getattr(tl.special, f"chebyshev_polynomial_{kind}")(x, n)
            np.testing.assert_allclose(found.numpy(), values, rtol=0, atol=2e-10)
            shifted = getattr(tl.special, f"shifted_chebyshev_polynomial_{kind}")((x + 1) / 2, n)
            np.testing.assert_allclose(shifted.numpy(), values, rtol=0, atol=2e-10)


def test_polynomials_at_the_ends_of_their_interval_and_beyond():
    ends, order = f64(-1, 1), 10**15 + 1
    for kind, wanted in {
        "t": [-1, 1],
        "u": [-(order + 1), order + 1],
        "v": [-(2 * order + 1), 1],
        "w": [-1, 2 * order + 1],
    }.items():
        assert getattr(tl.special, f"chebyshev_polynomial_{kind}")(ends, order).tolist() == wanted
        far = getattr(tl.special, f"chebyshev_polynomial_{kind}")(f64(-3, 3, math.nan), order)
        assert far[:2].tolist() == [-math.inf, math.inf] and math.isnan(far[2].item())
    assert tl.special.legendre_polynomial_p(ends, order).tolist() == [-1, 1]
    assert math.isnan(tl.special.hermite_polynomial_h(f64(0.3), 513).item())


def test_polynomials_are_orthogonal():
    """Sums over Gaussian nodes, which are exact for polynomials."""
    for name, rule in (
        ("hermite_polynomial_h", np.polynomial.hermite.hermgauss),
        ("hermite_polynomial_he", np.polynomial.hermite_e.hermegauss),
        ("laguerre_polynomial_l", np.polynomial.laguerre.laggauss),
        ("legendre_polynomial_p", np.polynomial.legendre.leggauss),
    ):
        x, w = rule(12)
        p = getattr(tl.special, name)(tl.from_numpy(x), tl.arange(8).unsqueeze(1)).numpy()
        gram = (p * w) @ p.T
        size = np.sqrt(np.diag(gram))
        np.testing.assert_allclose(gram / size / size[:, None], np.eye(8), atol=1e-10)


@pytest.mark.parametrize("name", [*KNOWN, "hermite_polynomial_h", "laguerre_polynomial_l"])
def test_a_missing_derivative_is_said_in_backward(name):
    x = f64(0.5).requires_grad_()
    found = getattr(tl.special, name)(x, *([3] if "polynomial" in name else []))
    with pytest.raises(GradError, match=f"special.{name}: expected an argument without gradient"):
        found.sum().backward()


def test_the_gradient_of_zeta_by_its_second_argument():
    power, q = f64(2.0, 3.5), f64(0.5, 2.0).requires_grad_()
    assert tl.gradcheck(lambda q: tl.special.zeta(power, q), (q,))
    with pytest.raises(GradError, match=r"special.zeta: expected `input` without gradient"):
        tl.special.zeta(power.requires_grad_(), q).sum().backward()


@pytest.mark.parametrize("x", [-math.inf, -1e200, 1e200, math.inf])
@pytest.mark.parametrize("n", [1, 2, 3, 6, 9])
@pytest.mark.parametrize("name", ["hermite_polynomial_h", "hermite_polynomial_he",
                                  "laguerre_polynomial_l", "legendre_polynomial_p"])  # fmt: skip
def test_polynomials_beyond_all_doubles_have_the_sign_of_their_first_term(name, n, x):
    first = -1 if name == "laguerre_polynomial_l" else 1
    value = getattr(tl.special, name)(f64(x), n).item()
    assert math.copysign(1, value) == (math.copysign(1, x) * first) ** n
    assert math.isinf(value) or n == 1


def test_polynomials_that_overflow_among_their_zeros_have_no_sign_to_tell():
    assert math.isnan(tl.special.hermite_polynomial_h(f64(1.0), 500).item())
