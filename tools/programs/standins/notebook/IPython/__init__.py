"""Stands in for IPython, whose display has no place to show anything here."""

from . import display

__all__ = ["display"]


def get_ipython() -> None:
    """No notebook."""
