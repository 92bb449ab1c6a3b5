"""ONNX graphs composed at random, with what they give at several sizes known to be comparable.

Values carry a bound and a grain: those that are multiples of the grain and need no more than 22
bits are exact in any order of summation, so that comparisons, roundings and the like may follow.
"""

import dataclasses

import numpy as np

FLOATS, INTS = ("float32", "float64"), ("int64", "int32")


@dataclasses.dataclass(frozen=True)
class Value:
    """A value of the graph: lengths are numbers, or names of lengths that vary."""

    name: str
    dtype: str
    shape: tuple
    bound: float
    grain: float  # 0: rounded

    @property
    def is_float(self):
        return self.dtype in FLOATS

    @property
    def exact(self):
        return self.grain > 0 and self.bound / self.grain < 2**22


class Builder:
    """A graph in the making; `draw` has `integer(low, high)` and `pick(list)`."""

    def __init__(self, draw, around=None):
        self.draw, self.around = draw, around
        self.nodes, self.constants, self.inputs = [], {}, []
        self.values = []
        self.root = around.root if around else self
        if not around:
            self.names = 0

    def name(self):
        self.root.names += 1
        return f"v{self.root.names}"

    def node(self, op, inputs, shape, dtype=None, bound=None, grain=0.0, outputs=1, **attributes):
        """A node, and the value of its first output (or the names of several)."""
        from onnx import helper

        names = [self.name() for _ in range(outputs)]
        given = [each.name if isinstance(each, Value) else each for each in inputs]
        self.nodes.append(helper.make_node(op, given, names, **attributes))
        if outputs > 1:
            return names
        first = next(each for each in inputs if isinstance(each, Value))
        return self.add(
            names[0], dtype or first.dtype, shape, first.bound if bound is None else bound, grain
        )

    def add(self, name, dtype, shape, bound, grain):
        made = Value(name, dtype, tuple(shape), bound, grain)
        self.values.append(made)
        return made

    def constant(self, array):
        """The name of a constant; one of the same elements is sometimes shared."""
        array = np.asarray(array)
        for name, other in self.constants.items():
            same = other.dtype == array.dtype and other.shape == array.shape
            if same and (other == array).all() and self.draw.integer(0, 1):
                return name
        name = self.name()
        self.constants[name] = array
        return name

    def numbers(self, shape, dtype):
        """A constant of small multiples of a half (or integers)."""
        rng = np.random.default_rng(self.draw.integer(0, 99))
        if dtype in FLOATS:
            return Value(
                self.constant((rng.integers(-4, 5, shape) / 2).astype(dtype)),
                dtype,
                tuple(shape),
                2,
                0.5,
            )
        return Value(
            self.constant(rng.integers(-3, 4, shape).astype(dtype)), dtype, tuple(shape), 3, 1
        )

    def visible(self):
        return self.values + (self.around.visible() if self.around else [])

    def any(self, fits=lambda v: True):
        """Some value, a late one rather; None where none fits."""
        found = [v for v in self.visible() if fits(v)]
        if not found:
            return None
        if self.draw.integer(0, 2) and not self.around:
            found = found[-4:]
        return self.draw.pick(found)

    def calm(self, x):
        """A value whose bound is small, by a Clip where it is not."""
        if x.bound <= 16 or x.dtype not in FLOATS:
            return x
        low, high = self.constant(np.array(-4, x.dtype)), self.constant(np.array(4, x.dtype))
        return self.node("Clip", [x, low, high], x.shape, bound=4, grain=x.grain)


# --- operators: each gives a value, or None where it finds nothing to work on ---------------------

UNARY = {
    "Relu": 1,
    "Neg": 1,
    "Abs": 1,
    "Identity": 1,
    "Sigmoid": 0,
    "Tanh": 0,
    "Softplus": 0,
    "Erf": 0,
    "HardSwish": 0,
    "HardSigmoid": 0,
    "LeakyRelu": 0,
    "Elu": 0,
    "Exp": 0,
    "Gelu": 0,
    "Mish": 0,
}


def unary(b):
    x = b.any(lambda v: v.is_float)
    if x is None:
        return None
    x = b.calm(x)
    op = b.draw.pick([*UNARY])
    if op == "Exp":
        x = b.node("Neg", [b.node("Abs", [x], x.shape, grain=x.grain)], x.shape, grain=x.grain)
    bound = 1 if op in ("Sigmoid", "Tanh", "Erf", "Exp", "HardSigmoid") else x.bound + 1
    return b.node(op, [x], x.shape, bound=bound, grain=x.grain if UNARY[op] else 0)


def stepped(b):
    """Functions with steps, of exact values only."""
    x = b.any(lambda v: v.is_float and v.exact)
    if x is None:
        return None
    return b.node(
        b.draw.pick(["Floor", "Ceil", "Sign", "Round"]), [x], x.shape, bound=x.bound + 1, grain=1
    )


def partner(b, x):
    """A second operand that broadcasts with x: another value, a constant, x itself."""
    if b.draw.integer(0, 1):
        other = b.any(lambda v: v.dtype == x.dtype and broadcast(v.shape, x.shape) is not None)
        if other is not None:
            return other
    shape = [d if isinstance(d, int) and b.draw.integer(0, 1) else 1 for d in x.shape]
    return b.numbers(shape[b.draw.integer(0, len(shape)) :], x.dtype)


def broadcast(a, b):
    """The shape of both, None where it is not known to be one."""
    n = max(len(a), len(b))
    found = []
    for x, y in zip((1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b, strict=True):
        if x != y and 1 not in (x, y):
            return None
        found.append(y if x == 1 else x)
    return tuple(found)


def binary(b):
    x = b.any(lambda v: v.dtype in FLOATS + INTS and v.bound < 1e4)
    if x is None:
        return None
    y = partner(b, x)
    if y.bound > 1e4:
        return None
    op = b.draw.pick(["Add", "Sub", "Mul", "Max", "Min", "Div"])
    if op in ("Max", "Min", "Div") and not x.is_float:
        op = "Add"
    if b.draw.integer(0, 1):
        x, y = y, x
    shape = broadcast(x.shape, y.shape)
    both = x.grain > 0 and y.grain > 0
    grain = min(x.grain, y.grain) if both else 0
    if op == "Div":
        one = b.numbers((), x.dtype)
        b.constants[one.name] = np.array(2, x.dtype)
        y = b.node("Abs", [y], y.shape, grain=y.grain)
        y = b.node("Max", [y, one], y.shape, bound=y.bound + 2, grain=0)
        return b.node("Div", [x, y], shape, bound=x.bound)
    if op == "Mul":
        return b.node(op, [x, y], shape, bound=x.bound * y.bound, grain=x.grain * y.grain)
    return b.node(op, [x, y], shape, bound=x.bound + y.bound, grain=grain)


def compare(b):
    x = b.any(lambda v: v.dtype in FLOATS + INTS and v.exact)
    if x is None:
        return None
    y = partner(b, x)
    if not y.exact:
        return None
    op = b.draw.pick(["Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal"])
    return b.node(op, [x, y], broadcast(x.shape, y.shape), "bool", 1, 1)


def logic(b):
    x = b.any(lambda v: v.dtype == "bool")
    if x is None:
        return None
    y = b.any(lambda v: v.dtype == "bool" and broadcast(v.shape, x.shape) is not None)
    if b.draw.integer(0, 1) or y is None:
        return b.node("Not", [x], x.shape, grain=1)
    return b.node(b.draw.pick(["And", "Or", "Xor"]), [x, y], broadcast(x.shape, y.shape), grain=1)


def where(b):
    c = b.any(lambda v: v.dtype == "bool")
    if c is None:
        return None
    x = b.any(lambda v: v.dtype in FLOATS + INTS and broadcast(v.shape, c.shape) is not None)
    if x is None:
        return None
    y = partner(b, x)
    shape = broadcast(x.shape, y.shape)
    if broadcast(shape, c.shape) is None:
        return None
    grain = min(x.grain, y.grain) if x.grain and y.grain else 0
    return b.node(
        "Where", [c, x, y], broadcast(shape, c.shape), x.dtype, max(x.bound, y.bound), grain
    )


def cast(b):
    from onnx import helper

    x = b.any(lambda v: v.is_float or v.exact)
    if x is None:
        return None
    to = b.draw.pick([*FLOATS, *INTS, "bool"])
    if x.is_float and to not in FLOATS and not x.exact:
        return None
    code = helper.np_dtype_to_tensor_dtype(np.dtype(to))
    grain = x.grain if to in FLOATS else 1
    return b.node("Cast", [x], x.shape, to, 1 if to == "bool" else x.bound, grain, to=code)


def product(b):
    x = b.any(lambda v: v.is_float and len(v.shape) >= 1 and v.bound < 1e3)
    if x is None or not isinstance(x.shape[-1], int) or not x.shape[-1]:
        return None
    k, m = x.shape[-1], b.draw.integer(1, 4)
    if len(x.shape) > 1 and b.draw.integer(0, 2) == 0:
        axes = [*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2]
        y = b.node("Transpose", [x], [x.shape[a] for a in axes], grain=x.grain, perm=axes)
        shape = (*x.shape[:-1], x.shape[-2])
        return b.node("MatMul", [x, y], shape, bound=x.bound**2 * k, grain=x.grain**2)
    w = b.numbers((k, m), x.dtype)
    found = {"bound": x.bound * w.bound * k + 2, "grain": x.grain * w.grain}
    if len(x.shape) == 2 and b.draw.integer(0, 1):
        c = b.numbers((m,), x.dtype)
        return b.node("Gemm", [x, w, c], (x.shape[0], m), **found)
    made = b.node("MatMul", [x, w], (*x.shape[:-1], m), **found)
    if b.draw.integer(0, 1):
        made = b.node("Add", [made, b.numbers((m,), x.dtype)], made.shape, **found)
    return made


def is_image(v):
    if v.dtype != "float32" or len(v.shape) not in (3, 4) or v.bound > 1e3:
        return False
    filled = all(d != 0 and not str(d).startswith("k") for d in v.shape)
    return filled and isinstance(v.shape[1], int)


def conv(b):
    x = b.any(is_image)
    if x is None:
        return None
    spatial, channels, out = len(x.shape) - 2, x.shape[1], b.draw.integer(1, 4)
    k = b.draw.pick([1, 3])
    w = b.numbers((out, channels, *[k] * spatial), "float32")
    bias = [b.numbers((out,), "float32")] if b.draw.integer(0, 1) else []
    shape = (x.shape[0], out, *x.shape[2:])
    bound = x.bound * w.bound * channels * k**spatial + 2
    around = {"kernel_shape": [k] * spatial, "pads": [k // 2] * 2 * spatial}
    made = b.node("Conv", [x, w, *bias], shape, bound=bound, grain=x.grain / 2, **around)
    if b.draw.integer(0, 1):
        scale, shift, mean = (b.numbers((out,), "float32") for _ in range(3))
        var = Value(b.constant(np.full((out,), 2, "float32")), "float32", (out,), 2, 1)
        made = b.node("BatchNormalization", [made, scale, shift, mean, var], shape, bound=bound * 4)
    if b.draw.integer(0, 1):
        op = b.draw.pick(["MaxPool", "AveragePool"])
        around = {"kernel_shape": [3] * spatial, "pads": [1] * 2 * spatial}
        made = b.node(op, [made], shape, bound=bound * 4, **around)
    if b.draw.integer(0, 2) == 0:
        made = b.node("GlobalAveragePool", [made], (*shape[:2], *[1] * spatial), bound=bound * 4)
    return made


def reduce(b):
    x = b.any(lambda v: v.is_float and v.shape and v.bound < 1e4)
    if x is None:
        return None
    op = b.draw.pick(
        ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare"]
    )
    axes = sorted({b.draw.integer(0, len(x.shape) - 1) for _ in range(b.draw.integer(1, 2))})
    if any(x.shape[a] == 0 or str(x.shape[a]).startswith("k") for a in axes):
        op = "ReduceSum"
    keep = b.draw.integer(0, 1)
    shape = [1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes]
    grain = x.grain if op in ("ReduceSum", "ReduceMax", "ReduceMin") else 0
    given = [a - len(x.shape) if b.draw.integer(0, 1) else a for a in axes]
    bound = (x.bound + 1) * (64 if op in ("ReduceSum", "ReduceL2") else 1)
    if op == "ReduceSumSquare":
        bound = x.bound**2 * 64
    return b.node(
        op, [x, b.constant(np.array(given))], shape, bound=bound, grain=grain, keepdims=keep
    )


def argument(b):
    x = b.any(lambda v: v.dtype == "float32" and v.exact and v.shape)
    if x is None:
        return None
    axis = b.draw.integer(0, len(x.shape) - 1)
    if x.shape[axis] == 0 or str(x.shape[axis]).startswith("k"):
        return None
    shape = [d for i, d in enumerate(x.shape) if i != axis]
    return b.node(
        b.draw.pick(["ArgMax", "ArgMin"]), [x], shape, "int64", 8, 1, axis=axis, keepdims=0
    )


def normal(b):
    x = b.any(lambda v: v.is_float and v.shape)
    if x is None or any(d == 0 or str(d).startswith("k") for d in x.shape):
        return None
    x = b.calm(x)
    op = b.draw.pick(["Softmax", "LogSoftmax", "LayerNormalization", "CumSum"])
    if op == "LayerNormalization":
        if not isinstance(x.shape[-1], int):
            return None
        scale = b.numbers(x.shape[-1:], x.dtype)
        return b.node(op, [x, scale], x.shape, bound=16, epsilon=0.1)
    axis = b.draw.integer(0, len(x.shape) - 1)
    if op == "CumSum":
        return b.node(
            op, [x, b.constant(np.array(axis))], x.shape, bound=x.bound * 8, grain=x.grain
        )
    return b.node(op, [x], x.shape, bound=40, axis=axis)
