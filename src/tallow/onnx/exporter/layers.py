"""Rows of layers: products with weights, normalisation, attention."""

from __future__ import annotations

from typing import Any

from tallow.dtype import bool_, f32, i64
from tallow.onnx.exporter.elementwise import operand
from tallow.onnx.exporter.emitting import Emitter
from tallow.onnx.exporter.merging import Value
from tallow.onnx.exporter.reductions import reduced
from tallow.onnx.exporter.shapes import reshaped
from tallow.onnx.exporter.table import row
from tallow.onnx.exporter.weights import dense


@row("linear")
def linear(g: Emitter, out: Value, x: Any, weight: Any, bias: Any, exact: bool) -> Any:
    """`x @ weight.T + bias`."""
    full = dense(g, weight, out.dtype)
    if weight.ndim == 2:
        full = transposed(g, full)
    made = g.node("MatMul", x, full)
    made = made if bias is None else g.node("Add", made, g.cast(bias, out.dtype))
    g.products[made] = g.name(x), weight, bias
    return made


def transposed(g: Emitter, weight: Any) -> Any:
    """A matrix with its axes swapped, once for all who ask."""
    name = g.name(weight)
    if name not in g.transposed:
        scope, g.scope = g.scope, name.rpartition(".")[0] or g.scope
        g.transposed[name] = g.node("Transpose", name, perm=[1, 0])
        g.scope = scope
    return g.transposed[name]


@row("matmul", "mm", "bmm", when=lambda **xs: all(x.ndim for x in xs.values()))
def matmul(g: Emitter, out: Value, **xs: Any) -> Any:
    """A product of matrices."""
    a, b = xs.values()
    return g.node("MatMul", g.cast(a, out.dtype), g.cast(b, out.dtype))


# --- normalisation --------------------------------------------------------------------------------


@row("layer_norm")
def layer_norm(g: Emitter, out: Value, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """The last axis at mean 0 and variance 1."""
    if weight is None:
        n = x.shape[-1]
        one = g.constant(1.0, out.dtype)
        scale: Any = g.node("Expand", one, g.sizes([n]))
    else:
        scale = g.cast(weight, out.dtype)
    shift = None if bias is None else g.cast(bias, out.dtype)
    return g.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=float(eps))


@row("rms_norm", when=lambda x, weight, eps: x.dtype.kind == "f")
def rms_norm(g: Emitter, out: Value, x: Any, weight: Any, eps: float) -> Any:
    """The last axis at root-mean-square 1."""
    wide = f32 if x.dtype.itemsize < 4 else x.dtype
    h = g.cast(x, wide)
    mean = reduced(g, "ReduceMean", g.node("Mul", h, h), [-1], True)
    root = g.node("Sqrt", g.node("Add", mean, g.constant(float(eps), wide)))
    made = g.node("Div", h, root)
    if weight is not None:
        made = g.node("Mul", made, g.cast(weight, wide))
    return g.cast(made, out.dtype, wide)


def _is_running(input: Any, running_mean: Any, running_var: Any, *how: Any, **more: Any) -> bool:
    plain = input.dtype.kind == "f" and running_mean is not None and running_var is not None
    return plain and not more.get("training", False) and input.ndim > 1


@row("batch_norm", when=_is_running)
def batch_norm(
    g: Emitter, out: Value, input: Any, running_mean: Any, running_var: Any, weight: Any,
    bias: Any, training: bool, momentum: float, eps: float,
) -> Any:  # fmt: skip
    """Each channel by the running mean and variance."""
    n = running_mean.shape[0]
    scale = [1.0] * n if weight is None else weight
    shift = [0.0] * n if bias is None else bias
    parts = [
        operand(g, p, f32) if isinstance(p, list) else g.cast(p, input.dtype)
        for p in (scale, shift, running_mean, running_var)
    ]
    return g.node("BatchNormalization", input, *parts, epsilon=float(eps))


@row("group_norm", when=lambda input, **how: input.dtype.kind == "f" and input.ndim > 2)
def group_norm(
    g: Emitter, out: Value, input: Any, num_groups: int, weight: Any, bias: Any, eps: float
) -> Any:
    """Groups of channels at mean 0 and variance 1, then weight and bias per channel."""
    grouped = g.node("Reshape", input, [0, num_groups, -1])
    scale, shift = ([v] * num_groups for v in (1.0, 0.0))
    parts = [operand(g, p, out.dtype) for p in (scale, shift)]
    made = g.node("InstanceNormalization", grouped, *parts, epsilon=float(eps))
    made = reshaped(g, made, None, input.shape)
    behind = list(range(1, input.ndim - 1))
    if weight is not None:
        made = g.node("Mul", made, g.node("Unsqueeze", g.cast(weight, out.dtype), behind))
    if bias is not None:
        made = g.node("Add", made, g.node("Unsqueeze", g.cast(bias, out.dtype), behind))
    return made


# --- attention ------------------------------------------------------------------------------------


@row("attention", when=lambda q, k, v, start=None, **how: start is None)
def attention(
    g: Emitter, out: Value, q: Any, k: Any, v: Any, start: Any, mask: Any, scale: Any,
    causal: bool, window: Any, softcap: float,
) -> Any:  # fmt: skip
    """Softmax of scaled scores, times the values; heads may share keys."""
    kind = q.dtype
    (b, h, n, d), (kv_heads, m) = q.shape, k.shape[1:3]
    shared = h != kv_heads
    factor = float(scale) if scale is not None else d**-0.5
    queries: Any = q if factor == 1 else g.node("Mul", q, g.constant(factor, kind))
    if shared:  # the queries of heads that share keys, behind one another
        queries = g.node("Reshape", queries, g.sizes((0, kv_heads, -1, d)))
    keys = g.node("Transpose", g.cast(k, kind), perm=[0, 1, 3, 2])
    scores = g.node("MatMul", queries, keys)
    if shared:
        scores = reshaped(g, scores, None, (b, h, n, m))
    if softcap:
        bound = g.constant(float(softcap), kind)
        scores = g.node("Mul", g.node("Tanh", g.node("Div", scores, bound)), bound)
    keep = _kept(g, n, m, causal, window)
    if mask is not None and mask.dtype is bool_:
        keep = g.name(mask) if keep is None else g.node("And", mask, keep)
    elif mask is not None:
        scores = g.node("Add", scores, g.cast(mask, kind))
    if keep is not None:
        scores = g.node("Where", keep, scores, g.constant(float("-inf"), kind))
    weights = g.node("Softmax", scores, axis=-1)
    if mask is not None:  # a query without any key gives zeros
        empty = g.node("IsNaN", weights)
        weights = g.node("Where", empty, g.constant(0.0, kind), weights)
    if shared:
        weights = g.node("Reshape", weights, g.sizes((0, kv_heads, -1, m)))
    made = g.node("MatMul", weights, g.cast(v, kind))
    return reshaped(g, made, None, out.shape) if shared else made


def _kept(g: Emitter, n: Any, m: Any, causal: bool, window: Any) -> Any:
    """Which keys (m) a query (n) sees, None for all; written once for all layers."""
    if not causal and not window:
        return None
    key = (n, m, causal, window)
    if key not in g.masks:
        scope, g.scope = g.scope, "mask"
        last = g.node("Range", g.constant(0), g.scalar_size(n), g.constant(1))
        at = g.node("Unsqueeze", last, [1])
        keys = g.node("Range", g.constant(0), g.scalar_size(m), g.constant(1))
        keep: Any = g.node("LessOrEqual", keys, at) if causal else None
        if window:
            first = g.node("Sub", at, operand(g, window, i64))
            near = g.node("Greater", keys, first)
            keep = near if keep is None else g.node("And", keep, near)
        g.masks[key] = keep
        g.scope = scope
    return g.masks[key]
