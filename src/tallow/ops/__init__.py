"""The ops as functions. See `tallow.registry` for how an op is defined.

What running a language model needs is loaded at once. The other op modules are loaded when one of
their ops is first asked for: `_modules.py`, which tools/make_stubs.py writes, names them.
"""

from __future__ import annotations

import sys as _sys
from importlib import import_module as _import_module
from types import ModuleType as _ModuleType
from typing import Any

from ..registry import OPS, install, when_missing
from ..tensor import Tensor as _Tensor
from . import (
    activation,
    attention,
    complexes,
    convert,
    elementwise_binary,
    elementwise_compare,
    extreme,
    join,
    linalg,
    norm,
    operators,
    reduce,
    sampling,
    shape,
    softmax,
)
from ._modules import METHODS, MODULES

install()
operators.install_operators()
__all__ = sorted(
    {name for name in OPS if "." not in name} | {name for name in MODULES if "." not in name}
)


class _Ops(_ModuleType):
    """This module: an op module that is named like an op never takes the op's place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, _ModuleType) and (name in OPS or name in MODULES)):
            super().__setattr__(name, value)


def _make_way() -> None:
    """A module named like one of its ops makes way for the op."""
    for name, value in list(globals().items()):
        if (name in OPS or name in MODULES) and hasattr(value, "__spec__"):
            del globals()[name]


def _open(name: str) -> bool:
    """Load the module of the op `name`; False when there is none."""
    module = MODULES.get(name)
    if module is None:
        return False
    _import_module(f".{module}", __name__)
    return True


def open_all() -> None:
    """Load every op module, for what goes through all ops."""
    for module in sorted(set(MODULES.values())):
        _import_module(f".{module}", __name__)


def _when_used(name: str) -> Any:
    """The method `_name` of Tensor: `name` of the module subscript, loaded when it is used."""

    def method(x: Any, *args: Any) -> Any:
        function = getattr(_import_module(".subscript", __name__), name)
        setattr(_Tensor, f"_{name}", function)
        return function(x, *args)

    return method


_Tensor._get, _Tensor._put = _when_used("get"), _when_used("put")
_make_way()
_sys.modules[__name__].__class__ = _Ops
when_missing(_open, MODULES, METHODS.split())


def __getattr__(name: str) -> Any:
    """The caller of an op, built when it is first asked for."""
    if "." in name or not (name in OPS or _open(name)):
        raise AttributeError(f"module 'tallow.ops' has no attribute {name!r}")
    # Of what several threads ask for at once, one is kept.
    return globals().setdefault(name, OPS[name].caller())


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
