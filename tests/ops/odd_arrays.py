"""Every op on arrays of odd layouts and on nonsense: `python odd_arrays.py NOTE OUT OP…`.

Run in a process of its own by test_odd_arrays.py. What is tried stands in the file NOTE while it
runs, so that the call at which a process died is known; what went wrong is a line of OUT.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import tallow as tl
from ops import laws
from ops.laws import CASES, convert, leaves, samples, tensor
from ops.table import Sample
from tallow.errors import TallowError
from tallow.registry import OPS, SELF_NAMES

DTYPES = ("f32", "f64", "i64", "bool", "complex64")
NOTE = 400  # bytes

# Rows that write into what they are given, say where elements lie, or are called by others with
# arguments that these have checked.
LEFT_OUT = frozenset({
    "kv_write", "as_strided", "as_strided_", "strided_view", "solve_triangles",
    "solve_matrices", "least_squares", "complex_transform", "real_transform",
})  # fmt: skip

# A way to lay out an array: None where it does not apply.
Layout = Callable[[np.ndarray], "tl.Tensor | None"]


def _axes(x: np.ndarray) -> Iterator[int]:
    yield from range(x.ndim)


def expanded(axis: int) -> Layout:
    """The first slice along an axis, repeated with stride 0."""

    def make(x: np.ndarray) -> tl.Tensor | None:
        if axis >= x.ndim or x.shape[axis] == 0:
            return None
        return tensor(x).narrow(axis, 0, 1).expand(x.shape)

    return make


def empty(axis: int) -> Layout:
    """No elements along one axis, stride 0 along the others."""

    def make(x: np.ndarray) -> tl.Tensor | None:
        if axis >= x.ndim:
            return None
        shape = [1] * x.ndim
        shape[axis] = 0
        whole = [*x.shape]
        whole[axis] = 0
        return tensor(np.zeros(shape, x.dtype)).expand(whole)

    return make


def backwards(x: np.ndarray) -> tl.Tensor | None:
    """Every stride negative."""
    if not x.ndim:
        return None
    turned = tensor(np.ascontiguousarray(np.flip(x)))
    return turned[(slice(None, None, -1),) * x.ndim]


def overlapping(x: np.ndarray) -> tl.Tensor | None:
    """Elements that lie on each other: every stride is 1."""
    if not x.ndim or not x.size:
        return None
    return tensor(x).reshape(-1).as_strided(x.shape, (1,) * x.ndim)


LAYOUTS: dict[str, Layout] = {
    **{f"expanded along {axis}": expanded(axis) for axis in range(4)},
    **{f"empty along {axis}": empty(axis) for axis in range(5)},
    "backwards": backwards,
    "overlapping": overlapping,
}


def odd(sample: Sample, layout: Layout, only: int | None) -> tuple[Any, Any, int]:
    """The arguments with arrays laid out oddly (only array number `only`, or all); how many are."""
    seen, changed = 0, 0

    def one(x: np.ndarray) -> tl.Tensor:
        nonlocal seen, changed
        made = layout(x) if only is None or seen == only else None
        seen += 1
        changed += made is not None
        return tensor(x) if made is None else made

    return convert(sample.args, one), convert(sample.kwargs, one), changed


def tensors(value: Any, change: Callable[[tl.Tensor], tl.Tensor]) -> Any:
    """`value` with `change(t)` for every tensor t in it."""
    if isinstance(value, tl.Tensor):
        return change(value)
    if isinstance(value, slice):
        return slice(*(tensors(v, change) for v in (value.start, value.stop, value.step)))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(tensors(v, change) for v in value))
    if isinstance(value, list | tuple):
        return type(value)(tensors(v, change) for v in value)
    if isinstance(value, dict):
        return {key: tensors(v, change) for key, v in value.items()}
    return value


def outcome(run: Callable[[], Any]) -> tuple[str, Any]:
    """("value", what it gave) or ("refused", "")."""
    try:
        return "value", run()
    except TallowError:
        return "refused", ""


def compare(name: str, odd_run: Callable[[], Any], plain_run: Callable[[], Any]) -> str:
    """What differs between two runs, or ""."""
    plain, wanted = outcome(plain_run)
    got, value = outcome(odd_run)
    if got == "refused" and (name.endswith("_") or not CASES[name].layouts):
        return ""  # what is written to or seen anew needs elements that lie apart
    if got != plain:
        return f"{got}, but the contiguous copy: {plain}"
    if got == "value" and not CASES[name].random:
        try:
            laws.same(value, wanted, 4 * CASES[name].factor, True, name)
        except AssertionError as error:
            return " ".join(str(error).split())[:300]
    return ""


def forward(name: str, args: Any, kwargs: Any) -> str:
    settled = CASES[name].output or (lambda out: out)

    def run(change: Callable[[tl.Tensor], tl.Tensor]) -> Any:
        return settled(OPS[name](*tensors(args, change), **tensors(kwargs, change)))

    return compare(name, lambda: run(lambda t: t), lambda: run(tl.Tensor.clone))


def backward(name: str, args: Any, kwargs: Any) -> str:
    settled = CASES[name].output or (lambda out: out)

    def run(change: Callable[[tl.Tensor], tl.Tensor], spread: bool) -> Any:
        xs: list[tl.Tensor] = []

        def leaf(t: tl.Tensor) -> tl.Tensor:
            made = change(t)
            if made.dtype.kind in "fc" and made.dtype.itemsize > 1:
                xs.append(made.requires_grad_())
            return made

        out = settled(OPS[name](*tensors(args, leaf), **tensors(kwargs, leaf)))
        ys = [y for y in leaves(out) if isinstance(y, tl.Tensor) and y.requires_grad]
        if not ys:
            return []
        seeds = [tl.ones(dtype=y.dtype).expand(y.shape) for y in ys]
        if not spread:
            seeds = [seed.clone() for seed in seeds]
        return list(tl.autograd.grad(ys, xs, seeds, materialize_grads=True))

    return compare(name, lambda: run(tl.Tensor.detach, True), lambda: run(tl.Tensor.clone, False))


def in_place(name: str, args: Any, kwargs: Any) -> str:
    """The twin `name_` is refused, or right."""
    first = args[0]
    wanted, value = outcome(lambda: OPS[name](first.clone(), *args[1:], **kwargs))
    if wanted != "value" or value.shape != first.shape or value.dtype != first.dtype:
        return ""
    twin = getattr(tl.Tensor, f"{name.rsplit('.', 1)[-1]}_")
    got, out = outcome(lambda: twin(first, *args[1:], **kwargs))
    if got == "refused" or CASES[name].random:
        return ""
    try:
        laws.same(out, value, 4 * CASES[name].factor, True, name)
    except AssertionError as error:
        return f"in place: {' '.join(str(error).split())[:300]}"
    return ""


def has_inplace(name: str) -> bool:
    op = OPS[name]
    method = bool(op.parameters) and op.parameters[0][0] in SELF_NAMES
    return CASES[name].inplace and method and op.has_inplace


# --- nonsense: only that no process dies and that errors are ours -------------------------------

NUMBERS = [0, -1, 7, 2**31, 2**62, 2**63 - 1, -(2**63), math.nan, math.inf, None, "x", (), (0, -1)]
SECONDS = 10.0  # for one nonsensical call
OTHER_DTYPES = ("bool", "u8", "i64", "f16", "complex64")


def nonsense(sample: Sample) -> Iterator[tuple[str, Any, Any]]:
    """(what, args, kwargs): one argument of the sample replaced."""
    args, kwargs = convert(sample.args, tensor), convert(sample.kwargs, tensor)
    places = [*range(len(args)), *kwargs]
    for place in places:
        value = args[place] if isinstance(place, int) else kwargs[place]
        if isinstance(value, tl.Tensor):
            others: list[Any] = [
                *(value.to(d) for d in OTHER_DTYPES if value.dtype.kind != "c"),
                *([] if value.dtype.kind == "q" else [value.reshape(-1), value.unsqueeze(0)]),
                tl.zeros(3, 0, 2), tl.zeros(()), tl.zeros(64, dtype="f32").to("q8_0"),
                tl.zeros(3, dtype="f8e4m3"), None, 2,
            ]  # fmt: skip
        else:
            others = NUMBERS
        for i, other in enumerate(others):
            if isinstance(place, int):
                yield f"argument {place} as {i}", (*args[:place], other, *args[place + 1 :]), kwargs
            else:
                yield f"{place} as {i}", args, {**kwargs, place: other}


def try_nonsense(name: str, args: Any, kwargs: Any) -> str:
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        OPS[name](*args, **kwargs)
    except TallowError:
        pass
    except (LateError, SystemError) as error:
        return f"{type(error).__name__}: {error}"[:300]
    except Exception:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def attempts(name: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """(what is tried, trying it) of one op."""
    case = CASES[name]
    for dtype in (d for d in DTYPES if d in case.dtypes):
        for number, sample in enumerate(samples(name, dtype)):
            count = len(laws.arrays_of(sample))
            for layout, make in LAYOUTS.items() if name not in LEFT_OUT else ():
                for only in [None, *range(count)] if count > 1 else [None]:
                    if dtype not in ("f32", "bool") and only is not None:
                        continue
                    args, kwargs, changed = odd(sample, make, only)
                    if not changed:
                        continue
                    where = "all arrays" if only is None else f"array {only}"
                    said = f"{name} of {dtype}, sample {number}, {where} {layout}"
                    yield said, lambda a=args, k=kwargs: forward(name, a, k)
                    if dtype == "f64" and case.gradient:
                        yield f"{said}, backward", lambda a=args, k=kwargs: backward(name, a, k)
                    apart = "overlapping" not in layout
                    if only in (None, 0) and apart and has_inplace(name):
                        fresh, k, _ = odd(sample, make, only)
                        if fresh and isinstance(fresh[0], tl.Tensor):
                            yield f"{said}, in place", lambda a=fresh, k=k: in_place(name, a, k)
            if dtype == "f32" and number < 2:
                for what, args, kwargs in nonsense(sample):
                    said = f"{name} of {dtype}, sample {number}, {what}"
                    yield said, lambda a=args, k=kwargs: try_nonsense(name, a, k)


class LateError(Exception):
    """A nonsensical call that goes on."""


def _late(*_: Any) -> None:
    raise LateError(f"no answer after {SECONDS} seconds")


def main(note: str, out: str, names: list[str]) -> None:
    # No answer of nonsense is worth more memory; a sanitizer takes terabytes of addresses.
    if "asan" not in os.environ.get("LD_PRELOAD", ""):
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    signal.signal(signal.SIGALRM, _late)
    with open(note, "r+b") as file, mmap.mmap(file.fileno(), NOTE) as page, open(out, "a") as said:
        for name in names:
            for what, run in attempts(name):
                page[:NOTE] = what.encode()[:NOTE].ljust(NOTE)
                try:
                    wrong = run()
                except Exception as error:
                    wrong = f"raised {type(error).__name__}: {error}"[:300]
                if wrong:
                    said.write(json.dumps([what, wrong]) + "\n")
                    said.flush()
        page[:NOTE] = b"the end".ljust(NOTE)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
