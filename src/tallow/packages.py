"""Let a package's modules, or names in them, be its attributes, imported when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def module_by_name(modules: Mapping[str, str | Iterable[str]]) -> dict[str, str]:
    """The module of each name, from a table of modules with the names in them (a text: words)."""
    return {
        name: module
        for module, names in modules.items()
        for name in (names.split() if isinstance(names, str) else names)
    }


def names_of(
    namespace: dict[str, Any], homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package that takes names from its modules when asked.

    `namespace` are the package's globals, `homes` says which of its modules has a name; a name that
    is its own home is a module.
    """
    package: str = namespace["__name__"]

    def find(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{home}")
        found = namespace[name] = module if home == name else getattr(module, name)
        return found

    def names() -> list[str]:
        return sorted({*namespace, *homes})

    return find, names


def modules_of(
    package: str, path: Iterable[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package that has nothing else to look up."""

    def find(name: str) -> Any:
        if name.startswith("_") or find_spec(f"{package}.{name}") is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return import_module(f"{package}.{name}")

    def names() -> list[str]:
        from pkgutil import iter_modules

        found = {module.name for module in iter_modules(path)}
        return sorted({*vars(import_module(package)), *found})

    return find, names
