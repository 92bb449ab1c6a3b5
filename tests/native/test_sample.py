"""Sampling against the same chain in numpy (equal choices), its distribution, and topk."""

import numpy as np
import pytest

OFF = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "repetition": 1.0,
    "frequency": 0.0,
    "presence": 0.0,
}


def choose(call, logits, history=(), random=0.5, **options):
    out = np.full((), -7)
    settings = OFF | options
    call("sample", out, logits, np.array(history, np.int64), *settings.values(), float(random))
    return int(out)


def reference(
    logits, history, random, temperature, top_k, top_p, min_p, repetition, frequency, presence
):
    x = logits.astype(np.float32).copy()
    f32 = np.float32
    ids, counts = np.unique([i for i in history if i >= 0], return_counts=True)
    for i, count in zip(ids.astype(int), counts, strict=True):
        x[i] = x[i] / f32(repetition) if x[i] > 0 else x[i] * f32(repetition)
        x[i] = f32(
            np.float64(x[i]) - (count * np.float64(f32(frequency)) + np.float64(f32(presence)))
        )
    order = np.argsort(-x, kind="stable")
    order = order[x[order] > -np.inf]
    if temperature <= 0:
        return order[0]
    if top_k > 0:
        order = order[:top_k]
    best = np.float64(x[order[0]])
    if top_p < 1:
        p = np.exp(x[order].astype(np.float64) - best)
        order = order[: np.searchsorted(np.cumsum(p), top_p * p.sum()) + 1]
    if min_p > 0:
        keep = x[order] >= best + np.log(min_p)
        order = order[: max(1, keep.sum())]
    p = np.exp((x[order].astype(np.float64) - best) / temperature)
    return order[min(np.searchsorted(np.cumsum(p), random * p.sum(), side="right"), len(order) - 1)]


@pytest.mark.parametrize("vocab", [1, 7, 300, 5000])
@pytest.mark.parametrize("top_k", [0, 1, 5, 40, 10_000])
@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.1])
@pytest.mark.parametrize("min_p", [0.0, 0.05])
@pytest.mark.parametrize("penalties", [(1.0, 0.0, 0.0), (1.3, 0.2, 0.1)])
def test_equals_numpy(call, rng, vocab, top_k, top_p, min_p, penalties):
    for round_ in range(6):
        logits = (3 * rng.normal(size=vocab)).astype(np.float32)
        if round_ % 2:
            logits = np.round(logits)  # ties
        logits[rng.random(vocab) < 0.1] = -np.inf
        logits[rng.integers(vocab)] = 1
        history = rng.integers(-1, vocab, size=20)
        for temperature in (0.0, 0.7, 1.5):
            random = rng.random()
            settings = (temperature, top_k, top_p, min_p, *penalties)
            before = logits.copy()
            got = choose(call, logits, history, random, **dict(zip(OFF, settings, strict=True)))
            assert got == reference(logits, history, random, *settings)
            np.testing.assert_equal(logits, before)


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.6}, {"top_k": 4}, {"top_p": 0.8}], ids=str
)
def test_distribution(call, rng, options):
    logits = rng.normal(size=8).astype(np.float32)
    draws = 20_000
    counts = np.bincount(
        [choose(call, logits, random=r, **options) for r in rng.random(draws)], minlength=8
    )
    order = np.argsort(-logits)
    p = np.exp(logits[order].astype(np.float64))
    p /= p.sum()
    keep = options.get("top_k", 8)
    if "top_p" in options:
        keep = int(np.searchsorted(np.cumsum(p), options["top_p"])) + 1
    p = np.exp(logits[order[:keep]].astype(np.float64) / options.get("temperature", 1))
    expected = np.zeros(8)
    expected[order[:keep]] = draws * p / p.sum()
    assert (counts[expected == 0] == 0).all()
    live = expected > 0
    chi2 = ((counts - expected)[live] ** 2 / expected[live]).sum()
    assert chi2 < 30  # 7 degrees of freedom: p = 1e-4


def test_greedy_takes_the_first_of_equals(call):
    logits = np.zeros(1000, np.float32)
    logits[[700, 300, 900]] = 5
    assert choose(call, logits, temperature=0.0) == 300
    assert choose(call, logits, top_k=1) == 300
    assert choose(call, logits, [300, 300], temperature=0.0, presence=0.5) == 700


def test_infinite_and_missing_logits(call):
    inf, nan = np.inf, np.nan
    assert choose(call, np.array([0, inf, 3], np.float32)) == 1
    assert choose(call, np.array([nan, -inf, 3, nan], np.float32), temperature=0.0) == 2
    assert choose(call, np.array([nan, -inf, 3, nan], np.float32), random=0.999999) == 2
    with pytest.raises(Exception, match="every logit is NaN or -inf"):
        choose(call, np.array([nan, -inf], np.float32))
    with pytest.raises(Exception, match="history below 2, got 5"):
        choose(call, np.zeros(2, np.float32), [5], repetition=1.1)


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int32", "uint8"])
@pytest.mark.parametrize("shape", [(1,), (5,), (3, 700), (2, 3, 65)], ids=str)
@pytest.mark.parametrize("largest", [0, 1])
def test_topk(call, rng, layouts, kind, shape, largest):
    x = rng.integers(0, 40, size=shape).astype(kind)  # ties
    if kind.startswith("float"):
        x[rng.random(shape) < 0.05] = np.nan
    rank = np.where(np.isnan(x.astype(np.float64)), np.inf, x.astype(np.float64))
    order = np.argsort(-rank if largest else rank, axis=-1, kind="stable")
    for k in {0, 1, min(3, shape[-1]), shape[-1]}:
        for name, view in layouts(x):
            values = np.zeros((*shape[:-1], k), kind)
            indices = np.zeros((*shape[:-1], k), np.int64)
            call("topk", values, indices, view, k, largest)
            np.testing.assert_equal(indices, order[..., :k], err_msg=name)
            np.testing.assert_equal(values, np.take_along_axis(x, order[..., :k], -1), err_msg=name)
