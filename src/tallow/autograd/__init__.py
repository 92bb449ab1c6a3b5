"""Reverse-mode automatic differentiation: the tape, the backward pass, derivatives of functions."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from ..packages import module_by_name

if TYPE_CHECKING:
    from . import functional
    from .check import gradcheck, gradgradcheck
    from .engine import backward, grad
    from .function import Function
    from .mode import (
        enable_grad,
        inference_mode,
        is_grad_enabled,
        is_inference_mode_enabled,
        no_grad,
        set_grad_enabled,
    )
    from .recompute import checkpoint
    from .transforms import hessian, jacobian, jvp, value_and_grad, vjp

# Loaded when first used: a program that only runs models needs none of it.
_MODULES = {
    "check": ("gradcheck", "gradgradcheck"),
    "engine": ("backward", "grad"),
    "function": ("Function",),
    "mode": (
        "enable_grad", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled",
        "no_grad", "set_grad_enabled",
    ),
    "recompute": ("checkpoint",),
    "transforms": ("hessian", "jacobian", "jvp", "value_and_grad", "vjp"),
}  # fmt: skip
_LAZY = module_by_name(_MODULES)

__all__ = ["functional", *_LAZY]


def __getattr__(name: str) -> Any:
    if name == "functional":
        return _import_module(".functional", __name__)
    if name not in _LAZY:
        raise AttributeError(f"module 'tallow.autograd' has no attribute {name!r}")
    found = getattr(_import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = found
    return found
