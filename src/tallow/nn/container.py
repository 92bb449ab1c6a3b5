"""Modules that hold modules: in order, in lists, by name."""

from __future__ import annotations

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import groupby
from typing import Any, Self

from tallow.errors import ArgumentError, DTypeError, IndexRangeError, expect
from tallow.nn.module import Module, tree
from tallow.nn.parameter_containers import ParameterDict, ParameterList

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Ordered(Module):
    """What Sequential and ModuleList share: modules under names, in the order of the table."""

    def _name(self, index: int) -> str:
        names = list(self._modules)
        n = len(names)
        at = operator.index(index)
        expect(-n <= at < n, type(self), f"an index in [{-n}, {n})", at, IndexRangeError)
        return names[at]

    def _part(self, index: slice) -> dict[str, Any]:
        """The modules of a slice by name."""
        return dict(list(self._modules.items())[index])

    def _renumber(self, modules: Iterable[Any]) -> None:
        """Hold these modules, named by their index."""
        kept = list(modules)
        self._modules.clear()
        for i, module in enumerate(kept):
            self._modules[str(i)] = module

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), module)

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self._modules.values())
        if not isinstance(index, slice):
            self._name(index)
        del modules[index]
        self._renumber(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        good = isinstance(modules, Iterable)
        expect(good, f"{type(self).__name__}.extend", "modules", type(modules).__name__, DTypeError)
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before the one at `index`."""
        where = f"{type(self).__name__}.insert"
        expect(isinstance(module, Module), where, "a Module", type(module).__name__, DTypeError)
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def pop(self, key: int | slice = -1) -> Any:
        """Take the module at `key` out."""
        found = self[key]
        del self[key]
        return found

    def __getitem__(self, index: int | slice) -> Any:
        raise NotImplementedError


class Sequential(_Ordered):
    """Modules called one after the other, each with the result of the one before.

    Given one by one, and named 0, 1, …, or as a dict from name to module.
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            for i, one in enumerate(modules):
                self.add_module(str(i), one)

    def forward(self, input: Any) -> Any:
        """What the last module makes of what the others made of `input`."""
        for module in list(self._modules.values()):
            input = module(input)  # type: ignore[misc]  # None is refused by the call
        return input

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self._part(index))
        return self._modules[self._name(index)]

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before the one at `index`, which must not lie outside."""
        n = len(self)
        wanted = f"an index in [{-n}, {n}]"
        expect(-n <= index <= n, "Sequential.insert", wanted, index, IndexRangeError)
        return super().insert(index, module)

    def __add__(self, other: Sequential) -> Sequential:
        self._only(other, "+")
        return Sequential(*self, *other)

    def __iadd__(self, other: Sequential) -> Self:
        self._only(other, "+=")
        return self.extend(other)

    def __mul__(self, times: int) -> Sequential:
        return Sequential(*list(self) * self._count(times))

    def __rmul__(self, times: int) -> Sequential:
        return self * times

    def __imul__(self, times: int) -> Self:
        return self.extend(list(self) * (self._count(times) - 1))

    def _only(self, other: object, sign: str) -> None:
        good = isinstance(other, Sequential)
        expect(good, f"Sequential {sign}", "a Sequential", type(other).__name__, ArgumentError)

    def _count(self, times: int) -> int:
        good = isinstance(times, int)
        expect(good, "Sequential *", "an integer", type(times).__name__, DTypeError)
        expect(times > 0, "Sequential *", "a number above 0", times, ArgumentError)
        return times


class ModuleList(_Ordered):
    """A list of modules, named by their index as in PyTorch."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self._part(index).values())
        return self._modules[self._name(index)]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*iter(self), *other])

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def __repr__(self) -> str:
        lines: list[str] = []
        first = 0
        for text, same in groupby(map(repr, self)):
            count = len(list(same))
            many = f"({first}-{first + count - 1}): {count} x "
            lines.append((many if count > 1 else f"({first}): ") + text)
            first += count
        return tree(self._get_name(), "", lines)


class ModuleDict(Module):
    """Modules by name, in the order in which they came."""

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def update(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | ModuleDict
    ) -> None:
        """Add or replace modules by name."""
        good = isinstance(modules, (Iterable, ModuleDict))
        expect(good, "ModuleDict.update", "modules", type(modules).__name__, DTypeError)
        pairs: Any = modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules
        for i, pair in enumerate(pairs):
            where, wanted = "ModuleDict.update", f"a name and a module at {i}"
            expect(isinstance(pair, Iterable), where, wanted, pair, DTypeError)
            expect(len(tuple(pair)) == 2, where, wanted, pair, ArgumentError)
            name, module = pair
            self[name] = module

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> ValuesView[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> ItemsView[str, Any]:
        """Pairs of name and module."""
        return self._modules.items()

    def pop(self, key: str) -> Any:
        """Take the module of that name out."""
        return self._modules.pop(key)

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()
