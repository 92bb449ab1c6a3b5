"""In-place operations: the functional op is recorded, its result written over the tensor.

The history of a view and of the tensor that it is a view of follow each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import DTypeError, GradError, NoKernelError, ShapeError, expect
from ..factories import empty, zeros_like
from ..tensor import Tensor, is_hidden, unwrap_tensor, wrap
from .mode import MODE
from .node import HOLDER, Leaf, Node, alias, record_call
from .views import SEVERAL, clear_strided, put_strided, take_strided


def refuse(x: Tensor, where: object) -> None:
    """GradError when a change of `x` in place may not be recorded, in the cases of torch."""
    base = x._base
    if isinstance(x._node, Leaf) or (base is not None and isinstance(base._node, Leaf)):
        got = "a leaf that requires a gradient, or a view of one (use no_grad())"
    elif base is not None and x._views is SEVERAL:
        got = "one of several views that one op gave, or a view of such a one (use .clone())"
    elif is_hidden(x):
        got = "a view made in no_grad of one that requires a gradient (make it outside)"
    else:
        return
    name = getattr(where, "__name__", where)
    raise GradError(f"{name}: expected a tensor that may be changed, got {got}")


def change(
    x: Tensor, args: tuple[Any, ...], options: dict[str, Any], call: Callable[..., Any], name: str
) -> Tensor:
    """`x.name_(*args)`: what `call(x, *args)` gives, written into `x`, history included."""
    recording = MODE.enabled and (
        x._node is not None
        or is_hidden(x)
        or any(isinstance(a, Tensor) and a._node is not None for a in args)
        or any(isinstance(a, Tensor) and a._node is not None for a in options.values())
    )
    if not recording:
        write(x, call(x, *args, **options), name)
        return x
    refuse(x, name)
    # A copy goes into the record: what backward keeps of `x` must not change with it.
    before = alias(x)
    before._array = x._array.clone()
    args = tuple(before if a is x else a for a in args)
    out = call(before, *args, **options)
    write(x, out, name)
    rebase(x, out._node, 0 if out._node is None else out._index)
    return x


def rebind(x: Tensor, view: Tensor, name: str) -> Tensor:
    """Let `x` be `view`, its history included; views taken of it before stay as they are."""
    if view is x:
        return x
    if MODE.enabled and (x._node is not None or is_hidden(x)):
        refuse(x, name)
    x._array = view._array
    if view._node is not None:
        x._node, x._index = view._node, view._index
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


def write_out(made: Any, out: Any, name: str) -> Any:
    """What `out=` asks for: `made` written into `out`, which takes its shape when it is empty."""
    if isinstance(made, tuple):
        fits = isinstance(out, (tuple, list)) and len(out) == len(made)
        given = f"{len(out)}" if isinstance(out, (tuple, list)) else type(out).__name__
        expect(fits, name, f"out= of {len(made)} tensors", given, DTypeError)
        parts = [write_out(part, into, name) for part, into in zip(made, out, strict=True)]
        return type(made)(*parts) if hasattr(made, "_fields") else tuple(parts)
    if not isinstance(made, Tensor):
        raise DTypeError(f"{name}: expected no out=, since it gives no tensor, got one")
    unwrap_tensor(out, name)
    if made._node is not None or (out._node is not None and MODE.enabled):
        raise GradError(f"{name}: expected no gradients beside out=, which records nothing")
    if out.shape != made.shape and not out.numel():
        out._array = empty(made.shape, dtype=out.dtype, device=out.device)._array
    write(out, made, name)
    return out


def _category(order: str, x: Tensor) -> int:
    return {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}.get(x.dtype.kind, 4)


def assign(
    x: Tensor, source: Tensor, put: Callable[[], None], part: Any, name: str, *, keeps: bool = True
) -> None:
    """Record `put`, which writes `source` into `part(x)` in place.

    `part` picks the written elements out of a tensor of `x`'s shape, as a function that works on
    gradients; None means all of them. `keeps`: whether it closed over tensors.
    """
    if not MODE.enabled or (x._node is None and source._node is None and not is_hidden(x)):
        put()
        return
    refuse(x, name)
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


def assign_slice(x: Tensor, key: Any, target: Any, value: Tensor) -> None:
    """`x[key] = value` with a basic key, recorded; `target` is the native array of `x[key]`."""
    while value.ndim > target.ndim and value.shape[0] == 1:
        value = value[0]

    def part(g: Tensor, fill: Any) -> Any:
        if fill is None:
            return g[key]
        g[key] = fill
        return g

    assign(x, value, lambda: target.assign(value._array), part, "setitem", keeps=False)


# --- what is changed with it ----------------------------------------------------------------------


def rebase(x: Tensor, node: Node | None, index: int) -> None:
    """`x` was changed in place by the operation `node`: bring its history, and its views', along.

    A view passes the change on to its base: the base's gradient is cut at the view's place, and
    the views of the base begin anew from it.
    """
    base = x._base
    if base is None:
        x._node, x._index = node, index
        base = x
        if HOLDER in vars(x):
            _follow(x)
        if x._views is None:
            return
    else:
        _paste(base, x, node, index)
    for ref in base._views or ():
        view = ref()
        if view is not None:
            _review(view, base)


def _place(view: Tensor, base: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Shape, strides and offset of `view` inside a contiguous copy of `base`."""
    a, b = view._array, base._array
    if not b.is_contiguous or a.dtype != b.dtype:
        raise GradError(
            "in-place change of a view: expected a base that is contiguous and of the same dtype,"
            f" got strides {b.strides} (use .contiguous() before taking views)"
        )
    return a.shape, a.strides, a.offset - b.offset


def _paste(base: Tensor, view: Tensor, node: Node | None, index: int) -> None:
    place = _place(view, base)
    kept = alias(base)
    part = wrap(view._array)
    part._node, part._index = node, index

    def rule(g: Tensor) -> tuple[Any, Any]:
        return (
            lambda: clear_strided(g.contiguous(), *place),
            lambda: take_strided(g.contiguous(), *place),
        )

    record_call("view_change", [kept, part], [base], rule, keeps=False)
    if HOLDER in vars(base):
        _follow(base)


def _review(view: Tensor, base: Tensor) -> None:
    place = _place(view, base)
    shape = base.shape
    source = alias(base)
    if source._node is None:
        view._node = None
        if HOLDER in vars(view):
            _follow(view)
        return

    def rule(g: Tensor) -> Tensor:
        return put_strided(g, shape, *place)

    record_call("view", [source], [view], rule, keeps=False)
    if HOLDER in vars(view):
        _follow(view)


def _follow(x: Tensor) -> None:
    from .hooks import follow

    follow(x)
