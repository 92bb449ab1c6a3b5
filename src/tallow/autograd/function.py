"""Function: an operation with a backward of its own, as in PyTorch."""

from __future__ import annotations

import functools
from typing import Any

from .._native import TensorSpec
from ..errors import DTypeError, GradError, expect
from ..tensor import Tensor, wrap
from .inplace import rebase
from .mode import MODE, no_grad
from .node import CallNode, Leaf, alias, changed, record_call, spec_of, tracked


class Context:
    """What `forward` leaves for `backward`."""

    def __init__(self) -> None:
        self._saved: list[Any] | None = []
        self._node: Any = None
        self.needs_input_grad: tuple[bool, ...] = ()
        self._fixed: set[int] = set()
        self._dirty: set[int] = set()
        self._zeros = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors; a later change of them in place is noticed."""
        self._saved = [None if x is None else (alias(x), x._array.version) for x in tensors]

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """These outputs carry no gradient."""
        self._fixed |= {id(x) for x in tensors}

    def mark_dirty(self, *tensors: Tensor) -> None:
        """These arguments were changed in place, and are returned themselves."""
        self._dirty |= {id(x) for x in tensors}

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that did not come are zeros for `backward`, as they are, or None."""
        self._zeros = value

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
    """Subclass with static `forward(ctx, *args)` and `backward(ctx, *grads)`; call `apply`.

    Beside a static `setup_context(ctx, inputs, output)`, `forward` takes the arguments alone.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        """The result of the operation."""
        raise NotImplementedError

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep what `backward` needs."""
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
            if cls.setup_context is Function.setup_context:
                out = cls.forward(ctx, *args)
            else:
                out = cls.forward(*args)
                cls.setup_context(ctx, args, out)
        if not MODE.enabled or not tracked(args):
            return out
        single = isinstance(out, Tensor)
        if not single and not isinstance(out, (tuple, list)):
            wanted = "a Tensor or a tuple of forward"
            expect(False, cls.__name__, wanted, type(out).__name__, DTypeError)
        everything = [out] if single else list(out)
        # What is no tensor is given on as it is, and backward gets no gradient of it.
        places = [i for i, y in enumerate(everything) if isinstance(y, Tensor)]
        given = [everything[i] for i in places]
        outputs = [wrap(y._array) if any(y is a for a in args) else y for y in given]
        tensors = [a for a in args if isinstance(a, Tensor)]
        for x in tensors:
            changes_leaf = id(x) in ctx._dirty and isinstance(x._node, Leaf)
            said = "arguments that are no leaves with gradients marked dirty"
            expect(not changes_leaf, cls.__name__, said, "one", GradError)
        specs: list[TensorSpec | None] = [None] * len(everything)
        for i, y in zip(places, outputs, strict=True):
            specs[i] = spec_of(y)
        rule = functools.partial(cls._gradients, ctx, args, specs)
        node = record_call(cls.__name__, tensors, outputs, rule, kind=FunctionNode)
        node.context = ctx  # type: ignore[attr-defined]  # of the kind asked for
        for i, (y, own) in enumerate(zip(given, outputs, strict=True)):
            if id(y) in ctx._fixed:
                own._node = None
            elif id(y) in ctx._dirty and own is not y:
                rebase(y, own._node, i)
                outputs[i] = y
        for i, y in zip(places, outputs, strict=True):
            everything[i] = y
        return outputs[0] if single else tuple(everything)

    @classmethod
    def _gradients(
        cls,
        ctx: Context,
        args: tuple[Any, ...],
        outputs: list[TensorSpec | None],
        *grads: Tensor | None,
    ) -> tuple[Any, ...]:
        """What `backward` gives for the tensors among the arguments."""
        from ..factories import zeros

        left, whole = iter(grads), list[Any]()
        for spec in outputs:
            g = None if spec is None else next(left)
            filled = g is None and spec is not None and ctx._zeros
            whole.append(zeros(spec.shape, dtype=spec.dtype) if spec and filled else g)
        found = cls.backward(ctx, *whole)
        found = found if isinstance(found, tuple) else (found,)
        surplus = any(g is not None for g in found[len(args) :])
        if len(found) < len(args) or surplus:
            raise GradError(
                f"{cls.__name__}.backward: expected {len(args)} gradients, got {len(found)}"
            )
        for g in found:
            if g is not None and not isinstance(g, Tensor):
                where = f"{cls.__name__}.backward"
                expect(False, where, "Tensors or None", type(g).__name__, DTypeError)
        return tuple(g for g, a in zip(found, args, strict=False) if isinstance(a, Tensor))
