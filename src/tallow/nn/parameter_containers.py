"""Modules that hold parameters, and what else is given to them: in a list, by name."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn, Self

from tallow.errors import DTypeError, IndexRangeError, NoEntryError, expect
from tallow.nn.module import Module
from tallow.nn.parameter import Parameter
from tallow.tensor import Tensor


def _as_parameter(value: Any) -> Any:
    """A Parameter for a tensor; everything else as it is."""
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return Parameter(value)
    return value


def _line(name: object, value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"({name}): Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    sizes = "x".join(map(str, value.shape))
    return f"({name}): {kind} containing: [{value.dtype} of size {sizes}]"


class _Container(Module):
    def __call__(self, *_args: Any, **_options: Any) -> NoReturn:
        raise NotImplementedError(f"{type(self).__name__} should not be called")

    def extra_repr(self) -> str:
        """One line for each value."""
        return "\n".join("  " + _line(name, value) for name, value in self._named())

    def _named(self) -> Iterable[tuple[Any, Any]]:
        raise NotImplementedError


class ParameterList(_Container):
    """A list of parameters, named by their index; tensors become parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _named(self) -> Iterable[tuple[int, Any]]:
        return enumerate(self)

    def _name(self, index: int) -> str:
        at, n = operator.index(index), self._size
        expect(-n <= at < n, "ParameterList", f"an index in [{-n}, {n})", at, IndexRangeError)
        return str(at % n)

    def append(self, value: Any) -> Self:
        """Add a parameter at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add parameters at the end."""
        good = hasattr(values, "__iter__") and not isinstance(values, Tensor)
        wanted = "an iterable other than a tensor"
        expect(good, "ParameterList.extend", wanted, type(values).__name__, DTypeError)
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)([self[i] for i in range(*index.indices(self._size))])
        return getattr(self, self._name(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name(index), _as_parameter(value))

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(self._size)])

    def __len__(self) -> int:
        return self._size


_NONE = object()


class ParameterDict(_Container):
    """Parameters by name; tensors become parameters."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def _named(self) -> Iterable[tuple[str, Any]]:
        return self.items()

    def update(self, parameters: Any) -> None:
        """Add or replace parameters by name, from a mapping or from pairs."""
        good = isinstance(parameters, (Iterable, ParameterDict))
        expect(good, "ParameterDict.update", "parameters", type(parameters).__name__, DTypeError)
        named = isinstance(parameters, (Mapping, ParameterDict))
        pairs = list(parameters.items() if named else parameters)
        if named and not isinstance(parameters, (OrderedDict, ParameterDict)):
            pairs.sort(key=lambda pair: str(pair[0]))  # as torch, for one order everywhere
        for name, value in pairs:
            self[name] = value

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise NoEntryError(f"ParameterDict: expected one of {list(self._keys)}, got {key!r}")
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        good = isinstance(key, str)
        expect(good, "ParameterDict", "a text as the name", type(key).__name__, DTypeError)
        if key not in self._keys:
            self._free(key, "ParameterDict", "_parameters")
        self._keys[key] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._keys))

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._keys.keys()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return [self[key] for key in self._keys]

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of name and parameter."""
        return [(key, self[key]) for key in self._keys]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, else `default`."""
        return getattr(self, key) if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of that name; `default` is entered if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take the parameter of that name out."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last parameter out, with its name."""
        expect(bool(self._keys), "ParameterDict.popitem", "an entry", "none", NoEntryError)
        key = list(self._keys)[-1]
        return key, self.pop(key)

    def clear(self) -> None:
        """Take all parameters out."""
        for key in list(self._keys):
            del self[key]

    def copy(self) -> ParameterDict:
        """Another dict with the same parameters."""
        return ParameterDict(dict(self.items()))

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """Another dict with these names, and `default` under each."""
        return ParameterDict([(key, default) for key in keys])

    def __or__(self, other: Any) -> ParameterDict:
        made = self.copy()
        made.update(other)
        return made

    def __ror__(self, other: Any) -> ParameterDict:
        made = ParameterDict(dict(other.items()))
        made.update(self)
        return made

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self
