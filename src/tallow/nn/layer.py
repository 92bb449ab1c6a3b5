"""Layer: a module whose parameters have rules for their initial values."""

from __future__ import annotations

from tallow.nn.module import Module


class Layer(Module):
    """Base of the layers that declare parameters."""

    def reset_parameters(self) -> None:
        """Draw initial values again; parameters that were not drawn yet stay undrawn."""
        for declared in self._declared.values():
            value = declared.value()
            if value is not None:
                declared.init(value)
