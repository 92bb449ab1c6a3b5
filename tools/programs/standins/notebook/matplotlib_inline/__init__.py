"""Stands in for matplotlib_inline: pictures are drawn, but by the Agg backend."""

from . import backend_inline

__all__ = ["backend_inline"]
