"""Rows of ops that pick elements by positions that are tensors."""

from __future__ import annotations

from typing import Any

from tallow.dtype import f32
from tallow.onnx.exporter.elementwise import operand
from tallow.onnx.exporter.emitting import Emitter
from tallow.onnx.exporter.merging import Value
from tallow.onnx.exporter.table import row
from tallow.onnx.exporter.weights import dense


@row("embedding")
def embedding(g: Emitter, out: Value, ids: Any, weight: Any) -> Any:
    """The rows of a table."""
    table = dense(g, weight, f32) if weight.dtype.is_quantized else weight
    return g.node("Gather", table, ids, axis=0)


@row("take_positions")
def take_positions(g: Emitter, out: Value, input: Any, indices: Any, axis: int) -> Any:
    """Positions of one axis, or of several together."""
    if indices.ndim == 1:
        return g.node("Gather", input, indices, axis=axis)
    count = indices.shape[0]
    made: Any = input
    order = [*range(axis, axis + count), *range(axis), *range(axis + count, input.ndim)]
    if axis:
        made = g.node("Transpose", made, perm=order)
    made = g.node("GatherND", made, g.node("Transpose", indices, perm=[1, 0]))
    if axis:
        back = [*range(1, axis + 1), 0, *range(axis + 1, out.ndim)]
        made = g.node("Transpose", made, perm=back)
    return made


@row("index_select")
def index_select(g: Emitter, out: Value, x: Any, dim: int, index: Any) -> Any:
    """Positions of an axis."""
    return g.node("Gather", x, index, axis=dim % (x.ndim or 1))


@row("gather", when=lambda x, dim, index, sparse_grad=False: x.ndim > 0)
def gather(g: Emitter, out: Value, x: Any, dim: int, index: Any, sparse_grad: bool) -> Any:
    """An element for each index."""
    return g.node("GatherElements", x, index, axis=dim % x.ndim)


@row("scatter_values", when=lambda input, dim, index, src: input.ndim > 0)
def scatter_values(g: Emitter, out: Value, input: Any, dim: int, index: Any, src: Any) -> Any:
    """Elements put where an index says."""
    return g.node(
        "ScatterElements", input, index, operand(g, src, out.dtype), axis=dim % input.ndim
    )


@row("triu")
def triu(g: Emitter, out: Value, x: Any, diagonal: Any) -> Any:
    """Zeros below a diagonal."""
    return g.node("Trilu", x, g.constant(diagonal), upper=1)


@row("tril")
def tril(g: Emitter, out: Value, x: Any, diagonal: Any) -> Any:
    """Zeros above a diagonal."""
    return g.node("Trilu", x, g.constant(diagonal), upper=0)
