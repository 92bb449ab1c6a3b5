"""torch.return_types: the named tuples that ops give are made by the ops."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
)
