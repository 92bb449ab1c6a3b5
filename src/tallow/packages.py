"""Let the modules of a package be reached as its attributes, imported when first asked for."""

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
