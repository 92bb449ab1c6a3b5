"""Attributes of modules: parameters, buffers and sub-modules stand in tables, as in torch.

The tables `_parameters`, `_buffers` and `_modules` say what a module has. What stands in them is
an entry of the instance's `__dict__` too, because Python finds it there without a call
of `__getattr__`; the tables keep both alike, whoever changes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self
from weakref import ref

from tallow.errors import ArgumentError, DTypeError, NameTakenError, expect
from tallow.nn.parameter import Buffer, Declaration, Parameter
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.nn.module import Module

TABLES = ("_parameters", "_buffers", "_modules")


class MemberDict(dict[str, Any]):
    """Parameters, buffers or sub-modules by name; its entries are attributes of the owner."""

    __slots__ = ("owner",)

    def __init__(self, owner: Attributes, entries: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.owner = ref(owner)  # weakly: a dropped model and the file it borrows go at once
        if entries:
            self.update(entries)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        owner = self.owner()
        if owner is not None:
            owner.__dict__[name] = value

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        owner = self.owner()
        if owner is not None:
            owner.__dict__.pop(name, None)

    def pop(self, name: str, *default: Any) -> Any:
        """Take an entry out."""
        if name not in self and default:
            return default[0]
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last entry out."""
        name, value = super().popitem()
        super().__setitem__(name, value)
        del self[name]
        return name, value

    def clear(self) -> None:
        """Take all entries out."""
        for name in list(self):
            del self[name]

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The entry of that name, `default` entered if there is none."""
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *entries: Any, **named: Any) -> None:
        """Enter all of these."""
        for name, value in dict(*entries, **named).items():
            self[name] = value

    def __ior__(self, entries: Any) -> Self:  # type: ignore[override, misc]  # PyTorch's signature
        self.update(entries)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, (dict(self),))


class Attributes:
    """The part of Module that takes attributes in; `__init__` need not be called first."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]
    _declared: dict[str, Declaration]  # of the parameters that a layer declared, by name

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Make the tables; a mixin behind this class is told the arguments, as by PyTorch's."""
        above: Any = super().__new__
        self: Self = above(cls) if above is object.__new__ else above(cls, *args, **options)
        own = self.__dict__
        for kind in TABLES:
            own[kind] = MemberDict(self)
        own["_non_persistent_buffers_set"] = set()
        own["_declared"] = {}
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if "_parameters" not in own:  # by the __new__ of a mixin, before there are tables
            object.__setattr__(self, name, value)
        elif isinstance(value, Parameter):
            if type(self).register_parameter is Attributes.register_parameter:
                self._register("_parameters", name, value)
            else:  # overridden, or replaced for a while (accelerate builds models on meta so)
                self._discard(name, "_parameters")
                self.register_parameter(name, value)
        elif name in own["_parameters"]:
            self._refuse(value is None, "a Parameter or None", name, value)
            self._register("_parameters", name, value)
        elif isinstance(value, Attributes):
            self._register("_modules", name, value)
        elif name in own["_modules"]:
            self._refuse(value is None, "a Module or None", name, value)
            self._register("_modules", name, value)
        elif isinstance(value, Buffer):
            self._free(name, type(self).__name__, "_buffers")
            self._register("_buffers", name, value)
            if not value.persistent:
                self._non_persistent_buffers_set.add(name)
        elif name in own["_buffers"]:
            self._refuse(
                value is None or isinstance(value, Tensor), "a Tensor or None", name, value
            )
            self._table("_buffers")[name] = value
        elif name in TABLES:
            for entry in own[name]:
                own.pop(entry, None)
            own[name] = MemberDict(self, value)
        else:
            super().__setattr__(name, value)

    def _refuse(self, good: bool, wanted: str, name: str, value: Any) -> None:
        expect(good, type(self), f"{wanted} for {name!r}", type(value).__name__, DTypeError)

    def _table(self, kind: str) -> dict[str, Any]:
        """A table, which is made anew where a copied `__dict__` brought that of another module."""
        table: dict[str, Any] = self.__dict__[kind]
        if not isinstance(table, MemberDict) or table.owner() is not self:
            table = self.__dict__[kind] = MemberDict(self, table)
        return table

    def _register(self, kind: str, name: str, value: Any) -> None:
        """Put a value into a table, and out of the others."""
        self._discard(name, kind)
        self._table(kind)[name] = value
        declared = getattr(value, "_declared", None) if kind == "_parameters" else None
        if declared is not None:
            self._declared[name] = declared

    def _discard(self, name: str, kind: str) -> None:
        """Take a name out of the tables of other kinds."""
        for other in TABLES:
            if other != kind and name in self.__dict__[other]:
                del self._table(other)[name]
        self._non_persistent_buffers_set.discard(name)

    def __getattr__(self, name: str) -> Any:
        # Only reached when neither the instance nor its class has such an attribute.
        for kind in TABLES:
            found = self.__dict__.get(kind, {})
            if name in found:
                return found[name]
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(text, name=name, obj=self)

    def __delattr__(self, name: str) -> None:
        for kind in TABLES:
            if name in self.__dict__[kind]:
                del self._table(kind)[name]
                self._non_persistent_buffers_set.discard(name)
                return
        super().__delattr__(name)

    def __dir__(self) -> Iterable[str]:
        names = {*super().__dir__(), *(name for kind in TABLES for name in self.__dict__[kind])}
        return sorted(name for name in names if not name[:1].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        """The `__dict__` with plain tables, and without their entries."""
        state = dict(self.__dict__)
        for kind in TABLES:
            state[kind] = table = dict(state[kind])
            for name, value in table.items():
                if state.get(name) is value:
                    state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = self.__dict__
        own.update(state)
        for kind in TABLES:
            own[kind] = MemberDict(self, own[kind])

    # --- registration -----------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Give the module a parameter; None keeps the name for one that is absent."""
        self._free(name, "register_parameter", "_parameters")
        good = param is None or isinstance(param, Parameter)
        expect(good, "register_parameter", "a Parameter or None", type(param).__name__, DTypeError)
        if param is not None:
            leaf = param.is_leaf
            expect(leaf, "register_parameter", "a leaf", "the result of an op", ArgumentError)
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Give the module a tensor that is no parameter; a persistent one is in `state_dict`."""
        self._free(name, "register_buffer", "_buffers")
        good = tensor is None or isinstance(tensor, Tensor)
        expect(good, "register_buffer", "a Tensor or None", type(tensor).__name__, DTypeError)
        self._register("_buffers", name, tensor)
        if not persistent:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Give the module a sub-module."""
        self._free(name, "add_module", "_modules")
        good = module is None or isinstance(module, Attributes)
        expect(good, "add_module", "a Module or None", type(module).__name__, DTypeError)
        self._register("_modules", name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """The other name of `add_module`."""
        self.add_module(name, module)

    def _free(self, name: str, where: str, kind: str) -> None:
        """Refuse a name that means something else already; what is in the table is replaced."""
        expect(isinstance(name, str), where, "a name", type(name).__name__, DTypeError)
        good = bool(name) and "." not in name
        expect(good, where, "a name without dots", repr(name), NameTakenError)
        free = name in self.__dict__[kind] or not hasattr(self, name)
        expect(free, where, "a name that is not taken", repr(name), NameTakenError)
