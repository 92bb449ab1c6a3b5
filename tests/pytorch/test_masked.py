"""torch.masked against numpy.ma, and what else stands in PyTorch's namespace alone."""

import numpy as np
import pytest

import tallow as tl
import tallow.torch as torch

VALUES = np.random.default_rng(5).normal(size=(4, 5, 3)).astype(np.float32)
MASK = np.random.default_rng(6).random((4, 5, 3)) > 0.4
MASK[1, :, 2] = False
MASK[:, 0, 0] = True


def given() -> tuple[tl.Tensor, tl.Tensor, np.ma.MaskedArray]:
    return tl.tensor(VALUES), tl.tensor(MASK), np.ma.masked_array(VALUES, ~MASK)


@pytest.mark.parametrize("dim", [0, 1, -1, (0, 2), None])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(
    ("name", "theirs", "nothing"),
    [
        ("sum", np.ma.sum, 0.0),
        ("prod", np.ma.prod, 1.0),
        ("amax", np.ma.max, -np.inf),
        ("amin", np.ma.min, np.inf),
        ("mean", np.ma.mean, np.nan),
    ],
)
def test_reductions(name, theirs, nothing, dim, keepdim):
    x, mask, masked = given()
    found = getattr(torch.masked, name)(x, dim, keepdim=keepdim, mask=mask)
    wanted = np.ma.filled(theirs(masked, axis=dim, keepdims=keepdim), nothing)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)


@pytest.mark.parametrize("dim", [0, 1, (0, 2), None])
@pytest.mark.parametrize("correction", [0, 1])
def test_spread(dim, correction):
    x, mask, masked = given()
    wanted = np.ma.filled(masked.var(axis=dim), np.nan)
    count = MASK.sum(axis=dim)
    with np.errstate(all="ignore"):
        wanted = wanted * count / np.maximum(count - correction, 0)
    found = torch.masked.var(x, dim, correction=correction, mask=mask).numpy()
    settled = count > 1  # the variance of one element is 0/0 where it is corrected
    np.testing.assert_allclose(found[settled], wanted[settled], rtol=1e-4)
    root = torch.masked.std(x, dim, unbiased=bool(correction), mask=mask).numpy()
    np.testing.assert_allclose(root[settled], np.sqrt(wanted[settled]), rtol=1e-4)


def test_along_an_axis():
    x, mask, masked = given()
    soft = torch.masked.softmax(x, 1, mask=mask).numpy()
    powers = np.where(MASK, np.exp(VALUES), 0)
    held = MASK.any(axis=1, keepdims=True) & np.ones_like(MASK)
    with np.errstate(invalid="ignore"):
        wanted = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(soft[held], wanted[held], rtol=1e-5)
    assert np.isnan(soft[~held]).all()  # of nothing, as in PyTorch
    np.testing.assert_allclose(
        torch.masked.cumsum(x, 1, mask=mask).numpy(), np.where(MASK, VALUES, 0).cumsum(1), rtol=1e-5
    )
    np.testing.assert_allclose(
        torch.masked.logsumexp(x, 1, mask=mask).numpy()[held[:, 0]],
        np.log(powers.sum(1)[held[:, 0]]),
        rtol=1e-4,
        atol=1e-6,
    )
    place = torch.masked.argmax(x, 1, mask=mask)
    assert place.dtype is tl.f32  # PyTorch gives the input's
    assert place.tolist()[0] == masked[0].argmax(0).tolist()
    median = torch.masked.median(x, 1, mask=mask).numpy()
    assert median[0, 0] == sorted(VALUES[0, MASK[0, :, 0], 0])[(MASK[0, :, 0].sum() - 1) // 2]


def test_gradient_stays_inside_the_mask():
    x, mask, _ = given()
    x.requires_grad_()
    torch.masked.norm(x, 2, (1, 2), mask=mask).sum().backward()
    assert x.grad is not None
    assert (x.grad.numpy()[~MASK] == 0).all()
    assert (x.grad.numpy()[MASK] != 0).all()


def test_masked_tensors_are_refused():
    with pytest.raises(NotImplementedError, match="masked tensors are not supported"):
        torch.masked.masked_tensor(tl.ones(2), tl.ones(2) > 0)


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(
    "name", ["bartlett", "blackman", "cosine", "exponential", "gaussian", "hann", "kaiser"]
)
def test_windows_of_nothing_and_of_one(name, size, sym):
    made = getattr(torch.signal.windows, name)(size, sym=sym)
    assert made.tolist() == [1.0] * size


def test_kaiser_is_numpys():
    made = torch.signal.windows.kaiser(7, beta=5.0, dtype=torch.float64).numpy()
    np.testing.assert_allclose(made, np.kaiser(7, 5.0), rtol=1e-12)


def test_slopes_of_integers_and_wrong_axes():
    x = tl.tensor([[1, 4, 9], [2, 3, 7]])
    wanted = np.gradient(np.array(x.tolist(), float), 2.0, 2.1)
    for found, slope in zip(torch.gradient(x, spacing=[2.0, 2.1]), wanted, strict=True):
        np.testing.assert_allclose(found.numpy(), slope, rtol=1e-6)
    with pytest.raises(RuntimeError, match="each axis once"):
        torch.gradient(tl.ones(3, 3), dim=(1, 1))
    with pytest.raises(IndexError):
        torch.gradient(tl.ones(3, 3), dim=3)


def test_places_of_narrow_integers():
    at = torch.unravel_index(tl.tensor([3, 250], dtype=tl.u8), (2, 400))
    assert [part.dtype for part in at] == [tl.i64, tl.i64]
    assert [part.tolist() for part in at] == [[0, 0], [3, 250]]
    assert torch.unravel_index(tl.tensor([], dtype=tl.i64), (0,))[0].tolist() == []


def test_reflectors_make_q():
    a = np.random.default_rng(0).normal(size=(5, 3))
    packed, tau = torch.geqrf(tl.tensor(a))
    q, r = np.linalg.qr(a, mode="complete")
    whole = torch.ormqr(packed, tau, tl.eye(5, dtype=tl.f64)).numpy()
    np.testing.assert_allclose(np.abs(whole), np.abs(q), atol=1e-12)
    np.testing.assert_allclose(whole @ np.triu(packed.numpy()), a, atol=1e-12)
    assert np.abs(np.triu(packed.numpy())[:3]) == pytest.approx(np.abs(r[:3]))
    back = torch.ormqr(packed, tau, tl.tensor(whole), transpose=True).numpy()
    np.testing.assert_allclose(back, np.eye(5), atol=1e-12)
    right = torch.ormqr(packed, tau, tl.eye(5, dtype=tl.f64), left=False).numpy()
    np.testing.assert_allclose(right, whole, atol=1e-12)
    with pytest.raises(RuntimeError, match="5 rows"):
        torch.ormqr(packed, tau, tl.ones(4, 4, dtype=tl.f64))
