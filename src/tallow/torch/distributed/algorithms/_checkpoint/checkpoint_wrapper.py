"""Modules whose inner results are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from tallow.nn.module import Module
from tallow.torch.utils.checkpoint import checkpoint


class CheckpointImpl(Enum):
    """PyTorch's two ways; here there is one."""

    REENTRANT = auto()
    NO_REENTRANT = auto()


class CheckpointWrapper(Module):
    """A module as a checkpoint, kept as `_checkpoint_wrapped_module`."""

    def __init__(
        self, mod: Module, checkpoint_impl: CheckpointImpl = CheckpointImpl.NO_REENTRANT, **_: Any
    ) -> None:
        super().__init__()
        self._checkpoint_wrapped_module = mod

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's result, its inner ones forgotten."""
        return checkpoint(self._checkpoint_wrapped_module, *args, use_reentrant=False, **kwargs)


checkpoint_wrapper = CheckpointWrapper


def apply_activation_checkpointing(
    model: Module,
    checkpoint_wrapper_fn: Callable[[Module], Module] = CheckpointWrapper,
    check_fn: Callable[[Module], bool] = lambda _: True,
    auto_wrap_policy: Any = None,
) -> None:
    """Wrap the modules below `model` for which `check_fn` holds, the inner ones first."""
    for name, child in list(model.named_children()):
        apply_activation_checkpointing(child, checkpoint_wrapper_fn, check_fn)
        if check_fn(child):
            setattr(model, name, checkpoint_wrapper_fn(child))
