"""torch.ao: PyTorch's quantisation, by its newer path."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
)
