"""Calls as users write them, each evaluated by torch and by `tallow.torch`: value, dtype, error.

`overloads.txt` has one expression a line: the ways in which a function may be called. The rest is
made here: operators and functions over every pair of dtypes, with numbers on either side. What
torch refuses may be answered; what it answers has to be the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tallow.torch

pytestmark = [pytest.mark.needs_torch, pytest.mark.filterwarnings("ignore")]

OVERLOADS = (Path(__file__).parent / "overloads.txt").read_text().splitlines()
DTYPES = (
    "bool", "uint8", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "float64", "complex64",
)  # fmt: skip
UNARY = """
abs acos acosh angle asin asinh atan atanh ceil conj cos cosh deg2rad digamma erf erfc erfinv exp
exp2 expm1 fix floor frac i0 isfinite isinf isnan isneginf isposinf isreal lgamma log log10 log1p
log2 logical_not logit neg positive rad2deg reciprocal relu round rsqrt sgn sigmoid sign signbit
sin sinc sinh sqrt square tan tanh trunc bitwise_not nan_to_num sum prod mean amax amin max min
argmax argmin all any std var median mode sort argsort unique nonzero count_nonzero norm diff tril
trace diag t nanmean nansum msort aminmax
softmax(1) log_softmax(1) logsumexp(1) cumsum(1) cumprod(0) logcumsumexp(1) flip((0,)) quantile(.5)
abs_ neg_ exp_ sqrt_ sigmoid_ floor_ round_ clamp_(0,2) add_(1) add_(1.5) mul_(2) mul_(.5) sub_(1)
div_(2) pow_(2) fill_(1.5) zero_ t_ floor_divide_(2) remainder_(2) cumsum_(0) logical_not_
bitwise_and_(1) relu_ sin_ ceil_ sign_ square_ reciprocal_ copy_(t.ones(3))
masked_fill_(t.tensor([True,False,True]),2) index_fill_(0,t.tensor([0]),1)
"""
BINARY = """
add sub mul div floor_divide remainder fmod pow float_power maximum minimum fmax fmin atan2 hypot
copysign eq ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor
bitwise_left_shift bitwise_right_shift gcd lcm ldexp xlogy heaviside nextafter logaddexp logaddexp2
rsub isclose matmul inner kron cross
"""
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "&", "|", "==", "<")
NUMBERS = ("2", "1.5", "True", "-1", "0", "2j")


def of(dtype: str, rows: str) -> str:
    return f"t.tensor({rows}).to(t.{dtype})"


def unary(dtype: str) -> Iterator[str]:
    x = of(dtype, "[[0,1,2],[1,3,1]]")
    for name in UNARY.split():
        yield (
            f"{x}.{name}"
            if "(" in name
            else f"{x}.{name}()"
            if name[-1] == "_"
            else f"t.{name}({x})"
        )


def binary(dtype: str) -> Iterator[str]:
    x = of(dtype, "[[0,1,2],[1,3,1]]")
    for name in BINARY.split():
        for other in DTYPES:
            y = of(other, "[[1,1,2],[2,1,1]]")
            yield f"t.{name}({x}, {y}{'.T' if name == 'matmul' else ''})"
        for number in NUMBERS:
            yield f"t.{name}({x}, {number})"
    for sign in OPERATORS:
        for number in NUMBERS:
            yield f"{x} {sign} {number}"
            yield f"{number} {sign} {x}"
            yield f"{x} {sign} t.tensor({number})"
            yield f"t.tensor({number}) {sign} t.tensor(2).to(t.{dtype})"


def evaluate(framework: Any, expression: str) -> Any:
    x = framework.arange(6.0).reshape(2, 3)
    names = {
        "t": framework, "x": x, "i": framework.arange(6).reshape(2, 3),
        "b": framework.tensor([[True, False, True], [False, True, True]]),
    }  # fmt: skip
    try:
        return eval(expression, names)
    except Exception as error:  # what is raised is the result that is compared
        return error


def dtype_name(value: Any) -> str:
    name = str(value.dtype).rpartition(".")[2]
    short = {"float": "f", "uint": "u", "int": "i"}
    return re.sub("^(float|uint|int)(?=[0-9])", lambda found: short[found[0]], name).replace(
        "bfloat16", "bf16"
    )


def array(value: Any) -> np.ndarray:
    value = value.detach()
    if dtype_name(value) in ("f16", "bf16"):
        value = value.float()
    return (value.resolve_conj() if dtype_name(value) == "complex64" else value).numpy()


def differ(wanted: Any, got: Any) -> str | None:
    """What is not equal, None when nothing is."""
    if isinstance(wanted, Exception):
        if isinstance(got, Exception) and type(wanted).__name__ not in {
            cls.__name__ for cls in type(got).__mro__
        }:
            return f"{wanted!r} is {got!r}"
        return None
    if isinstance(wanted, (tuple, list)) and not hasattr(wanted, "numel"):
        if not isinstance(got, (tuple, list)) or len(wanted) != len(got):
            return f"{wanted} is {got}"
        found = [differ(p, q) for p, q in zip(wanted, got, strict=True)]
        return next((text for text in found if text), None)
    if not hasattr(wanted, "dtype"):
        return None if wanted == got else f"{wanted} is {got}"
    name = dtype_name(wanted)
    if name in ("complex32", "complex128"):  # no dtypes of ours
        return None
    if not hasattr(got, "dtype") or name != dtype_name(got) or wanted.shape != got.shape:
        return f"{wanted} is {got!r}"
    p, q = array(wanted), array(got)
    tolerance = {"f16": 2e-3, "bf16": 2e-2}.get(name, 1e-4 if p.dtype.kind in "fc" else 0)
    same = p == q if p.dtype.kind == "b" else np.isclose(q, p, tolerance, tolerance / 10, True)
    return None if np.all(same) else f"{wanted} is {got}"


def differences(expressions: Iterator[str]) -> list[str]:
    import torch

    found = []
    for expression in expressions:
        text = differ(evaluate(torch, expression), evaluate(tallow.torch, expression))
        if text:
            found.append(f"{expression}: {' '.join(text.split())[:300]}")
    return found


@pytest.mark.parametrize("expression", OVERLOADS)
def test_overloads(expression):
    assert differences(iter([expression])) == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_operand(dtype):
    assert differences(unary(dtype)) == []


# C99's pow of 0 and 0 and torch's own disagree, and torch's kernels among themselves; 2j / x is by
# way of a reciprocal in bf16 there.
OTHERWISE = re.compile(
    r"^0 \*\* .*complex64|complex64\) \*\* t.tensor\(0\)|t.tensor\(0\) \*\* .*complex"
    r"|^2j / .*bfloat16"
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_operands(dtype):
    assert differences(e for e in binary(dtype) if not OTHERWISE.search(e)) == []
