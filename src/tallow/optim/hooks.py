"""Hooks of optimisers: around a step, and around their state dicts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, expect
from tallow.nn.hooks import RemovableHandle, add

if TYPE_CHECKING:
    from tallow.optim.optimizer import Optimizer

HOOK_KINDS = (
    "step_pre", "step_post", "state_dict_pre", "state_dict_post", "load_pre", "load_post",
)  # fmt: skip


def hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """A `step` between the hooks of its optimiser, once where one step calls that of its base."""
    if getattr(step, "hooked", False):
        return step

    @functools.wraps(step)
    def made(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        # One that never called Optimizer.__init__, as wrappers of others do, has no hooks.
        if getattr(self, "_stepping", True):
            return step(self, *args, **kwargs)
        self._opt_called = self._stepping = True
        try:
            given: tuple[Any, ...] = (self, *args)  # hooks are told of it, as by torch
            for hook in list(self._hooks["step_pre"].values()):
                found = hook(self, given, kwargs)
                if found is not None:
                    good = isinstance(found, tuple) and len(found) == 2
                    wanted = "None or (args, kwargs)"
                    expect(good, "step pre-hook", wanted, found, ArgumentError)
                    given, kwargs = found
            out = step(*given, **kwargs)
            for hook in list(self._hooks["step_post"].values()):
                hook(self, given, kwargs)
        finally:
            self._stepping = False
        return out

    made.hooked = True  # type: ignore[attr-defined]  # a mark on a function
    return made


class HooksMixin:
    """The part of Optimizer that takes hooks."""

    _hooks: dict[str, dict[int, Callable[..., Any]]]

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step."""
        return add(self._hooks["step_pre"], hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return add(self._hooks["step_post"], hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before the state is collected."""
        return add(self._hooks["state_dict_pre"], hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)`; what it returns replaces the dict."""
        return add(self._hooks["state_dict_post"], hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; its result replaces the dict."""
        return add(self._hooks["load_pre"], hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` when a state was loaded."""
        return add(self._hooks["load_post"], hook, prepend)
