"""Hooks of all modules, under the names of torch.nn.modules.module."""

from __future__ import annotations

from tallow.nn import Module, hooks
from tallow.nn.hooks import Hook, RemovableHandle


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, args)` before every module's `forward`."""
    return hooks.register(Module, "forward_pre", hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after every module's `forward`."""
    return hooks.register(Module, "forward", hook, with_kwargs=with_kwargs, always_call=always_call)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` in every module's backward."""
    return hooks.register(Module, "backward", hook)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_output)` before every module's backward."""
    return hooks.register(Module, "backward_pre", hook)
