"""In-place operations: the functional op is recorded, its result written over the tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import GradError, NoKernelError, ShapeError, expect
from ..factories import zeros_like
from ..tensor import Tensor, wrap
from .mode import MODE
from .node import Leaf, Node, alias, rebase, record_call


def refuse_leaf(x: Tensor, where: object) -> None:
    """GradError when `x` is a leaf that requires a gradient, or a view of one."""
    for one in (x, x._base):
        if one is not None and isinstance(one._node, Leaf):
            name = getattr(where, "__name__", where)
            raise GradError(
                f"{name}: expected a tensor that may be changed, got a leaf that requires a"
                " gradient, or a view of one (use no_grad())"
            )


def change(
    x: Tensor, args: tuple[Any, ...], options: dict[str, Any], call: Callable[..., Any], name: str
) -> Tensor:
    """`x.name_(*args)`: what `call(x, *args)` gives, written into `x`, history included."""
    recording = MODE.enabled and (
        x._node is not None
        or any(isinstance(a, Tensor) and a._node is not None for a in args)
        or any(isinstance(a, Tensor) and a._node is not None for a in options.values())
    )
    if not recording:
        write(x, call(x, *args, **options), name)
        return x
    refuse_leaf(x, name)
    # A copy goes into the record: what backward keeps of `x` must not change with it.
    before = alias(x)
    before._array = x._array.clone()
    args = tuple(before if a is x else a for a in args)
    out = call(before, *args, **options)
    write(x, out, name)
    rebase(x, out._node, 0 if out._node is None else out._index)
    return x


def write(x: Tensor, out: Any, name: str) -> None:
    """Put `out` into `x`'s memory; shapes must agree and the dtype must not lose its category."""
    if out is x:
        return
    expect(out.shape == x.shape, name, f"a result of shape {x.shape}", out.shape, ShapeError)
    order = "buifc"
    kept = _category(order, out) <= _category(order, x)
    expect(kept, name, f"a result that {x.dtype.name} holds", out.dtype.name, NoKernelError)
    x._array.copy_(out._array)


def _category(order: str, x: Tensor) -> int:
    return {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}.get(x.dtype.kind, 4)


def assign(
    x: Tensor, source: Tensor, put: Callable[[], None], part: Any, name: str, *, keeps: bool = True
) -> None:
    """Record `put`, which writes `source` into `part(x)` in place.

    `part` picks the written elements out of a tensor of `x`'s shape, as a function that works on
    gradients; None means all of them. `keeps`: whether it closed over tensors.
    """
    if not MODE.enabled or (x._node is None and source._node is None):
        put()
        return
    refuse_leaf(x, name)
    put()
    before = alias(x)
    after = wrap(x._array)

    def rule(g: Tensor) -> tuple[Any, Any]:
        if part is None:
            return lambda: zeros_like(g), lambda: g

        def rest() -> Tensor:
            left = g.clone()
            part(left, 0)
            return left

        return rest, lambda: part(g, None)

    record_call(name, [before, source], [after], rule, keeps=keeps)
    node: Node | None = after._node
    rebase(x, node, 0)
