"""Modes that see every function of tensors that is called in their block.

Nothing is tested for them on the way of a call: while a mode is on, plain tensors are not taken for
what they are by the quick tests of calls, which then ask `overrides` as they do for subclasses.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

from tallow import _native, overrides
from tallow.tensor import Tensor

_LOCK = threading.Lock()
# What makes tensors of none, and so has no tensor to tell by: seen where it is called by a module.
_FACTORIES = (
    "tensor", "as_tensor", "from_numpy", "zeros", "ones", "empty", "full", "arange", "eye",
    "linspace", "logspace", "rand", "randn", "randint", "randperm",
)  # fmt: skip
_active = 0
_kept: dict[tuple[Any, str], Any] = {}


class FunctionMode:
    """A block in which `__torch_function__` of the mode is asked for every function.

    In it the mode is off, so that it may call the function; modes around it are still on.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """What is made of a call; NotImplemented leaves it to the classes of the arguments."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        overrides.modes().append(self)
        _count(1)
        return self

    def __exit__(self, *_: object) -> None:
        """The mode is off."""
        overrides.modes().pop()
        _count(-1)


def _count(step: int) -> None:
    """One block more or less, on any thread; the first and the last change the quick tests."""
    global _active
    with _LOCK:
        before, _active = _active, _active + step
        if not before:
            _show()
        elif not _active:
            _hide()


def _show() -> None:
    hidden = {kind for kind in overrides.PLAIN if issubclass(kind, Tensor)}
    overrides.HIDDEN.update(hidden)
    overrides.PLAIN.difference_update(hidden)
    _native.set_direct_type(None)
    for name in overrides.METHODS:
        _put(Tensor, name, overrides.asking(getattr(Tensor, name)))
    for module in filter(None, map(sys.modules.get, ("tallow", "tallow.torch"))):
        for name in _FACTORIES:
            _put(module, name, _factory(getattr(module, name)))


def _put(owner: Any, name: str, value: Any) -> None:
    _kept[owner, name] = vars(owner).get(name)
    setattr(owner, name, value)


def _factory(function: Callable[..., Any]) -> Callable[..., Any]:
    """A factory that asks first, and is told itself: modes compare it with `torch.zeros`."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        found = overrides.overloaded(args)
        return overrides.ask(call, found, args, kwargs) if found else function(*args, **kwargs)

    return call


def _hide() -> None:
    for (owner, name), own in _kept.items():
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
    _kept.clear()
    _native.set_direct_type(Tensor)
    overrides.PLAIN.update(overrides.HIDDEN)
    overrides.HIDDEN.clear()
