"""The ops: every row of the registry, as functions. See `tallow.registry` for how a row is made."""

from __future__ import annotations

from ..registry import ROWS, install
from . import attention as _attention
from . import elementwise, linalg, norm, reduce, sampling, shape

install(globals())
__all__ = list(ROWS)
elementwise.install_operators()
