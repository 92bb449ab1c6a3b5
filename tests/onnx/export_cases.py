"""Modules of one op or a few, with examples whose first axis is exported as dynamic."""

from __future__ import annotations

import numpy as np

import tallow as tl
from tallow import nn
from tallow.nn import functional as F


class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def f(*shape, positive=False):
    x = tl.arange(np.prod(shape, dtype=int), dtype=tl.f32).reshape(shape)
    x = (x * 0.37 + 0.21).sin() * 2
    return x.abs() + 0.1 if positive else x


def i(*shape, most=5):
    return (tl.arange(np.prod(shape, dtype=int)) * 7 + 3).reshape(shape) % most


B = f(3, 4).gt(0)
X, Y, Z = f(3, 4), f(3, 4) + 0.3, f(3, 4, 5)
IMAGE = f(2, 3, 8, 8)
P = f(3, 4, positive=True)
I, J = i(3, 4), i(3, 4) - 2
NAN = tl.tensor([[1.0, float("nan"), -float("inf")], [0.0, 2.5, float("inf")]])


def put(x):
    y = x * 1
    y[:, 1:3] = 5.0
    y[:, 0] = x[:, 1]
    y[..., -1] = y[..., 0] + 1
    return y


def in_place(x):
    y = x + 1
    y += 2
    y.mul_(x)
    y.clamp_(min=0)
    return y


# name: function and examples; the first axis of each is dynamic.
CASES = {
    **{
        n: (getattr(tl, n), X)
        for n in [
            "neg",
            "abs",
            "floor",
            "ceil",
            "exp",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "atan",
            "sign",
            "sigmoid",
            "relu",
            "square",
            "erf",
            "erfc",
            "exp2",
            "expm1",
            "trunc",
            "frac",
            "round",
        ]
    },
    **{
        n: (getattr(tl, n), P)
        for n in ["log", "sqrt", "rsqrt", "reciprocal", "log1p", "log2", "log10", "acosh"]
    },
    **{n: (getattr(tl, n), X / 3) for n in ["asin", "acos", "atanh"]},
    **{f"{n}_int": (getattr(tl, n), J) for n in ["neg", "abs", "sign", "square"]},
    **{f"{n}_int_as_float": (getattr(tl, n), I) for n in ["sqrt", "exp", "sigmoid"]},
    **{
        n: (getattr(F, n), X)
        for n in (
            [
                "silu",
                "gelu",
                "mish",
                "hardsigmoid",
                "hardswish",
                "softsign",
                "tanhshrink",
                "relu6",
                "leaky_relu",
                "elu",
                "selu",
                "celu",
                "softplus",
                "hardtanh",
                "logsigmoid",
                "hardshrink",
                "softshrink",
            ]
        )
    },
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), X),
    "threshold": (lambda x: F.threshold(x, 0.1, 20.0), X),
    "glu": (lambda x: F.glu(x, -1), X),
    "prelu": (lambda x: F.prelu(x, tl.tensor([0.2, 0.1, 0.3, 0.5])), f(2, 4, 3)),
    "isnan": (tl.isnan, NAN),
    "isinf": (tl.isinf, NAN),
    "isfinite": (tl.isfinite, NAN),
    "nan_to_num": (tl.nan_to_num, NAN),
    # --- two operands ---
    **{
        n: (getattr(tl, n), X, Y)
        for n in [
            "add",
            "sub",
            "mul",
            "div",
            "maximum",
            "minimum",
            "fmax",
            "fmin",
            "atan2",
            "hypot",
            "fmod",
            "remainder",
            "floor_divide",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
            "logical_and",
            "logical_or",
            "logical_xor",
        ]
    },
    **{
        f"{n}_int": (getattr(tl, n), J, I + 1)
        for n in [
            "add",
            "sub",
            "mul",
            "div",
            "maximum",
            "minimum",
            "fmod",
            "remainder",
            "floor_divide",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
        ]
    },
    **{
        f"{n}_mixed": (getattr(tl, n), J, Y)
        for n in ["add", "sub", "mul", "div", "maximum", "eq", "lt", "ge"]
    },
    **{
        f"{n}_bool": (getattr(tl, n), B, B.logical_not())
        for n in [
            "add",
            "mul",
            "eq",
            "ne",
            "bitwise_and",
            "bitwise_or",
            "bitwise_xor",
            "logical_and",
        ]
    },
    "bool_and_numbers": (lambda b: (b + 1, b * 2.5, b.eq(1)), B),
    "pow": (lambda x, y: x**y, P, Y),
    "pow_number": (lambda x: (x**2, x**3, 2**x), X),
    "pow_int": (lambda x: x**3, J),
    "numbers": (lambda x: (x + 1, 1 - x, x * 2, 2 / x, x / 3, x // 2, x % 2, 5 - x * 2.5), X),
    "numbers_int": (lambda x: (x + 1, 1 - x, x * 2, x / 3, x // 2, x % 2, x + 0.5, x > 1.5), J),
    "alpha": (lambda x, y: (tl.add(x, y, alpha=2), tl.sub(x, y, alpha=0.5)), X, Y),
    "rounding_modes": (
        lambda x, y: [tl.div(x, y, rounding_mode=m) for m in (None, "floor", "trunc")],
        X,
        Y,
    ),
    "rounding_modes_int": (
        lambda x, y: [tl.div(x, y, rounding_mode=m) for m in (None, "floor", "trunc")],
        J,
        I + 1,
    ),
    "broadcast": (lambda x, y: x + y[:, None], f(3, 4, 5), f(3, 5)),
    "where": (tl.where, B, X, Y),
    "where_numbers": (lambda b, x: tl.where(b, x, 0.0), B, X),
    "masked_fill": (lambda x, b: x.masked_fill(b, -1.0), X, B),
    "clamp": (lambda x: (x.clamp(-1, 1), x.clamp(min=0.2), x.clamp(max=0.2)), X),
    "clamp_int": (lambda x: x.clamp(0, 2), J),
    "clamp_tensor": (lambda x, y: x.clamp(y, y + 1), X, Y),
    "addcmul": (lambda x, y: tl.addcmul(x, x, y, value=0.5), X, Y),
    "lerp": (lambda x, y: tl.lerp(x, y, 0.3), X, Y),
    "logaddexp": (tl.logaddexp, X, Y),
    "casts": (lambda x: [x.to(d) for d in ("i32", "i64", "f64", "f16", "u8", "bool")], P),
    "silu_mul": (lambda x, y: tl.ops.silu_mul(x, y), X, Y),
    # --- shapes ---
    "reshape": (
        lambda x: (x.reshape(-1), x.reshape(len(x), 2, 10), x.flatten(1), x.view(-1, 5)),
        Z,
    ),
    "axes": (lambda x: (x.transpose(0, 2), x.permute(1, 2, 0), x.movedim(0, -1), x.mT), Z),
    "squeeze": (lambda x: (x[:, None].squeeze(1), x[..., None].squeeze(-1), x.unsqueeze(0)), Z),
    "squeeze of one 1": (
        lambda x: (
            x[:, None, ..., None].squeeze(-1),
            x[:, None, None].squeeze((1,)),
            x[:, None, ..., None].squeeze(),
        ),
        Z,
    ),
    "slices": (
        lambda x: (
            x[:, 1:],
            x[1:],
            x[:, :-1],
            x[..., 1],
            x[:, ::2],
            x[0],
            x[-1],
            x[:, None, 1:3],
            x[..., -2:],
        ),
        Z,
    ),
    "narrow": (lambda x: (x.narrow(1, 1, 2), x.narrow(0, 0, len(x)), x.select(1, -1)), Z),
    "cat": (lambda x, y: (tl.cat([x, y], 0), tl.cat([x, y], 1), tl.stack([x, y], -1)), X, Y),
    "split": (lambda x: (*x.split(2, 1), *x.chunk(2, 1), *x.unbind(1), *x.split([1, 3], 1)), X),
    "expand": (lambda x: (x[:, None].expand(-1, 3, -1), x[:, :1].expand(len(x), 7)), X),
    "repeat": (lambda x: (x.repeat(2, 1), x.repeat(2, 1, 3), x.tile((2,))), X),
    "repeat_interleave": (lambda x: (x.repeat_interleave(2, 1), x.repeat_interleave(3, 0)), X),
    "flip": (lambda x: (x.flip(0), x.flip(1), x.flip(0, 1)), X),
    "roll": (lambda x: (x.roll(1, 1), x.roll(-1, 0), x.roll((1, 2), (0, 1))), X),
    "unfold": (lambda x: x.unfold(1, 2, 1), Z),
    "diagonal": (lambda x: x.diagonal(0, 1, 2), Z),
    "diag": (lambda x: x.diagonal(), f(3, 3)),
    "triangles": (lambda x: (x.triu(), x.tril(), x.triu(1), x.tril(-1)), Z),
    "pad": (lambda x: (F.pad(x, [1, 2]), F.pad(x, [1, 0, 2, 1], value=3.0), F.pad(x, [-1, 1])), Z),
    "pad_modes": (
        lambda x: (
            F.pad(x, [1, 2, 1, 0], mode="reflect"),
            F.pad(x, [1, 2, 1, 0], mode="replicate"),
        ),
        IMAGE,
    ),
    "pad_bool": (lambda x: F.pad(x, [1, 2], value=True), B),
    "meshgrid": (lambda x: tl.meshgrid(x[0], x[1], indexing="ij"), X),
    "setitem": (lambda x: put(x), Z),
    "in_place": (lambda x: in_place(x), X),
}
