"""Helpers for training: limits on gradients, parameters as one vector, packed sequences."""

from __future__ import annotations

from collections.abc import Iterable

from tallow import ops
from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.factories import zeros
from tallow.nn.utils import rnn
from tallow.tensor import Tensor


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in given if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors taken as one vector, 0-d."""
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not given:
        return zeros(())
    with no_grad():
        norms = ops.stack([x.detach().norm(norm_type) for x in given])
        total: Tensor = norms.norm(norm_type)
    if error_if_nonfinite:
        value = float(total.item())
        finite = value - value == 0
        expect(finite, "clip_grad_norm_", "a finite norm", value, ArgumentError)
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Multiply gradients by `max_norm / total_norm` in place, where that is below 1."""
    with no_grad():
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for g in _gradients(parameters):
            g.mul_(factor.to(g.dtype))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale gradients in place so that their common norm is at most `max_norm`; the norm before."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm(_gradients(given), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(given, max_norm, total)
    return total


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limit each element of the gradients to ±`clip_value`, in place."""
    with no_grad():
        for g in _gradients(parameters):
            g.copy_(g.clamp(-float(clip_value), float(clip_value)))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements as one vector; differentiable."""
    return ops.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write a vector back over the parameters, which share its storage afterwards."""
    given = list(parameters)
    total = sum(p.numel() for p in given)
    expect(vec.shape == (total,), "vector_to_parameters", f"a vector of {total}", vec.shape)
    at = 0
    for p in given:
        n = p.numel()
        p.data = vec.detach()[at : at + n].reshape(p.shape)
        at += n


__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm",
    "parameters_to_vector", "rnn", "vector_to_parameters",
]  # fmt: skip
