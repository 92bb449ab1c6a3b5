"""The ops: every row of the registry, as functions. See `tallow.registry` for how a row is made.

What running a language model needs is loaded at once. The other rooms are opened when one of their
ops is first asked for: `_places.py`, which tools/make_stubs.py writes, says where each op stands.
"""

from __future__ import annotations

import sys as _sys
from importlib import import_module as _import_module
from types import ModuleType as _ModuleType
from typing import Any

from ..registry import ROWS, install, when_missing
from . import (
    activation,
    attention,
    complexes,
    convert,
    elementwise,
    extreme,
    join,
    linalg,
    norm,
    reduce,
    sampling,
    shape,
    softmax,
)
from ._places import PLACES

install()
elementwise.install_operators()
__all__ = sorted(
    {name for name in ROWS if "." not in name} | {name for name in PLACES if "." not in name}
)


class _Ops(_ModuleType):
    """This module: one of its rooms that is named like an op never takes the op's place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, _ModuleType) and (name in ROWS or name in PLACES)):
            super().__setattr__(name, value)


def _make_way() -> None:
    """A module named like one of its ops makes way for the op."""
    for name, value in list(globals().items()):
        if (name in ROWS or name in PLACES) and hasattr(value, "__spec__"):
            del globals()[name]


def _open(name: str) -> bool:
    """Load the room in which the op `name` stands; False when there is none."""
    room = PLACES.get(name)
    if room is None:
        return False
    _import_module(f".{room}", __name__)
    return True


def open_all() -> None:
    """Load every room, for what goes through all rows."""
    for room in sorted(set(PLACES.values())):
        _import_module(f".{room}", __name__)


_make_way()
_sys.modules[__name__].__class__ = _Ops
when_missing(_open)


def __getattr__(name: str) -> Any:
    """The caller of a row, built when it is first asked for."""
    if "." in name or not (name in ROWS or _open(name)):
        raise AttributeError(f"module 'tallow.ops' has no attribute {name!r}")
    made = ROWS[name].caller()
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
