"""One case per op row: how to make its arguments, and what numpy says the result is."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import tallow as tl

NUMPY = {
    "f64": np.float64,
    "f32": np.float32,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "bool": np.bool_,
    "u8": np.uint8,
    "i8": np.int8,
    "u16": np.uint16,
    "i16": np.int16,
    "u32": np.uint32,
    "i32": np.int32,
    "u64": np.uint64,
    "i64": np.int64,
}
FLOATS = ("f32", "f64", "f16", "bf16")
INTEGERS = ("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64")
NUMBERS = FLOATS + INTEGERS
ALL = (*NUMBERS, "bool")
SHAPES = [(), (3,), (2, 0), (4, 1, 5), (7, 33)]
# Relative to the largest magnitude of the result: a few units in the last place of each dtype.
TOLERANCE = {"f32": 2e-6, "f64": 1e-12, "f16": 2e-3, "bf16": 1.6e-2}


def draw(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Small random values of the dtype; floats that all float dtypes hold."""
    rng = np.random.default_rng([seed, *shape])
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype in FLOATS:
        return (rng.integers(-24, 25, shape) / 8).astype(NUMPY[dtype])
    return rng.integers(0 if dtype.startswith("u") else -5, 8, shape).astype(NUMPY[dtype])


def tensor(array: np.ndarray) -> tl.Tensor:
    """A tensor with storage of its own."""
    return tl.from_numpy(np.array(array)).clone()


def wide(array: Any) -> np.ndarray:
    """Floats as f64, everything else as it is: what oracles compute in."""
    array = np.asarray(array)
    return (
        array.astype(np.float64)
        if array.dtype.name in ("bfloat16", "float16", "float32")
        else array
    )


def layouts(array: np.ndarray) -> dict[str, tl.Tensor]:
    """The same elements in every kind of memory layout."""
    out = {"contiguous": tensor(array)}
    if array.ndim == 0:
        return out
    axes = range(array.ndim)
    turned = tensor(np.ascontiguousarray(array.transpose(*reversed(axes))))
    out["transposed"] = turned.permute(*reversed(axes))
    doubled = np.repeat(array[..., ::-1], 2, axis=-1)
    out["every second, backwards"] = tensor(doubled)[..., ::-2]
    padded = np.concatenate([array[:1].repeat(2, 0) if len(array) else array, array], 0)
    out["offset"] = tensor(padded)[len(padded) - len(array) :]
    return out


def close(got: Any, wanted: Any, dtype: str | None = None, factor: float = 1.0) -> None:
    """Equal shape and dtype; floats within the dtype's tolerance, all else exactly."""
    if isinstance(wanted, tuple | list):
        assert len(got) == len(wanted)
        for g, w in zip(got, wanted, strict=True):
            close(g, w, dtype, factor)
        return
    wanted = np.asarray(wanted)
    assert got.shape == wanted.shape
    if dtype is not None:
        assert got.dtype.name == dtype
    values = wide(got.numpy())
    if got.dtype.name not in TOLERANCE:
        np.testing.assert_array_equal(values, wanted)
        return
    finite = np.abs(wanted[np.isfinite(wanted)]) if wanted.size else wanted
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    tolerance = TOLERANCE[got.dtype.name] * factor * scale
    np.testing.assert_allclose(values, wanted.astype(np.float64), rtol=0, atol=tolerance)


@dataclass(frozen=True)
class Case:
    """`expected` takes the arguments as arrays in f64 (or their own integer dtype)."""

    expected: Callable[..., Any] | None = None
    arity: int = 1
    dtypes: tuple[str, ...] = FLOATS
    result: str | None = None  # the dtype of the result; that of the operands if None
    positive: bool = False  # only arguments above 0 have a meaning
    arguments: tuple[Any, ...] = ()  # after the tensors
    elsewhere: str = ""  # the test that covers a row of another kind
    factor: float = 1.0
    keywords: tuple[tuple[str, Any], ...] = ()
    axes: bool = False  # reduces along axes: dim and keepdim are tried

    @property
    def floating(self) -> bool:
        return self.dtypes == FLOATS


_erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    if not x.ndim:
        return np.ones(())
    if not x.size:
        return x
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def norm(x: np.ndarray, shift: bool) -> np.ndarray:
    h = x - x.mean(-1, keepdims=True) if shift else x
    return h / np.sqrt((h * h).mean(-1, keepdims=True) + (1e-5 if shift else 1e-6))


def arithmetic(f: Callable[..., Any]) -> Callable[..., Any]:
    """In numpy integers wrap as ours do; 0-d ones warn about it."""

    def call(*xs: np.ndarray) -> Any:
        with np.errstate(all="ignore"):
            return f(*xs)

    return call


def binary(f: Callable[..., Any], dtypes: tuple[str, ...] = ALL, **more: Any) -> Case:
    return Case(arithmetic(f), 2, dtypes, **more)


CASES = {
    "neg": Case(arithmetic(np.negative), dtypes=NUMBERS),
    "abs": Case(np.abs, dtypes=NUMBERS),
    "square": Case(arithmetic(lambda x: x * x), dtypes=NUMBERS),
    "sign": Case(np.sign, dtypes=NUMBERS),
    "relu": Case(lambda x: np.maximum(x, x.dtype.type(0)), dtypes=NUMBERS),
    "reciprocal": Case(lambda x: 1 / x, positive=True),
    "exp": Case(np.exp),
    "expm1": Case(np.expm1),
    "log": Case(np.log, positive=True),
    "log1p": Case(np.log1p, positive=True),
    "sqrt": Case(np.sqrt, positive=True),
    "rsqrt": Case(lambda x: 1 / np.sqrt(x), positive=True),
    "sin": Case(np.sin),
    "cos": Case(np.cos),
    "tanh": Case(np.tanh),
    "erf": Case(_erf),
    "sigmoid": Case(sigmoid),
    "silu": Case(lambda x: x * sigmoid(x)),
    "gelu": Case(lambda x: x * 0.5 * (1 + _erf(x / math.sqrt(2)))),
    "gelu_tanh": Case(
        lambda x: x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "isnan": Case(np.isnan, dtypes=FLOATS, result="bool"),
    "logical_not": Case(lambda x: x == 0, dtypes=ALL, result="bool"),
    "bitwise_not": Case(np.invert, dtypes=(*INTEGERS, "bool")),
    "clamp": Case(
        lambda x, low, high: np.clip(x, low, high),
        arguments=(-1, 2),
        dtypes=("f32", "f64", "i32", "i64"),
    ),
    "add": binary(np.add),
    "sub": binary(np.subtract, NUMBERS),
    "mul": binary(np.multiply),
    "div": binary(np.divide, FLOATS, positive=True),
    "pow": binary(np.power, FLOATS, positive=True, factor=4),
    "maximum": binary(np.maximum),
    "minimum": binary(np.minimum),
    "eq": binary(np.equal, result="bool"),
    "ne": binary(np.not_equal, result="bool"),
    "lt": binary(np.less, result="bool"),
    "le": binary(np.less_equal, result="bool"),
    "gt": binary(np.greater, result="bool"),
    "ge": binary(np.greater_equal, result="bool"),
    "bitwise_and": binary(np.bitwise_and, (*INTEGERS, "bool")),
    "bitwise_or": binary(np.bitwise_or, (*INTEGERS, "bool")),
    "bitwise_xor": binary(np.bitwise_xor, (*INTEGERS, "bool")),
    "silu_mul": binary(lambda g, x: g * sigmoid(g) * x, FLOATS),
    "sum": Case(np.sum, axes=True, factor=4),
    "prod": Case(np.prod, axes=True, factor=4),
    "mean": Case(np.mean, axes=True, factor=2),
    "var": Case(lambda x, **k: np.var(x, ddof=1, **k), axes=True, factor=6),
    "std": Case(lambda x, **k: np.std(x, ddof=1, **k), axes=True, factor=6),
    "amax": Case(np.max, axes=True, dtypes=ALL),
    "amin": Case(np.min, axes=True, dtypes=ALL),
    "any": Case(np.any, axes=True, dtypes=ALL, result="bool"),
    "all": Case(np.all, axes=True, dtypes=ALL, result="bool"),
    "argmax": Case(np.argmax, dtypes=ALL, result="i64", elsewhere="test_reductions_over_axes"),
    "argmin": Case(np.argmin, dtypes=ALL, result="i64", elsewhere="test_reductions_over_axes"),
    "softmax": Case(softmax),
    "log_softmax": Case(lambda x: np.log(softmax(x)), factor=4),
    "rms_norm": Case(lambda x: norm(x, False) if x.ndim and x.size else x, elsewhere="test_norms"),
    "layer_norm": Case(lambda x: norm(x, True) if x.ndim and x.size else x, elsewhere="test_norms"),
}
# Rows whose arguments are not one or two tensors of one shape, by the test that covers them.
CASES |= {
    name: Case(elsewhere=test)
    for test, names in {
        "test_views_match_numpy": "reshape view flatten transpose permute expand squeeze "
        "unsqueeze narrow select unbind split",
        "test_cat_and_stack": "cat stack",
        "test_where": "where",
        "test_extremes": "max min topk",
        "test_matmul": "matmul linear",
        "test_transformer_ops": "embedding rope_table rope kv_write attention",
        "test_sample": "sample",
    }.items()
    for name in names.split()
}
PLAIN = [name for name, case in CASES.items() if case.expected and not case.elsewhere]
