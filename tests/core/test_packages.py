"""Packages whose names come from their modules when they are asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types

import pytest

PACKAGES = ["hub", "text", "tasks", "vision", "generate"]


@pytest.mark.parametrize("name", PACKAGES)
def test_names_are_what_their_modules_have_whatever_is_imported_first(name: str) -> None:
    package = importlib.import_module(f"tallow.{name}")
    for each, home in package._HOMES.items():
        module = importlib.import_module(f"tallow.{name}.{home}")
        found = getattr(package, each)
        assert found is (module if each == home else getattr(module, each))
        assert each in dir(package)


@pytest.mark.parametrize("name", PACKAGES)
def test_no_name_is_also_that_of_a_module(name: str) -> None:
    # The import of that module would put it in the place of the name.
    package = importlib.import_module(f"tallow.{name}")
    for each in package.__all__:
        clash = importlib.util.find_spec(f"tallow.{name}.{each}") is not None
        assert not clash or isinstance(getattr(package, each), types.ModuleType)


@pytest.mark.parametrize("name", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    package = importlib.import_module(f"tallow.{name}")
    with pytest.raises(AttributeError, match=f"module 'tallow.{name}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_an_import_leaves_the_garbage_collector_as_it_was() -> None:
    for before in ((700, 10, 10), (0, 5, 5)):
        code = f"import gc; gc.set_threshold(*{before}); import tallow; print(gc.get_threshold())"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == str(before), done.stderr
