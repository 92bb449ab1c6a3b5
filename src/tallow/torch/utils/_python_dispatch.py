"""torch.utils._python_dispatch: it is not there; its names say so when called."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(__name__, refuses={"it is not supported": "TorchDispatchMode"})
