"""torch._logging: switches of PyTorch's own logs, which are not written here."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={"set_logs": None},
)
