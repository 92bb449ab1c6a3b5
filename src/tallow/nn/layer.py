"""Layer: a module whose parameters have rules for their initial values."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from tallow.device import Device, as_device
from tallow.nn.module import Module
from tallow.nn.parameter import reset


def _on_device(init: Callable[..., None], place: int) -> Callable[..., None]:
    """An `__init__` that declares its parameters on the device its argument names."""

    @wraps(init)
    def call(*args: Any, **options: Any) -> None:
        given = args[place] if len(args) > place else options.get("device")
        device: Device | None = None if given is None else as_device(given)
        if device is None:
            init(*args, **options)
        else:
            with device:
                init(*args, **options)

    return call


class DeviceModule(Module):
    """Base of modules that take `device=`: what their `__init__` makes is made there."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        code = getattr(cls.__dict__.get("__init__"), "__code__", None)
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code else ()
        if "device" in names:
            placed = _on_device(cls.__init__, names.index("device"))
            cls.__init__ = placed  # type: ignore[method-assign]  # in the place of its own


class Layer(DeviceModule):
    """Base of the layers that declare parameters.

    A layer's `__init__` declares them and then calls `reset_parameters`, so that a sub-class
    decides the initial values by overriding it.
    """

    def reset_parameters(self) -> None:
        """Draw the initial values of what the layer declared; other parameters stay."""
        for name, declared in self._declared.items():
            value = self._parameters.get(name)
            if value is not None:
                reset(value, declared.init)
