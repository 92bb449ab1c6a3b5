"""Dataclasses whose methods are not compiled when their module is imported.

`dataclasses.dataclass` compiles six methods of each class from text: 0.7 ms, whenever a program
starts, as no bytecode of them is kept. Here methods are closures; what the standard library asks a
class for (`fields`, `asdict`, a subclass, a signature) is made when it is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NamedTuple

__all__ = ["dataclass", "field", "field_names", "is_dataclass", "replace"]

# Of so many instances a class pays for an `__init__` of its own, which takes half a microsecond.
_BEFORE_COMPILED = 1000


class _Field:
    """The options of a field, until `dataclasses.field` is told them."""

    __slots__ = ("options",)

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options


class _Options(NamedTuple):
    """The options of a class."""

    eq: bool
    frozen: bool
    kw_only: bool
    slots: bool


class _Standard:
    """A class attribute that the standard library reads; made when it is asked for."""

    __slots__ = ("name", "of", "own")

    def __init__(self, name: str, of: Callable[[], type], own: type) -> None:
        self.name, self.of, self.own = name, of, own

    def __get__(self, _: object, owner: type) -> Any:
        if self.name != "__signature__":
            return getattr(self.of(), self.name)
        if owner is not self.own:  # whose __init__ may be another
            raise AttributeError(self.name)
        from inspect import signature

        return signature(self.of())


if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:

    def field(**options: Any) -> Any:
        """`dataclasses.field`, with all of its options but `init` and `kw_only`."""
        return _Field(options)

    def dataclass(
        cls: type | None = None,
        /,
        *,
        eq: bool = True,
        frozen: bool = False,
        kw_only: bool = False,
        slots: bool = False,
    ) -> Any:
        """`dataclasses.dataclass` with these options."""
        options = _Options(eq, frozen, kw_only, slots)
        return _made(cls, options) if cls is not None else lambda cls: _made(cls, options)

    def replace(instance: Any, /, **changes: Any) -> Any:
        """`dataclasses.replace`."""
        if type(_entry(type(instance))) is not _Standard:
            from dataclasses import replace as standard

            return standard(instance, **changes)
        kept = {name: getattr(instance, name) for name in instance._lazy_fields}
        return type(instance)(**kept | changes)


def is_dataclass(cls: type) -> bool:
    """Whether a class is a dataclass, of whichever kind."""
    return _entry(cls) is not None


def field_names(of: Any) -> tuple[str, ...]:
    """The names of the fields of a dataclass or of one of its instances, in order."""
    cls: Any = of if isinstance(of, type) else type(of)
    if type(_entry(cls)) is _Standard:
        return tuple(cls._lazy_fields)
    from dataclasses import fields

    return tuple(each.name for each in fields(of))


def _entry(cls: type) -> Any:
    """What a class or the nearest of its bases has for its fields: None, or ours, or a dict."""
    entries = (vars(base).get("__dataclass_fields__") for base in cls.__mro__)
    return next((entry for entry in entries if entry is not None), None)


def _made(cls: type, options: _Options) -> type:
    fields = _collected(cls)
    if options.slots:
        cls = _with_slots(cls, fields, options.frozen)
    standard = _standard_of(cls, fields, options)
    own = vars(cls)
    methods = {"__init__": _init(cls, fields, standard, options), "__repr__": _repr(fields)}
    if options.eq:
        methods["__eq__"] = _eq(fields)
        if own.get("__hash__") is None:
            cls.__hash__ = _hash(fields) if options.frozen else None  # type: ignore[assignment]
    if options.frozen:
        methods["__setattr__"], methods["__delattr__"] = _frozen(cls, frozenset(fields))
    for name, method in methods.items():
        if name not in own:
            method.__name__, method.__qualname__ = name, f"{cls.__qualname__}.{name}"
            setattr(cls, name, method)
    hidden: dict[str, Any] = {
        "__match_args__": () if options.kw_only else tuple(fields),
        "__replace__": _replace,
        "_lazy_fields": fields,
    }
    for name in ("__dataclass_fields__", "__dataclass_params__", "__signature__"):
        hidden[name] = _Standard(name, standard, cls)
    if vars(cls)["__init__"] is not methods["__init__"]:
        del hidden["__signature__"]
    for name, value in hidden.items():
        setattr(cls, name, value)
    return cls


def _collected(cls: type) -> dict[str, _Field]:
    """The fields of a class, those of its bases first; an attribute becomes a field's default."""
    fields: dict[str, _Field] = {}
    for base in reversed(cls.__mro__[1:]):
        own = vars(base)
        if "__dataclass_fields__" in own:
            assert "_lazy_fields" in own, f"{cls}: its base {base} is a dataclass of another kind"
            fields |= own["_lazy_fields"]
    for name, kind in cls.__annotations__.items():
        if str(kind).partition("[")[0].rpartition(".")[2] == "ClassVar":
            continue
        given = _own(vars(cls).get(name))
        if isinstance(given, _Field):
            fields[name] = _Field({**given.options, "type": kind})
            if "default" in given.options:
                setattr(cls, name, given.options["default"])
            else:
                delattr(cls, name)
        else:
            found = {"default": given} if name in vars(cls) else {}
            fields[name] = _Field({**found, "type": kind})
    return fields


def _own(given: Any) -> Any:
    """A field of `dataclasses.field` as one of ours: in a user's class, which a base makes lazy."""
    standard = sys.modules.get("dataclasses")
    if standard is None or not isinstance(given, standard.Field):
        return given
    names = ("default", "default_factory", "repr", "hash", "compare", "metadata")
    options = {name: getattr(given, name) for name in names}
    return _Field({k: v for k, v in options.items() if v is not standard.MISSING})


def _with_slots(cls: type, fields: dict[str, _Field], frozen: bool) -> type:
    """The class again, with slots, which no class can be given afterwards."""
    rest = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__", *fields)}
    inherited = {name for base in cls.__mro__[1:] for name in getattr(base, "__slots__", ())}
    rest["__slots__"] = tuple(name for name in fields if name not in inherited)
    rest["__qualname__"] = cls.__qualname__
    if frozen:  # pickle would set each attribute
        rest.setdefault("__getstate__", _state)
        rest.setdefault("__setstate__", _restore)
    return type(cls)(cls.__name__, cls.__bases__, rest)


def _state(instance: Any) -> list[Any]:
    return [getattr(instance, name) for name in instance._lazy_fields]


def _restore(instance: Any, values: list[Any]) -> None:
    for name, value in zip(instance._lazy_fields, values, strict=True):
        object.__setattr__(instance, name, value)


def _standard_of(cls: type, fields: dict[str, _Field], options: _Options) -> Callable[[], type]:
    """What gives a class of the same fields that `dataclasses` has made, once it is needed."""
    made: list[type] = []

    def standard() -> type:
        if not made:
            import dataclasses

            inner: dict[str, Any] = {}
            kinds = {}
            for name, each in fields.items():
                rest = dict(each.options)
                kinds[name] = rest.pop("type")
                inner[name] = dataclasses.field(**rest)
            inner["__annotations__"] = kinds
            inner |= {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": ""}
            if hasattr(cls, "__post_init__"):
                inner["__post_init__"] = cls.__post_init__
            rules = options._replace(slots=False)._asdict()
            made.append(dataclasses.dataclass(**rules)(type(cls.__name__, (), inner)))
        return made[0]

    return standard


def _init(
    cls: type, fields: dict[str, _Field], standard: Callable[[], type], options: _Options
) -> Callable[..., None]:
    names, slots = tuple(fields), options.slots
    places = () if options.kw_only else names
    defaults = {n: f.options["default"] for n, f in fields.items() if "default" in f.options}
    made = {n: f for n, f in fields.items() if "default_factory" in f.options}
    makers = [(name, each.options["default_factory"]) for name, each in made.items()]
    known = frozenset(names)
    required = known - defaults.keys() - made.keys()
    blank = dict.fromkeys(names) | defaults
    finish = hasattr(cls, "__post_init__")
    keep = object.__setattr__
    left = _BEFORE_COMPILED

    def init(self: Any, /, *args: Any, **options: Any) -> None:
        nonlocal left
        left -= 1
        if not left and vars(cls).get("__init__") is init:  # not what somebody put around it
            cls.__init__ = standard().__init__  # type: ignore[misc]
        count, given = len(args) + len(options), options
        if args:
            given = dict(zip(places, args, strict=False)) | options
        if count != len(given) or not known >= given.keys() or not required <= given.keys():
            standard().__init__(self, *args, **options)  # type: ignore[misc]  # says what is amiss
        if count < len(names):
            given = {**blank, **given, **{n: make() for n, make in makers if n not in given}}
        if slots:
            for name in names:
                keep(self, name, given[name])
        else:
            self.__dict__.update(given)
        if finish:
            self.__post_init__()

    return init


def _repr(fields: dict[str, _Field]) -> Callable[..., Any]:
    shown = [name for name, each in fields.items() if each.options.get("repr", True)]

    @recursive_repr()
    def representation(self: Any) -> str:
        inner = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({inner})"

    return representation


def _values(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda instance: tuple(getattr(instance, name) for name in names)


def _eq(fields: dict[str, _Field]) -> Callable[..., Any]:
    values = _values([n for n, each in fields.items() if each.options.get("compare", True)])

    def equal(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    return equal


def _hash(fields: dict[str, _Field]) -> Callable[[Any], int]:
    counted = []
    for name, each in fields.items():
        compared, hashed = each.options.get("compare", True), each.options.get("hash")
        if compared if hashed is None else hashed:
            counted.append(name)
    values = _values(counted)

    def hashed_values(self: Any) -> int:
        return hash(values(self))

    return hashed_values


def _frozen(cls: Any, names: frozenset[str]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def refuse(self: Any, name: str, doing: str) -> None:
        if type(self) is cls or name in names:
            from dataclasses import FrozenInstanceError

            raise FrozenInstanceError(f"cannot {doing} field {name!r}")

    def assign(self: Any, name: str, value: Any) -> None:
        refuse(self, name, "assign to")
        super(cls, self).__setattr__(name, value)

    def delete(self: Any, name: str) -> None:
        refuse(self, name, "delete")
        super(cls, self).__delattr__(name)

    return assign, delete


def _replace(self: Any, /, **changes: Any) -> Any:
    return replace(self, **changes)
