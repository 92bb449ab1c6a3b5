"""Small calls of a few microseconds that `bench/versions.py` times: what a call costs, op by op."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from _ops_rows import Benchmark, array, functional, indices

SHAPES: dict[str, tuple[int, ...]] = {
    "v": (16,), "w": (16,), "m": (4, 4), "b": (2, 4, 4), "e": (8, 4), "p": (1, 2, 4, 4),
    "k": (2, 2, 3, 3),
}  # fmt: skip
CALLS: dict[str, Callable[..., Any]] = {
    "a + b": lambda lib, x: x.v + x.w,
    "a * number": lambda lib, x: x.v * 2.0,
    "-a": lambda lib, x: -x.v,
    "a > number": lambda lib, x: x.v > 0.5,
    "a += b": lambda lib, x: x.v.add_(x.w),
    "pow number": lambda lib, x: x.v**2,
    "exp": lambda lib, x: lib.exp(x.v),
    "clamp": lambda lib, x: x.v.clamp(-1, 1),
    "where": lambda lib, x: lib.where(x.mask, x.v, x.w),
    "lerp": lambda lib, x: lib.lerp(x.v, x.w, 0.5),
    "leaky_relu": lambda lib, x: functional(lib).leaky_relu(x.v, 0.1),
    "gelu": lambda lib, x: functional(lib).gelu(x.v),
    "nan_to_num": lambda lib, x: lib.nan_to_num(x.v),
    "masked_fill": lambda lib, x: x.v.masked_fill(x.mask, 0.0),
    "tril": lambda lib, x: lib.tril(x.m),
    "sum": lambda lib, x: lib.sum(x.v),
    "mean": lambda lib, x: x.m.mean(-1),
    "amax": lambda lib, x: x.m.amax(-1),
    "argmax": lambda lib, x: x.m.argmax(-1),
    "var": lambda lib, x: x.m.var(-1),
    "cumsum": lambda lib, x: x.m.cumsum(-1),
    "sort": lambda lib, x: x.v.sort(),
    "softmax": lambda lib, x: lib.softmax(x.v, -1),
    "layer_norm": lambda lib, x: functional(lib).layer_norm(x.m, (4,)),
    "linear": lambda lib, x: functional(lib).linear(x.m, x.m),
    "matmul": lambda lib, x: x.m @ x.m,
    "bmm": lambda lib, x: lib.bmm(x.b, x.b),
    "embedding": lambda lib, x: functional(lib).embedding(x.at, x.e),
    "transpose": lambda lib, x: x.m.transpose(0, 1),
    "reshape": lambda lib, x: x.m.reshape(16),
    "slice": lambda lib, x: x.m[1:3],
    "row": lambda lib, x: x.m[1],
    "index by positions": lambda lib, x: x.e[x.at],
    "index by mask": lambda lib, x: x.v[x.mask],
    "assign slice": lambda lib, x: x.e.__setitem__(slice(1, 5), x.m),
    "index_select": lambda lib, x: x.e.index_select(0, x.at),
    "index_add": lambda lib, x: x.e.index_add(0, x.at, x.m),
    "gather": lambda lib, x: x.e.gather(0, x.square),
    "scatter_add": lambda lib, x: x.e.scatter_add(0, x.square, x.m),
    "cat": lambda lib, x: lib.cat([x.v, x.w]),
    "stack": lambda lib, x: lib.stack([x.v, x.w]),
    "split": lambda lib, x: lib.split(x.v, 4),
    "flip": lambda lib, x: lib.flip(x.m, (0,)),
    "roll": lambda lib, x: lib.roll(x.v, 3),
    "pad": lambda lib, x: functional(lib).pad(x.m, (1, 1, 1, 1)),
    "repeat": lambda lib, x: x.v.repeat(2),
    "conv2d": lambda lib, x: functional(lib).conv2d(x.p, x.k, padding=1),
    "avg_pool2d": lambda lib, x: functional(lib).avg_pool2d(x.p, 2),
    "max_pool2d": lambda lib, x: functional(lib).max_pool2d(x.p, 2),
    "interpolate": lambda lib, x: functional(lib).interpolate(x.p, scale_factor=2),
    "inv": lambda lib, x: lib.linalg.inv(x.m + x.eye),
    "zeros": lambda lib, x: lib.zeros(16),
    "cast": lambda lib, x: x.v.to(lib.float16),
    "contiguous": lambda lib, x: x.m.transpose(0, 1).contiguous(),
}
RECORDED: dict[str, Callable[..., Any]] = {
    "a + b": lambda lib, x: x.v + x.w,
    "exp": lambda lib, x: lib.exp(x.v),
    "mean": lambda lib, x: x.m.mean(-1),
    "linear": lambda lib, x: functional(lib).linear(x.m, x.m),
    "a * b, backward": lambda lib, x: (x.v * x.w).backward(x.w),
}


class Operands:
    """The arrays of every call, made once by one library."""

    def __init__(self, lib: Any, *, recorded: bool) -> None:
        for name, shape in SHAPES.items():
            made = array(lib, *shape)
            setattr(self, name, made.requires_grad_() if recorded and name in "vm" else made)
        self.mask = self.w > 0
        self.at = indices(lib, 8, 4)
        self.square = indices(lib, 8, 4, 4)
        self.eye = lib.eye(4) * 9


def calls() -> Iterator[Benchmark]:
    """Every small call, then the recorded ones."""
    for group, table in (("calls", CALLS), ("recorded", RECORDED)):
        for name, function in table.items():

            def make(lib: Any, f: Any = function, recorded: bool = group == "recorded") -> Any:
                operands = Operands(lib, recorded=recorded)
                return lambda: f(lib, operands)

            yield Benchmark(f"{name}, {group}", group, make)
