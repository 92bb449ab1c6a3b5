"""Calls ops whose definitions are nonsense; prints how many were refused."""

import tallow as tl
from tallow.dtype import f32
from tallow.registry import OPS

OUT = [
    5, (), (1,), ((2,), 3), ((-1,), f32), ((2, 3), f32, (0, 0)), ((2, 3), f32, (7, 1)),
    ((2, 3), f32, (-1, 0)),
    ((2, 3), f32, (0,)), ((2**62, 2**62), f32), [5], [None], [((2,), f32)] * 9, "x",
    ((1,) * 40, f32),
]  # fmt: skip
ARGUMENTS = [5, (), (None,), ("x",), (2**70,), (1.5,) * 40, [1]]


def refused(call):
    try:
        call()
    except Exception:
        return 1
    return 0


def kernels():
    for out in OUT:
        yield {"out": lambda *_, out=out: out}
    for given in ARGUMENTS:
        yield {"arguments": lambda *_, given=given: given}
    yield {"when": lambda *_: Odd()}


class Odd:
    def __bool__(self):
        raise ValueError("neither")


def check_structured(x):
    for name in ("none", "matmul", "amax"):

        def structured(x: tl.Tensor) -> tl.Tensor:
            """Of no structured op, or of one with other parameters."""

        structured.__name__ = f"structured_{name}"
        op = tl.op(structured)
        op.out(name)
        op.kernel("copy")
        assert refused(lambda op=op: op(x)), name


def main():
    x, count = tl.ones(2, 3), 0
    for i, parts in enumerate(kernels()):

        def body(x: tl.Tensor) -> tl.Tensor:
            """A primitive."""

        body.__name__ = f"nonsense_{i}"
        op = tl.op(body)
        op.out(parts.get("out", lambda x: x))
        attach = op.kernel("copy", when=parts.get("when"))
        if "arguments" in parts:
            attach(parts["arguments"])
        count += refused(lambda op=op: op(x)) + refused(lambda op=op: op(x.to("meta")))

    def many(tensors: "list[tl.Tensor] | None" = None) -> tl.Tensor:
        """A primitive of several tensors."""

    op = tl.op(many)
    op.out(lambda tensors: ((2,), f32))
    op.kernel("copy", dtypes=[f32])
    count += sum(
        refused(lambda given=given: op(given)) for given in (None, 5, "ab", [], [None], [5])
    )

    def part(x: tl.Tensor) -> tuple:
        """A view that gives what is none."""
        return (None, 5)

    tl.op(view=True)(part)
    OPS["part"](x)
    check_structured(x)
    print(count)


if __name__ == "__main__":
    main()
