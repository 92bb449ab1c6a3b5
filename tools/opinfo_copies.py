"""Values of a sample rebuilt for torch and for Tallow, from the same memory."""

from __future__ import annotations

import inspect
from typing import Any

import ml_dtypes
import numpy as np
import torch

import tallow as tl
from opinfo_twins import twin

TORCH = {
    "bool": torch.bool, "u8": torch.uint8, "i8": torch.int8, "i16": torch.int16, "i32": torch.int32,
    "i64": torch.int64, "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32,
    "f64": torch.float64, "complex64": torch.complex64, "u16": torch.uint16, "u32": torch.uint32,
    "u64": torch.uint64,
}  # fmt: skip
TALLOW = {
    theirs: getattr(tl, "bool_" if ours == "bool" else ours) for ours, theirs in TORCH.items()
}


class UnfitError(Exception):
    """A sample that one of the two libraries cannot have: sparse, complex128, another device."""


class Copy:
    """Rebuilds the values of a sample for both; `leaves` pairs what needs gradients."""

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
                raise UnfitError(f"dtype {value}")
            return value, TALLOW[value]
        if isinstance(value, torch.Size):
            return value, tuple(value)
        if isinstance(value, torch.device):
            if value.type != "cpu":
                raise UnfitError(f"device {value}")
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
                raise UnfitError(f"module {type(value).__name__}")
            known = inspect.signature(kind).parameters
            return kind(**{k: v for k, v in vars(value).items() if k in known})
        found = twin(name) or twin(f"nn.functional.{name}")
        return found or value

    def tensor(self, x: torch.Tensor) -> tuple[Any, Any]:
        """(torch's, Tallow's) copy of a tensor, its storage copied once."""
        if id(x) in self.theirs:
            return self.theirs[id(x)], self.ours[id(x)]
        if x.layout != torch.strided:
            raise UnfitError(f"layout {x.layout}")
        if x.device.type != "cpu":
            raise UnfitError(f"device {x.device}")
        if x.dtype not in TALLOW:
            raise UnfitError(f"dtype {x.dtype}")
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
        raise UnfitError(str(error)) from error


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


def cleaned(sample: Any) -> tuple[list[Any], dict[str, Any]]:
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


def twin_of(x: torch.Tensor) -> Any:
    """The Tallow tensor of torch's elements."""
    if x.dtype == torch.bfloat16:
        return tl.from_numpy(x.view(torch.int16).numpy().view(ml_dtypes.bfloat16))
    return tl.from_numpy(np.array(x.numpy()))


def leaved(value: Any, olds: dict[int, int], copy: Copy, found: list[Any]) -> Any:
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
        return type(value)(leaved(v, olds, copy, found) for v in value)
    if isinstance(value, dict):
        return {k: leaved(v, olds, copy, found) for k, v in value.items()}
    return widened(value)


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
    except Exception as error:  # a sample that cannot be shown is no failure of the op
        return f"? ({error})"


def foreign(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.dtype not in TALLOW


def ordered(x: torch.Tensor) -> torch.Tensor:
    """Eigenvalues in an order of their own: by rounded real, then imaginary part."""
    key = (x.real * 1e3).round() * 1e6 + x.imag
    return x.gather(-1, key.argsort(-1))


def differentiable(outs: list[Any]) -> list[torch.Tensor]:
    return [t for t in outs if isinstance(t, torch.Tensor) and t.requires_grad]


def meets_in_complex128(*given: Any) -> bool:
    """Whether f64 and complex64 meet, which makes complex128 in torch."""
    tensors = [t for t in flat(list(given)) if isinstance(t, torch.Tensor)]
    axes = {t.dtype for t in tensors if t.ndim}
    none = {t.dtype for t in tensors if not t.ndim}
    both = {torch.complex64, torch.float64}
    return both <= axes or (not axes and both <= none)


def cotangent(x: torch.Tensor, i: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(i)
    return torch.randn(x.shape, dtype=x.dtype, generator=generator)
