"""torch._tensor: the Tensor class by the path that pickles name."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.tensor": "Tensor"},
)
