"""Function: an operation with a backward of its own, as in PyTorch."""

from __future__ import annotations

from typing import Any

from ..errors import GradError
from ..tensor import Tensor, wrap
from .mode import MODE, no_grad
from .node import CallNode, alias, changed, record_call, tracked


class Context:
    """What `forward` leaves for `backward`."""

    def __init__(self) -> None:
        self._saved: list[Any] | None = []
        self._node: Any = None
        self.needs_input_grad: tuple[bool, ...] = ()
        self._fixed: set[int] = set()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors; a later change of them in place is noticed."""
        self._saved = [None if x is None else (alias(x), x._array.version) for x in tensors]

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """These outputs carry no gradient."""
        self._fixed |= {id(x) for x in tensors}

    def set_materialize_grads(self, value: bool) -> None:
        """Accepted as in PyTorch: missing gradients always come as zeros."""

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was kept; GradError when one was changed in place since."""
        if self._saved is None:
            raise GradError(
                "saved_tensors: expected a graph that was not used yet, got a second backward pass"
                " (use retain_graph=True the first time)"
            )
        found: list[Tensor | None] = []
        for pair in self._saved:
            if pair is None:
                found.append(None)
                continue
            x, version = pair
            if x._array.version != version:
                raise changed("saved_tensors", x._array, version)
            found.append(x)
        return tuple(found)


class FunctionNode(CallNode):
    """The node of a Function: a second backward pass may use all of the context but its tensors."""

    __slots__ = ("context",)

    context: Context

    def release(self) -> None:
        """Forget the tensors that were saved."""
        if self.context._saved:
            self.context._saved = None


class Function:
    """Subclass with static `forward(ctx, *args)` and `backward(ctx, *grads)`; call `apply`."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """The result of the operation."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """One gradient (or None) per argument of `forward`."""
        raise NotImplementedError

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward` and record `backward`."""
        ctx = Context()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            out = cls.forward(ctx, *args)
        if not MODE.enabled or not tracked(args):
            return out
        single = isinstance(out, Tensor)
        given = [out] if single else list(out)
        outputs = [wrap(y._array) if any(y is a for a in args) else y for y in given]
        fixed = [id(y) in ctx._fixed for y in given]
        tensors = [a for a in args if isinstance(a, Tensor)]
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]

        def rule(*grads: Tensor | None) -> tuple[Any, ...]:
            from ..factories import zeros_like

            whole = [zeros_like(y) if g is None else g for g, y in zip(grads, outputs, strict=True)]
            found = cls.backward(ctx, *whole)
            found = found if isinstance(found, tuple) else (found,)
            if len(found) < len(args):
                raise GradError(
                    f"{cls.__name__}.backward: expected {len(args)} gradients, got {len(found)}"
                )
            return tuple(found[i] for i in places)

        node = record_call(cls.__name__, tensors, outputs, rule, kind=FunctionNode)
        node.context = ctx  # type: ignore[attr-defined]  # of the kind asked for
        for y, still in zip(outputs, fixed, strict=True):
            if still:
                y._node = None
        return outputs[0] if single else tuple(outputs)
