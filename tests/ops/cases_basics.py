"""Cases of the ops that the first models needed: views, arithmetic, reductions, attention."""

import numpy as np

import tallow as tl
from ops.references import (
    ACTS,
    attention,
    attention_per_head,
    erf,
    layer_norm,
    linear_act,
    rms_norm,
    rope,
    rope_table,
    sigmoid,
    softmax,
)
from ops.table import COMPLEX, EVERY, FLOATS, INTEGERS, NUMBERS, UNSIGNED, Case

SHAPES = [(), (3,), (2, 0), (4, 1, 5), (7, 33)]
BROADCAST = [
    ((3, 1), (1, 4)),
    ((), (5,)),
    ((2, 1, 3), (4, 1)),
    ((1,), (0,)),
    ((4, 1, 5), (4, 1, 5)),
]
BITS = (*INTEGERS, "bool")
NUMERIC = (*NUMBERS, *UNSIGNED)


def quietly(function):
    """numpy's function without its warnings: integers wrap as ours do."""

    def call(*args, **kwargs):
        with np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return call


def unary(numpy=None, dtypes=FLOATS, low=-3, high=3, **more):
    return Case(
        lambda d: [d(d.x(shape, low, high)) for shape in SHAPES],
        dtypes,
        numpy=numpy and quietly(numpy),
        **more,
    )


def binary(numpy=None, dtypes=EVERY, low=-3, high=3, **more):
    return Case(
        lambda d: [
            *(d(d.x(p, low, high), d.x(q, low, high)) for p, q in BROADCAST),
            d(d.x((2, 3), low, high), 2),
        ],
        dtypes,
        numpy=numpy and quietly(numpy),
        **more,
    )


def axes_of(numpy_function):
    """A reduction of numpy's with PyTorch's names of arguments."""

    def call(x, dim=None, keepdim=False, **options):
        return numpy_function(x, axis=dim, keepdims=keepdim, **options)

    return quietly(call)


def truth(function):
    """Of u8 torch makes u8."""
    return lambda x, **k: function(x, **k).astype(np.uint8 if x.dtype == np.uint8 else bool)


def reduction(numpy, dtypes=FLOATS, single=False, low=-3, high=3, distinct=False, **more):
    def draw(d):
        def x(shape):
            return d.distinct(shape) if distinct else d.x(shape, low, high)

        yield d(x((3,)), 0)
        yield d(x((4, 2, 5)), -1, keepdim=True)
        yield d(x((4, 2, 5)), 1)
        yield d(x((37, 7)), 0)
        if not single:
            yield d(x((2, 3)))
            yield d(x((4, 2, 5)), (0, 2))
            yield d(x((4, 2, 5)), (-1, 0), keepdim=True)

    return Case(draw, dtypes, numpy=numpy and axes_of(numpy), **more)


def table(d, *shape):
    """Cosines and sines, f32 whatever the dtype of x."""
    return d.rng.uniform(-1, 1, shape).astype(np.float32)


CASES = {
    "neg": unary(np.negative, NUMERIC),
    "abs": unary(np.abs, NUMERIC),
    "square": unary(lambda x: x * x, NUMERIC),
    "sign": unary(np.sign, NUMERIC),
    "relu": unary(lambda x: np.maximum(x, x.dtype.type(0)), NUMERIC),
    "reciprocal": unary(lambda x: 1 / x, low=0.5),
    "exp": unary(np.exp),
    "expm1": unary(np.expm1),
    "log": unary(np.log, low=0.5),
    "log1p": unary(np.log1p, low=-0.5),
    "sqrt": unary(np.sqrt, low=0.5),
    "rsqrt": unary(lambda x: 1 / np.sqrt(x), low=0.5),
    "sin": unary(np.sin),
    "cos": unary(np.cos),
    "tanh": unary(np.tanh),
    "erf": unary(erf),
    "sigmoid": unary(sigmoid),
    "silu": unary(lambda x: x * sigmoid(x)),
    "gelu": unary(ACTS["gelu"]),
    "gelu_tanh": unary(ACTS["gelu_tanh"], torch=False),
    "quick_gelu": unary(lambda x: x * sigmoid(1.702 * x), torch=False),
    "isnan": unary(np.isnan),
    "logical_not": unary(lambda x: x == 0, EVERY),
    "bitwise_not": unary(np.invert, BITS),
    "clamp": Case(lambda d: [d(d.x((4, 5)), -1, 2), d(d.x((7,)), max=1), d(d.x((7,)), 0)], NUMERIC),
    "add": binary(np.add),
    "sub": binary(np.subtract, NUMERIC),
    "mul": binary(np.multiply),
    "div": binary(np.divide, FLOATS, low=0.5),
    "pow": binary(np.power, NUMBERS, low=0.5, factor=4),
    "maximum": Case(lambda d: [d(d.x(p), d.x(q)) for p, q in BROADCAST], EVERY, numpy=np.maximum),
    "minimum": Case(lambda d: [d(d.x(p), d.x(q)) for p, q in BROADCAST], EVERY, numpy=np.minimum),
    "eq": binary(np.equal),
    "ne": binary(np.not_equal),
    "lt": binary(np.less),
    "le": binary(np.less_equal),
    "gt": binary(np.greater),
    "ge": binary(np.greater_equal),
    "bitwise_and": binary(np.bitwise_and, BITS),
    "bitwise_or": binary(np.bitwise_or, BITS),
    "bitwise_xor": binary(np.bitwise_xor, BITS),
    "silu_mul": Case(
        lambda d: [d(d.x(p), d.x(q)) for p, q in BROADCAST],
        numpy=lambda g, x: g * sigmoid(g) * x,
        torch=False,
    ),
    "where": Case(
        lambda d: [d(d.bools((4, 5)), d.x((4, 5)), d.x((5,))), d(d.bools((3,)), d.x((3,)), 1)],
        EVERY,
        numpy=np.where,
    ),
    # --- reductions, order
    "sum": reduction(np.sum, factor=4),
    "prod": reduction(np.prod, factor=4, single=True, low=0.5, high=1.5),
    "mean": reduction(np.mean, factor=2),
    "var": reduction(lambda x, **k: np.var(x, ddof=1, **k), factor=6),
    "std": reduction(lambda x, **k: np.std(x, ddof=1, **k), factor=6),
    "var_mean": reduction(lambda x, **k: (np.var(x, ddof=1, **k), np.mean(x, **k)), factor=6),
    "std_mean": reduction(lambda x, **k: (np.std(x, ddof=1, **k), np.mean(x, **k)), factor=6),
    "nansum": reduction(np.nansum, factor=4),
    "nanmean": reduction(np.nanmean, factor=2),
    "count_nonzero": Case(
        lambda d: [d(d.x((4, 5))), d(d.x((4, 5)), 1), d(d.x((4, 2, 5)), (0, -1))],
        EVERY,
        numpy=lambda x, dim=None: np.asarray(np.count_nonzero(x, axis=dim)),
    ),
    "sum_to_size": Case(
        lambda d: [d(d.x((3, 4, 5)), 4, 1), d(d.x((3, 4)), (3, 4)), d(d.x((2, 3)), ())],
        torch="Tensor.sum_to_size",
        factor=4,
    ),
    "nn.logsumexp": Case(
        lambda d: [d(d.x((4, 5))), d(d.x((2, 3, 40))), d(d.x((3,), 500, 600))],
        torch=lambda x: x.logsumexp(-1),
        factor=4,
    ),
    "logsumexp": Case(
        lambda d: [d(d.x((4, 5)), 1), d(d.x((4, 5)), (0, 1), True), d(d.x((3,), 500, 600), 0)],
        factor=4,
    ),
    "aminmax": Case(
        lambda d: [d(d.distinct((4, 5))), d(d.distinct((4, 5)), dim=1, keepdim=True)], NUMBERS
    ),
    "amax": reduction(np.max, EVERY, distinct=True),
    "amin": reduction(np.min, EVERY, distinct=True),
    "any": reduction(truth(np.any), EVERY, single=True),
    "all": reduction(truth(np.all), EVERY, single=True),
    "argmax": reduction(np.argmax, NUMERIC, single=True, distinct=True),
    "argmin": reduction(np.argmin, NUMERIC, single=True, distinct=True),
    "max": Case(lambda d: [d(d.distinct((4, 5))), d(d.distinct((4, 5)), 1)], NUMERIC),
    "min": Case(lambda d: [d(d.distinct((4, 5))), d(d.distinct((4, 5)), 0, True)], NUMERIC),
    "softmax": Case(
        lambda d: [d(d.x((4, 5)), dim=1), d(d.x((2, 3, 4)), 0), d(d.x((3, 33)), -1)], numpy=softmax
    ),
    "nn.softmax_backward": Case(
        lambda d: [
            d(d.x((2, 3, 4)), d.positive((2, 3, 4)), dim, log)
            for dim in (1, -1)
            for log in (False, True)
        ],
        torch=False,
        factor=8,
    ),
    "log_softmax": Case(
        lambda d: [d(d.x((4, 5)), dim=1), d(d.x((2, 3, 4)), -2)],
        numpy=lambda x, dim: np.log(softmax(x, dim)),
        factor=4,
    ),
    # --- products, norms
    "matmul": Case(
        lambda d: [
            d(d.x(p), d.x(q))
            for p, q in [
                ((3, 4), (4, 5)),
                ((4,), (4,)),
                ((4,), (4, 5)),
                ((3, 4), (4,)),
                ((2, 1, 3, 4), (5, 4, 6)),
                ((2, 0), (0, 3)),
                ((0, 3), (3, 2)),
                ((9, 40), (40, 11)),
            ]
        ],
        numpy=np.matmul,
        factor=4,
    ),
    "linear": Case(
        lambda d: [d(d.x((2, 3, 8)), d.x((7, 8)), d.x((7,))), d(d.x((3, 8)), d.x((7, 8)))],
        numpy=lambda x, w, b=0: x @ w.T + b,
        factor=8,
    ),
    "linear_act": Case(
        lambda d: [
            d(d.x(rows), d.x((n, k)), bias, d.x((*rows[:-1], n)) if adds else None, act=act)
            for (rows, n, k), bias, adds, act in (
                (((2, 3, 8), 7, 8), d.x((7,)), True, "gelu"),
                (((3, 8), 7, 8), None, True, ""),
                (((5, 300), 20, 300), d.x((20,)), False, "relu"),
                (((20, 300), 50, 300), d.x((50,)), True, "silu"),
                (((170, 40), 20, 40), d.x((20,)), True, "quick_gelu"),
                (((0, 8), 7, 8), d.x((7,)), True, "gelu_tanh"),
                (((3, 0), 7, 0), d.x((7,)), True, "gelu_tanh"),
            )
        ],
        numpy=linear_act,
        torch=False,
        factor=16,
    ),
    **dict.fromkeys(
        ("nn.rms_norm_backward", "nn.layer_norm_backward"),
        Case(
            lambda d: [
                d(d.x((4, 6)), d.x((4, 6)), d.x((6,)), 1e-5, (True, True, False)),
                d(d.x((2, 3, 5)), d.x((2, 3, 5)), None, 1e-5, (True, False, False)),
            ],
            torch=False,
            output=lambda out: out[0],
            factor=8,
        ),
    ),
    "rms_norm": Case(
        lambda d: [d(d.x(s), d.x(s[-1:])) for s in [(3,), (4, 33), (2, 3, 8), (0, 8)]],
        numpy=rms_norm,
        torch=False,
        factor=4,
    ),
    "layer_norm": Case(
        lambda d: [d(d.x(s), d.x(s[-1:]), d.x(s[-1:])) for s in [(4, 33), (2, 3, 8), (0, 8)]],
        numpy=layer_norm,
        torch=False,
        factor=4,
    ),
    # --- views and shapes
    "reshape": Case(
        lambda d: [d(d.x((4, 6)), 3, 8), d(d.x((4, 6)), (2, -1, 3))], EVERY, torch="Tensor.reshape"
    ),
    "view": Case(lambda d: [d(d.x((4, 6)), 3, 8), d(d.x((4, 6)), (24,))], EVERY, layouts=False),
    "flatten": Case(lambda d: [d(d.x((4, 1, 6)), 1), d(d.x((2, 3)))], EVERY),
    "transpose": Case(lambda d: [d(d.x((4, 1, 6)), 0, -1)], EVERY),
    "permute": Case(lambda d: [d(d.x((4, 1, 6)), (2, 0, 1))], EVERY),
    "expand": Case(lambda d: [d(d.x((4, 1, 6)), 3, -1, 5, 6)], EVERY),
    "squeeze": Case(lambda d: [d(d.x((4, 1, 6))), d(d.x((4, 1)), 1), d(d.x((4, 1)), 0)], EVERY),
    "unsqueeze": Case(lambda d: [d(d.x((4, 6)), -1), d(d.x((4, 6)), 0)], EVERY),
    "narrow": Case(lambda d: [d(d.x((4, 6)), 1, 2, 3)], EVERY),
    "select": Case(lambda d: [d(d.x((4, 6)), 0, -1)], EVERY),
    "unbind": Case(lambda d: [d(d.x((4, 6)), 1)], EVERY),
    "split": Case(lambda d: [d(d.x((4, 6)), 4, -1), d(d.x((4, 6)), [1, 3])], EVERY),
    "cat": Case(
        lambda d: [d([d.x((2, 3)), d.x((1, 3))]), d([d.x((2, 3)), d.x((2, 1))], dim=-1)], EVERY
    ),
    "stack": Case(lambda d: [d([d.x((2, 3)), d.x((2, 3))], dim) for dim in (0, 1, -1)], EVERY),
    # --- transformers
    "embedding": Case(
        lambda d: [d(d.ints((2, 3), 0, 10), d.x((10, 6)))],
        numpy=lambda ids, weight: weight[ids],
        hypothesis=False,
    ),
    "rope_table": Case(
        lambda d: [
            d(d.ints((2, 3), 0, 50), d.positive((4,), 0.1, 1)),
            d(d.ints((1, 2), 0, 9), d.x((2,)), 1.5),
        ],
        ("f32",),
        torch=False,
        numpy=rope_table,
        factor=8,
    ),
    "rope": Case(
        lambda d: [
            d(d.x((2, 3, 4, 8)), table(d, 1, 3, 6)),
            d(d.x((2, 3, 1, 6)), table(d, 2, 3, 6), True),
        ],
        torch=False,
        numpy=rope,
        factor=4,
        wide=False,
        hypothesis=False,  # the table stays f32
    ),
    "attention": Case(attention, torch=False, factor=8),
    "attention_per_head": Case(attention_per_head, torch=False, factor=8),
    "nn.attention_or_nan": Case(
        lambda d: [
            d(d.x((2, 4, 3, 8), -1, 1), d.x((2, 2, 5, 8), -1, 1), d.x((2, 2, 5, 6)), *how)
            for how in ((), (d.x((2, 1, 3, 5)), 0.3))
        ],
        torch=False,
        factor=8,
    ),
    "nn.attention_backward": Case(
        lambda d: [
            d(d.x((2, 4, 3, 6)), *sample.args, None, None, None, causal, 0, 0.0)
            for sample, causal in zip(attention(d), (False, True), strict=False)
        ],
        torch=False,
        output=lambda out: out[0],
        factor=16,
    ),
    "kv_write": Case(  # its result is None: tests/ops/test_forward.py looks at the caches
        lambda d: [
            d(
                d.x((2, 2, 9, 8)),
                d.x((2, 2, 9, 6)),
                d.x((2, 2, 3, 8)),
                d.x((2, 2, 3, 6)),
                d.ints((2,), 0, 6),
            )
        ],
        ("f32", "f16", "bf16"),
        torch=False,
        gradient=False,
        hypothesis=False,
    ),
    "sample": Case(
        lambda d: [
            d(d.x((20,)), d.ints((4,), 0, 20), temperature=0.0, repetition=1.5),
            d(d.x((20,)), d.ints((0,), 0, 20), 0.7, top_k=5, top_p=0.9, random=0.4),
        ],
        ("f32",),
        torch=False,
        gradient=False,
    ),
    # --- conversions
    "cast": Case(
        lambda d: [d(d.x((4, 5)), t) for t in (tl.f32, tl.f64, tl.bf16, tl.i64, tl.bool_)],
        EVERY,
        torch=lambda x, dtype: x.to(dtype),
        inplace=False,
        gradient=False,  # differences of rounded values say nothing; tests/autograd does
    ),
    "clone": Case(lambda d: [d(d.x(shape)) for shape in SHAPES], (*EVERY, *COMPLEX)),
}
