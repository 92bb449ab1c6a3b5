"""One op of PyTorch's OpInfo table on both libraries, sample by sample: opinfo.py's children.

Every sample is rebuilt twice from the same memory, storages shared as in the original, so that
strides, offsets, expanded axes and aliasing arguments reach both sides alike.
"""

from __future__ import annotations

import collections
import contextlib
import inspect
import operator
import signal
import types
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch.testing._internal import common_methods_invocations as table

import tallow as tl
from tallow.registry import ROWS

tl.ops.open_all()
TORCH = {
    "bool": torch.bool, "u8": torch.uint8, "i8": torch.int8, "i16": torch.int16, "i32": torch.int32,
    "i64": torch.int64, "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32,
    "f64": torch.float64, "complex64": torch.complex64, "u16": torch.uint16, "u32": torch.uint32,
    "u64": torch.uint64,
}  # fmt: skip
TALLOW = {
    theirs: getattr(tl, "bool_" if ours == "bool" else ours) for ours, theirs in TORCH.items()
}
VALUE_DTYPES = ("f32", "f64", "i64", "bool", "bf16", "f16", "complex64", "u8")
DROPPED = {"device", "layout", "memory_format", "pin_memory", "generator", "requires_grad", "out"}
SECONDS = 20  # for one sample

# Ops whose elements are not set, or drawn by a generator of their own.
UNSET = {"empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided"}
UNSET |= {"resize_", "resize_as_"}
DRAWN = {
    "bernoulli", "cauchy", "exponential", "geometric", "log_normal", "normal", "uniform", "multinomial",
    "rand_like", "randn", "randn_like", "randint", "randint_like", "rand", "randperm",
    "nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d",
}  # fmt: skip
# Results that are settled but for signs, phases or order: `output_process_fn_grad` for values too.
GAUGE = {"svd", "linalg.svd", "linalg.eig", "linalg.eigh", "svd_lowrank", "pca_lowrank"}
UNORDERED = {"linalg.eigvals"}
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
NO_TWIN = ("jiterator_", "torch.", "sparse.", "to_sparse", "_")  # not an interface of torch's users
KEPT = ("__",)


class Unfit(Exception):
    """A sample that one of the two libraries cannot have: sparse, complex128, another device."""


class Late(BaseException):
    """A sample that takes too long."""


# --- the twin of an op ------------------------------------------------------------------------------


def _dotted(root: Any, path: str) -> Any:
    for part in path.split("."):
        try:
            root = getattr(root, part)
        except (AttributeError, ImportError):
            return None
    return root


def _usable(found: Any) -> bool:
    return callable(found) and not isinstance(found, (tl.DType, types.ModuleType, type))


def twin(name: str) -> Callable[..., Any] | None:
    """Tallow's callable for an OpInfo name; None when it has none."""
    if name.startswith(NO_TWIN) and not name.startswith(KEPT):
        return None
    found: Any
    for adapted in (ADAPTED.get(name),):
        if adapted is not None:
            return adapted() if base(name) else None
    found = base(name)
    if isinstance(found, property):
        return found.fget
    return found


def base(name: str) -> Any:
    last = name.rsplit(".", 1)[-1]
    for root, path in (
        (tl, name),
        (ROWS, f"nn.{last}" if name.startswith("nn.functional.") else ""),
        (tl, last if name.startswith("nn.functional.") else ""),
        (tl.Tensor, name),
        (tl.Tensor, last if name.startswith("nn.functional.") else ""),
        (tl.Tensor, f"{name}_" if name in DRAWN else ""),
    ):
        found = (root.get(path) if root is ROWS else _dotted(root, path)) if path else None
        if _usable(found) or isinstance(found, property):
            return found
    return None


def _embedding(name: str) -> Callable[..., Any]:
    return lambda weight, idx, *a, **k: base(name)(idx, weight, *a, **k)


def _swapped(name: str) -> Callable[..., Any]:
    return lambda x, n, **k: base(name)(n, x, **k)


def _in_place(name: str) -> Callable[..., Any]:
    method = _dotted(tl.Tensor, f"{name}_")
    return lambda x, *a, **k: (method or base(name))(x, *a, **k)


# What the lambdas in PyTorch's table do to the arguments.
ADAPTED: dict[str, Callable[[], Callable[..., Any]]] = {
    "nn.functional.embedding": lambda: _embedding("nn.functional.embedding"),
    "nn.functional.embedding_bag": lambda: _embedding("nn.functional.embedding_bag"),
    "polygamma": lambda: _swapped("polygamma"),
    "special.polygamma": lambda: _swapped("special.polygamma"),
    "einsum": lambda: lambda tensors, equation: tl.einsum(equation, tensors),
    "where": lambda: lambda x, condition, other, **k: tl.where(condition, x, other, **k),
    "resize_": lambda: lambda x, shape: x.clone().resize_(shape),
    "resize_as_": lambda: lambda x, other: x.clone().resize_as_(other),
    "zero_": lambda: lambda x: x.clone().zero_(),
    "svd_lowrank": lambda: lambda a, b, **k: tl.svd_lowrank(a @ b.mT, **k),
    "pca_lowrank": lambda: lambda a, b, **k: tl.pca_lowrank(a @ b.mT, **k),
    **{
        name: (lambda name=name: _in_place(name))
        for name in ("cauchy", "exponential", "geometric", "log_normal", "uniform")
    },
}
VARIANTS: dict[tuple[str, str], Callable[..., Any]] = {
    ("linalg.pinv", "singular"): lambda a, b: tl.linalg.pinv(a @ b.mT),
    ("linalg.lstsq", "grad_oriented"): lambda a, b, driver: tl.linalg.lstsq(a, b, driver=driver)[
        :2
    ],
    ("normal", "in_place"): lambda x, *a, **k: x.normal_(*a, **k),
    ("normal", "number_mean"): lambda std, mean, *a, **k: tl.normal(mean, std, *a, **k),
}


# --- samples in both libraries -----------------------------------------------------------------------


class Copy:
    """Rebuilds the values of a sample for torch and for Tallow; `leaves` pairs what needs gradients."""

    def __init__(self, op: Any) -> None:
        self.op = op
        self.theirs: dict[int, Any] = {}
        self.storages: dict[int, tuple[torch.UntypedStorage, np.ndarray]] = {}
        self.ours: dict[int, Any] = {}
        self.leaves: list[tuple[torch.Tensor, Any]] = []
        self.kept: list[Any] = []

    def both(self, value: Any) -> tuple[Any, Any]:
        """(torch's, Tallow's) copy of a value of any kind that samples hold."""
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        if isinstance(value, torch.dtype):
            if value not in TALLOW:
                raise Unfit(f"dtype {value}")
            return value, TALLOW[value]
        if isinstance(value, torch.Size):
            return value, tuple(value)
        if isinstance(value, torch.device):
            if value.type != "cpu":
                raise Unfit(f"device {value}")
            return value, "cpu"
        if isinstance(value, slice):
            parts = [self.both(v) for v in (value.start, value.stop, value.step)]
            return slice(*[p for p, _ in parts]), slice(*[q for _, q in parts])
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            pairs = [self.both(v) for v in value]
            return type(value)(*[p for p, _ in pairs]), tuple(q for _, q in pairs)
        if isinstance(value, list | tuple):
            pairs = [self.both(v) for v in value]
            return type(value)([p for p, _ in pairs]), type(value)([q for _, q in pairs])
        if isinstance(value, dict):
            made = {k: self.both(v) for k, v in value.items()}
            return {k: p for k, (p, _) in made.items()}, {k: q for k, (_, q) in made.items()}
        if callable(value) and not isinstance(value, type):
            return value, self.function(value)
        return value, value

    def function(self, value: Any) -> Any:
        """The twin of a function among the arguments (a distance): by its name, else as it is."""
        name = getattr(value, "__name__", "")
        if name in ("<lambda>", "") and not isinstance(value, torch.nn.Module):
            return value
        if isinstance(value, torch.nn.Module):
            kind = getattr(tl.nn, type(value).__name__, None)
            if kind is None:
                raise Unfit(f"module {type(value).__name__}")
            known = inspect.signature(kind).parameters
            return kind(**{k: v for k, v in vars(value).items() if k in known})
        found = twin(name) or twin(f"nn.functional.{name}")
        return found or value

    def tensor(self, x: torch.Tensor) -> tuple[Any, Any]:
        if id(x) in self.theirs:
            return self.theirs[id(x)], self.ours[id(x)]
        if x.layout != torch.strided:
            raise Unfit(f"layout {x.layout}")
        if x.device.type != "cpu":
            raise Unfit(f"device {x.device}")
        if x.dtype not in TALLOW:
            raise Unfit(f"dtype {x.dtype}")
        wants = x.requires_grad
        plain = x.detach().resolve_conj().resolve_neg()
        self.kept += [x, plain]
        key = plain.untyped_storage().data_ptr()
        if key == 0 or key not in self.storages:
            storage = plain.untyped_storage().clone()
            count = storage.nbytes()
            memory = np.zeros(count, np.uint8)
            if count:
                flat = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (count,), (1,))
                memory[:] = flat.numpy()
            self.storages[key] = storage, memory
        storage, memory = self.storages[key]
        theirs = torch.empty(0, dtype=plain.dtype).set_(
            storage, plain.storage_offset(), plain.shape, plain.stride()
        )
        ours = _view(memory, plain)
        if wants:
            theirs.requires_grad_()
            ours.requires_grad_()
            self.leaves.append((theirs, ours))
        self.theirs[id(x)], self.ours[id(x)] = theirs, ours
        return theirs, ours


def _view(memory: np.ndarray, x: torch.Tensor) -> Any:
    """The Tallow tensor on a copy of x's storage, with x's strides and offset."""
    carrier = {torch.bfloat16: np.dtype(np.uint16)}.get(x.dtype)
    if carrier is None:
        carrier = torch.empty(0, dtype=x.dtype).numpy().dtype
    if x.numel() == 0:
        array = np.zeros(x.shape, carrier)
        return tl.from_numpy(array.view(ml_dtypes.bfloat16) if x.dtype == torch.bfloat16 else array)
    array = memory[: memory.size // carrier.itemsize * carrier.itemsize].view(carrier)
    whole = tl.from_numpy(array.view(ml_dtypes.bfloat16) if x.dtype == torch.bfloat16 else array)
    try:
        return whole.as_strided(tuple(x.shape), tuple(x.stride()), x.storage_offset()).detach()
    except tl.TallowError as error:  # more axes than Tallow has
        raise Unfit(str(error)) from error


def to_torch(x: Any) -> torch.Tensor:
    """A Tallow tensor as a torch tensor (a copy)."""
    x = x.detach()
    if hasattr(x, "resolve_conj"):
        x = x.resolve_conj()
    array = np.array(x.numpy(), order="C")
    if x.dtype is tl.bf16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def flat(value: Any) -> list[Any]:
    """The leaves of nested tuples, lists and dicts."""
    if isinstance(value, torch.Size):
        return list(value)
    if isinstance(value, list | tuple):
        return [leaf for v in value for leaf in flat(v)]
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in flat(value[key])]
    return [value]


# --- comparing ---------------------------------------------------------------------------------------


def differ(
    ours: Any, theirs: Any, values: bool = True, precise: Any = None, normwise: bool = False
) -> str:
    """What is wrong with `ours`, or ""; `precise` gives torch's result in f64 when it is needed."""
    p, q = flat(ours), flat(theirs)
    if len(p) != len(q):
        return f"{len(q)} results expected, got {len(p)}"
    for i, (mine, wanted) in enumerate(zip(p, q, strict=True)):
        if isinstance(wanted, torch.Tensor):
            exact = (lambda i=i: flat(precise())[i]) if precise else None
            said = _differ(mine, wanted, values, exact, normwise)
        elif isinstance(wanted, torch.dtype):
            said = "" if TALLOW.get(wanted) == mine else f"expected {wanted}, got {mine!r}"
        elif isinstance(wanted, bool | int | float | complex):
            mine = mine.item() if isinstance(mine, tl.Tensor) and type(wanted) is not bool else mine
            same = mine == wanted or (mine != mine and wanted != wanted)
            close = type(wanted) in (float, complex) and not same and np.allclose(mine, wanted)
            said = "" if same or close or not values else f"expected {wanted!r}, got {mine!r}"
        else:
            said = (
                "" if (mine is None) == (wanted is None) else f"expected {wanted!r}, got {mine!r}"
            )
        if said:
            return said if len(q) == 1 else f"result {i}: {said}"
    return ""


def _differ(mine: Any, wanted: torch.Tensor, values: bool, precise: Any, normwise: bool) -> str:
    if not isinstance(mine, tl.Tensor):
        return f"expected a tensor {tuple(wanted.shape)}, got {type(mine).__name__}"
    if tuple(mine.shape) != tuple(wanted.shape):
        return f"expected shape {tuple(wanted.shape)}, got {tuple(mine.shape)}"
    if TALLOW.get(wanted.dtype) is not mine.dtype:
        return f"expected dtype {wanted.dtype}, got {mine.dtype!r}"
    if not values:
        return ""
    got = to_torch(mine)
    wanted = wanted.detach().resolve_conj().resolve_neg().contiguous()
    try:
        torch.testing.assert_close(got, wanted, equal_nan=True)
        return ""
    except AssertionError as error:
        said = str(error)
    if precise is not None and wanted.dtype in LOW_TOLERANCE:
        with contextlib.suppress(Exception):
            if _as_near(got, wanted, precise(), normwise):
                return ""
    return short(said, got, wanted)


LOW_TOLERANCE = {
    torch.float64: 1e-7,
    torch.float16: 2e-3,
    torch.bfloat16: 1.6e-2,
    torch.float32: 1.3e-6,
    torch.complex64: 1.3e-6,
}


def _as_near(got: torch.Tensor, wanted: torch.Tensor, truth: torch.Tensor, normwise: bool) -> bool:
    """Whether `got` lies about as near to the f64 result as torch's own low-precision one does.

    `normwise`: errors count relative to the largest element, as the error of a factorisation does.
    """
    tolerance = LOW_TOLERANCE[wanted.dtype]
    wide = torch.complex128 if wanted.is_complex() else torch.float64
    got, wanted, truth = got.to(wide), wanted.to(wide), truth.detach().to(wide)
    fine = torch.isclose(got, wanted, rtol=0, atol=0, equal_nan=True)
    fine |= torch.isclose(got, truth, rtol=tolerance, atol=1e-5, equal_nan=True)
    error, theirs = (got - truth).abs(), (wanted - truth).abs()
    spread = theirs[torch.isfinite(theirs)]
    most = float(spread.max()) if spread.numel() else 0.0
    size = truth.abs()
    if normwise and size.numel():
        size = torch.where(torch.isfinite(size), size, torch.zeros_like(size)).max()
        tolerance *= 10
    fine |= error <= 2 * most + tolerance * size
    return bool(fine.all())


def short(said: str, got: torch.Tensor, wanted: torch.Tensor) -> str:
    """The mismatch in one line."""
    lines = [
        line.strip() for line in said.splitlines() if "ifference" in line or "ismatched" in line
    ]
    if wanted.numel() <= 6:
        return f"expected {wanted.tolist()}, got {got.tolist()}"
    bad = ~torch.isclose(got, wanted, rtol=1e-3, atol=1e-3, equal_nan=True)
    if bad.any():
        at = tuple(bad.nonzero()[0].tolist())
        return f"at {at} expected {wanted[at].item():.6g}, got {got[at].item():.6g}; {lines[0]}"
    return "; ".join(lines[:2])


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


def _cleaned(sample: Any) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments without what only torch has (layouts, generators)."""
    args = [sample.input, *sample.args]
    dropped = (torch.memory_format, torch.layout, torch.Generator)
    args = [a for a in args if not isinstance(a, dropped)]
    return args, {k: v for k, v in sample.kwargs.items() if not isinstance(v, dropped)}


def widened(value: Any) -> Any:
    """Low-precision tensors of a sample, and dtypes, in f64 (complex128)."""
    up = {torch.float16, torch.bfloat16, torch.float32}
    if isinstance(value, torch.Tensor):
        kind = torch.float64 if value.dtype in up else torch.complex128
        return value.detach().to(kind) if value.dtype in {*up, torch.complex64} else value
    if isinstance(value, torch.dtype):
        return torch.float64 if value in up else value
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return (
            type(value)(*map(widened, value))
            if hasattr(value, "_fields")
            else type(value)(map(widened, value))
        )
    if isinstance(value, dict):
        return {k: widened(v) for k, v in value.items()}
    return value


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
        torch.manual_seed(0)
        np.random.seed(0)
        samples = iter(self.op.sample_inputs("cpu", TORCH[dtype], requires_grad=grad))
        for i in range(10**6):
            try:
                sample = next(samples)
            except StopIteration:
                return
            except Exception:
                return
            kind = "gradient" if grad else "value"

            def go(sample: Any = sample, i: int = i) -> tuple[Any, ...]:
                state = torch.get_rng_state()
                outcome, text = check(sample)
                torch.set_rng_state(state)
                return kind, dtype, i, outcome, text, "" if outcome == "ok" else describe(sample)

            yield go

    def call(self, function: Any, args: Any, kwargs: Any, ours: bool) -> Any:
        kwargs = {k: v for k, v in kwargs.items() if not (ours and k in DROPPED)}
        return function(*args, **kwargs)

    def guarded(self, attempt: Callable[[], Any]) -> tuple[str, Any]:
        """("ok", result), or the kind of failure and its text."""
        try:
            with limited(SECONDS):
                return "ok", attempt()
        except Late:
            return "fail", "too slow"
        except tl.TallowError as error:
            return "fail", f"{type(error).__name__}: {_line(error)}"
        except Exception as error:
            return "fail", f"{type(error).__name__}: {_line(error)}"

    def value(self, sample: Any) -> tuple[str, str]:
        copy = Copy(self.op)
        args, kwargs = _cleaned(sample)
        try:
            (targs, oargs), (tkwargs, okwargs) = copy.both(args), copy.both(kwargs)
        except Unfit as error:
            return "skip", str(error)
        if _meets_in_complex128(args, kwargs):
            return "skip", "needs complex128"
        first = Copy(self.op).both(args)[0], Copy(self.op).both(kwargs)[0]
        try:
            theirs = self.call(self.op.op, targs, tkwargs, False)
        except Exception as error:
            return "skip", f"torch refuses: {type(error).__name__}"
        if any(isinstance(t, torch.Tensor) and t.layout != torch.strided for t in flat(theirs)):
            return "skip", "layout"
        if any(_foreign(t) for t in flat(theirs)):
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
            ours, theirs = _ordered(to_torch(ours)), _ordered(theirs)
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
        return [_twin_of(t) for t in found] if own else found

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
        kept = table.wrapper_set_seed
        table.wrapper_set_seed = lambda op, *a, **k: (torch.manual_seed(977), op(*a, **k))[1]
        try:
            copied = Copy(self.op).both(list(first))[0]
            again = self.call(self.op.op, copied[0], copied[1], False)
            return not all(
                torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
                for a, b in zip(flat(again), flat(theirs), strict=True)
                if isinstance(a, torch.Tensor)
            )
        except Exception:
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
        if not hasattr(tl, "autograd"):
            return "skip", "no autograd yet"
        copy = Copy(self.op)
        args, kwargs = _cleaned(sample)
        try:
            (targs, oargs), (tkwargs, okwargs) = copy.both(args), copy.both(kwargs)
        except Unfit as error:
            return "skip", str(error)
        first = Copy(self.op).both(args)[0], Copy(self.op).both(kwargs)[0]
        leaves = copy.leaves
        try:
            theirs = self.call(self.wrapped(self.op.op, False), targs, tkwargs, False)
            if any(_foreign(t) for t in flat(theirs)):
                self.wide_complex = True
                return "skip", "result dtype we do not have"
            if self.op.name in UNSET or self.is_random(first, theirs):
                return "skip", "random"
            processed = flat(sample.output_process_fn_grad(theirs))
            count = len(processed)
            outs = _differentiable(processed)
            places = [i for i, t in enumerate(processed) if any(t is y for y in outs)]
            if not outs or not leaves:
                return "skip", "nothing to differentiate"
            cotangents = [_cotangent(t, i) for i, t in enumerate(outs)]
            wanted = torch.autograd.grad(
                outs, [t for t, _ in leaves], cotangents, allow_unused=True
            )
        except Exception as error:
            return "skip", f"torch refuses: {type(error).__name__}"
        wanted = [
            torch.zeros_like(t) if g is None else g
            for g, (t, _) in zip(wanted, leaves, strict=True)
        ]
        if any(_foreign(t) or t.layout != torch.strided for t in wanted):
            return "skip", "gradient dtype we do not have"

        def differentiate() -> list[Any]:
            result = self.call(self.wrapped(self.mine, True), oargs, okwargs, True)
            processed = flat(sample.output_process_fn_grad(result))
            if len(processed) != count:
                raise AssertionError(f"{count} results expected, got {len(processed)}")
            pairs = [
                (processed[i], _twin_of(c))
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
            args2, kwargs2 = _leaved(args, olds, copy, wide), _leaved(kwargs, olds, copy, wide)
            result = self.call(self.wrapped(self.op.op, False), args2, kwargs2, False)
            ys = _differentiable(flat(sample.output_process_fn_grad(result)))
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
        except Exception:
            return
        for i, wrong in enumerate(found):

            def go(wrong: Any = wrong, i: int = i) -> tuple[Any, ...]:
                sample = wrong.sample_input
                try:
                    args, kwargs = _cleaned(sample)
                    copy = Copy(self.op)
                    (targs, oargs), (tkwargs, okwargs) = copy.both(args), copy.both(kwargs)
                except Unfit as error:
                    return "error", "", i, "skip", str(error), ""
                if kwargs.keys() & {"out", "device", "layout"}:
                    return "error", "", i, "skip", "an argument we do not have", ""
                try:
                    self.call(self.op.op, targs, tkwargs, False)
                    return "error", "", i, "skip", "torch takes it", ""
                except Exception:
                    pass
                try:
                    with limited(SECONDS):
                        self.call(self.mine, oargs, okwargs, True)
                except tl.TallowError:
                    return "error", "", i, "ok", "", ""
                except (Exception, Late) as error:
                    said = f"raised {type(error).__name__}: {_line(error)}"
                    return "error", "", i, "other", said, describe(sample)
                said = f"no error; torch: {wrong.error_regex[:100]}"
                return "error", "", i, "fail", said, describe(sample)

            yield go


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _foreign(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.dtype not in TALLOW


def _ordered(x: torch.Tensor) -> torch.Tensor:
    """Eigenvalues in an order of their own: by rounded real, then imaginary part."""
    key = (x.real * 1e3).round() * 1e6 + x.imag
    return x.gather(-1, key.argsort(-1))


def _differentiable(outs: list[Any]) -> list[torch.Tensor]:
    return [t for t in outs if isinstance(t, torch.Tensor) and t.requires_grad]


def _meets_in_complex128(*given: Any) -> bool:
    """Whether f64 and complex64 meet, which makes complex128 in torch."""
    tensors = [t for t in flat(list(given)) if isinstance(t, torch.Tensor)]
    axes = {t.dtype for t in tensors if t.ndim}
    none = {t.dtype for t in tensors if not t.ndim}
    both = {torch.complex64, torch.float64}
    return both <= axes or (not axes and both <= none)


def _twin_of(x: torch.Tensor) -> Any:
    """The Tallow tensor of torch's elements."""
    if x.dtype == torch.bfloat16:
        return tl.from_numpy(x.view(torch.int16).numpy().view(ml_dtypes.bfloat16))
    return tl.from_numpy(np.array(x.numpy()))


def _leaved(value: Any, olds: dict[int, int], copy: Copy, found: list[Any]) -> Any:
    """A sample in f64, its leaves new ones; (number, leaf) of each goes into `found`."""
    if isinstance(value, torch.Tensor):
        number = olds.get(id(copy.theirs.get(id(value))))
        if number is None:
            return widened(value)
        for known, leaf in found:
            if known == number:
                return leaf
        leaf = widened(value.detach()).clone().requires_grad_()
        found.append((number, leaf))
        return leaf
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return type(value)(_leaved(v, olds, copy, found) for v in value)
    if isinstance(value, dict):
        return {k: _leaved(v, olds, copy, found) for k, v in value.items()}
    return widened(value)


def _cotangent(x: torch.Tensor, i: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(i)
    return torch.randn(x.shape, dtype=x.dtype, generator=generator)


def describe(sample: Any) -> str:
    """A sample in one line."""

    def one(value: Any) -> str:
        if isinstance(value, torch.Tensor):
            kind = str(value.dtype).removeprefix("torch.")
            strides = "" if value.is_contiguous() else f" strides {tuple(value.stride())}"
            if (
                value.layout == torch.strided
                and value.numel() <= 4
                and value.dtype != torch.bfloat16
            ):
                return f"{kind}{list(value.shape)}={value.tolist()}"
            return f"{kind}{list(value.shape)}{strides}"
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(one, value))}]"
        return repr(value)

    try:
        parts = [*map(one, [sample.input, *sample.args])]
        parts += [f"{k}={one(v)}" for k, v in sample.kwargs.items()]
        return ", ".join(parts)[:300]
    except Exception as error:
        return f"? ({error})"


def op_rows() -> dict[str, list[Any]]:
    """PyTorch's table: name -> its variants."""
    rows: dict[str, list[Any]] = collections.defaultdict(list)
    for op in table.op_db:
        rows[op.name].append(op)
    return dict(sorted(rows.items(), key=operator.itemgetter(0)))
