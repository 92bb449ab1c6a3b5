"""`tallow.linalg`: norms, products, factorisations and solvers of matrices, as `torch.linalg`."""

from __future__ import annotations

from .errors import LinAlgError as LinAlgError
from .registry import namespace

__all__, __getattr__ = namespace(__name__)


def __dir__() -> list[str]:
    return list(__all__)
