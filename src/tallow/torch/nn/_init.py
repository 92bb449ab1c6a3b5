"""torch.nn.init's older names without an underscore, which warn as PyTorch's do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from tallow.nn import init


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    rule: Callable[..., Any] = getattr(init, f"{name}_")

    def call(*args: Any, **options: Any) -> Any:
        text = f"nn.init.{name} is now nn.init.{name}_, which says that it writes"
        warnings.warn(text, FutureWarning, stacklevel=2)
        return rule(*args, **options)

    call.__name__ = name
    return call
