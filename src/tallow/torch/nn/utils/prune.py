"""torch.nn.utils.prune: weights masked with zeros."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tallow import nn, ops
from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.nn.parameter import Parameter
from tallow.tensor import Tensor


def _count(amount: float, total: int) -> int:
    whole = isinstance(amount, int)
    good = 0 <= amount <= total if whole else 0.0 <= amount <= 1.0
    expect(good, "prune", f"a share in [0, 1] or a number up to {total}", amount, ArgumentError)
    return int(amount) if whole else round(amount * total)


class _MaskHook:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        module.__dict__[self.name] = _masked(module, self.name)


def _masked(module: nn.Module, name: str) -> Tensor:
    mask = getattr(module, f"{name}_mask")
    return mask.to(getattr(module, f"{name}_orig").dtype) * getattr(module, f"{name}_orig")


def custom_from_mask(module: nn.Module, name: str, mask: Tensor) -> nn.Module:
    """Let `name` be `name_orig * name_mask`; a mask that is there already is narrowed."""
    hooks = module.__dict__.setdefault("_prune_hooks", {})
    if name in hooks:
        with no_grad():
            getattr(module, f"{name}_mask").mul_(mask)
    else:
        weight = getattr(module, name)
        delattr(module, name)
        module.register_parameter(f"{name}_orig", weight)
        module.register_buffer(f"{name}_mask", mask.to(weight.dtype))
        hooks[name] = module.register_forward_pre_hook(_MaskHook(name))
    module.__dict__[name] = _masked(module, name)
    return module


def _now(module: nn.Module, name: str) -> tuple[Tensor, Tensor]:
    """The weight and its mask as they are."""
    if name in module.__dict__.get("_prune_hooks", {}):
        return getattr(module, f"{name}_orig").detach(), getattr(module, f"{name}_mask")
    weight = getattr(module, name).detach()
    return weight, weight * 0 + 1


def identity(module: nn.Module, name: str) -> nn.Module:
    """A mask of ones."""
    return custom_from_mask(module, name, _now(module, name)[1].clone() * 0 + 1)


def _least(scores: Tensor, mask: Tensor, amount: float) -> Tensor:
    """The mask without so many of the entries that live and score least."""
    flat, live = scores.reshape(-1), mask.reshape(-1) != 0
    count = _count(amount, int(live.sum()))
    out = mask.reshape(-1).clone()
    if count:
        ranked = ops.where(live, flat, float("inf"))
        at = ops.topk(ranked, count, largest=False)[1]
        out[at] = 0
    return out.reshape(mask.shape)


def l1_unstructured(
    module: nn.Module, name: str, amount: float, importance_scores: Tensor | None = None
) -> nn.Module:
    """Mask the entries of least magnitude."""
    weight, mask = _now(module, name)
    scores = weight if importance_scores is None else importance_scores
    return custom_from_mask(module, name, _least(scores.abs(), mask, amount))


def random_unstructured(module: nn.Module, name: str, amount: float) -> nn.Module:
    """Mask entries drawn at random."""
    weight, mask = _now(module, name)
    return custom_from_mask(module, name, _least(ops.rand_like(weight), mask, amount))


def _channels(module: nn.Module, name: str, amount: float, dim: int, scores: Any) -> nn.Module:
    weight, mask = _now(module, name)
    axes = [i for i in range(weight.ndim) if i != dim % weight.ndim]
    live = (mask.sum(axes) != 0).to(weight.dtype)
    kept = _least(scores(weight, axes), live, amount)
    shape = [1] * weight.ndim
    shape[dim % weight.ndim] = -1
    return custom_from_mask(module, name, mask * kept.reshape(shape))


def ln_structured(
    module: nn.Module, name: str, amount: float, n: float, dim: int,
    importance_scores: Tensor | None = None,
) -> nn.Module:  # fmt: skip
    """Mask the slices along `dim` of least n-norm."""

    def scores(weight: Tensor, axes: list[int]) -> Tensor:
        chosen = weight if importance_scores is None else importance_scores
        return chosen.norm(n, axes)

    return _channels(module, name, amount, dim, scores)


def random_structured(module: nn.Module, name: str, amount: float, dim: int) -> nn.Module:
    """Mask slices along `dim` drawn at random."""
    return _channels(module, name, amount, dim, lambda w, _: ops.rand(w.shape[dim]))


class L1Unstructured:
    """The method of `global_unstructured`: entries of least magnitude."""


class RandomUnstructured:
    """The method of `global_unstructured`: entries at random."""


def global_unstructured(
    parameters: Iterable[tuple[nn.Module, str]], pruning_method: Any, amount: float = 0.0, **_: Any
) -> None:
    """Mask so many entries of all the tensors together."""
    given = list(parameters)
    now = [_now(module, name) for module, name in given]
    random = pruning_method is RandomUnstructured
    scores = ops.cat([(ops.rand_like(w) if random else w.abs()).reshape(-1) for w, _ in now])
    masks = ops.cat([m.reshape(-1) for _, m in now])
    made, at = _least(scores, masks, amount), 0
    for (module, name), (weight, _mask) in zip(given, now, strict=True):
        part = made[at : at + weight.numel()]
        at += weight.numel()
        custom_from_mask(module, name, part.reshape(weight.shape))


def remove(module: nn.Module, name: str) -> nn.Module:
    """Make the masked weight a parameter again."""
    hook = module.__dict__.get("_prune_hooks", {}).pop(name, None)
    expect(hook is not None, remove, f"a mask on {name!r}", "none", ArgumentError)
    hook.remove()
    with no_grad():
        weight = _masked(module, name)
    original = getattr(module, f"{name}_orig")
    module.__dict__.pop(name, None)
    for part in ("_orig", "_mask"):
        delattr(module, name + part)
    original.data = weight.detach()
    module.register_parameter(
        name, original if isinstance(original, Parameter) else Parameter(weight)
    )
    return module


def is_pruned(module: nn.Module) -> bool:
    """Whether a mask is on this module or below it."""
    return any(m.__dict__.get("_prune_hooks") for m in module.modules())
