"""`torch.autograd.functional`'s functions: Jacobian and Hessian, and products with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor, ones_like
from . import transforms
from .transforms import hessian, jacobian

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _like(inputs: Any, found: Any) -> Any:
    """Products in the form of the inputs: a tensor, or a tuple."""
    if isinstance(inputs, Tensor):
        return found
    return (found,) if isinstance(found, Tensor) else tuple(found)


def _ones(values: Any) -> Any:
    return ones_like(values) if isinstance(values, Tensor) else tuple(ones_like(x) for x in values)


def vjp(fn: Callable[..., Any], inputs: Any, v: Any = None) -> tuple[Any, Any]:
    """`fn`'s value and `v` times its Jacobian (ones for a missing `v`)."""
    primals = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    out, pull = transforms.vjp(fn, *primals)
    return out, _like(inputs, pull(_ones(out) if v is None else v))


def jvp(fn: Callable[..., Any], inputs: Any, v: Any = None) -> tuple[Any, Any]:
    """`fn`'s value and its Jacobian times `v` (ones for a missing `v`)."""
    return transforms.jvp(fn, inputs, _ones(inputs) if v is None else v)


def hvp(fn: Callable[..., Any], inputs: Any, v: Any = None) -> tuple[Any, Any]:
    """`fn`'s value and its Hessian times `v`."""
    return transforms.hvp(fn, inputs, _ones(inputs) if v is None else v)


def vhp(fn: Callable[..., Any], inputs: Any, v: Any = None) -> tuple[Any, Any]:
    """`fn`'s value and `v` times its Hessian, which is symmetric."""
    return hvp(fn, inputs, v)
