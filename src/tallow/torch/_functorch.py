"""torch._functorch: the compiler's settings, which change nothing here."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(__name__, places={"tallow.torch._config": "config=functorch"})
