"""The ops: every row of the registry, as functions. See `tallow.registry` for how a row is made."""

from __future__ import annotations

from ..registry import ROWS, install
from . import elementwise, linalg, norm, reduce, sampling, shape
from . import attention as _attention

install(globals())
__all__ = list(ROWS)  # noqa: PLE0605
elementwise.install_operators()
