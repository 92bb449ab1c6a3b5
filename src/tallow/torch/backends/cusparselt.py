"""torch.backends.cusparselt: not there; what can be set changes nothing."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={
        "is_available": False,
    },
)
