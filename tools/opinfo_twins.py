"""Which callable of Tallow answers to a name of PyTorch's OpInfo table."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import tallow as tl
import tallow.torch
from tallow.registry import OPS

tl.ops.open_all()
# Drawn by a generator of their own: only shape and dtype can agree.
DRAWN = {
    *("bernoulli", "cauchy", "exponential", "geometric", "log_normal", "normal", "uniform"),
    *("multinomial", "rand_like", "randn", "randn_like", "randint", "randint_like", "rand"),
    *("nn.functional.fractional_max_pool2d", "nn.functional.fractional_max_pool3d", "randperm"),
}
# No interface of torch's users.
NO_TWIN = ("jiterator_", "torch.", "sparse.", "to_sparse", "_")
KEPT = ("__",)


def dotted(root: Any, path: str) -> Any:
    for part in path.split("."):
        try:
            root = getattr(root, part)
        except (AttributeError, ImportError):
            return None
    return root


def _usable(found: Any) -> bool:
    return callable(found) and not isinstance(found, (tl.DType, types.ModuleType, type))


def twin(name: str) -> Callable[..., Any] | None:
    """Tallow's callable for an OpInfo name; None when it has none."""
    if name.startswith(NO_TWIN) and not name.startswith(KEPT):
        return None
    found: Any
    for adapted in (ADAPTED.get(name),):
        if adapted is not None:
            return adapted() if base(name) else None
    found = base(name)
    if isinstance(found, property):
        return found.fget
    return found


def base(name: str) -> Any:
    last = name.rsplit(".", 1)[-1]
    for root, path in (
        (tl, name),
        (OPS, f"nn.{last}" if name.startswith("nn.functional.") else ""),
        (tl, last if name.startswith("nn.functional.") else ""),
        (tl.Tensor, name),
        (tl.Tensor, last if name.startswith("nn.functional.") else ""),
        (tl.Tensor, f"{name}_" if name in DRAWN else ""),
        (tallow.torch, name),
    ):
        found = (root.get(path) if root is OPS else dotted(root, path)) if path else None
        if _usable(found) or isinstance(found, property):
            return found
    return None


def _embedding(name: str) -> Callable[..., Any]:
    return lambda weight, idx, *a, **k: base(name)(idx, weight, *a, **k)


def _swapped(name: str) -> Callable[..., Any]:
    return lambda x, n, **k: base(name)(n, x, **k)


def _in_place(name: str) -> Callable[..., Any]:
    method = dotted(tl.Tensor, f"{name}_")
    return lambda x, *a, **k: (method or base(name))(x, *a, **k)


# What the lambdas in PyTorch's table do to the arguments.
ADAPTED: dict[str, Callable[[], Callable[..., Any]]] = {
    "nn.functional.embedding": lambda: _embedding("nn.functional.embedding"),
    "nn.functional.embedding_bag": lambda: _embedding("nn.functional.embedding_bag"),
    "polygamma": lambda: _swapped("polygamma"),
    "special.polygamma": lambda: _swapped("special.polygamma"),
    "einsum": lambda: lambda tensors, equation: tl.einsum(equation, tensors),
    "where": lambda: lambda x, condition, other, **k: tl.where(condition, x, other, **k),
    "resize_": lambda: lambda x, shape: x.clone().resize_(shape),
    "resize_as_": lambda: lambda x, other: x.clone().resize_as_(other),
    "zero_": lambda: lambda x: x.clone().zero_(),
    "svd_lowrank": lambda: lambda a, b, **k: tallow.torch.svd_lowrank(a @ b.mT, **k),
    "pca_lowrank": lambda: lambda a, b, **k: tallow.torch.pca_lowrank(a @ b.mT, **k),
    **{
        name: (lambda name=name: _in_place(name))
        for name in ("cauchy", "exponential", "geometric", "log_normal", "uniform")
    },
}
VARIANTS: dict[tuple[str, str], Callable[..., Any]] = {
    ("linalg.pinv", "singular"): lambda a, b: tl.linalg.pinv(a @ b.mT),
    ("linalg.lstsq", "grad_oriented"): lambda a, b, driver: tl.linalg.lstsq(a, b, driver=driver)[
        :2
    ],
    ("normal", "in_place"): lambda x, *a, **k: x.normal_(*a, **k),
    ("normal", "number_mean"): lambda std, mean, *a, **k: tl.normal(mean, std, *a, **k),
}
