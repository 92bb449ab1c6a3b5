"""No notebook to choose formats for."""


def set_matplotlib_formats(*_: str) -> None:
    """Nothing."""
