"""Helpers at the root of torch.utils."""

from __future__ import annotations

from typing import Any

from tallow.tensor import Tensor


def set_module(obj: Any, mod: str) -> None:
    """Say that `obj` stands in the module `mod`."""
    obj.__module__ = mod


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Exchange what two tensors hold."""
    first, second = t1.detach(), t2.detach()
    t1.data, t2.data = second, first
