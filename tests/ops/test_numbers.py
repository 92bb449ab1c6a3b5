"""Numbers at the edges: far from zero, at kinks and ties, not finite, beyond what a dtype holds.

The constants are torch 2.13's answers (on f64 where it says so), or follow from the definition.
"""

import math

import numpy as np
import pytest

import tallow as tl
from tallow.nn import functional as F

inf, nan = math.inf, math.nan


def slope(f, x, dtype="f64"):
    x = tl.tensor(x, dtype=dtype).requires_grad_()
    f(x).sum().backward()
    return x.grad.tolist()


def same(got, wanted, tolerance=1e-6):
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(wanted, float), tolerance, 1e-7)


# --- deviations far from zero: half of 1000 values lies 1 above the other half --------------------

FAR = np.arange(1000) % 2 + 1e6
UNIT = (FAR - FAR.mean()) / FAR.std()


def far(*shape):
    return tl.from_numpy(FAR.astype(np.float32).reshape(shape or (1000,)))


def test_variance_far_from_zero():
    same(far().var().item(), 250 / 999)
    same(far().std().item(), math.sqrt(250 / 999))
    same(far().var(correction=0).item(), 0.25)
    same(far(100, 10).var(0).tolist(), FAR.reshape(100, 10).var(0, ddof=1), 1e-5)
    same(far(4, 250).var(1).tolist(), FAR.reshape(4, 250).var(1, ddof=1), 1e-5)
    var, mean = tl.var_mean(far())
    same([var.item(), mean.item()], [250 / 999, 1e6 + 0.5])
    same(far(2, 500).cov().tolist(), np.cov(FAR.reshape(2, 500)), 1e-5)
    same(far(2, 500).corrcoef().tolist(), np.ones((2, 2)), 1e-5)
    # A third of the way, where no float is the mean.
    third = np.where(np.arange(999) % 3 == 0, 1e6 + 1, 1e6)
    same(tl.from_numpy(third.astype(np.float32)).var().item(), third.var(ddof=1), 1e-5)


@pytest.mark.parametrize("affine", [False, True])
def test_norms_far_from_zero(affine):
    def of(n):
        return (tl.ones(n) * 2, tl.ones(n)) if affine else (None, None)

    wanted = UNIT * 2 + 1 if affine else UNIT
    close = {"rtol": 0, "atol": 2e-3}
    got = F.layer_norm(far(4, 250), (250,), *of(250))
    np.testing.assert_allclose(got.numpy().ravel(), wanted, **close)
    got = F.group_norm(far(2, 4, 125), 2, *of(4))
    np.testing.assert_allclose(got.numpy().ravel(), wanted, **close)
    got = F.instance_norm(far(2, 4, 124 + 1)[:, :, :124], None, None, *of(4))
    part = FAR.reshape(2, 4, 125)[:, :, :124]
    unit = (part - part.mean(-1, keepdims=True)) / np.sqrt(part.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(got.numpy(), unit * 2 + 1 if affine else unit, **close)
    mean, var = tl.zeros(4), tl.ones(4)
    x = far(125, 2, 4).transpose(1, 2)
    both = FAR.reshape(125, 2, 4).swapaxes(1, 2)
    centre, size = both.mean((0, 2), keepdims=True), both.var((0, 2), keepdims=True)
    got = F.batch_norm(x, mean, var, *of(4), training=True)
    unit = (both - centre) / np.sqrt(size + 1e-5)
    np.testing.assert_allclose(got.numpy(), unit * 2 + 1 if affine else unit, **close)
    got = F.batch_norm(x, tl.full((4,), 1e6), tl.full((4,), 0.25), *of(4))
    unit = (both - 1e6) / np.sqrt(0.25 + 1e-5)
    np.testing.assert_allclose(got.numpy(), unit * 2 + 1 if affine else unit, **close)


def test_gradients_far_from_zero():
    def of(f, x):
        x = x.clone().requires_grad_()
        out = f(x)
        weights = tl.arange(float(out.numel())).reshape(out.shape).to(out.dtype)
        (out * weights / 1000).sum().backward()
        return x.grad.numpy()

    for f in (
        lambda x: F.layer_norm(x.reshape(4, 250), (250,)),
        lambda x: F.group_norm(x.reshape(2, 4, 125), 2),
        lambda x: F.batch_norm(x.reshape(125, 4, 2), None, None, training=True),
        lambda x: x.var(),
        lambda x: x.std(),
    ):
        # The same values near zero, in double: what is computed depends on deviations only.
        wanted = of(f, tl.from_numpy(FAR - 1e6))
        np.testing.assert_allclose(of(f, far()), wanted, rtol=0, atol=2e-4 * np.abs(wanted).max())


# --- kinks and ties -------------------------------------------------------------------------------


def test_deviation_of_equal_values_has_no_slope():
    assert slope(tl.Tensor.std, [2.0, 2.0, 2.0]) == [0, 0, 0]
    assert slope(lambda x: x.std(1), [[1.0, 1.0], [1.0, 3.0]])[0] == [0, 0]
    assert slope(lambda x: tl.std_mean(x)[0], [2.0, 2.0]) == [0, 0]
    assert slope(lambda x: x.std(correction=0), [5.0, 5.0], "f32") == [0, 0]
    same(slope(tl.Tensor.std, [1.0, 2.0, 4.0]), [-0.43643578, -0.10910894, 0.5455447])
    assert all(map(math.isnan, slope(tl.Tensor.var, [5.0])))  # over 0 degrees of freedom
    assert slope(lambda x: x.var(correction=3), [1.0, 1.0, 4.0]) == [inf] * 3


def test_median_of_equals_shares_the_gradient():
    third = [1 / 3] * 3
    same(slope(tl.Tensor.median, [2.0, 2.0, 2.0]), third)
    same(slope(tl.Tensor.median, [[1.0, 1.0], [2.0, 2.0]]), [[0.5, 0.5], [0, 0]])
    same(slope(tl.Tensor.nanmedian, [2.0, nan, 2.0, 2.0]), [1 / 3, 0, 1 / 3, 1 / 3])
    assert slope(tl.Tensor.median, [1.0, nan, 3.0]) == [0, 1, 0]
    # Along an axis one element is named, and has it all.
    x = tl.tensor([2.0, 0.0, 2.0, 0.0, 2.0, 1.0])
    values, indices = x.median(0)
    assert (values.item(), indices.item()) == (1.0, 5)
    same(slope(lambda x: x.nanquantile(0.3), [2.0, 2.0, 2.0]), [0.4, 0.6, 0])


def test_quantiles_beside_infinity():
    for values in ([-inf, 1.0, 2.0], [3.0, 1.0, inf]):
        x = tl.tensor(values)
        for q in (0.0, 0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 1.0):
            at = q * 2  # between which of the ordered values
            near = (-inf if at < 1 else 1 + (at - 1)) if values[0] < 0 else None
            wanted = near if near is not None else (1 + 2 * at if at <= 1 else inf)
            same(x.quantile(q).item(), wanted)
            same(x.nanquantile(q).item(), wanted)


def test_slopes_of_losses_far_away():
    zero = tl.zeros(4, dtype="f64")
    for loss in (F.smooth_l1_loss, F.huber_loss):
        got = slope(lambda x, loss=loss: loss(x, zero, reduction="sum"), [-inf, inf, 1e30, 0.5])
        assert got == [-1, 1, 1, 0.5]


def test_slopes_at_kinks():
    assert slope(lambda x: x.norm(1), [1.0, -inf, 0.0, 2.0]) == [1, -1, 0, 1]
    assert slope(lambda x: tl.atan2(x, x * 0), [0.0]) == [0]
    assert slope(F.relu, [1.0, nan, 0.0, -1.0]) == [1, 1, 0, 0]
    assert slope(F.hardtanh, [0.5, nan, 1.0, -2.0]) == [1, 1, 0, 0]
    assert slope(F.elu, [1.0, nan]) == [1, 1]
    assert slope(F.silu, [1e38, 100.0, 1e9], "f32") == [1, 1, 1]
    got = slope(tl.logit, [0.0, 1.0, 0.5, 2.0, -1.0])
    assert got[:3] == [inf, inf, 4] and math.isnan(got[3]) and math.isnan(got[4])


# --- attention ------------------------------------------------------------------------------------

LOWEST = -3.4028234663852886e38  # finfo(f32).min


@pytest.mark.parametrize(("n", "m"), [(3, 5), (40, 100), (1, 300)])
def test_a_row_of_lowest_masks_is_a_mean(n, m):
    rng = np.random.default_rng(0)
    q, k, v = (tl.from_numpy(rng.standard_normal((1, 2, i, 8)).astype("f4")) for i in (n, m, m))
    mean = v.numpy().mean(2)

    def first(row):
        mask = np.zeros((n, m), np.float32)
        mask[0] = row
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=tl.from_numpy(mask))
        return out.numpy()[:, :, 0]

    for value in (LOWEST, -2.4e38, -LOWEST):
        np.testing.assert_allclose(first(value), mean, rtol=0, atol=1e-5)
    row = np.full(m, LOWEST)
    row[2] = -3e38  # the best of them has all the weight
    np.testing.assert_allclose(first(row), v.numpy()[:, :, 2], rtol=0, atol=1e-6)
    assert (first(-inf) == 0).all()
    row = np.zeros(m)
    for value in (inf, nan):
        row[1] = value
        assert np.isnan(first(row)).all()
    x = q.clone().requires_grad_()
    mask = tl.full((n, m), LOWEST)
    F.scaled_dot_product_attention(x, k, v, attn_mask=mask).sum().backward()
    assert x.grad.isfinite().all()


def test_masks_in_half_precision():
    q = tl.ones(1, 1, 2, 8, dtype="f16")
    v = tl.arange(24.0).reshape(1, 1, 3, 8).to("f16")
    mask = tl.full((2, 3), -65504.0, dtype="f16")
    out = F.scaled_dot_product_attention(q, v * 0, v, attn_mask=mask)
    assert out[0, 0, 0].tolist() == v.mean(2)[0, 0].tolist()


def test_attention_without_elements():
    for shape in ((0, 2, 3, 4), (1, 0, 3, 4), (1, 2, 0, 4), (1, 2, 3, 0)):
        for dtype in ("f32", "f64"):
            x = tl.zeros(shape, dtype=dtype)
            assert F.scaled_dot_product_attention(x, x, x).shape == shape


# --- grid_sample: image 1 … 9, one point (x, 0) ---------------------------------------------------

IMAGE = np.arange(1.0, 10.0, dtype=np.float32).reshape(1, 1, 3, 3)


@pytest.mark.parametrize(
    ("mode", "padding", "at_nan", "at_inf"),
    [
        ("bilinear", "zeros", nan, nan), ("bilinear", "border", 4, 6),
        ("bilinear", "reflection", 4, 4), ("nearest", "zeros", 0, 0), ("nearest", "border", 4, 6),
        ("nearest", "reflection", 4, 4), ("bicubic", "zeros", nan, nan),
        ("bicubic", "border", nan, nan), ("bicubic", "reflection", nan, nan),
    ],
)  # fmt: skip
def test_grid_sample_at_what_is_not_finite(mode, padding, at_nan, at_inf):
    for x, wanted in ((nan, at_nan), (inf, at_inf)):
        grid = tl.tensor([[[[x, 0.0]]]])
        got = F.grid_sample(
            tl.from_numpy(IMAGE), grid, mode=mode, padding_mode=padding, align_corners=False
        )
        same(got.item(), wanted)


@pytest.mark.parametrize(("padding", "wanted"), [("zeros", 0), ("border", 14), ("reflection", 14)])
def test_grid_sample_of_volumes_at_nan(padding, wanted):
    image = tl.arange(27.0).reshape(1, 1, 3, 3, 3)
    for mode in ("bilinear", "nearest"):
        grid = tl.tensor([[[[[nan, 0.0, 0.0]]]]])
        got = F.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=False)
        assert got.item() == wanted


# --- integers -------------------------------------------------------------------------------------

SIGNED = {"i8": -(2**7), "i16": -(2**15), "i32": -(2**31), "i64": -(2**63)}


@pytest.mark.parametrize("dtype", [*SIGNED, "u8", "u16", "u32", "u64"])
def test_division_by_zero_is_refused(dtype):
    a, zero = tl.tensor([1, 2], dtype=dtype), tl.tensor([1, 0], dtype=dtype)
    for f in (tl.floor_divide, tl.remainder, tl.fmod):
        for divisor in (zero, zero[1:].expand(2), 0):
            with pytest.raises(tl.TallowError, match="divisor that is not 0"):
                f(a, divisor)
    with pytest.raises(tl.TallowError, match="divisor that is not 0"):
        tl.div(a, zero, rounding_mode="trunc")


@pytest.mark.parametrize(("dtype", "lowest"), SIGNED.items())
def test_the_lowest_integer_over_minus_one(dtype, lowest):
    a, b = tl.tensor([lowest], dtype=dtype), tl.tensor([-1], dtype=dtype)
    assert (
        tl.floor_divide(a, b).tolist() == tl.div(a, b, rounding_mode="trunc").tolist() == [lowest]
    )
    assert tl.remainder(a, b).tolist() == tl.fmod(a, b).tolist() == [0]
    assert a.abs().tolist() == (-a).tolist() == [lowest]


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64"])
def test_floats_that_no_integer_holds(dtype):
    """The smallest number of 32 or 64 bits, cut to the dtype: as torch on x86, everywhere."""
    x = tl.tensor([nan, inf, -inf], dtype=dtype)
    for count in (1, 40):
        many = x.repeat(count)
        for wanted, lowest in (("i64", -(2**63)), ("i32", -(2**31)), ("i16", 0), ("u8", 0)):
            assert many.to(wanted).tolist() == [lowest] * 3 * count
        assert many.to("bool").tolist() == [True] * 3 * count
    assert tl.tensor([3e9, -3e9], dtype="f32").to("i32").tolist() == [-(2**31)] * 2
    assert tl.tensor([3e9], dtype="f64").to("u32").tolist() == [3000000000]
    assert tl.tensor([-2147483648.5, 2147483647.5], dtype="f64").to("i32").tolist() == [
        -(2**31), 2**31 - 1,
    ]  # fmt: skip
    assert tl.tensor([1.8e19], dtype="f64").to("u64").tolist() == [18000000000000000000]
    assert tl.tensor([-1.0, 255.9, 256.0]).to("u8").tolist() == [255, 255, 0]


def test_sums_without_axes():
    assert tl.tensor(True).sum_to_size(()).dtype is tl.i64
    z = tl.full((), 3 + 10j).logsumexp(0).item()
    assert z == pytest.approx(3 + (10 - 4 * math.pi) * 1j)


def test_averages_of_integers_have_no_fraction():
    x = tl.tensor([[[-3, 5, 9, 2, -8, 7]]])
    assert F.avg_pool1d(x, 3).tolist() == [[[11 // 3, 0]]]
    assert F.avg_pool1d(x, 3, 2, 1).tolist() == [[[0, 5, 0]]]
    assert F.avg_pool1d(x[:, :, :3] * 0 + 3, 3).tolist() == [[[3]]]
    assert F.avg_pool2d(x.unsqueeze(-1), (2, 1), divisor_override=3).tolist() == [
        [[[0], [3], [0]]]
    ]  # fmt: skip


def test_tensors_of_complex_numbers():
    for value, wanted in (
        (1j, 1j),
        ([1 + 2j, 3], [1 + 2j, 3]),
        ([[1.5, 1j, True]], [[1.5, 1j, 1]]),
    ):
        made = tl.tensor(value)
        assert made.dtype is tl.complex64 and made.tolist() == wanted
    with pytest.raises(tl.TallowError, match="expected complex64 for complex numbers, got f32"):
        tl.tensor([1j], dtype="f32")
    with pytest.raises(tl.TallowError, match="expected a number"):
        tl.tensor(["a", 1j])


@pytest.mark.parametrize("loss", ["smooth_l1_loss", "huber_loss", "mse_loss"])
def test_a_loss_of_nan_has_a_slope_of_nan(loss):
    x = tl.tensor([math.nan, 0.5, 3.0], requires_grad=True)
    getattr(tl.nn.functional, loss)(x, tl.zeros(3), reduction="sum").backward()
    assert math.isnan(x.grad[0].item())
    assert not x.grad[1:].isnan().any()


def test_the_slope_of_entropy_at_zero_is_infinite():
    same(slope(tl.special.entr, [0.0, 1.0, math.e]), [inf, -1, -2])


def test_the_mean_of_no_losses_is_nan():
    """As in torch, whether the targets are labels or probabilities; their sum is 0."""
    for shape in ((0, 3), (0, 3, 2), (2, 3, 0), (2, 0)):
        x = tl.zeros(shape)
        for smoothing in (0.0, 0.5):
            loss = tl.cross_entropy(x, x, label_smoothing=smoothing)
            assert math.isnan(loss.item()), (shape, smoothing)
    labels = tl.zeros(0, dtype="i64")
    assert math.isnan(tl.cross_entropy(tl.zeros(0, 3), labels).item())
    assert tl.cross_entropy(tl.zeros(0, 0), labels, reduction="sum", label_smoothing=0.5) == 0


def test_gelu_is_near_its_true_value_everywhere():
    x = np.linspace(-12, 12, 200_001).astype(np.float32)
    erf = np.vectorize(math.erf, otypes=[float])
    true = x.astype(float) * 0.5 * (1 + erf(x.astype(float) / math.sqrt(2)))
    off = np.abs(tl.ops.gelu(tl.tensor(x)).numpy() - true)
    assert off.max() < 3e-7
    assert (off <= 3e-7 * np.maximum(np.abs(true), 0.1)).all()


@pytest.mark.parametrize("size", [64, 65])  # what a kernel takes, and what the reference does
@pytest.mark.parametrize("dtype", ["f32", "f64", "f16"])
def test_variance_by_the_kernel_and_by_the_reference(size, dtype):
    x = np.random.default_rng(size).standard_normal((64, size)) + {"f64": 1e9, "f32": 1e4}.get(
        dtype, 8
    )
    given = tl.tensor(x.tolist(), dtype=dtype)
    exact = np.array(given.tolist())
    for dim in (None, 0, -1, (1, 0)):
        for correction in (0, 1, 2.5, 5000):
            left = max(
                exact.size // (exact.sum(dim).size if dim is not None else 1) - correction, 0
            )
            with np.errstate(divide="ignore"):
                wanted = exact.var(dim) * exact.size / np.var(exact, dim).size / np.float64(left)
            got = np.array(given.var(dim, correction=correction).tolist())
            np.testing.assert_allclose(got, wanted, 1e-3 if dtype == "f16" else 1e-5)
    odd = tl.tensor([[math.inf, 1.0], [math.nan, 2.0], [3.0, 3.0]], dtype=dtype)
    assert np.isnan(odd.var(1).tolist()[:2]).all() and odd.var(1).tolist()[2] == 0
    assert np.isnan(tl.ones(2, 0, dtype=dtype).var(1).tolist()).all()
    assert tl.ones(2, 3, dtype=dtype).t().var(0, keepdim=True).tolist() == [[0, 0]]


# --- sizes of 0, widths and lengths that nearly vanish --------------------------------------------


def test_instance_norm_without_channels():
    x = tl.zeros(2, 0, 3)
    assert F.instance_norm(x).shape == (2, 0, 3)
    assert F.instance_norm(x, weight=tl.zeros(0), bias=tl.zeros(0)).shape == (2, 0, 3)


@pytest.mark.parametrize("beta", [1e-45, 1e-40, 1e-38])
def test_a_parabola_too_narrow_for_its_dtype(beta):
    x = tl.tensor([1.0, -3.0, 0.0])
    assert F.smooth_l1_loss(x, tl.zeros(3), beta=beta, reduction="none").tolist() == [1, 3, 0]


def test_cosines_of_nearly_nothing():
    x = tl.full((1, 2), 1e-25)
    same(F.cosine_similarity(x, x, dim=-1, eps=1e-30).tolist(), [2e10], 1e-3)


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "f64"])
def test_multiples_have_the_same_bits_in_few_elements_and_in_many(dtype):
    x, y = (tl.from_numpy(np.random.default_rng(i).standard_normal(4096)).to(dtype) for i in (0, 1))
    for op in (tl.add, tl.sub):
        whole = op(x, y, alpha=0.3)
        few = tl.cat([op(a, b, alpha=0.3) for a, b in zip(x.split(64), y.split(64), strict=True)])
        assert tl.equal(whole, few)
