"""Control flow and whole models for graphs composed at random."""

import numpy as np

from onnx_random import (
    Builder,
    Value,
    argument,
    binary,
    cast,
    compare,
    conv,
    logic,
    normal,
    product,
    reduce,
    stepped,
    unary,
    where,
)
from onnx_random_motifs import MOTIFS
from onnx_random_shapes import (
    chosen,
    cut,
    gather,
    join,
    largest,
    positions,
    reshape,
    scatter,
    split,
    spread,
    transpose,
)

INSIDE = [unary, binary, product, reduce, transpose, join, gather, cut, where, compare, stepped]


def condition(b):
    """A bool of no axes: an input, a constant, or one that depends on elements."""
    kind = b.draw.integer(0, 2)
    if kind == 0:
        return "flag"
    if kind == 1:
        return b.constant(np.array(bool(b.draw.integer(0, 1))))
    x = b.any(lambda v: v.dtype == "float32" and v.exact)
    if x is None:
        return "flag"
    total = b.node("ReduceSum", [x], (), bound=1e6, grain=x.grain, keepdims=0)
    return b.node("Greater", [total, b.constant(np.array(0, "float32"))], (), "bool", 1, 1).name


def body(b, count, start=()):
    """A builder of a sub-graph with some nodes in it."""
    inner = Builder(b.draw, b)
    inner.values += start
    for _ in range(count):
        b.draw.pick(INSIDE)(inner)
    return inner


def closed(inner, name, inputs, outputs):
    """The sub-graph of a builder as a GraphProto."""
    from onnx import helper, numpy_helper

    stored = [numpy_helper.from_array(v, n) for n, v in inner.constants.items()]
    return helper.make_graph(
        inner.nodes, name, [*map(typed, inputs)], [*map(typed, outputs)], stored
    )


def typed(v):
    from onnx import helper

    code = helper.np_dtype_to_tensor_dtype(np.dtype(v.dtype))
    return helper.make_tensor_value_info(
        v.name, code, [d if isinstance(d, int) else None for d in v.shape]
    )


def choice(b):
    """An If whose branches work on what lies around them."""
    if b.around and b.around.around:
        return None
    x = b.any(lambda v: v.is_float and v.bound < 1e4)
    if x is None:
        return None
    test = condition(b)
    branches, bounds = [], []
    for name in ("then", "other"):
        inner = body(b, b.draw.integer(0, 3))
        y = inner.any(lambda v: v.dtype == x.dtype and v.shape == x.shape) or x
        out = inner.node(b.draw.pick(["Neg", "Relu", "Identity"]), [y], x.shape, grain=y.grain)
        branches.append(closed(inner, name, [], [out]))
        bounds.append(out)
    grain = min(out.grain for out in bounds)
    bound = max(out.bound for out in bounds)
    parts = dict(zip(("then_branch", "else_branch"), branches, strict=True))
    return named(b, "If", [test], x, bound, grain, **parts)


def named(b, op, inputs, like, bound, grain, **attributes):
    """A node whose inputs are names, and its output, of a value's shape."""
    from onnx import helper

    name = b.name()
    b.nodes.append(helper.make_node(op, inputs, [name], **attributes))
    return b.add(name, like.dtype, like.shape, bound, grain)


def repetition(b):
    """A Loop that carries a value of constant shape, and gathers another."""
    from onnx import helper

    if b.around:
        return None
    x = b.any(lambda v: v.is_float and v.bound < 1e4)
    if x is None:
        return None
    x = b.calm(x)
    i, go, carried = (
        Value(b.name(), *rest)
        for rest in (("int64", (), 8, 1), ("bool", (), 1, 1), (x.dtype, x.shape, 4, 0))
    )
    inner = body(b, b.draw.integer(1, 4), [i, carried])
    y = inner.any(lambda v: v.dtype == x.dtype and v.shape == x.shape) or carried
    bent = inner.node("Tanh", [y], x.shape, bound=1)
    scanned = inner.node("Neg", [inner.any(lambda v: v.is_float) or bent], bent.shape, x.dtype)
    scanned = gathered(inner, scanned)
    out = inner.node("Identity", [go], (), "bool", 1, 1)
    graph = closed(inner, "body", [i, go, carried], [out, bent, scanned])
    count = b.draw.pick(["trips", b.constant(np.array(b.draw.integer(0, 4)))])
    go_on = b.draw.pick(["", condition(b)])
    names = [b.name(), b.name()]
    b.nodes.append(helper.make_node("Loop", [count, go_on, x.name], names, body=graph))
    b.scans.append(names[1])
    return b.add(names[0], x.dtype, x.shape, 4, 0)


def gathered(inner, scanned):
    """What is gathered, with the dtype and shape that its own input had."""
    source = next(v for v in inner.visible() if v.name == inner.nodes[-1].input[0])
    inner.values.pop()
    return inner.add(scanned.name, source.dtype, source.shape, source.bound, source.grain)


OPERATORS = [
    unary,
    unary,
    binary,
    binary,
    product,
    conv,
    reduce,
    argument,
    normal,
    stepped,
    compare,
    logic,
    where,
    cast,
    transpose,
    reshape,
    join,
    split,
    cut,
    gather,
    scatter,
    spread,
    positions,
    chosen,
    largest,
    choice,
    repetition,
]
OPERATORS += MOTIFS

SHAPES = [("n", 3), ("n", 4, 3), (3, "m"), ("n", 2, 4, 4), (2, 3), ("n",), (4,), ("n", 2, "m"), ()]


def random_model(draw, most=14):
    """A model, and calls at three sizes, the first and the last the same."""
    from onnx import TensorProto, helper

    b = Builder(draw)
    b.scans = []
    for _ in range(draw.integer(1, 3)):
        shape = draw.pick(SHAPES)
        dtype = draw.pick(["float32", "float32", "float32", "float64", "int64", "bool"])
        name = b.name()
        bound, grain = {"bool": (1, 1), "int64": (4, 1)}.get(dtype, (4, 0.5))
        b.inputs.append(b.add(name, dtype, shape, bound, grain))
    for _ in range(draw.integer(1, most)):
        draw.pick(OPERATORS)(b)
    outputs = {
        draw.pick([*b.values[-6:], draw.pick(b.values)]).name for _ in range(draw.integer(1, 4))
    }
    outputs |= {name for name in b.scans if draw.integer(0, 1)}
    if draw.integer(0, 5) == 0:
        outputs.add(b.numbers((2,), "float32").name)
    found = {v.name: v for v in b.values}
    infos = [typed(found[n]) if n in found else untyped(b, n) for n in sorted(outputs)]
    graph = closed(b, "g", b.inputs, [])
    graph.input.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    graph.input.append(helper.make_tensor_value_info("trips", TensorProto.INT64, []))
    graph.output.extend(infos)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    sizes = [{"n": 2, "m": 3}, {"n": draw.pick([1, 4]), "m": draw.pick([1, 5])}]
    calls = [feeds(draw, b.inputs, size) for size in sizes]
    return made, calls


def untyped(b, name):
    from onnx import helper

    value = b.constants.get(name)
    if value is None:
        return helper.make_empty_tensor_value_info(name)
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
    )


def feeds(draw, inputs, size):
    """Elements for the inputs: multiples of a half, integers or truths."""
    rng = np.random.default_rng(draw.integer(0, 999))
    found = {}
    for each in inputs:
        shape = [size.get(d, d) for d in each.shape]
        x = rng.integers(-8, 9, shape)
        x = x / 2 if each.is_float else x % 2 if each.dtype == "bool" else x // 2
        found[each.name] = np.asarray(x).astype(each.dtype)
    found["flag"] = np.array(bool(draw.integer(0, 1)))
    found["trips"] = np.array(draw.integer(0, 4))
    return found
