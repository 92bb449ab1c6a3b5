"""Stands in for IPython, whose display has no place to show anything here."""

from . import display

__all__ = ["display"]
version_info = (8, 24)  # matplotlib asks


def get_ipython() -> None:
    """No notebook."""
