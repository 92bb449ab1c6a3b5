"""How the modules here find their names: tables, opened when a name is first asked for (PEP 562).

A name is a module, stands in another place, answers always the same, does nothing, or is refused
when it is called: `namespace` makes a module's `__getattr__` of such tables. What is refused is a
class, so that it can be imported, inherited from and asked about without being there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from tallow.errors import TallowError

PACKAGE = "tallow.torch"


class UnsupportedError(TallowError, NotImplementedError):
    """A name of PyTorch that Tallow does not have; raised when it is used, never at import."""


class NoDeviceError(TallowError, AssertionError, RuntimeError):
    """There is no such device; what PyTorch's build for CPUs raises, and a RuntimeError too."""


class _Refusing(type):
    """The class of refused names: making an instance, that is calling the name, raises."""

    _error: type[TallowError]
    _text: str

    def __call__(cls, *_: Any, **__: Any) -> Any:
        raise cls._error(cls._text)


def shown(module: str) -> str:
    """The name of a module here as PyTorch has it."""
    return "torch" + module.removeprefix(PACKAGE)


def refused(
    module: str,
    name: str,
    reason: str,
    error: type[TallowError] = UnsupportedError,
    attributes: Iterable[str] = (),
) -> Any:
    """A stand-in for a name: a class that raises `error` when called, as do its attributes."""
    text = f"{shown(module)}.{name}: {reason}"
    made = _Refusing(name, (), {"_error": error, "_text": text, "__module__": module})
    for attribute in attributes:
        setattr(made, attribute, refused(f"{module}.{name}", attribute, reason, error))
    return made


def answering(module: str, name: str, value: Any) -> Callable[..., Any]:
    """A function that gives `value` whatever it is called with."""

    def answer(*_: Any, **__: Any) -> Any:
        return value

    answer.__name__ = answer.__qualname__ = name
    answer.__module__ = module
    return answer


def unchanged(module: str, name: str) -> Callable[..., Any]:
    """A decorator, with or without arguments, that gives back what it is put on."""

    def decorate(target: Any = None, *_: Any, **__: Any) -> Any:
        return target if callable(target) else lambda function: function

    decorate.__name__ = decorate.__qualname__ = name
    decorate.__module__ = module
    return decorate


def table(places: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """`{"module": "name new=name"}` as name → (module, the name there)."""
    out = {}
    for place, names in places.items():
        for entry in names.split():
            name, _, there = entry.partition("=")
            out[name] = (place, there or name)
    return out


def namespace(
    module: str,
    *,
    modules: str = "",
    places: Mapping[str, str] | None = None,
    behind: Iterable[str] = (),
    answers: Mapping[str, Any] | None = None,
    decorators: str = "",
    refuses: Mapping[str, str] | None = None,
    error: type[TallowError] = UnsupportedError,
    attributes: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a module.

    `modules` are sub-modules, `places` says where names stand ({"module": "name new=old …"}),
    `answers` are functions of one result, `decorators` change nothing, `refuses` ({"reason":
    "name …"}) raise `error` when called, with `attributes` ({"name": "attribute …"}) of their own,
    and `behind` are modules whose public names are names here, too.
    """
    from tallow.torch._aliases import ALIASES

    here = table(places or {})
    reasons = {name: why for why, names in (refuses or {}).items() for name in names.split()}
    plain, same = dict(answers or {}), set(decorators.split())
    below = f"{module.removeprefix(PACKAGE).removeprefix('.')}.".removeprefix(".")
    children = {*modules.split()}
    children |= {
        alias[len(below) :]
        for alias in ALIASES
        if alias.startswith(below) and "." not in alias[len(below) :]
    }
    if children and not hasattr(sys.modules[module], "__path__"):
        vars(sys.modules[module])["__path__"] = []  # modules below a plain file are aliases

    def find(name: str) -> Any:
        if name in here:
            place, there = here[name]
            return getattr(import_module(place), there)
        if name in plain:
            return answering(module, name, plain[name])
        if name in same:
            return unchanged(module, name)
        if name in reasons:
            inner = (attributes or {}).get(name, "").split()
            return refused(module, name, reasons[name], error, inner)
        if name in children:
            return import_module(f"{module}.{name}")
        for place in () if name.startswith("_") else behind:
            found = getattr(import_module(place), name, here)
            if found is not here:
                return found
        raise AttributeError(f"module {shown(module)!r} has no attribute {name!r}")

    def get(name: str) -> Any:
        found = find(name)
        setattr(sys.modules[module], name, found)
        return found

    def listed() -> list[str]:
        names = {*vars(sys.modules[module]), *here, *plain, *same, *reasons, *children}
        for place in behind:
            names |= {name for name in dir(import_module(place)) if not name.startswith("_")}
        return sorted(names)

    return get, listed


class Settings:
    """A group of settings that take any value and change nothing: `torch._inductor.config`."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"
