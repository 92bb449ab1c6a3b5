"""Modules that hold modules or parameters: in order, in lists, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from tallow.errors import ArgumentError, DTypeError, IndexRangeError, expect
from tallow.nn.module import Module, tree
from tallow.nn.parameter import Parameter
from tallow.tensor import Tensor


class _Listed(Module):
    """Modules under the names 0, 1, …; `items` is the list of them."""

    items: list[Any]

    def _set(self, modules: Iterable[Module]) -> None:
        """Take these modules instead of the present ones."""
        for i in range(len(self.__dict__.get("items", ()))):
            self.__dict__.pop(str(i), None)
        self.items = list(modules)
        for i, module in enumerate(self.items):
            good = isinstance(module, Module)
            expect(good, type(self), "modules", type(module).__name__, DTypeError)
            self.__dict__[str(i)] = module

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name.isdigit() and isinstance(value, Module):
            self.items[int(name)] = value

    def _at(self, index: int) -> int:
        n = len(self.items)
        good = -n <= index < n
        expect(good, type(self), f"an index in [{-n}, {n})", index, IndexRangeError)
        return index % n

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self._set([*self.items, module])
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        self._set([*self.items, *modules])
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before the one at `index`."""
        items = list(self.items)
        items.insert(index, module)
        self._set(items)
        return self

    def pop(self, key: int = -1) -> Any:
        """Take the module at `key` out."""
        at = self._at(key)
        module = self.items[at]
        self._set([*self.items[:at], *self.items[at + 1 :]])
        return module

    def __setitem__(self, index: int, module: Module) -> None:
        at = self._at(index)
        self._set([*self.items[:at], module, *self.items[at + 1 :]])

    def __delitem__(self, index: int | slice) -> None:
        items = list(self.items)
        del items[index]
        self._set(items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, module: object) -> bool:
        return any(module is one for one in self.items)


class ModuleList(_Listed):
    """A list of modules, named by their index as in PyTorch."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._set(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self.items[index])
        return self.items[self._at(index)]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self.items, *other])

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def __repr__(self) -> str:
        lines: list[str] = []
        texts = [repr(module) for module in self.items]
        first = 0
        for i in range(len(texts) + 1):
            if i == len(texts) or texts[i] != texts[first]:
                if i > first:
                    same = i - first
                    head = f"({first}): " if same == 1 else f"({first}-{i - 1}): {same} x "
                    lines.append(head + texts[first])
                first = i
        return tree(type(self).__name__, "", lines)


class Sequential(Module):
    """Modules called one after the other, each with the result of the one before.

    Given one by one, and named 0, 1, …, or as a dict from name to module.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            for i, one in enumerate(modules):
                good = isinstance(one, Module)
                expect(good, "Sequential", "modules", type(one).__name__, DTypeError)
                setattr(self, str(i), one)

    def _named(self) -> list[tuple[str, Module]]:
        return [(n, m) for n, m in self.__dict__.items() if isinstance(m, Module)]

    def forward(self, x: Any) -> Any:
        """What the last module makes of what the others made of `x`."""
        for module in [m for m in self.__dict__.values() if isinstance(m, Module)]:
            x = module(x)
        return x

    def _name(self, index: int) -> str:
        names = [name for name, _ in self._named()]
        n = len(names)
        expect(-n <= index < n, "Sequential", f"an index in [{-n}, {n})", index, IndexRangeError)
        return names[index]

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(self._named()[index]))
        return self.__dict__[self._name(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), module)

    def __delitem__(self, index: int | slice) -> None:
        if isinstance(index, slice):
            gone = [name for name, _ in self._named()[index]]
        else:
            gone = [self._name(index)]
        self._renumber([(n, m) for n, m in self._named() if n not in gone])

    def _renumber(self, pairs: Sequence[tuple[str, Module]]) -> None:
        """Take these modules; those with numbers for names are counted anew."""
        for name, _ in self._named():
            del self.__dict__[name]
        for i, (name, module) in enumerate(pairs):
            self.__dict__[str(i) if name.isdigit() else name] = module

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before the one at `index`."""
        pairs = self._named()
        pairs.insert(index, ("0", module))
        self._renumber(pairs)
        return self

    def pop(self, key: int = -1) -> Any:
        """Take the module at `key` out."""
        module = self[key]
        del self[key]
        return module

    def __iter__(self) -> Iterator[Any]:
        return iter([module for _, module in self._named()])

    def __len__(self) -> int:
        return len(self._named())


class ModuleDict(Module):
    """Modules by name, in the order in which they came."""

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        self._keys: list[str] = []
        if modules is not None:
            self.update(modules)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules by name."""
        pairs = modules.items() if isinstance(modules, Mapping) else modules
        for name, module in pairs:
            self[name] = module

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return self.__dict__[key]

    def __setitem__(self, key: str, module: Module) -> None:
        if key in self._keys:
            setattr(self, key, module)
        else:
            self.add_module(key, module)
            self._keys.append(key)

    def __delitem__(self, key: str) -> None:
        self._keys.remove(key)
        del self.__dict__[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def keys(self) -> Iterable[str]:
        """The names."""
        return list(self._keys)

    def values(self) -> Iterable[Any]:
        """The modules."""
        return [self.__dict__[key] for key in self._keys]

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of name and module."""
        return [(key, self.__dict__[key]) for key in self._keys]

    def pop(self, key: str) -> Any:
        """Take the module of that name out."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for key in list(self._keys):
            del self[key]


def _as_parameter(value: Any, where: str) -> Any:
    """A Parameter for a tensor; declared and given ones as they are."""
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return Parameter(value)
    from tallow.nn.parameter import Param

    good = isinstance(value, (Parameter, Param))
    expect(good, where, "a tensor", type(value).__name__, DTypeError)
    return value


class ParameterList(Module):
    """A list of parameters, named by their index; tensors become parameters."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._size = 0
        self.extend(values)

    def append(self, value: Any) -> Self:
        """Add a parameter at the end."""
        setattr(self, str(self._size), _as_parameter(value, "ParameterList"))
        self._size += 1
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)([self[i] for i in range(*index.indices(self._size))])
        n = self._size
        expect(-n <= index < n, "ParameterList", f"an index in [{-n}, {n})", index, IndexRangeError)
        return getattr(self, str(index % n))

    def __setitem__(self, index: int, value: Any) -> None:
        n = self._size
        expect(-n <= index < n, "ParameterList", f"an index in [{-n}, {n})", index, IndexRangeError)
        setattr(self, str(index % n), _as_parameter(value, "ParameterList"))

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(self._size)])

    def __len__(self) -> int:
        return self._size

    def extra_repr(self) -> str:
        """One line for each parameter."""
        return "\n".join(_line(name, declared) for name, declared in self._declared.items())

    def __repr__(self) -> str:
        lines = self.extra_repr().split("\n") if self._declared else []
        return tree(type(self).__name__, "", lines)


class ParameterDict(Module):
    """Parameters by name; tensors become parameters."""

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self.update(parameters)

    def update(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add or replace parameters by name."""
        pairs = parameters.items() if isinstance(parameters, Mapping) else parameters
        for name, value in pairs:
            self[name] = value

    def __getitem__(self, key: str) -> Any:
        if key not in self._declared:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        taken = hasattr(type(self), key) or "." in key or not key
        expect(not taken, "ParameterDict", "a name that is free", repr(key), ArgumentError)
        setattr(self, key, _as_parameter(value, "ParameterDict"))

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._declared))

    def __len__(self) -> int:
        return len(self._declared)

    def __contains__(self, key: object) -> bool:
        return key in self._declared

    def keys(self) -> Iterable[str]:
        """The names."""
        return list(self._declared)

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return [self[key] for key in self._declared]

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of name and parameter."""
        return [(key, self[key]) for key in self._declared]

    def __repr__(self) -> str:
        lines = [_line(name, declared) for name, declared in self._declared.items()]
        return tree(type(self).__name__, "", lines)


def _line(name: str, declared: Any) -> str:
    sizes = "x".join(map(str, declared.shape))
    return f"({name}): Parameter of size {sizes or '1 (0-d)'}"
