"""One op of PyTorch's OpInfo table on both libraries, sample by sample: opinfo.py's children.

Every sample is rebuilt twice from the same memory, storages shared as in the original, so that
strides, offsets, expanded axes and aliasing arguments reach both sides alike.
"""

from __future__ import annotations

import collections
import contextlib
import operator
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.testing._internal import common_methods_invocations as table

import tallow as tl
from opinfo_compare import differ
from opinfo_copies import (
    TORCH,
    Copy,
    UnfitError,
    cleaned,
    cotangent,
    describe,
    differentiable,
    flat,
    foreign,
    leaved,
    meets_in_complex128,
    ordered,
    to_torch,
    twin_of,
    widened,
)
from opinfo_twins import DRAWN, VARIANTS, twin

VALUE_DTYPES = ("f32", "f64", "i64", "bool", "bf16", "f16", "complex64", "u8")
DROPPED = {"device", "layout", "memory_format", "pin_memory", "generator", "requires_grad", "out"}
SECONDS = 20  # for one sample
# Results whose elements are not set.
UNSET = {"empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided"}
UNSET |= {"resize_", "resize_as_"}
# Settled but for signs, phases or order: `output_process_fn_grad` for values too.
GAUGE = {"svd", "linalg.svd", "linalg.eig", "linalg.eigh", "svd_lowrank", "pca_lowrank"}
UNORDERED = {"linalg.eigvals"}
# Ops whose gradient in torch fails torch's own gradcheck.
TORCH_WRONG = {"as_strided_scatter"}
# Which of equal elements an index names is open: the position of `dim` among the arguments.
TIES = {"argsort": 1, "sort": 1, "topk": 2, "kthvalue": 2, "mode": 1, "median": 1, "nanmedian": 1}
# Errors of these are relative to the size of the whole matrix, not to each element.
NORMWISE = (
    "linalg.",
    "cholesky",
    "lu",
    "matrix_exp",
    "svd",
    "qr",
    "pinverse",
    "pca",
    "cdist",
    "cov",
)


class Late(BaseException):
    """A sample that takes too long."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise Late in this process after `seconds`."""

    def late(*_: Any) -> None:
        raise Late

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Runner:
    """Runs the samples of one OpInfo; yields (kind, dtype, index, outcome, text, sample)."""

    def __init__(self, op: Any, dtypes: tuple[str, ...], gradients: bool, errors: bool) -> None:
        self.op, self.dtypes, self.gradients, self.errors = op, dtypes, gradients, errors
        mine = VARIANTS.get((op.name, op.variant_test_name)) or twin(op.name)
        assert mine is not None
        self.mine: Callable[..., Any] = mine
        self.wide_complex = False

    def __iter__(self) -> Iterator[Callable[[], tuple[Any, ...]]]:
        for dtype in self.dtypes:
            if TORCH[dtype] in self.op.dtypes:
                yield from self.over(dtype, False, self.value)
        grads = ("f64", "complex64") if len(self.dtypes) > 1 else self.dtypes
        if self.gradients and self.op.supports_autograd:
            for dtype in grads:
                if TORCH[dtype] in self.op.supported_backward_dtypes("cpu"):
                    yield from self.over(dtype, True, self.gradient)
            if self.wide_complex and TORCH["f32"] in self.op.supported_backward_dtypes("cpu"):
                yield from self.over("f32", True, self.gradient)
        if self.errors and self.op.error_inputs_func is not None:
            yield from self.wrong()

    def over(self, dtype: str, grad: bool, check: Callable[..., Any]) -> Iterator[Any]:
        """The attempts for the samples of one dtype."""
        kind = "gradient" if grad else "value"
        torch.manual_seed(0)
        np.random.seed(0)
        samples = iter(self.op.sample_inputs("cpu", TORCH[dtype], requires_grad=grad))
        for i in range(10**6):
            try:
                sample = next(samples)
            except Exception:  # StopIteration at the end; torch's samples can raise anything
                return

            def go(sample: Any = sample, i: int = i) -> tuple[Any, ...]:
                state = torch.get_rng_state()
                outcome, text = check(sample)
                torch.set_rng_state(state)
                return kind, dtype, i, outcome, text, "" if outcome == "ok" else describe(sample)

            yield go

    def call(self, function: Any, args: Any, kwargs: Any, ours: bool) -> Any:
        """`function`, without the keywords that only torch has."""
        kwargs = {k: v for k, v in kwargs.items() if not (ours and k in DROPPED)}
        return function(*args, **kwargs)

    def guarded(self, attempt: Callable[[], Any]) -> tuple[str, Any]:
        """("ok", result), or the kind of failure and its text."""
        try:
            with limited(SECONDS):
                return "ok", attempt()
        except Late:
            return "fail", "too slow"
        except Exception as error:  # what is not a TallowError is a failure as well
            return "fail", f"{type(error).__name__}: {_line(error)}"

    def value(self, sample: Any) -> tuple[str, str]:
        """Compare results: (outcome, what is wrong)."""
        copy = Copy(self.op)
        args, kwargs = cleaned(sample)
        try:
            (targs, oargs), (tkwargs, okwargs) = copy.both(args), copy.both(kwargs)
        except UnfitError as error:
            return "skip", str(error)
        if meets_in_complex128(args, kwargs):
            return "skip", "needs complex128"
        first = Copy(self.op).both(args)[0], Copy(self.op).both(kwargs)[0]
        try:
            theirs = self.call(self.op.op, targs, tkwargs, False)
        except Exception as error:  # torch's errors have no class in common
            return "skip", f"torch refuses: {type(error).__name__}"
        if any(isinstance(t, torch.Tensor) and t.layout != torch.strided for t in flat(theirs)):
            return "skip", "layout"
        if any(foreign(t) for t in flat(theirs)):
            self.wide_complex = True
            return "skip", "result dtype we do not have"
        values = self.op.name not in UNSET and not self.is_random(first, theirs)
        outcome, ours = self.guarded(lambda: self.call(self.mine, oargs, okwargs, True))
        if outcome != "ok":
            return self.refused(ours)
        if values and self.op.name in GAUGE:
            if said := differ(ours, theirs, False):
                return "fail", said
            outcome, ours = self.guarded(lambda: sample.output_process_fn_grad(ours))
            if outcome != "ok":
                return outcome, f"output_process: {ours}"
            theirs = sample.output_process_fn_grad(theirs)
        if values and self.op.name in TIES and not kwargs.get("stable"):
            if said := differ(ours, theirs, False):
                return "fail", said
            x = first[0][0]
            outcome, ours = self.guarded(lambda: self.elements(ours, x, args, kwargs))
            if outcome != "ok":
                return outcome, ours
            theirs = self.elements(theirs, x, args, kwargs)
        if values and self.op.name in UNORDERED:
            ours, theirs = ordered(to_torch(ours)), ordered(theirs)
            ours = tl.from_numpy(ours.numpy())

        def precise() -> Any:
            exact = self.call(self.op.op, widened(first[0]), widened(first[1]), False)
            return sample.output_process_fn_grad(exact) if self.op.name in GAUGE else exact

        outcome, said = self.guarded(
            lambda: differ(ours, theirs, values, precise, self.op.name.startswith(NORMWISE))
        )
        return ("fail", said) if said or outcome != "ok" else ("ok", "")

    def elements(self, result: Any, x: torch.Tensor, args: Any, kwargs: Any) -> list[Any]:
        """Indices in a result replaced by the elements they name, and whether they are distinct."""
        place = TIES[self.op.name]
        dim = kwargs.get("dim", args[place] if len(args) > place else -1)
        dim = -1 if isinstance(dim, bool) else dim
        leaves = flat(result)
        own = isinstance(leaves[0], tl.Tensor)
        found: list[torch.Tensor] = []
        for i, leaf in enumerate(leaves):
            given = to_torch(leaf) if own else leaf
            is_index = i == 1 or self.op.name == "argsort"
            if not is_index or not x.ndim or not x.numel():
                found.append(given)
                continue
            index = given if given.ndim == x.ndim else given.unsqueeze(dim)
            found.append(x.take_along_dim(index, dim))
            if self.op.name in ("argsort", "sort", "topk"):
                found.append(index.sort(dim).values.diff(dim=dim).ne(0).all())
        return [twin_of(t) for t in found] if own else found

    def refused(self, said: str) -> tuple[str, str]:
        """A failure; a skip where only complex128 is missing."""
        if "complex128" in said:
            self.wide_complex = True
            return "skip", "needs complex128"
        return "fail", said

    def is_random(self, first: Any, theirs: Any) -> bool:
        """Whether torch gives something else under another seed."""
        if self.op.name in DRAWN:
            return True
        code = getattr(self.op.op, "__code__", None)
        if code is None or "wrapper_set_seed" not in code.co_names:
            return False
        if self.op.name in GAUGE:
            return False
        return any(self.changes(first, theirs, seed) for seed in range(977, 985))

    def changes(self, first: Any, theirs: Any, seed: int) -> bool:
        """Whether torch's result under `seed` is another than `theirs`."""
        kept = table.wrapper_set_seed
        table.wrapper_set_seed = lambda op, *a, **k: (torch.manual_seed(seed), op(*a, **k))[1]
        try:
            copied = Copy(self.op).both(list(first))[0]
            again = self.call(self.op.op, copied[0], copied[1], False)
            return not all(
                torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
                for a, b in zip(flat(again), flat(theirs), strict=True)
                if isinstance(a, torch.Tensor)
            )
        except Exception:  # torch's errors have no class in common
            return True
        finally:
            table.wrapper_set_seed = kept

    def wrapped(self, function: Any, ours: bool) -> Any:
        """`function` behind the op's gradcheck wrapper (symmetric or triangular arguments)."""
        wrapper = self.op.gradcheck_wrapper
        if self.op.name.startswith("masked.") or wrapper is table.wrapper_set_seed:
            return function
        if "real_positive_diagonal" in getattr(wrapper, "__name__", ""):

            def unit_diagonal(*args: Any, upper: bool = False, **kwargs: Any) -> Any:
                x = args[0]
                lib: Any = tl if ours else torch
                eye = lib.eye(x.shape[-1], dtype=x.dtype)
                x = (x.triu(1) if upper else x.tril(-1)) + eye
                return function(x, *args[1:], upper, **kwargs)

            return unit_diagonal
        return lambda *args, **kwargs: wrapper(function, *args, **kwargs)

    def gradient(self, sample: Any) -> tuple[str, str]:
        """Compare gradients under the same random cotangents: (outcome, what is wrong)."""
        if not hasattr(tl, "autograd"):
            return "skip", "no autograd yet"
        if self.op.name in TORCH_WRONG:
            return "skip", "torch's gradient fails its own gradcheck"
        copy = Copy(self.op)
        args, kwargs = cleaned(sample)
        try:
            (targs, oargs), (tkwargs, okwargs) = copy.both(args), copy.both(kwargs)
        except UnfitError as error:
            return "skip", str(error)
        first = Copy(self.op).both(args)[0], Copy(self.op).both(kwargs)[0]
        leaves = copy.leaves
        try:
            theirs = self.call(self.wrapped(self.op.op, False), targs, tkwargs, False)
            if any(foreign(t) for t in flat(theirs)):
                self.wide_complex = True
                return "skip", "result dtype we do not have"
            if self.op.name in UNSET or self.is_random(first, theirs):
                return "skip", "random"
            processed = flat(sample.output_process_fn_grad(theirs))
            count = len(processed)
            outs = differentiable(processed)
            places = [i for i, t in enumerate(processed) if any(t is y for y in outs)]
            if not outs or not leaves:
                return "skip", "nothing to differentiate"
            cotangents = [cotangent(t, i) for i, t in enumerate(outs)]
            wanted = torch.autograd.grad(
                outs, [t for t, _ in leaves], cotangents, allow_unused=True
            )
        except Exception as error:  # torch's errors have no class in common
            return "skip", f"torch refuses: {type(error).__name__}"
        wanted = [
            torch.zeros_like(t) if g is None else g
            for g, (t, _) in zip(wanted, leaves, strict=True)
        ]
        if any(foreign(t) or t.layout != torch.strided for t in wanted):
            return "skip", "gradient dtype we do not have"

        def differentiate() -> list[Any]:
            result = self.call(self.wrapped(self.mine, True), oargs, okwargs, True)
            processed = flat(sample.output_process_fn_grad(result))
            if len(processed) != count:
                raise AssertionError(f"{count} results expected, got {len(processed)}")
            pairs = [
                (processed[i], twin_of(c))
                for i, c in zip(places, cotangents, strict=True)
                if isinstance(processed[i], tl.Tensor) and processed[i].requires_grad
            ]
            if not pairs:  # as good as a gradient of zeros
                return [tl.zeros_like(x) for _, x in leaves]
            mine, seeds = [y for y, _ in pairs], [c for _, c in pairs]
            made = tl.autograd.grad(mine, [x for _, x in leaves], seeds, allow_unused=True)
            return [
                tl.zeros_like(x) if g is None else g for g, (_, x) in zip(made, leaves, strict=True)
            ]

        outcome, ours = self.guarded(differentiate)
        if outcome != "ok":
            return self.refused(ours)

        def precise() -> list[Any]:
            wide, olds = [], {id(t): i for i, (t, _) in enumerate(leaves)}
            args2, kwargs2 = leaved(args, olds, copy, wide), leaved(kwargs, olds, copy, wide)
            result = self.call(self.wrapped(self.op.op, False), args2, kwargs2, False)
            ys = differentiable(flat(sample.output_process_fn_grad(result)))
            given = [c.to(y.dtype) for c, y in zip(cotangents, ys, strict=True)]
            order = [x for _, x in sorted(wide, key=lambda pair: pair[0])]
            made = torch.autograd.grad(ys, order, given, allow_unused=True)
            return [
                torch.zeros_like(x) if g is None else g for g, x in zip(made, order, strict=True)
            ]

        outcome, said = self.guarded(lambda: differ(ours, list(wanted), True, precise, True))
        return ("fail", f"gradient: {said}") if said or outcome != "ok" else ("ok", "")

    def wrong(self) -> Iterator[Any]:
        """Samples that torch refuses: Tallow must raise a TallowError."""
        try:
            found = list(self.op.error_inputs("cpu"))
        except Exception:  # torch's samples can raise anything
            return
        for i, wrong in enumerate(found):

            def go(wrong: Any = wrong, i: int = i) -> tuple[Any, ...]:
                sample = wrong.sample_input
                try:
                    args, kwargs = cleaned(sample)
                    copy = Copy(self.op)
                    (targs, oargs), (tkwargs, okwargs) = copy.both(args), copy.both(kwargs)
                except UnfitError as error:
                    return "error", "", i, "skip", str(error), ""
                if kwargs.keys() & {"out", "device", "layout"}:
                    return "error", "", i, "skip", "an argument we do not have", ""
                try:
                    self.call(self.op.op, targs, tkwargs, False)
                    return "error", "", i, "skip", "torch takes it", ""
                except Exception:  # torch refuses, as it should: by any class
                    pass
                try:
                    with limited(SECONDS):
                        self.call(self.mine, oargs, okwargs, True)
                except tl.TallowError:
                    return "error", "", i, "ok", "", ""
                except (Exception, Late) as error:
                    said = f"raised {type(error).__name__}: {_line(error)}"
                    return "error", "", i, "other", said, describe(sample)
                numbers = any(isinstance(v, int | float) for v in args)
                if numbers and not wrong.error_regex:
                    return "error", "", i, "skip", "a number does as well", ""
                said = f"no error; torch: {wrong.error_regex[:100]}"
                return "error", "", i, "fail", said, describe(sample)

            yield go


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def op_rows() -> dict[str, list[Any]]:
    """PyTorch's table: name -> its variants."""
    rows: dict[str, list[Any]] = collections.defaultdict(list)
    for op in table.op_db:
        rows[op.name].append(op)
    return dict(sorted(rows.items(), key=operator.itemgetter(0)))
