"""Rows of reductions and of what looks along an axis: sums, extremes, softmax, top k."""

from __future__ import annotations

from typing import Any

from tallow.dtype import bool_, f64, i32, i64
from tallow.onnx.exporter.emitting import Emitter
from tallow.onnx.exporter.merging import Value
from tallow.onnx.exporter.table import row


def reduced(g: Emitter, op_type: str, x: Any, axes: list[int], keepdim: bool) -> Any:
    """A reduction; axes are an input from opset 18 on, of ReduceSum from 13 on."""
    keep = int(keepdim)
    if g.opset >= 18 or op_type == "ReduceSum":
        return g.node(op_type, x, axes or None, keepdims=keep)
    return g.node(op_type, x, axes=axes or None, keepdims=keep)


def axes_of(x: Value, dim: Any) -> list[int]:
    """The axes, from the front; all without one."""
    if dim is None or dim == ():
        return list(range(x.ndim))
    return [d % (x.ndim or 1) for d in (dim if isinstance(dim, tuple) else (dim,))]


@row("sum")
def sum_(g: Emitter, out: Value, x: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    """The sum over axes."""
    return reduced(g, "ReduceSum", g.cast(x, out.dtype), axes_of(x, dim), keepdim)


@row("mean")
def mean(g: Emitter, out: Value, x: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    """The mean over axes."""
    return reduced(g, "ReduceMean", g.cast(x, out.dtype), axes_of(x, dim), keepdim)


@row("prod")
def prod(g: Emitter, out: Value, x: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    """The product over axes."""
    return reduced(g, "ReduceProd", g.cast(x, out.dtype), axes_of(x, dim), keepdim)


def _extreme(g: Emitter, op_type: str, x: Any, dim: Any, keepdim: bool) -> Any:
    if x.dtype is bool_:
        made = reduced(g, op_type, g.cast(x, i32), axes_of(x, dim), keepdim)
        return g.cast(made, bool_, i32)
    return reduced(g, op_type, x, axes_of(x, dim), keepdim)


@row("amax")
def amax(g: Emitter, out: Value, x: Any, dim: Any, keepdim: bool) -> Any:
    """The largest element over axes."""
    return _extreme(g, "ReduceMax", x, dim, keepdim)


@row("amin")
def amin(g: Emitter, out: Value, x: Any, dim: Any, keepdim: bool) -> Any:
    """The smallest element over axes."""
    return _extreme(g, "ReduceMin", x, dim, keepdim)


def _truth(g: Emitter, x: Any) -> Any:
    """Whether elements are not 0, as i32."""
    if x.dtype is bool_:
        return g.cast(x, i32)
    same = g.node("Equal", x, g.constant(0, x.dtype))
    return g.cast(g.node("Not", same), i32, bool_)


@row("any", when=lambda x, dim, keepdim: x.dtype.name != "u8")
def any_(g: Emitter, out: Value, x: Any, dim: Any, keepdim: bool) -> Any:
    """Whether an element over axes is not 0."""
    return g.cast(reduced(g, "ReduceMax", _truth(g, x), axes_of(x, dim), keepdim), bool_, i32)


@row("all", when=lambda x, dim, keepdim: x.dtype.name != "u8")
def all_(g: Emitter, out: Value, x: Any, dim: Any, keepdim: bool) -> Any:
    """Whether every element over axes is not 0."""
    return g.cast(reduced(g, "ReduceMin", _truth(g, x), axes_of(x, dim), keepdim), bool_, i32)


def _position(op_type: str) -> Any:
    def write(g: Emitter, out: Value, x: Any, dim: Any, keepdim: bool) -> Any:
        kind = {bool_: i32, i64: f64}.get(x.dtype, x.dtype)  # runtimes have none of i64
        made: Any = g.cast(x, kind)
        if dim is None:
            made = g.node("Reshape", made, [-1])
            found = g.node(op_type, made, axis=0, keepdims=0)
            return g.node("Reshape", found, g.sizes(out.shape)) if out.ndim else found
        return g.node(op_type, made, axis=dim % (x.ndim or 1), keepdims=int(keepdim))

    return write


row("argmax")(_position("ArgMax"))
row("argmin")(_position("ArgMin"))


@row("softmax")
def softmax(g: Emitter, out: Value, x: Any, dim: int, dtype: Any) -> Any:
    """Exponentials scaled to sum 1."""
    return g.node("Softmax", g.cast(x, out.dtype), axis=dim % (x.ndim or 1))


@row("log_softmax")
def log_softmax(g: Emitter, out: Value, x: Any, dim: int, dtype: Any) -> Any:
    """The logarithm of softmax."""
    return g.node("LogSoftmax", g.cast(x, out.dtype), axis=dim % (x.ndim or 1))


@row("logsumexp")
def logsumexp(g: Emitter, out: Value, x: Any, dim: Any, keepdim: bool) -> Any:
    """The logarithm of a sum of exponentials."""
    return reduced(g, "ReduceLogSumExp", g.cast(x, out.dtype), axes_of(x, dim), keepdim)


@row("cumsum")
def cumsum(g: Emitter, out: Value, x: Any, dim: int, dtype: Any) -> Any:
    """Sums of the elements up to each."""
    return g.node("CumSum", g.cast(x, out.dtype), g.constant(dim % (x.ndim or 1)))


@row("topk")
def topk(g: Emitter, out: Any, x: Any, k: Any, dim: int, largest: bool, sorted: bool) -> Any:
    """The best elements and their positions."""
    return g.node(
        "TopK", x, g.size(k), outputs=2, axis=dim % x.ndim, largest=int(largest), sorted=1
    )


@row("sort")
def sort(g: Emitter, out: Any, x: Any, dim: int, descending: bool, stable: bool) -> Any:
    """All elements in order, and their positions."""
    axis = dim % x.ndim
    return g.node("TopK", x, g.size(x.shape[axis]), outputs=2, axis=axis, largest=int(descending))


@row(
    "norm",
    "linalg.vector_norm",
    when=lambda x, dtype=None, **how: how.get("p", how.get("ord")) in (1, 2) and dtype is None,
)
def norm(g: Emitter, out: Value, x: Any, dim: Any, keepdim: bool, dtype: Any, **how: Any) -> Any:
    """The 1-norm or 2-norm over axes."""
    op_type = "ReduceL2" if how.get("p", how.get("ord")) == 2 else "ReduceL1"
    return reduced(g, op_type, g.cast(x, out.dtype), axes_of(x, dim), keepdim)


@row("nn.p_norm", "p_norm", when=lambda input, p, dims, keepdim: p in (1, 2))
def p_norm(g: Emitter, out: Value, input: Any, p: float, dims: Any, keepdim: bool) -> Any:
    """The 1-norm or 2-norm over axes."""
    op_type = "ReduceL2" if p == 2 else "ReduceL1"
    return reduced(g, op_type, g.cast(input, out.dtype), axes_of(input, dims), keepdim)


__all__ = ["axes_of", "reduced"]
