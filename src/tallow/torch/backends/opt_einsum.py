"""torch.backends.opt_einsum: not there; what can be set changes nothing."""

from __future__ import annotations

from tallow.torch._names import namespace

enabled = False
strategy = None

__getattr__, __dir__ = namespace(
    __name__,
    answers={
        "is_available": False,
    },
)
