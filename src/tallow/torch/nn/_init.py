"""torch.nn.init's names: with an underscore as in Tallow, and the older ones without."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from tallow.nn import init

_OLD = (
    "uniform normal constant eye dirac xavier_uniform xavier_normal kaiming_uniform "
    "kaiming_normal orthogonal sparse"
)


def _older(name: str) -> Callable[..., Any]:
    """The function without its underscore, which warns as PyTorch's does."""
    rule = getattr(init, f"{name}_")

    def call(*args: Any, **options: Any) -> Any:
        text = f"nn.init.{name} is now nn.init.{name}_, which says that it writes"
        warnings.warn(text, FutureWarning, stacklevel=2)
        return rule(*args, **options)

    call.__name__ = name
    return call


for _name in _OLD.split():
    globals()[_name] = _older(_name)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'torch.nn.init' has no attribute {name!r}")
    return getattr(init, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *(n for n in dir(init) if n.endswith("_"))})
