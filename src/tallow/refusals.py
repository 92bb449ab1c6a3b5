"""What an op's caller says when Python or numpy fails on an argument of the wrong kind.

Loaded with the first such failure: the usual path asks for no argument's kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .dtype import DType
from .errors import (
    ArgumentError,
    DTypeError,
    IndexRangeError,
    OutOfMemoryError,
    ShapeError,
    TallowError,
)
from .tensor import Tensor

if TYPE_CHECKING:
    from .registry import Op

# What Python raises where it is handed the wrong kind of object, and which error of ours says so.
OURS: tuple[tuple[type[Exception], type[TallowError]], ...] = (
    (TypeError, DTypeError),
    (AttributeError, DTypeError),
    (IndexError, IndexRangeError),
    (LookupError, ShapeError),
    (StopIteration, ShapeError),
    (ValueError, ArgumentError),
    (ArithmeticError, ArgumentError),
    (RecursionError, ArgumentError),  # of lists that hold themselves
)
MISUSE = tuple(theirs for theirs, _ in OURS)


def explained(op: Op[..., Any], values: Sequence[Any], error: Exception) -> TallowError | None:
    """The clear error for `error`, None where it is one already or somebody else's."""
    if isinstance(error, TallowError):
        return None
    if isinstance(error, MemoryError) or str(error) == "std::bad_alloc":
        return OutOfMemoryError(f"{op.__name__}: out of memory{_said(error)}")
    if not isinstance(error, MISUSE) or not _raised_here(error):
        return None
    notes = getattr(op.signature, "__annotations__", {})
    for (name, _, default), value in zip(op.parameters, values, strict=True):
        note = notes.get(name)
        if not isinstance(note, str) or value is default:
            continue
        if not any(fits(value, kind) for kind in _alternatives(note)):
            kinds = [kind for kind in _alternatives(note) if kind != "None"]
            wanted = (
                AXES if note in ("Dim", "Dims") else " or ".join(NAMES.get(k, k) for k in kinds)
            )
            return DTypeError(f"{op.__name__}: expected {wanted} for {name}, got {shown(value)}")
    return _reworded(op, values, error)


def _reworded(op: Op[..., Any], values: Sequence[Any], error: Exception) -> TallowError:
    """What was asked of an object, or Python's own words, for a parameter that takes anything."""
    if isinstance(error, AttributeError) and (wanted := _asked(error)):
        return DTypeError(f"{op.__name__}: expected {wanted}, got {shown(error.obj)}")
    kind = next(ours for theirs, ours in OURS if isinstance(error, theirs))
    words = str(error) or type(error).__name__
    return kind(f"{op.__name__}: {words}, for arguments {', '.join(map(shown, values))}")


def _said(error: Exception) -> str:
    text = str(error)
    return "" if text in ("", "std::bad_alloc") else f": {text}"


def _asked(error: AttributeError) -> str:
    """What an object without the attribute should have been."""
    if error.name == "__index__":
        return "integers"
    known = isinstance(error.name, str) and hasattr(Tensor, error.name)
    return "Tensors" if known and not isinstance(error.obj, Tensor) else ""


def _raised_here(error: Exception) -> bool:
    """Whether the library failed, not a user's op or class that was called."""
    trace = error.__traceback__
    if trace is None:
        return True  # by native code
    while trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "")
    return module.partition(".")[0] in ("tallow", "numpy")


def shown(value: Any) -> str:
    """A value in an error: itself where it is short, else its type; tensors by dtype and shape."""
    if isinstance(value, Tensor):
        return f"{value.dtype.name}{[*value.shape]}"
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, list, tuple)):
        try:
            text = repr(value)
        except RecursionError:
            return type(value).__name__
        if len(text) <= 60 and "object at 0x" not in text:
            return text
    return type(value).__name__


def _alternatives(note: str) -> list[str]:
    return [kind.strip() for kind in ALIASES.get(note, note).split("|")]


# --- kinds of arguments, by their annotations -----------------------------------------------------


def _number(value: Any) -> bool:
    """Anything that Python makes one real number of."""
    if isinstance(value, Tensor):
        return value.numel() == 1 and value.dtype.kind != "c"
    if getattr(value, "ndim", 0):
        return False
    return hasattr(value, "__float__") or hasattr(value, "__index__")


def _integer(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1 and value.dtype.kind in "iub"
    return hasattr(value, "__index__") and not getattr(value, "ndim", 0)


def _sequence(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__len__"):
            return False
        if isinstance(value, Tensor) or not hasattr(value, "__getitem__"):
            return isinstance(value, Tensor) and value.ndim > 0
        return all(of(one) for one in value)

    return fits


def _tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


FITS: dict[str, Callable[[Any], bool]] = {
    "Tensor": _tensor,
    "int": _integer,
    "float": _number,
    "bool": lambda value: isinstance(value, bool) or _number(value),
    "str": lambda value: isinstance(value, str),
    "None": lambda value: value is None,
    "DType": lambda value: isinstance(value, DType),
    "Generator": lambda value: hasattr(value, "_state"),
    "Sequence[int]": _sequence(_integer),
    "Sequence[float]": _sequence(_number),
    "Sequence[Tensor]": _sequence(_tensor),
    "tuple[int, ...]": _sequence(_integer),
    "tuple[int, int]": _sequence(_integer),
}
AXES = "an axis or a list of axes"
NAMES = {
    "Tensor": "a Tensor",
    "int": "an integer",
    "float": "a number",
    "bool": "a bool",
    "str": "a text",
    "DType": "a DType",
    "Generator": "a Generator",
    "Sequence[int]": "a sequence of integers",
    "Sequence[float]": "a sequence of numbers",
    "Sequence[Tensor]": "a sequence of Tensors",
    "tuple[int, ...]": "a tuple of integers",
    "tuple[int, int]": "two integers",
}
ALIASES = {
    "Sizes": "int | Sequence[int]",
    "Sizes | None": "int | Sequence[int] | None",
    "Dim": "int | Sequence[int] | None",
    "Dims": "int | Sequence[int] | None",
    "str | Sizes": "str | int | Sequence[int]",
}


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of the kind that an annotation says; of unknown kinds, all are."""
    asked = FITS.get(kind)
    return asked is None or asked(value)
