"""What Tensor has for gradients: requires_grad, grad, backward, detach, hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ..errors import DTypeError, GradError, expect

if TYPE_CHECKING:
    from ..tensor import Tensor


class GradientsMixin:
    """The part of Tensor that concerns the tape."""

    __slots__ = ()

    @property
    def requires_grad(self: Any) -> Any:
        """Whether gradients flow into this tensor: operations on it are recorded."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self: Any, value: Any) -> None:
        expect(self.is_leaf, "requires_grad", "a leaf", "a result (use .detach())", GradError)
        self.requires_grad_(value)

    def requires_grad_(self: Any, requires_grad: Any = True) -> Tensor:
        """Make this leaf require a gradient, or no longer; GradError for integers, results."""
        from ..tensor import FLOATING
        from .node import HOLDER, Leaf

        if requires_grad and self._node is None:
            kind = self.dtype.kind
            expect(kind in FLOATING, "requires_grad_", "a float dtype", self.dtype.name, GradError)
            from .mode import MODE

            if self.is_inference() and not MODE.inference:
                raise GradError(
                    "requires_grad_: expected a tensor made outside inference_mode, got one made in"
                    " it (use .clone())"
                )
            # Frozen and thawed again, it is the leaf that it was.
            leaf = vars(self).pop(HOLDER, None) or Leaf()
            leaf.live = True
            self._node, self._index = leaf, 0
        elif not requires_grad and self._node is not None:
            expect(self.is_leaf, "requires_grad_", "a leaf", "a result (use .detach())", GradError)
            self._retire()
        return cast("Tensor", self)

    def _retire(self: Any) -> None:
        """Require no gradient any more; one that was collected stays."""
        from .node import HOLDER

        leaf = self._node
        leaf.live, self._node = False, None
        vars(self)[HOLDER] = leaf

    @property
    def is_leaf(self: Any) -> Any:
        """Whether no recorded operation made this tensor."""
        from .node import Leaf

        return self._node is None or isinstance(self._node, Leaf)

    @property
    def grad_fn(self: Any) -> Any:
        """The node of the operation that made this tensor; None for a leaf."""
        return None if self.is_leaf else self._node

    @property
    def output_nr(self: Any) -> Any:
        """Which output of `grad_fn` this is."""
        return 0 if self.is_leaf else self._index

    @property
    def grad(self: Any) -> Tensor | None:
        """The gradient that backward collected, or that was set; None before.

        Backward collects that of leaves, and of results after `retain_grad()`.
        """
        from .node import HOLDER, Leaf

        node = self._node
        if isinstance(node, Leaf):
            return node.grad
        leaf = vars(self).get(HOLDER)
        return None if leaf is None else cast("Tensor | None", leaf.grad)

    @grad.setter
    def grad(self: Any, value: Tensor | None) -> None:
        given = type(value).__name__
        expect(
            value is None or hasattr(value, "_array"), "grad", "a tensor or None", given, DTypeError
        )
        from .hooks import holder
        from .node import HOLDER, Leaf

        if value is not None:
            expect(value.shape == self.shape, "grad", f"shape {self.shape}", value.shape)
            expect(value.dtype is self.dtype, "grad", self.dtype.name, value.dtype.name, DTypeError)
        leaf = self._node
        if isinstance(leaf, Leaf):
            leaf.grad = value
        elif value is not None or HOLDER in vars(self):
            holder(self).grad = value

    @property
    def data(self: Any) -> Tensor:
        """A tensor that shares this one's storage and no history.

        Backward does not notice what is changed through it: it goes on with the changed values.
        """
        from ..tensor import wrap

        return wrap(self._array.with_own_version())

    @data.setter
    def data(self: Any, value: Tensor) -> None:
        from ..tensor import unwrap_tensor

        self._array = unwrap_tensor(value, "data").with_own_version()

    def backward(
        self: Any,
        gradient: Tensor | None = None,
        retain_graph: Any = None,
        create_graph: Any = False,
        inputs: Any = None,
    ) -> None:
        """Collect the gradients of the leaves that this tensor was computed from in their `.grad`.

        `gradient` (ones for a single element) weighs the elements; `create_graph` records the
        backward pass too; `retain_graph` lets it be done again.
        """
        from .engine import backward

        backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self: Any) -> Tensor:
        """A tensor that shares this one's storage, outside the graph."""
        from ..tensor import wrap

        array = self._array
        # As in torch, what was made in `inference_mode` may be changed outside through this.
        return wrap(array.with_own_version() if array.inference else array.basic_index(...))

    def detach_(self: Any) -> Tensor:
        """Forget this tensor's history: a leaf without gradient."""
        from .node import HOLDER

        # Of a view, too, which PyTorch refuses: results of many ops are views of what they made.
        if self._node is not None and self.is_leaf:
            self._retire()
        else:
            self._node = None
            if HOLDER in vars(self):  # what it retained stays, but is not added to any more
                vars(self)[HOLDER].hooks = None
        return cast("Tensor", self)

    def retain_grad(self: Any) -> None:
        """Let backward keep the gradient of this result in `.grad` too."""
        from .hooks import retain

        retain(self)

    def register_hook(self: Any, hook: Callable[[Tensor], Tensor | None]) -> Any:
        """Call `hook(gradient)` in backward; what it returns replaces the gradient.

        Returns a handle with `remove()`.
        """
        from .hooks import register

        return register(self, hook)

    def register_post_accumulate_grad_hook(self: Any, hook: Callable[[Tensor], None]) -> Any:
        """Call `hook(self: Any)` each time backward has added to this leaf's gradient."""
        from .hooks import register_after

        return register_after(self, hook)

    @property
    def _version(self: Any) -> Any:
        """How often the storage was changed in place."""
        return self._array.version
