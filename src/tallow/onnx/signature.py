"""What a graph takes: values of Python made ready by its types, and misfits told by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tallow import _native
from tallow.errors import ArgumentError, DTypeError, ShapeError, TallowError
from tallow.formats.onnx import TYPES, ValueInfo, ValueType
from tallow.formats.onnx.graph import Dimension
from tallow.formats.onnx.types import CODES, OF_DTYPE, OF_NUMPY
from tallow.onnx.values import as_value, of_array
from tallow.tensor import Tensor

# What exporters write where a length has no name of its own.
_NO_NAMES: Final = frozenset({"", "?", "*", "-1", "None", "unk", "unknown"})
_MOST_GOOD: Final = 1 << 10  # signatures of values that have been checked
_KINDS: Final = {"f": (float, int, bool), "i": (int, bool), "u": (int, bool), "b": (bool,)}


def type_text(kind: ValueType | None) -> str:
    """A type in the words of the standard: `tensor(float)`, `seq(tensor(int64))`."""
    if kind is None:
        return ""
    if kind.kind in ("tensor", "sparse_tensor"):
        row = TYPES.get(kind.elem_type)
        return f"{kind.kind}({row.name if row else 'undefined'})"
    if kind.kind == "map":
        row = TYPES.get(kind.elem_type)
        return f"map({row.name if row else 'undefined'},{type_text(kind.element)})"
    word = "seq" if kind.kind == "sequence" else kind.kind
    return f"{word}({type_text(kind.element)})"


def element_name(value: Any) -> str:
    """The standard's name for the element type of a tensor or a numpy array."""
    if isinstance(value, Tensor):
        code = OF_DTYPE.get(value.dtype.name)
        return TYPES[code].name if code else value.dtype.name
    name = "object" if value.dtype.kind in "OUST" else value.dtype.name
    code = OF_NUMPY.get(name)
    return TYPES[code].name if code else str(name)


def bind(
    where: str, infos: Sequence[ValueInfo], given: Mapping[str, Any], *, strict: bool = True
) -> list[Any]:
    """The values for `infos`, in their order, from what was given by name.

    `strict` also refuses what ONNX Runtime lets pass: axes where the file says that there are none.

    Raises:
        ArgumentError: names are missing or unknown.
        DTypeError: elements are of another type.
        ShapeError: ranks or lengths differ from those of the file. One text has all misfits.
    """
    names = [each.name for each in infos]
    unknown, missing = [n for n in given if n not in names], [n for n in names if n not in given]
    if unknown or missing:
        parts = [f"without {', '.join(map(repr, missing))}"] if missing else []
        parts += [f"with {', '.join(map(repr, unknown))}"] if unknown else []
        raise ArgumentError(f"{where}: expected the inputs {names}, got them {' and '.join(parts)}")
    misfits: list[tuple[type[TallowError], str]] = []
    values = []
    for info in infos:
        value = _made(where, info, given[info.name])
        wrong = _wrong_type(info, value) or _wrong_shape(info, value, strict)
        if wrong:
            misfits.append(wrong)
        values.append(value)
    if misfits:
        kinds = {kind for kind, _ in misfits}
        kind = kinds.pop() if len(kinds) == 1 else ArgumentError
        raise kind(f"{where}: " + "; ".join(text for _, text in misfits))
    return values


class Binding:
    """`bind` for the inputs of a graph, which checks values of one signature once."""

    def __init__(self, infos: Sequence[ValueInfo]) -> None:
        self._infos, self._names = infos, [each.name for each in infos]
        self._good: set[tuple[bool, bytes]] = set()

    def __call__(self, where: str, given: Mapping[str, Any], strict: bool) -> list[Any]:
        """As `bind`."""
        values = self._tensors(given)
        if values is None:
            return bind(where, self._infos, given, strict=strict)
        key = strict, _native.signature(*values)
        if key not in self._good:
            named = dict(zip(self._names, values, strict=True))
            values = bind(where, self._infos, named, strict=strict)
            if len(self._good) < _MOST_GOOD:
                self._good.add(key)
        return values

    def _tensors(self, given: Mapping[str, Any]) -> list[Any] | None:
        """The values as tensors, if they are that or numpy arrays of the same dtypes."""
        if len(given) != len(self._names):
            return None
        numpy = sys.modules.get("numpy")
        found = []
        for name in self._names:
            value = given.get(name)
            if not isinstance(value, Tensor):
                if numpy is None or type(value) is not numpy.ndarray:
                    return None
                value = of_array(value)
                if not isinstance(value, Tensor):
                    return None
            found.append(value)
        return found


def described(info: ValueInfo) -> str:
    """An input in words: `'x' of tensor(float) [batch, 3]`."""
    shape = info.type.shape if info.type is not None else None
    lengths = (
        "" if shape is None else f" [{', '.join('?' if n is None else str(n) for n in shape)}]"
    )
    return f"{info.name!r} of {type_text(info.type) or 'any type'}{lengths}"


def _got(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"tensor({element_name(value)}) {list(value.shape)}"
    return type(value).__name__


def _made(where: str, info: ValueInfo, given: Any) -> Any:
    return _as_type(info.type, given, lambda got: f"{where}: expected {described(info)}, got {got}")


def _as_type(kind: ValueType | None, given: Any, text: Callable[[str], str]) -> Any:
    """A value for a type; numbers and lists get its dtype, arrays keep theirs."""
    if given is None or isinstance(given, Tensor):
        return given
    if kind is not None and kind.kind in ("optional", "sequence"):
        if kind.kind == "optional":
            return _as_type(kind.element, given, text)
        if isinstance(given, list | tuple):
            return [_as_type(kind.element, each, text) for each in given]
    if kind is not None and kind.kind == "tensor" and not hasattr(given, "dtype"):
        return _from_python(kind.elem_type, given, text)
    return as_value(given)


def _from_python(code: int, given: Any, text: Callable[[str], str]) -> Any:
    """A tensor of numbers, or of nested lists of them, that the element type can hold."""
    row = TYPES.get(code)
    if row is None or row.dtype is None:
        import numpy as np

        found = np.asarray(given)
        if row is not None and row.name != "string" and found.dtype.kind not in "OUST":
            found = found.astype(row.numpy)
        return as_value(found)
    from tallow.dtype import by_name
    from tallow.factories import tensor

    dtype = by_name(row.dtype)
    allowed = _KINDS.get(dtype.kind)
    first = given
    while isinstance(first, list | tuple) and first:
        first = first[0]
    if isinstance(first, Tensor) or hasattr(first, "dtype"):
        return as_value(_stacked(given))
    if allowed is not None and not isinstance(first, (list, tuple, *allowed)):
        raise DTypeError(text(f"a list with {first!r}" if first is not given else repr(given)))
    try:
        made = tensor(given)
    except ShapeError as error:
        raise ShapeError(text(f"a list that is no tensor ({error})")) from None
    if allowed is not None and made.dtype.kind == "f" and dtype.kind != "f":
        raise DTypeError(text("a list with floats"))
    return made.to(dtype) if made.dtype is not dtype else made


def _stacked(given: Any) -> Any:
    import numpy as np

    return np.asarray([np.asarray(each) for each in given])


def _wrong_type(info: ValueInfo, value: Any) -> tuple[type[TallowError], str] | None:
    kind = info.type
    if kind is not None and kind.kind == "optional":
        if value is None:
            return None
        kind = kind.element
    if kind is None or kind.kind not in ("tensor", "sequence", "map"):
        return None
    holds = {"sequence": isinstance(value, list), "map": isinstance(value, dict | list)}
    good = holds[kind.kind] if kind.kind in holds else hasattr(value, "dtype")
    if good and kind.kind == "tensor" and kind.elem_type:
        good = CODES.get(element_name(value)) == kind.elem_type
    return None if good else (DTypeError, f"expected {described(info)}, got {_got(value)}")


def _wrong_shape(info: ValueInfo, value: Any, strict: bool) -> tuple[type[TallowError], str] | None:
    wanted = _shape(info)
    if wanted is None or not hasattr(value, "shape"):
        return None
    got = value.shape
    fits = len(wanted) == len(got) or not (wanted or strict)
    if fits and all(not isinstance(n, int) or n == m for n, m in zip(wanted, got, strict=False)):
        return None
    return ShapeError, f"expected {described(info)}, got {_got(value)}"


def _shape(info: ValueInfo) -> tuple[Dimension, ...] | None:
    return info.type.shape if info.type is not None and info.type.kind == "tensor" else None


def two_lengths(infos: Sequence[ValueInfo], values: Sequence[Any]) -> str | None:
    """In words: a symbolic name that has two lengths.

    Some files call different things by one name, so it is an error only if the model then fails.
    """
    seen: dict[str, tuple[int, str]] = {}
    for info, value in zip(infos, values, strict=True):
        for axis, (name, length) in enumerate(
            zip(_shape(info) or (), getattr(value, "shape", ()), strict=False)
        ):
            if isinstance(name, str) and name not in _NO_NAMES:
                place = f"axis {axis} of {info.name!r}"
                first, where = seen.setdefault(name, (length, place))
                if first != length:
                    return (
                        f"expected one length for {name!r}, got {first} for {where} and {length} "
                        f"for {place}"
                    )
    return None
