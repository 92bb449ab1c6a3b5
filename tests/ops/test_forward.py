"""Values that the laws of test_ops.py say nothing of: special values, empty and odd arguments."""

import inspect
import math

import numpy as np
import pytest

import tallow as tl
from ops.arrays import ALL, close, draw, layouts, softmax, tensor, wide
from ops.table import FLOATS, INTEGERS, NUMPY
from tallow import errors, ops
from tallow.ops.attention import attention_or_nan
from tallow.registry import OPS, SELF_NAMES

ops.open_all()
_erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def norm(x, shift):
    h = x - x.mean(-1, keepdims=True) if shift else x
    return h / np.sqrt((h * h).mean(-1, keepdims=True) + (1e-5 if shift else 1e-6))


NUMPYS = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "erf": _erf,
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
}


@pytest.mark.parametrize("name", ["exp", "sin", "sqrt", "sigmoid", "gelu", "tanh"])
@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_float_ops_make_f32_of_integers(name, dtype):
    array = np.abs(draw((5,), dtype)) if dtype != "bool" else draw((5,), dtype)
    close(getattr(ops, name)(tensor(array)), NUMPYS[name](array.astype(np.float64)), "f32")


@pytest.mark.parametrize(
    "name", ["exp", "log", "sqrt", "tanh", "sigmoid", "expm1", "log1p", "erf", "silu", "gelu"]
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values(name, dtype):
    special = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-30, 88.0, -88.0, 1e4, -1e4]
    array = np.array(special * 3).astype(NUMPY[dtype])
    with np.errstate(all="ignore"):
        wanted = NUMPYS[name](array.astype(np.float64))
        if name in ("silu", "gelu"):
            wanted[np.isneginf(array.astype(np.float64))] = np.nan  # -inf times 0, as in torch
        wanted = np.asarray(wanted).astype(NUMPY[dtype]).astype(np.float64)
    got = getattr(ops, name)(tensor(array)).to("f64").numpy()
    tiny = {"f32": 1e-6, "f64": 1e-12, "f16": 2e-3, "bf16": 1e-2}[dtype]
    np.testing.assert_allclose(got, wanted, rtol=tiny, atol=tiny)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_wins(name, dtype):
    x = tensor(np.array([math.nan, 1, math.nan, 2] * 9).astype(NUMPY[dtype]))
    y = tensor(np.array([1, math.nan, math.nan, 3] * 9).astype(NUMPY[dtype]))
    assert getattr(ops, name)(x, y).isnan().tolist() == [True, True, True, False] * 9


REDUCTIONS = {
    "sum": (np.sum, FLOATS, 4),
    "prod": (np.prod, FLOATS, 4),
    "mean": (np.mean, FLOATS, 2),
    "var": (lambda x, **k: np.var(x, ddof=1, **k), FLOATS, 6),
    "std": (lambda x, **k: np.std(x, ddof=1, **k), FLOATS, 6),
    "amax": (np.max, ALL, 1),
    "amin": (np.min, ALL, 1),
    "any": (np.any, ALL, 1),
    "all": (np.all, ALL, 1),
    "argmax": (np.argmax, ALL, 1),
    "argmin": (np.argmin, ALL, 1),
}
RESULTS = {"any": "bool", "all": "bool", "argmax": "i64", "argmin": "i64"}


@pytest.mark.parametrize(("name", "dtype"), [(n, d) for n, r in REDUCTIONS.items() for d in r[1]])
def test_reductions_over_axes(name, dtype):
    function, _, factor = REDUCTIONS[name]
    u8 = dtype == "u8" and name in ("any", "all")  # of u8 torch makes u8
    kind = dtype if u8 else RESULTS.get(name, dtype)
    for shape, dims in {
        (): [None],
        (3,): [None, 0, -1],
        (4, 1, 5): [None, 0, 1, 2, (0, 2), (-1, 0)],
        (37, 70): [None, 0, 1],
    }.items():
        array = draw(shape, dtype)
        if name == "prod":
            array = (np.sign(wide(array)) + 0.5).astype(array.dtype)
        for dim in dims:
            few = array.size if dim is None else math.prod(np.take(shape, dim, 0).ravel())
            if isinstance(dim, tuple) and name in ("argmax", "argmin", "prod"):
                continue
            if (dim is None and name == "prod") or (name in ("var", "std") and few < 2):
                continue
            for keep in (False, True):
                wanted = function(wide(array), axis=dim, keepdims=keep)
                for x in layouts(array).values():
                    got = getattr(x, name)(dim, keepdim=keep)
                    close(got, wanted.astype(wide(array).dtype) if u8 else wanted, kind, factor)
        if name == "prod":
            close(tensor(array).prod(), np.prod(wide(array)), dtype, factor)


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_sums_of_integers_are_i64(dtype):
    array = draw((6, 50), dtype)
    for name in ("sum", "prod"):
        for dim in (None, 0, 1):
            wanted = getattr(np, name)(array.astype(np.int64), axis=dim)
            with np.errstate(all="ignore"):
                close(getattr(tensor(array), name)(dim), wanted, "i64")


def test_reductions_of_nothing():
    x = tl.empty(2, 0)
    assert x.sum().item() == 0 and x.prod(1).tolist() == [1, 1] and math.isnan(x.mean().item())
    assert x.all().item() is True and x.any().item() is False
    assert x.amax(0).shape == (0,) and x.argmax(0).shape == (0,)
    for name in ("amax", "amin", "argmax", "argmin", "max", "min"):
        with pytest.raises(errors.ShapeError, match=r": expected at least one element along"):
            getattr(x, name)()
        with pytest.raises(errors.ShapeError, match=r": expected at least one element along"):
            getattr(x, name)(1)


@pytest.mark.parametrize("dtype", FLOATS)
def test_reductions_meet_nan(dtype):
    x = tensor(np.array([[1, math.nan, 3] * 11, [4, 5, 6] * 11]).astype(NUMPY[dtype]))
    for name in ("amax", "amin", "sum", "mean"):
        assert getattr(x, name)(1).isnan().tolist() == [True, False]
    assert x.argmax(1).tolist() == [1, 2]  # NaN counts as the largest, as in torch


def test_sum_takes_a_dtype():
    assert tl.tensor([1.5, 2.5]).sum(dtype="i64").tolist() == 3  # converted first, as in torch
    assert tl.tensor([200, 100], dtype="u8").sum(dtype="f32").dtype is tl.f32
    assert tl.tensor([200, 100], dtype="u8").sum(dtype="u8").item() == 44


def test_softmax_axes():
    array = draw((3, 4, 5), "f32")
    for dim in (0, 1, 2, -1, -3):
        close(tensor(array).softmax(dim), softmax(wide(array), dim), "f32")
    close(tl.tensor([-math.inf, 0.0]).softmax(), np.array([0.0, 1.0]))
    close(tl.tensor([1000.0, 1000.0]).log_softmax(), np.log([0.5, 0.5]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(3,), (4, 33), (2, 3, 64), (0, 8)], ids=str)
def test_norms(shape, dtype):
    x, w, b = draw(shape, dtype), draw(shape[-1:], dtype, 1), draw(shape[-1:], dtype, 2)
    for layout in layouts(x).values():
        close(ops.rms_norm(layout, tensor(w)), norm(wide(x), False) * wide(w), dtype, 4)
        got = ops.layer_norm(layout, tensor(w), tensor(b))
        close(got, norm(wide(x), True) * wide(w) + wide(b), dtype, 4)
        close(ops.layer_norm(layout), norm(wide(x), True), dtype, 4)
    for name in ("rms_norm", "layer_norm"):
        close(
            OPS[name](tensor(x), tensor(w)),
            wide(OPS[name].reference(tensor(x), tensor(w)).numpy()),
            dtype,
            4,
        )


@pytest.mark.parametrize("dtype", ALL)
def test_views_match_numpy(dtype):
    a = draw((4, 1, 6), dtype)
    x = tensor(a)
    pairs = [
        (x.reshape(2, -1), a.reshape(2, -1)),
        (x.view((24,)), a.reshape(24)),
        (x.flatten(1), a.reshape(4, 6)),
        (x.transpose(0, -1), a.swapaxes(0, -1)),
        (x.permute(2, 0, 1), a.transpose(2, 0, 1)),
        (x.expand(3, -1, 5, 6), np.broadcast_to(a, (3, 4, 5, 6))),
        (x.squeeze(), a.squeeze()),
        (x.squeeze(0), a),
        (x.squeeze(1), a.squeeze(1)),
        (x.unsqueeze(-1), a[..., None]),
        (x.narrow(2, 1, 3), a[..., 1:4]),
        (x.select(0, -1), a[-1]),
        (x.T, a.T),
        (x.mT, a.swapaxes(-1, -2)),
        *zip(x.unbind(2), np.moveaxis(a, 2, 0), strict=True),
        *zip(x.split(4, -1), (a[..., :4], a[..., 4:]), strict=True),
        *zip(x.split([1, 3]), (a[:1], a[1:]), strict=True),
    ]
    for got, wanted in pairs:
        assert got._array.storage_id == x._array.storage_id
        close(got, wide(wanted), dtype)
        close(got.clone(), wide(wanted), dtype)


@pytest.mark.parametrize("dtype", ALL)
def test_cat_and_stack(dtype):
    a, b = draw((2, 3), dtype), draw((2, 3), dtype, 1)
    for dim in (0, 1, -1):
        close(
            ops.cat([tensor(a), layouts(b)["transposed"]], dim),
            wide(np.concatenate([a, b], dim)),
            dtype,
        )
    for dim in (0, 1, 2, -1):
        close(ops.stack([tensor(a), tensor(b)], dim), wide(np.stack([a, b], dim)), dtype)
    assert ops.cat([tl.ones(2), tl.zeros(0), tl.tensor([1, 2])]).dtype is tl.f32


@pytest.mark.parametrize("dtype", ALL)
def test_where(dtype):
    c, a, b = draw((4, 5), "bool"), draw((4, 5), dtype), draw((5,), dtype, 1)
    close(ops.where(tensor(c), tensor(a), tensor(b)), wide(np.where(c, a, b)), dtype)
    close(ops.where(layouts(c)["transposed"], tensor(a), tensor(b)), wide(np.where(c, a, b)), dtype)
    assert ops.where(tensor(c), tensor(a), 1).dtype.name == ("i64" if dtype == "bool" else dtype)


def test_where_of_numbers_and_infinities():
    c = tl.tensor([True, False])
    assert ops.where(c, tl.tensor([1.0, math.inf]), 2.0).tolist() == [1.0, 2.0]
    assert ops.where(c, -math.inf, tl.tensor([math.nan, 3.0])).tolist() == [-math.inf, 3.0]
    assert ops.where(c, 1, 0).tolist() == [1, 0] and ops.where(c, 1.5, 0).dtype is tl.f32


@pytest.mark.parametrize("dtype", [*FLOATS, "u8"])
def test_extremes(dtype):
    a = np.random.default_rng(0).permutation(60).reshape(5, 12).astype(NUMPY[dtype])
    x = tensor(a)
    assert x.max().item() == 59 and x.min().item() == 0
    close(x.max(1).values, wide(a.max(1)), dtype)
    close(x.min(0, keepdim=True).indices, a.argmin(0)[None])
    close(x.max(tensor(a[::-1])), wide(np.maximum(a, a[::-1])), dtype)
    for largest in (True, False):
        values, indices = x.topk(4, largest=largest)
        order = np.argsort(-a.astype(np.int64) if largest else a.astype(np.int64), 1)[:, :4]
        close(indices, order, "i64")
        close(values, wide(np.take_along_axis(a, order, 1)), dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_matmul(dtype):
    for p, q in [
        ((3, 4), (4, 5)),
        ((4,), (4,)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((2, 1, 3, 4), (5, 4, 6)),
        ((2, 0), (0, 3)),
        ((33, 70), (70, 41)),
        ((0, 3), (3, 2)),
    ]:
        a, b = draw(p, dtype), draw(q, dtype, 1)
        wanted = np.matmul(wide(a), wide(b))
        for x in layouts(a).values():
            for y in layouts(b).values():
                close(x @ y, wanted, dtype, 4)
    x, w, b = draw((2, 3, 40), dtype), draw((7, 40), dtype, 1), draw((7,), dtype, 2)
    for x_ in layouts(x).values():
        close(ops.linear(x_, tensor(w), tensor(b)), wide(x) @ wide(w).T + wide(b), dtype, 8)


def test_transformer_ops():
    weight, ids = draw((10, 6), "f32"), np.array([[1, 9], [0, 3]])
    close(ops.embedding(tensor(ids), tensor(weight)), weight[ids], "f32")
    freqs = np.array([1.0, 0.1, 0.01], np.float32)
    positions = np.array([[0, 5, 77]])
    table = ops.rope_table(tensor(positions), tensor(freqs))
    angle = positions[..., None] * freqs.astype(np.float64)
    close(table, np.concatenate([np.cos(angle), np.sin(angle)], -1), "f32", 4)
    x = draw((2, 3, 4, 8), "f32")
    for interleaved in (False, True):
        got = ops.rope(tensor(x), table, interleaved)
        wanted = np.array(x, np.float64)
        for i in range(3):
            p, q = (2 * i, 2 * i + 1) if interleaved else (i, i + 3)
            c, s = np.cos(angle[0, :, i])[:, None], np.sin(angle[0, :, i])[:, None]
            wanted[..., p], wanted[..., q] = (
                x[..., p] * c - x[..., q] * s,
                x[..., p] * s + x[..., q] * c,
            )
        close(got, wanted, "f32", 4)
        close(got, wide(OPS["rope"].reference(tensor(x), table, interleaved).numpy()), "f32", 4)
    q, k, v = draw((2, 4, 3, 8), "f32"), draw((2, 2, 5, 8), "f32", 1), draw((2, 2, 5, 6), "f32", 2)
    scores = wide(q) @ wide(k).repeat(2, 1).swapaxes(-1, -2) / math.sqrt(8)
    wanted = softmax(scores) @ wide(v).repeat(2, 1)
    arguments = tensor(q), tensor(k), tensor(v)
    close(ops.attention(*arguments), wanted, "f32", 4)
    start = tl.tensor([1, 2])
    for options in [
        {"causal": True},
        {"causal": True, "start": start},
        {"window": 2},
        {"softcap": 2.0, "scale": 0.3},
    ]:
        wanted = wide(OPS["attention"].reference(*arguments, **options).numpy())
        close(ops.attention(*arguments, **options), wanted, "f32", 8)
    for mask in [None, tensor(draw((2, 1, 3, 5), "f32", 3)), tl.tensor([[[[-np.inf] * 5]]])]:
        wanted = wide(OPS["nn.attention_or_nan"].reference(*arguments, mask).numpy())
        close(attention_or_nan(*arguments, mask), wanted, "f32", 8)
    cache_k, cache_v = tl.zeros(2, 2, 9, 8), tl.zeros(2, 2, 9, 6)
    ops.kv_write(cache_k, cache_v, tensor(k), tensor(v), tl.tensor([0, 4]))
    assert (cache_k[0, :, :5].numpy() == k[0]).all() and (cache_v[1, :, 4:].numpy() == v[1]).all()
    assert cache_k[1, :, :4].abs().sum().item() == 0
    before = cache_k.clone()
    with pytest.raises(errors.TallowError):
        ops.kv_write(cache_k, cache_v, tensor(k), tensor(v), tl.tensor([0, 5]))
    assert cache_k.eq(before).all()


def test_sample():
    logits, history = tl.tensor([0.0, 3.0, 1.0, 2.0]), tl.tensor([], dtype="i64")
    assert ops.sample(logits, history, temperature=0.0).item() == 1
    p = softmax(np.array([0.0, 3.0, 1.0, 2.0]))
    drawn = [ops.sample(logits, history, random=(i + 0.5) / 1000).item() for i in range(1000)]
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 1000, p, atol=0.003)
    assert {ops.sample(logits, history, top_k=2, random=r / 50).item() for r in range(50)} == {1, 3}


def test_methods_are_the_ops():
    """What Tensor defines itself (to, clone, …) is a richer form of the op; else it is the op."""
    modules = {kind.__module__ for kind in tl.Tensor.__mro__}
    for name, op in OPS.items():
        first = next(iter(inspect.signature(op.signature).parameters), None)
        if "." not in name and first in SELF_NAMES:
            method = getattr(tl.Tensor, name)
            own = getattr(method, "__module__", None) in (None, *modules)
            assert own or method is getattr(ops, name), name


@pytest.mark.parametrize("name", ["add", "mul", "maximum", "lt", "silu_mul"])
def test_both_arguments_expanded(name):
    spread = tensor(draw((3, 1), "f32")).expand(3, 6)
    copy = spread.clone()
    close(getattr(ops, name)(spread, spread), getattr(ops, name)(copy, copy).numpy())
