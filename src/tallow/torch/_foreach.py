"""torch._foreach_*: an op on each tensor of a list, as optimisers of other packages call it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tallow.tensor import Tensor

_PLAIN = (
    "abs add addcdiv addcmul clamp_max clamp_min copy cos div erf exp expm1 floor lerp log log1p "
    "maximum minimum mul neg pow reciprocal round rsqrt sigmoid sign sin sqrt sub tan tanh zero"
)
NAMES = " ".join(f"_foreach_{name} _foreach_{name}_" for name in _PLAIN.split()) + " _foreach_norm"


def _rows(xs: Sequence[Tensor], args: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The arguments of each call: lists give one entry to each, all else goes to every call."""
    columns = [a if isinstance(a, (list, tuple)) else [a] * len(xs) for a in args]
    return list(zip(xs, *columns, strict=True))


def _function(name: str) -> Callable[..., Any]:
    base = name.removeprefix("_foreach_")
    inplace = base.endswith("_")
    base = base.removesuffix("_")

    def one(x: Tensor, *args: Any, **options: Any) -> Tensor:
        if not inplace:
            if base in ("copy", "zero"):
                x = x.clone()
                return getattr(x, f"{base}_")(*args)
            return getattr(x, base)(*args, **options)
        method = getattr(x, f"{base}_", None)
        if method is not None:
            return method(*args, **options)
        return x.copy_(getattr(x, base)(*args, **options))

    def call(self: Sequence[Tensor], *args: Any, **options: Any) -> list[Tensor] | None:
        if base in ("addcdiv", "addcmul") and len(args) > 2:
            args, options = args[:-1], {"value": args[-1]}
        scalars = options.pop("scalars", options.get("value"))
        if isinstance(scalars, (list, tuple)):
            made = [one(*row[:-1], value=row[-1]) for row in _rows(self, (*args, scalars))]
        else:
            made = [one(*row, **options) for row in _rows(self, tuple(args))]
        return None if inplace else made

    call.__name__ = call.__qualname__ = name
    return call


def _foreach_norm(self: Sequence[Tensor], ord: float = 2, dtype: Any = None) -> list[Tensor]:
    """The norm of each tensor's elements."""
    from tallow import linalg

    return [linalg.vector_norm(x, ord, dtype=dtype) for x in self]


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in NAMES.split():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = _function(name)
    return found
