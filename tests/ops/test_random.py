"""Random numbers: reproducible, independent of threads, and of the right distribution."""

import math
import threading

import numpy as np
import pytest

import tallow as tl
from tallow import errors

N = 200_000


@pytest.fixture(autouse=True)
def seeded():
    state, threads = tl.get_rng_state(), tl.num_threads()
    tl.manual_seed(1234)
    yield
    tl.set_rng_state(state)
    tl.set_num_threads(threads)


def philox(seed, counter):
    """Philox 4x32-10 in Python integers, from the paper's definition."""
    mask = 2**32 - 1
    c = [counter & mask, counter >> 32 & mask, 0, 0]
    k = [seed & mask, seed >> 32 & mask]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 & mask, p0 >> 32 ^ c[3] ^ k[1], p0 & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def test_the_words_are_philox():
    # Known answers published with the reference implementation (Random123, kat_vectors).
    assert philox(0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    for seed in (0, 5, 2**63 + 17):
        tl.manual_seed(seed)
        wanted = [w for block in range(20) for w in philox(seed, block)]
        assert tl.rand(80).tolist() == [(w >> 8) * 2.0**-24 for w in wanted]
        tl.manual_seed(seed)
        pairs = zip(wanted[::2], wanted[1::2], strict=True)
        got = tl.rand(40, dtype="f64").tolist()
        assert got == [(b << 32 | a) // 2**11 * 2.0**-53 for a, b in pairs]


def draws():
    g = tl.Generator().manual_seed(9)
    x = tl.zeros(50_001)
    return {
        "rand": tl.rand(50_001, generator=g),
        "rand64": tl.rand(50_001, generator=g, dtype="f64"),
        "randn": tl.randn(50_001, generator=g),
        "randn64": tl.randn(50_001, generator=g, dtype="f64"),
        "randn16": tl.randn(50_001, generator=g, dtype="bf16"),
        "randint": tl.randint(-5, 100, (50_001,), generator=g),
        "randperm": tl.randperm(5001, generator=g),
        "poisson": tl.poisson(tl.full((5001,), 20.0), generator=g),
        "bernoulli": tl.bernoulli(tl.full((50_001,), 0.3), generator=g),
        "dropout": tl.ops.native_dropout(x + 1, 0.4, True, g)[0],
        "exponential": x.clone().exponential_(generator=g),
        "multinomial": tl.multinomial(tl.arange(50).to("f32"), 20, generator=g),
    }


def test_any_number_of_threads_gives_the_same():
    tl.set_num_threads(1)
    alone = draws()
    tl.set_num_threads(2)
    for name, x in draws().items():
        assert (
            x.numpy().tobytes() == alone[name].numpy().tobytes()
            if x.dtype.name != "bf16"
            else (x.tolist() == alone[name].tolist())
        ), name


def test_seeds_and_states():
    tl.manual_seed(7)
    a, state, b = tl.rand(5), tl.get_rng_state(), tl.rand(5)
    assert tl.initial_seed() == 7
    tl.set_rng_state(state)
    assert tl.rand(5).tolist() == b.tolist() != a.tolist()
    tl.manual_seed(7)
    assert tl.rand(5).tolist() == a.tolist()
    tl.manual_seed(-1)
    assert tl.initial_seed() == 2**64 - 1
    g = tl.Generator(device="cpu").manual_seed(3)
    copy = tl.Generator().set_state(g.get_state())
    assert tl.randn(9, generator=g).tolist() == tl.randn(9, generator=copy).tolist()
    assert tl.seed() != tl.seed()
    with pytest.raises(errors.ArgumentError, match="a seed of 64 bits"):
        tl.manual_seed(2**64)
    with pytest.raises(errors.ArgumentError, match="16 bytes"):
        tl.set_rng_state(tl.zeros(3))


def test_threads_do_not_share_numbers():
    found = []

    def work():
        found.extend(tl.rand(64).tolist() for _ in range(50))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len({tuple(row) for row in found}) == 200


def ks(sample, cdf):
    """The Kolmogorov-Smirnov distance times sqrt(n); above 1.95 once in a thousand times."""
    x = np.sort(np.asarray(sample, np.float64))
    f, n = cdf(x), len(x)
    return math.sqrt(n) * max((np.arange(1, n + 1) / n - f).max(), (f - np.arange(n) / n).max())


def phi(x):
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x])


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_uniform(dtype):
    x = tl.rand(N, dtype=dtype).numpy()
    assert x.min() >= 0 and x.max() < 1 and ks(x, lambda v: v) < 1.95
    counts = np.histogram2d(x[::2], x[1::2], 16)[0]
    assert ((counts - N / 512) ** 2 / (N / 512)).sum() < 330  # chi-square, 255 degrees: 1 in 1000
    y = tl.empty(N, dtype=dtype).uniform_(-2, 3).numpy()
    assert y.min() >= -2 and y.max() < 3 and abs(y.mean() - 0.5) < 0.02


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_normal(dtype):
    x = tl.randn(N, dtype=dtype).numpy().astype(np.float64)
    assert abs(x.mean()) < 0.01 and abs(x.var() - 1) < 0.015
    assert abs((x**3).mean()) < 0.03 and abs((x**4).mean() - 3) < 0.1
    assert ks(x[:50_000], phi) < 1.95
    assert abs(np.corrcoef(x[::2], x[1::2])[0, 1]) < 0.01
    y = tl.normal(2.0, 3.0, (N,)).numpy()
    assert abs(y.mean() - 2) < 0.04 and abs(y.std() - 3) < 0.03
    z = tl.normal(tl.tensor([0.0, 100.0]).expand(1000, 2), tl.tensor([1.0, 5.0]))
    assert abs(float(z[:, 1].mean()) - 100) < 1 and z.shape == (1000, 2)


def test_halves_stay_in_range():
    for dtype in ("f16", "bf16"):
        x = tl.rand(N, dtype=dtype).to("f32").numpy()
        assert x.min() == 0 and x.max() < 1 and abs(x.mean() - 0.5) < 0.01
        y = tl.empty(N, dtype=dtype).uniform_(1, 2).to("f32").numpy()
        assert y.min() >= 1 and y.max() < 2


def test_integers():
    x = tl.randint(3, 13, (N,)).numpy()
    counts = np.bincount(x, minlength=13)
    assert counts[:3].sum() == 0 and len(counts) == 13
    assert ((counts[3:] - N / 10) ** 2 / (N / 10)).sum() < 27.9  # 9 degrees: 1 in 1000
    assert (
        tl.randint(5, (2, 3)).shape == (2, 3) and tl.randint(0, 2, (4,), dtype="u8").dtype is tl.u8
    )
    wide = tl.zeros(9).random_(5)
    assert wide.numpy().max() < 5
    assert tl.zeros(1000, dtype="u8").random_().numpy().max() > 200
    with pytest.raises(errors.ArgumentError, match="low < high"):
        tl.randint(3, 3, (1,))


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0, 257, "u8"), (-1, 3, "u8"), (-129, 0, "i8"), (0, 129, "i8"), (0, 3, "bool"),
     (0, 2**31 + 1, "i32")],
)  # fmt: skip
def test_integers_that_a_dtype_does_not_hold(low, high, dtype):
    """As in torch; they would wrap, and some values come oftener than others."""
    x = tl.zeros(3, dtype=dtype)
    for call in (
        lambda: tl.randint(low, high, (3,), dtype=dtype),
        lambda: tl.randint_like(x, low, high),
        lambda: x.random_(low, high),
    ):
        with pytest.raises(errors.ArgumentError, match=f"bounds that {dtype} holds"):
            call()


def test_integers_up_to_the_ends_of_a_dtype():
    for dtype, low, high in (("u8", 0, 256), ("i8", -128, 128), ("bool", 0, 2), ("u64", 0, 9)):
        for x in (tl.randint(low, high, (99,), dtype=dtype), tl.zeros(9, dtype=dtype).random_()):
            assert low <= x.to("i64").amin().item() and x.dtype.name == dtype


def test_permutations():
    assert sorted(tl.randperm(1000).tolist()) == list(range(1000))
    counts = np.zeros((4, 4))
    for _ in range(4000):
        counts[range(4), tl.randperm(4).tolist()] += 1
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9


def test_other_distributions():
    for rate in (0.5, 4.0, 30.0, 5000.0):
        x = tl.poisson(tl.full((50_000,), rate, "f64")).numpy()
        assert abs(x.mean() / rate - 1) < 0.02 and abs(x.var() / rate - 1) < 0.05
    e = tl.empty(50_000, dtype="f64").exponential_(2.0).numpy()
    assert ks(e, lambda v: 1 - np.exp(-2 * v)) < 1.95
    g = tl.empty(N).geometric_(0.25).numpy()
    assert g.min() == 1 and abs(g.mean() - 4) < 0.05
    c = tl.empty(50_000, dtype="f64").cauchy_(1.0, 2.0).numpy()
    assert ks(c, lambda v: np.arctan((v - 1) / 2) / math.pi + 0.5) < 1.95
    n = tl.empty(50_000, dtype="f64").log_normal_(0.5, 0.25).log().numpy()
    assert ks((n - 0.5) / 0.25, phi) < 1.95
    b = tl.empty(N).bernoulli_(0.2).numpy()
    assert set(b) == {0, 1} and abs(b.mean() - 0.2) < 0.005
    assert tl.bernoulli(tl.tensor([0.0, 1.0]).expand(1000, 2)).mean(0).tolist() == [0, 1]


def test_multinomial():
    weights = tl.tensor([0.0, 1.0, 2.0, 5.0])
    x = tl.multinomial(weights, 40_000, replacement=True).numpy()
    np.testing.assert_allclose(np.bincount(x) / 40_000, [0, 0.125, 0.25, 0.625], atol=0.01)
    rows = tl.multinomial(weights.expand(2000, 4), 2).numpy()
    assert (rows[:, 0] != rows[:, 1]).all() and rows.min() == 1
    np.testing.assert_allclose(np.bincount(rows[:, 0])[1:] / 2000, [0.125, 0.25, 0.625], atol=0.04)
    assert sorted(tl.multinomial(weights, 3).tolist()) == [1, 2, 3]
    for bad in (tl.tensor([1.0, -1.0]), tl.tensor([math.nan, 1.0]), tl.tensor([0.0, 0.0])):
        with pytest.raises(errors.ArgumentError):
            tl.multinomial(bad, 1)
    with pytest.raises(errors.ArgumentError, match="at least 4 weights"):
        tl.multinomial(weights, 4)


def test_dropout():
    x = tl.ones(N).requires_grad_()
    out = tl.ops.dropout(x, 0.3)
    out.sum().backward()
    assert x.grad.tolist() == out.tolist()
    kept = out.detach().ne(0).to("f32").mean().item()
    assert abs(kept - 0.7) < 0.005 and abs(out.detach().mean().item() - 1) < 0.01
    assert tl.ops.dropout(x, 0.3, False) is x
    assert tl.ops.dropout(tl.ones(9), 1.0).tolist() == [0] * 9


def test_gradients_end_at_a_fill():
    x = tl.ones(3).requires_grad_()
    y = x * 2
    y.normal_()
    (y * 1).sum().backward()
    assert x.grad.tolist() == [0, 0, 0]
    with pytest.raises(errors.TallowError, match="a leaf that requires a gradient"):
        x.uniform_()
    with tl.no_grad():
        x.uniform_()
    assert tl.rand(3, requires_grad=True).requires_grad


@pytest.mark.parametrize("draw", [tl.rand_like, tl.randn_like, lambda x: tl.randint_like(x, 9)])
def test_draws_like_a_tensor_that_requires_a_gradient(draw):
    """Shape and dtype alone are taken: no gradient passes (VAEs draw like their deviations)."""
    x = tl.ones(2, 3, requires_grad=True)
    out = draw(x * 2)
    assert out.shape == (2, 3) and out.dtype is x.dtype and not out.requires_grad


def test_views_are_filled():
    x = tl.zeros(4, 6)
    x[:, ::2].uniform_(1, 2)
    assert x[:, 1::2].sum().item() == 0 and x[:, ::2].amin().item() >= 1


def test_a_replayed_plan_draws_anew():
    plan = tl.capture(lambda x: x + tl.rand_like(x), tl.zeros(4))
    first = plan(tl.zeros(4)).tolist()
    assert plan(tl.zeros(4)).tolist() != first


@pytest.mark.parametrize(
    "call",
    [
        lambda: tl.rand(3, dtype="i64"),
        lambda: tl.rand(-1),
        lambda: tl.bernoulli(tl.tensor([1.5])),
        lambda: tl.bernoulli(tl.tensor([math.nan])),
        lambda: tl.normal(0.0, -1.0, (2,)),
        lambda: tl.normal(0.0, 1.0),
        lambda: tl.poisson(tl.tensor([-1.0])),
        lambda: tl.zeros(3).exponential_(0.0),
        lambda: tl.zeros(3).geometric_(1.5),
        lambda: tl.zeros(3).uniform_(2, 1),
        lambda: tl.rand(3, generator=5),
        lambda: tl.ops.dropout(tl.ones(2), 1.5),
        lambda: tl.randperm(-1),
    ],
)
def test_wrong_arguments(call):
    with pytest.raises(errors.TallowError, match="expected"):
        call()
