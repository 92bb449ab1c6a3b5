"""Gradients that differences along single elements cannot check: symmetric matrices, FFT."""

import numpy as np
import pytest

import tallow as tl
from tallow.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(7)


def leaf(x):
    return tl.from_numpy(x).clone().requires_grad_()


def spectrum(values):
    q, _ = np.linalg.qr(RNG.standard_normal((len(values), len(values))))
    return leaf((q * np.array(values)) @ q.T)


def even(x):
    return (x + x.mT) * 0.5


SYMMETRIC = {
    "cholesky": lambda a: tl.linalg.cholesky(even(a)),
    "cholesky upper": lambda a: tl.cholesky(even(a), upper=True),
    "eigvalsh": lambda a: tl.linalg.eigvalsh(even(a)),
    "eigh values": lambda a: tl.linalg.eigh(even(a))[0],
    "eigh vectors": lambda a: tl.linalg.eigh(even(a), "U")[1].square(),
    "pinv": lambda a: tl.linalg.pinv(even(a), hermitian=True),
    "logdet": lambda a: tl.logdet(even(a)),
    "cholesky_inverse": lambda a: tl.cholesky_inverse(tl.linalg.cholesky(even(a))),
}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric(name):
    a = spectrum([0.5, 1.2, 2.0, 3.1])
    assert gradcheck(SYMMETRIC[name], a)
    assert gradgradcheck(SYMMETRIC[name], a)


def test_singular_determinant():
    a = leaf(np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 1.0, 3.0]]))
    assert gradcheck(tl.linalg.det, a)


def test_zeros_have_no_norm_gradient():
    x = tl.zeros(3, dtype="f64").requires_grad_()
    for p in (0.5, 1, 1.5, 2, 3):
        (g,) = tl.autograd.grad(tl.linalg.vector_norm(x, p), x)
        assert g.tolist() == [0, 0, 0]


# The real scalar product <A x, y> = <x, A* y> settles the gradient of a linear map.
LINEAR = {
    "fft": lambda x: tl.fft.fft(x, 9, norm="ortho"),
    "ifft2": lambda x: tl.fft.ifft2(x, (4, 7)),
    "fftn": lambda x: tl.fft.fftn(x, norm="forward"),
    "irfft": lambda x: tl.fft.irfft(x),
    "irfft odd": lambda x: tl.fft.irfft(x, 9),
    "irfft2": lambda x: tl.fft.irfft2(x, (3, 7)),
    "hfft": lambda x: tl.fft.hfft(x, 7, 0),
    "hfftn": lambda x: tl.fft.hfftn(x),
    "rfft": lambda x: tl.fft.rfft(x.real),
    "rfft even": lambda x: tl.fft.rfft(x.real, 8, norm="ortho"),
    "rfftn": lambda x: tl.fft.rfftn(x.real),
    "ihfft": lambda x: tl.fft.ihfft(x.real),
    "ihfft2": lambda x: tl.fft.ihfft2(x.real),
    "stft": lambda x: tl.stft(x.real.reshape(-1), 8, 3, return_complex=True),
    "stft complex": lambda x: tl.stft(x.reshape(-1), 8, 2, center=False, return_complex=True),
    "istft": lambda x: tl.istft(x, 8, 2, window=tl.hann_window(8)),
}


def draw(shape, complex_):
    x = RNG.standard_normal(shape) + (1j * RNG.standard_normal(shape) if complex_ else 0)
    return tl.from_numpy(x.astype(np.complex64 if complex_ else np.float32)).clone()


def dot(x, y):
    x, y = x.detach().numpy(), y.detach().numpy()
    return float((x.conj() * y).real.astype(np.float64).sum())


@pytest.mark.parametrize("name", LINEAR)
def test_linear_maps_have_their_adjoint(name):
    x = draw((5, 6), True).requires_grad_()
    y = LINEAR[name](x)
    g = draw(y.shape, y.dtype.kind == "c").requires_grad_()
    (back,) = tl.autograd.grad(y, x, g, create_graph=True)
    v = draw(x.shape, True)
    wanted = dot(g, LINEAR[name](v))
    assert back.dtype is x.dtype
    assert dot(back, v) == pytest.approx(wanted, rel=2e-5, abs=2e-5)
    # The second derivative: the map from g to `back` is linear too, and its adjoint is the first.
    (again,) = tl.autograd.grad(back, g, v)
    assert dot(again, g) == pytest.approx(wanted, rel=2e-5, abs=2e-5)


BAD = {
    "inv singular": lambda: tl.linalg.inv(tl.zeros(2, 2)),
    "solve singular": lambda: tl.linalg.solve(tl.zeros(2, 2), tl.ones(2, 1)),
    "cholesky negative": lambda: tl.linalg.cholesky(tl.eye(2) * -1),
    "svd nan": lambda: tl.linalg.svd(tl.full((2, 2), float("nan"))),
    "eigh inf": lambda: tl.linalg.eigh(tl.full((2, 2), float("inf"))),
    "eig f64": lambda: tl.linalg.eig(tl.ones(2, 2, dtype="f64")),
    "inv integers": lambda: tl.linalg.inv(tl.ones(2, 2, dtype="i64")),
    "svd half": lambda: tl.linalg.svd(tl.ones(2, 2, dtype="f16")),
    "det wide": lambda: tl.linalg.det(tl.ones(2, 3)),
    "qr vector": lambda: tl.linalg.qr(tl.ones(3)),
    "qr mode": lambda: tl.linalg.qr(tl.ones(3, 3), "both"),
    "lu_solve pivots": lambda: tl.linalg.lu_solve(
        tl.eye(2), tl.tensor([1, 9], dtype="i32"), tl.eye(2)
    ),
    "fft f64": lambda: tl.fft.fft(tl.ones(4, dtype="f64")),
    "fft norm": lambda: tl.fft.fft(tl.ones(4), norm="both"),
    "irfft 0": lambda: tl.fft.irfft(tl.ones(1)),
    "istft window": lambda: tl.istft(tl.ones(5, 3, dtype="complex64"), 8, window=tl.zeros(8)),
}


@pytest.mark.parametrize("name", BAD)
def test_refusals_name_the_op(name):
    with pytest.raises(tl.TallowError, match=rf"^(linalg\.|fft\.)?{name.split()[0]}: expected"):
        BAD[name]()


def test_no_plan_holds_what_numpy_computed():
    with pytest.raises(tl.TallowError):
        tl.capture(tl.linalg.inv, tl.eye(2))


def test_info_tells_which_matrix_is_bad():
    a = tl.stack([tl.eye(2), tl.zeros(2, 2)])
    inverse, info = tl.linalg.inv_ex(a)
    assert (info != 0).tolist() == [False, True] and inverse[0].tolist() == [[1, 0], [0, 1]]
    factor, info = tl.linalg.cholesky_ex(a)
    assert (info != 0).tolist() == [False, True] and factor[0].tolist() == [[1, 0], [0, 1]]
