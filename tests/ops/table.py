"""The table of op cases: for each op of `tallow.registry.OPS` a few samples of arguments.

Cases stand in `tests/ops/cases_<module>.py`, a dict `CASES` of op name -> Case, next to what the
module `tallow.ops.<module>` registers. Every such file begins with

    from ops.table import Case, Draw

(tests/ is on pythonpath and tests/ops has no __init__.py; `from table import …` does not work.)

A sample is made of numpy arrays, numbers and what else the op takes; each array becomes a tensor,
of Tallow or of torch, in lists and dicts too. dtypes are given as `tl.f32`, … (a text stays one):

    CASES = {
        "softmax": Case(lambda d: [d(d.x((4, 5)), dim=1), d(d.x((2, 3, 4)), -1)]),
        "cat": Case(lambda d: [d([d.x((2, 3)), d.x((1, 3))])], dtypes=ALL),
        "gather": Case(lambda d: [d(d.x((4, 5)), 1, d.ints((4, 2), 0, 5))], dtypes=ALL),
        "sum": Case(lambda d: [d(d.x((4, 5)), (0, 1), keepdim=True)], dtypes=ALL, numpy=np_sum),
        "linalg.qr": Case(lambda d: [d(d.x((4, 3)))], output=lambda out: out[0] @ out[1]),
    }

What is done with them: test_ops.py (no torch), test_ops_torch.py, test_hypothesis.py.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np

NUMPY = {
    "f64": np.float64,
    "f32": np.float32,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "complex64": np.complex64,
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
HALVES = ("f16", "bf16")
WIDE = ("f32", "f64")  # for what torch has no half of: most of linalg
INTEGERS = ("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64")
TORCH_INTEGERS = ("u8", "i8", "i16", "i32", "i64")  # of u16 to u64 torch has few ops
NUMBERS = FLOATS + TORCH_INTEGERS
ALL = (*NUMBERS, "bool")
UNSIGNED = ("u16", "u32", "u64")
EVERY = (*ALL, *UNSIGNED)  # torch is asked for none of the UNSIGNED
COMPLEX = ("complex64",)


@dataclass(frozen=True)
class Sample:
    """One call of the op."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        return f"({', '.join([*map(_short, self.args), *(f'{k}={_short(v)}' for k, v in self.kwargs.items())])})"  # noqa: E501


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}{list(value.shape)}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_short, value))}]"
    return repr(value)


class Draw:
    """Draws arguments of the dtype under test (`d.dtype`), always the same ones."""

    def __init__(self, dtype: str, seed: str = "") -> None:
        self.dtype = dtype
        self.rng = np.random.default_rng(zlib.crc32(f"{seed} {dtype}".encode()))

    def __call__(self, *args: Any, **kwargs: Any) -> Sample:
        """One sample: the op called with these arguments."""
        return Sample(args, kwargs)

    @property
    def floating(self) -> bool:
        """Whether the dtype is a float or complex (`d.x` is then continuous)."""
        return self.dtype in FLOATS or self.dtype in COMPLEX

    def x(self, shape: Sequence[int] = (), low: float = -3, high: float = 3) -> np.ndarray:
        """Values in [low, high) of the dtype; whole ones in integers (from 0 up in unsigned)."""
        shape = tuple(shape)
        if self.dtype == "bool":
            return self.bools(shape)
        if self.dtype in COMPLEX:
            parts = self.rng.uniform(low, high, (2, *shape))
            return np.asarray(parts[0] + 1j * parts[1]).astype(NUMPY[self.dtype])
        if self.dtype in FLOATS:
            return np.asarray(self.rng.uniform(low, high, shape)).astype(NUMPY[self.dtype])
        low, high = int(np.ceil(low)), int(np.ceil(high))
        low = max(low, 0) if self.dtype.startswith("u") else low
        return np.asarray(self.rng.integers(low, max(high, low + 1), shape, NUMPY[self.dtype]))

    def positive(self, shape: Sequence[int] = (), low: float = 0.5, high: float = 3) -> np.ndarray:
        """Values of the dtype above 0."""
        return self.x(shape, low, high)

    def nonzero(self, shape: Sequence[int] = (), low: float = 0.5, high: float = 3) -> np.ndarray:
        """Values of the dtype in ±[low, high)."""
        x = self.x(shape, low, high)
        if self.dtype == "bool":
            return np.ones(tuple(shape), bool)
        if self.dtype.startswith("u"):
            return x
        sign = self.rng.integers(0, 2, tuple(shape)) * 2 - 1
        return np.asarray(x * sign.astype(x.dtype)).astype(x.dtype)

    def distinct(self, shape: Sequence[int], step: float = 0.25) -> np.ndarray:
        """Values no two of which are equal (as far as the dtype goes): for extremes and order."""
        count = int(np.prod(shape))
        ranks = self.rng.permutation(count).reshape(tuple(shape))
        if self.dtype == "bool":
            return ranks % 2 == 0
        if self.dtype in FLOATS or self.dtype in COMPLEX:
            return ((ranks - count // 2) * step).astype(NUMPY[self.dtype])
        return (ranks - (0 if self.dtype.startswith("u") else count // 2)).astype(NUMPY[self.dtype])

    def spd(self, n: int, batch: Sequence[int] = ()) -> np.ndarray:
        """Symmetric (Hermitian) positive definite matrices with eigenvalues apart from 0."""
        a = self.x((*batch, n, n), -1, 1).astype(np.complex128 if self.dtype in COMPLEX else float)
        spd = a @ a.conj().swapaxes(-1, -2) + n * np.eye(n)
        return spd.astype(NUMPY[self.dtype])

    def invertible(self, n: int, batch: Sequence[int] = ()) -> np.ndarray:
        """Square matrices that are far from singular."""
        return (self.x((*batch, n, n), -1, 1) + n * np.eye(n)).astype(NUMPY[self.dtype])

    def ints(self, shape: Sequence[int], low: int, high: int, dtype: str = "i64") -> np.ndarray:
        """Integers in [low, high), i64 whatever the dtype under test: indices, lengths."""
        return np.asarray(self.rng.integers(low, high, tuple(shape))).astype(NUMPY[dtype])

    def permutation(self, n: int) -> np.ndarray:
        """0 to n - 1 in any order, i64."""
        return self.rng.permutation(n).astype(np.int64)

    def bools(self, shape: Sequence[int], share: float = 0.5) -> np.ndarray:
        """Bools, true with the probability `share`."""
        return np.asarray(self.rng.random(tuple(shape)) < share)

    def floats(self, shape: Sequence[int], low: float = -3, high: float = 3) -> np.ndarray:
        """Floats whatever the dtype: of the dtype under test if that is a float, else f32."""
        kept, self.dtype = self.dtype, self.dtype if self.dtype in FLOATS else "f32"
        made = self.x(shape, low, high)
        self.dtype = kept
        return made


@dataclass(frozen=True)
class Case:
    """What the tests know of an op.

    `torch`: the dotted name below `torch`, or a callable with the op's parameters; None looks for
    the op's name in torch.nn.functional, torch, torch.special and torch.Tensor; False: torch has
    nothing alike (then give `numpy`, unless the op has both a kernel and a reference).
    `numpy`: takes the sample with floats as f64; gives an array, or a tuple or list of them.
    `output`: maps the result to what is compared and differentiated, by methods that Tensors of
    Tallow and torch share (for results that are settled but for signs, phases or order).
    """

    samples: Callable[[Draw], Iterable[Sample]]
    dtypes: tuple[str, ...] = FLOATS
    torch: str | Callable[..., Any] | Literal[False] | None = None
    numpy: Callable[..., Any] | None = None
    gradient: bool = True  # gradcheck, where a sample's argument is a float
    gradgrad: bool = True  # gradgradcheck too
    layouts: bool = True  # False: the op refuses some layouts by its nature (view)
    output: Callable[[Any], Any] | None = None
    factor: float = 1.0  # on the tolerances: error grows in the op
    torch_error: float = 0.0  # how far torch itself is off, beside the tolerance
    torch_gradient: bool = True  # False: torch's own gradient is wrong
    wide: bool = True  # False: the value in a half is not the rounded one of f64 (nextafter)
    random: bool = False  # only shapes and dtypes are compared
    inplace: bool = True  # the twin `name_` is compared, where there is one
    hypothesis: bool = True  # shapes and layouts may be varied at random
    note: str = field(default="", compare=False)


def draw_samples(name: str, case: Case, dtype: str) -> list[Sample]:
    """The samples of one op in one dtype; always the same ones."""
    return list(case.samples(Draw(dtype, name)))


def case_files() -> list[str]:
    """The modules that hold cases."""
    return sorted(path.stem for path in Path(__file__).parent.glob("cases_*.py"))


@cache
def load(stem: str) -> dict[str, Case] | Exception:
    """The cases of one file, or what its import raised."""
    try:
        return dict(importlib.import_module(f"ops.{stem}").CASES)
    except Exception as error:
        return error


@cache
def all_cases() -> dict[str, Case]:
    """The cases of all files that can be imported."""
    cases: dict[str, Case] = {}
    for stem in case_files():
        found = load(stem)
        if isinstance(found, dict):
            cases |= found
    return cases
