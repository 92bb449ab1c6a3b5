"""Backward hooks: nodes at a module's inputs and outputs that call them when gradients pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallow.autograd.mode import MODE
from tallow.autograd.node import record_call
from tallow.errors import DTypeError, expect
from tallow.tensor import Tensor, wrap

if TYPE_CHECKING:
    from tallow.nn.module import Module

Gradients = tuple[Tensor | None, ...]


class BackwardHook:
    """One call of a module: what its backward hooks are told, once each."""

    def __init__(self, module: Module, before: list[Any], after: list[Any]) -> None:
        self.module, self.before, self.after = module, before, after
        self.places: list[int] = []  # of the tensors among the arguments
        self.count = 0
        self.grad_output: Gradients = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments; those that need a gradient pass through a node."""
        self.count = len(args)
        self.places = [
            i for i, x in enumerate(args) if isinstance(x, Tensor) and x._node is not None
        ]
        if not self.places or not MODE.enabled:
            return args
        fresh = list(args)
        tensors = [args[i] for i in self.places]
        made = [wrap(x._array) for x in tensors]
        record_call("module_input", tensors, made, self._at_inputs, keeps=False)
        for i, x in zip(self.places, made, strict=True):
            fresh[i] = x
        return tuple(fresh)

    def outputs(self, out: Any) -> Any:
        """The result; its tensors that need a gradient pass through a node."""
        single = isinstance(out, Tensor)
        if not single and not isinstance(out, (tuple, list)):
            return out
        items = [out] if single else list(out)
        places = [i for i, x in enumerate(items) if isinstance(x, Tensor) and x._node is not None]
        if not places or not MODE.enabled:
            return out
        tensors = [items[i] for i in places]
        made = [wrap(x._array) for x in tensors]
        total = len(items)

        def rule(*grads: Tensor | None) -> list[Tensor | None]:
            told: list[Tensor | None] = [None] * total
            for i, g in zip(places, grads, strict=True):
                told[i] = g
            found = self._at_outputs(tuple(told))
            return [found[i] for i in places]

        record_call("module_output", tensors, made, rule, keeps=False)
        for i, x in zip(places, made, strict=True):
            items[i] = x
        if single:
            return items[0]
        return type(out)(*items) if hasattr(out, "_fields") else type(out)(items)

    def _at_outputs(self, grads: Gradients) -> Gradients:
        for hook in self.before:
            found = hook(self.module, grads)
            grads = grads if found is None else _as_many(found, grads)
        self.grad_output = grads
        if not self.places:
            for hook in self.after:
                hook(self.module, (None,) * self.count, grads)
        return grads

    def _at_inputs(self, *given: Tensor | None) -> list[Tensor | None]:
        told: list[Tensor | None] = [None] * self.count
        for i, g in zip(self.places, given, strict=True):
            told[i] = g
        grads: Gradients = tuple(told)
        for hook in self.after:
            found = hook(self.module, grads, self.grad_output)
            grads = grads if found is None else _as_many(found, grads)
        return [grads[i] for i in self.places]


def _as_many(found: Any, before: Gradients) -> Gradients:
    """What a hook returned, as a tuple of as many gradients as it was given."""
    made = (found,) if isinstance(found, Tensor) else tuple(found)
    wanted = f"{len(before)} gradients from the hook"
    expect(len(made) == len(before), "backward hook", wanted, len(made), DTypeError)
    return made
