"""Normalised weights by hooks, as before parametrizations, and other older names."""

from __future__ import annotations

import warnings
from typing import Any

from tallow import nn, ops
from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.nn import functional as F
from tallow.nn.parameter import Parameter
from tallow.nn.utils import clip_grad_norm_
from tallow.tensor import Tensor
from tallow.torch.nn.utils.parametrizations import norm_except


def clip_grad_norm(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:  # fmt: skip
    """`clip_grad_norm_`, by its older name."""
    text = "nn.utils.clip_grad_norm is now nn.utils.clip_grad_norm_, which says that it writes"
    warnings.warn(text, FutureWarning, stacklevel=2)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def skip_init(module_cls: type[nn.Module], *args: Any, **kwargs: Any) -> nn.Module:
    """A module whose parameters are not drawn."""
    kwargs.pop("device", None)
    return module_cls(*args, **kwargs)


class _Hook:
    """A hook before `forward` that computes a weight from other parameters."""

    def __init__(self, name: str) -> None:
        self.name = name

    def install(self, module: nn.Module) -> None:
        """Register; one of a kind per weight."""
        hooks: dict[tuple[type, str], tuple[_Hook, Any]]
        hooks = module.__dict__.setdefault("_weight_hooks", {})
        key = (type(self), self.name)
        expect(key not in hooks, type(self).__name__, f"no such hook on {self.name!r} yet", "one",
               ArgumentError)  # fmt: skip
        hooks[key] = (self, module.register_forward_pre_hook(self))

    def compute(self, module: nn.Module) -> Tensor:
        """The weight."""
        raise NotImplementedError

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        module.__dict__[self.name] = self.compute(module)


def _take(module: nn.Module, kind: type[_Hook], name: str) -> Any:
    found = module.__dict__.get("_weight_hooks", {}).pop((kind, name), None)
    expect(found is not None, f"remove {kind.__name__}", f"one on {name!r}", "none", ArgumentError)
    found[1].remove()
    return found[0]


class _WeightNormHook(_Hook):
    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def compute(self, module: nn.Module) -> Tensor:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / norm_except(v, self.dim))


def weight_norm(module: nn.Module, name: str = "weight", dim: int | None = 0) -> nn.Module:
    """Let a weight be a length (`weight_g`) times a direction (`weight_v`), before each forward."""
    hook = _WeightNormHook(name, dim)
    weight = getattr(module, name)
    delattr(module, name)
    with no_grad():
        length = norm_except(weight.detach(), dim)
    module.register_parameter(f"{name}_g", Parameter(length))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    module.__dict__[name] = hook.compute(module)
    hook.install(module)
    return module


def remove_weight_norm(module: nn.Module, name: str = "weight") -> nn.Module:
    """Make the weight a parameter again."""
    hook = _take(module, _WeightNormHook, name)
    with no_grad():
        weight = hook.compute(module)
    for part in (name, f"{name}_g", f"{name}_v"):
        module.__dict__.pop(part, None) if part == name else delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module


class _SpectralNormHook(_Hook):
    def __init__(self, name: str, steps: int, dim: int, eps: float) -> None:
        super().__init__(name)
        self.steps, self.dim, self.eps = steps, dim, eps

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight with axis `dim` first, as a matrix."""
        order = [self.dim, *(i for i in range(weight.ndim) if i != self.dim)]
        return (weight.permute(order) if self.dim else weight).reshape(weight.shape[self.dim], -1)

    def compute(self, module: nn.Module) -> Tensor:
        weight = getattr(module, f"{self.name}_orig")
        matrix = self.matrix(weight)
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        if module.training:
            with no_grad():
                for _ in range(self.steps):
                    v.copy_(F.normalize(ops.mv(matrix.detach().t(), u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(ops.mv(matrix.detach(), v), dim=0, eps=self.eps))
        u, v = u.clone(), v.clone()
        return weight / ops.dot(u, ops.mv(matrix, v))


def spectral_norm(
    module: nn.Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
    dim: int | None = None,
) -> nn.Module:  # fmt: skip
    """Let a weight have 1 as its largest singular value, computed before each forward."""
    turned = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    axis = dim if dim is not None else 1 if isinstance(module, turned) else 0
    hook = _SpectralNormHook(name, n_power_iterations, axis, eps)
    weight = getattr(module, name)
    matrix = hook.matrix(weight.detach())
    delattr(module, name)
    module.register_parameter(f"{name}_orig", Parameter(weight.detach()))
    with no_grad():
        u = F.normalize(ops.randn(matrix.shape[0]).to(weight.dtype), dim=0, eps=eps)
        v = F.normalize(ops.randn(matrix.shape[1]).to(weight.dtype), dim=0, eps=eps)
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.__dict__[name] = weight.detach()
    hook.install(module)
    return module


def remove_spectral_norm(module: nn.Module, name: str = "weight") -> nn.Module:
    """Make the weight a parameter again."""
    hook = _take(module, _SpectralNormHook, name)
    training = module.training
    module.training = False
    with no_grad():
        weight = hook.compute(module)
    module.training = training
    module.__dict__.pop(name, None)
    for part in ("_orig", "_u", "_v"):
        delattr(module, name + part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module
