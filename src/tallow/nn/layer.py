"""Layer: a module whose parameters have rules for their initial values."""

from __future__ import annotations

from typing import Any, Self

from tallow.device import as_device
from tallow.nn.module import Module
from tallow.nn.parameter import reset


class Layer(Module):
    """Base of the layers that declare parameters.

    A layer's `__init__` declares them and then calls `reset_parameters`, so that a sub-class
    decides the initial values by overriding it.
    """

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Refuse a device that is not there; on meta, which has no values, layers are ordinary."""
        device = options.get("device")
        if device is not None and str(device) != "meta":
            as_device(device)
        return super().__new__(cls, *args, **options)

    def reset_parameters(self) -> None:
        """Draw the initial values of what the layer declared; other parameters stay."""
        for name, declared in self._declared.items():
            value = self._parameters.get(name)
            if value is not None:
                reset(value, declared.init)
