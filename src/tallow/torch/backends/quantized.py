"""torch.backends.quantized: not there; what can be set changes nothing."""

from __future__ import annotations

from tallow.torch._names import namespace

engine = "none"
supported_engines = ["none"]

__getattr__, __dir__ = namespace(
    __name__,
    answers={},
)
