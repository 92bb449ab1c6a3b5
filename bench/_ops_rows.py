"""The operations that bench/ops_vs_torch.py measures, written once for Tallow and PyTorch.

As a program it is one side: `_ops_rows.py tallow|torch THREADS [cpu-time]` reads the name of a row
from each line of standard input, and answers with one line of JSON: seconds of a call (of processor
time on demand), or why there is none.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

BLOCK = 0.03  # seconds of one timed block; the best of BLOCKS counts
BLOCKS = 3
RECORDED = ("backward", "recorded")  # groups that are not in the mode for inference
# (channels, size, filters, kernel, stride, padding) of the convolutions in ResNet-18, and of
# depthwise ones as in MobileNet.
RESNET = [
    (3, 224, 64, 7, 2, 3),
    (64, 56, 64, 3, 1, 1),
    (64, 56, 128, 3, 2, 1),
    (64, 56, 128, 1, 2, 0),
    (128, 28, 128, 3, 1, 1),
    (128, 28, 256, 3, 2, 1),
    (256, 14, 256, 3, 1, 1),
    (256, 14, 512, 3, 2, 1),
    (512, 7, 512, 3, 1, 1),
]
DEPTHWISE = [(32, 112, 3, 1), (96, 112, 3, 2), (192, 28, 3, 1), (384, 14, 3, 1), (576, 14, 5, 2)]


@dataclass(frozen=True)
class Benchmark:
    """One measured call.

    `make(lib)` prepares the arguments and gives the call; `bytes` are what must at least be read
    and written, `flops` the multiplications and additions.
    """

    name: str
    group: str
    make: Callable[[Any], Callable[[], Any]]
    bytes: float = 0
    flops: float = 0


def array(lib: Any, *shape: int, dtype: str = "float32") -> Any:
    """Standard normal numbers, the same for both libraries."""
    import numpy as np

    rng = np.random.default_rng(sum(shape))
    x = lib.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    return x if dtype == "float32" else x.to(getattr(lib, dtype))


def indices(lib: Any, high: int, *shape: int) -> Any:
    """Integers in [0, high)."""
    import numpy as np

    return lib.from_numpy(np.random.default_rng(high).integers(0, high, shape))


def functional(lib: Any) -> Any:
    """`nn.functional` of the library."""
    return importlib.import_module(f"{lib.__name__}.nn.functional")


def call(function: Callable[..., Any], *shapes: Any, dtype: str = "float32") -> Any:
    """A maker of `function(lib, *arrays)`."""

    def make(lib: Any) -> Callable[[], Any]:
        return functools.partial(function, lib, *(array(lib, *s, dtype=dtype) for s in shapes))

    return make


def backward(function: Callable[..., Any], *shapes: Any) -> Any:
    """A maker of the backward pass alone: the gradients of all arrays, given the result's."""

    def make(lib: Any) -> Callable[[], Any]:
        grad = lib.autograd.grad
        xs = [array(lib, *shape).requires_grad_() for shape in shapes]
        with lib.enable_grad():
            y = function(lib, *xs)
        g = array(lib, *y.shape)
        return lambda: grad(y, xs, g, retain_graph=True)

    return make


def benchmarks() -> list[Benchmark]:
    """All benchmarks, those of one group together."""
    from _models_rows import models

    kinds = (broadcasts, large, layers, moves, convolutions, small, models, backwards)
    return [row for kind in kinds for row in kind()]


def broadcasts() -> Iterator[Benchmark]:
    """huggingface/candle issue 2499 and its variants."""
    m, n = 16384, 512
    for name, shape in (
        ("candle 2499", (64, 1, 512)),
        ("row", (512,)),
        ("column", (64, 256, 1)),
        ("scalar", ()),
    ):
        add = call(lambda _, x, y: x + y, (64, 256, 512), shape)
        yield Benchmark(f"broadcast_add {name}", "broadcast", add, 8.0 * m * n)
    yield Benchmark(
        "add number", "broadcast", call(lambda _, x: x + 1.5, (64, 256, 512)), 8.0 * m * n
    )


def large() -> Iterator[Benchmark]:
    """Elementwise operations and reductions over matrices."""
    ops: list[tuple[str, int, float, Any]] = [
        ("add", 2, 3, lambda lib, x, y: lib.add(x, y)),
        ("mul", 2, 3, lambda lib, x, y: lib.mul(x, y)),
        ("exp", 1, 2, lambda lib, x: lib.exp(x)),
        ("gelu", 1, 2, lambda lib, x: functional(lib).gelu(x)),
        ("softmax", 1, 2, lambda lib, x: lib.softmax(x, -1)),
        ("softmax dim=0", 1, 2, lambda lib, x: lib.softmax(x, 0)),
        ("log_softmax", 1, 2, lambda lib, x: lib.log_softmax(x, -1)),
        ("sum dim=-1", 1, 1, lambda lib, x: lib.sum(x, -1)),
        ("sum dim=0", 1, 1, lambda lib, x: lib.sum(x, 0)),
        ("sum all", 1, 1, lambda lib, x: lib.sum(x)),
        ("mean dim=-1", 1, 1, lambda lib, x: lib.mean(x, -1)),
        ("mean dim=0", 1, 1, lambda lib, x: lib.mean(x, 0)),
        ("mean all", 1, 1, lambda lib, x: lib.mean(x)),
        ("amax dim=-1", 1, 1, lambda lib, x: lib.amax(x, -1)),
        ("argmax dim=-1", 1, 1, lambda lib, x: lib.argmax(x, -1)),
        ("argmax dim=0", 1, 1, lambda lib, x: lib.argmax(x, 0)),
        ("var dim=-1", 1, 1, lambda lib, x: lib.var(x, -1)),
    ]
    for m, n in ((512, 3072), (4096, 4096)):
        for name, count, passes, function in ops:
            make = call(function, *[(m, n)] * count)
            yield Benchmark(f"{name} {m}x{n}", "matrix", make, passes * 4.0 * m * n)
    for name in ("softmax", "sum dim=-1", "sum dim=0", "amax dim=-1"):
        passes, function = next((p, f) for one, _, p, f in ops if one == name)
        make = call(function, (512, 3072), dtype="bfloat16")
        yield Benchmark(f"{name} 512x3072 bf16", "matrix", make, passes * 2.0 * 512 * 3072)


def layers() -> Iterator[Benchmark]:
    """Norms and attention."""

    def layer_norm(lib: Any, x: Any, w: Any, b: Any) -> Any:
        return functional(lib).layer_norm(x, (x.shape[-1],), w, b)

    def rms_norm(lib: Any, x: Any, w: Any) -> Any:
        return functional(lib).rms_norm(x, (x.shape[-1],), w, 1e-6)

    for m, n in ((512, 3072), (4096, 4096)):
        shapes = ((m, n), (n,), (n,))
        yield Benchmark(f"layer_norm {m}x{n}", "layer", call(layer_norm, *shapes), 8.0 * m * n)
        yield Benchmark(f"rms_norm {m}x{n}", "layer", call(rms_norm, *shapes[:2]), 8.0 * m * n)
    make = call(layer_norm, *((512, 3072), (3072,), (3072,)), dtype="bfloat16")
    yield Benchmark("layer_norm 512x3072 bf16", "layer", make, 4.0 * 512 * 3072)
    for causal in (False, True):
        make = call(functools.partial(attend, causal=causal), *[(4, 8, 512, 64)] * 3)
        name = f"attention 4x8x512x64{' causal' if causal else ''}"
        yield Benchmark(name, "layer", make, flops=4.0 * 32 * 512 * 512 * 64 / (2 if causal else 1))


def attend(lib: Any, q: Any, k: Any, v: Any, causal: bool) -> Any:
    """Scaled dot-product attention."""
    return functional(lib).scaled_dot_product_attention(q, k, v, is_causal=causal)


def moves() -> Iterator[Benchmark]:
    """Casts, copies, indexed reads."""
    for m, n in ((512, 3072), (4096, 4096)):
        to_half = call(lambda lib, x: x.to(lib.bfloat16), (m, n))
        yield Benchmark(f"cast f32 to bf16 {m}x{n}", "move", to_half, 6.0 * m * n)
        to_full = call(lambda lib, x: x.to(lib.float32), (m, n), dtype="bfloat16")
        yield Benchmark(f"cast bf16 to f32 {m}x{n}", "move", to_full, 6.0 * m * n)
        turn = call(lambda _, x: x.t().contiguous(), (m, n))
        yield Benchmark(f"copy of the transpose {m}x{n}", "move", turn, 8.0 * m * n)

    def gather(dim: int) -> Any:
        def make(lib: Any) -> Callable[[], Any]:
            x, ids = array(lib, 4096, 1024), indices(lib, 1024, 4096, 512)
            return lambda: lib.gather(x, dim, ids)

        return make

    def index_select(lib: Any) -> Callable[[], Any]:
        x, ids = array(lib, 32000, 512), indices(lib, 32000, 4096)
        return lambda: lib.index_select(x, 0, ids)

    yield Benchmark("gather dim=1", "move", gather(1), 16.0 * 4096 * 512)
    yield Benchmark("gather dim=0", "move", gather(0), 16.0 * 4096 * 512)
    yield Benchmark("index_select", "move", index_select, 8.0 * 4096 * 512)


def convolutions() -> Iterator[Benchmark]:
    """The layers of ResNet-18 for one and eight images, and depthwise ones."""
    for batch in (1, 8):
        for c, size, k, kernel, stride, padding in RESNET:
            make = call(conv(stride, padding), (batch, c, size, size), (k, c, kernel, kernel))
            out = (size + 2 * padding - kernel) // stride + 1
            name = f"conv2d {batch}x{c}x{size}x{size} to {k}, {kernel}x{kernel}/{stride}"
            yield Benchmark(name, "conv", make, flops=2.0 * batch * k * c * (out * kernel) ** 2)
    for c, size, kernel, stride in DEPTHWISE:
        make = call(conv(stride, kernel // 2, groups=c), (1, c, size, size), (c, 1, kernel, kernel))
        name = f"depthwise {c}x{size}x{size}, {kernel}x{kernel}/{stride}"
        yield Benchmark(name, "depthwise", make, 4.0 * c * size * size * (1 + 1 / stride**2))


def conv(stride: int, padding: int, groups: int = 1) -> Any:
    """conv2d without bias."""
    return lambda lib, x, w: functional(lib).conv2d(x, w, None, stride, padding, 1, groups)


def small() -> Iterator[Benchmark]:
    """What a call costs before any arithmetic."""
    for name, count, function in (
        ("add", 2, lambda _, x, y: x + y),
        ("mul number", 1, lambda _, x: x * 2.0),
        ("exp", 1, lambda lib, x: lib.exp(x)),
        ("relu", 1, lambda lib, x: functional(lib).relu(x)),
        ("sum", 1, lambda lib, x: lib.sum(x)),
        ("view", 1, lambda _, x: x.view(4, 4)),
        ("slice", 1, lambda _, x: x[2:10]),
        ("softmax", 1, lambda lib, x: lib.softmax(x, -1)),
    ):
        yield Benchmark(f"{name} of 16", "small", call(function, *[(16,)] * count))


def backwards() -> Iterator[Benchmark]:
    """Backward passes alone; bytes are those of g, the saved arrays and the gradients."""
    m, n = 4096, 1024

    def layer_norm(lib: Any, x: Any, w: Any, b: Any) -> Any:
        return functional(lib).layer_norm(x, (n,), w, b)

    def rms_norm(lib: Any, x: Any, w: Any) -> Any:
        return functional(lib).rms_norm(x, (n,), w, 1e-6)

    for name, function, shapes, passes in (
        ("softmax", lambda lib, x: lib.softmax(x, -1), [(m, n)], 3),
        ("log_softmax", lambda lib, x: lib.log_softmax(x, -1), [(m, n)], 3),
        ("layer_norm", layer_norm, [(m, n), (n,), (n,)], 3),
        ("rms_norm", rms_norm, [(m, n), (n,)], 3),
        ("gelu", lambda lib, x: functional(lib).gelu(x), [(m, n)], 3),
        ("sum dim=-1", lambda lib, x: lib.sum(x, -1), [(m, n)], 1),
        ("add row", lambda _, x, y: x + y, [(m, n), (n,)], 2),
    ):
        make = backward(function, *shapes)
        yield Benchmark(f"{name} {m}x{n}, backward", "backward", make, passes * 4.0 * m * n)
    for causal in (False, True):
        make = backward(functools.partial(attend, causal=causal), *[(4, 8, 512, 64)] * 3)
        name = f"attention 4x8x512x64{' causal' if causal else ''}, backward"
        work = 10.0 * 32 * 512 * 512 * 64 / (2 if causal else 1)
        yield Benchmark(name, "backward", make, flops=work)
    for c, size, k, kernel, stride, padding in (RESNET[1], RESNET[5]):
        make = backward(conv(stride, padding), (8, c, size, size), (k, c, kernel, kernel))
        out = (size + 2 * padding - kernel) // stride + 1
        name = f"conv2d 8x{c}x{size}x{size} to {k}, {kernel}x{kernel}/{stride}, backward"
        yield Benchmark(name, "backward", make, flops=4.0 * 8 * k * c * (out * kernel) ** 2)


# --- one side ---------------------------------------------------------------------------------


class Clock:
    """Seconds of one call of a row's operation, blocks of calls at a time."""

    def __init__(self, run: Callable[[], Any], now: Callable[[], float] | None = None) -> None:
        self.run, self.now = run, now or time.perf_counter
        begin = self.now()
        run()
        run()
        once = (self.now() - begin) / 2
        self.calls = max(1, int(BLOCK / max(once, 1e-7)))
        self.block()
        self.calls = max(1, int(self.calls * BLOCK / max(self.block(), 1e-7)))

    def block(self) -> float:
        """Seconds of one block."""
        run = self.run
        begin = self.now()
        for _ in range(self.calls):
            run()
        return self.now() - begin

    def best(self) -> float:
        """Seconds of one call in the best of a few blocks."""
        return min(self.block() for _ in range(BLOCKS)) / self.calls


def main() -> None:
    lib, threads = importlib.import_module(sys.argv[1]), int(sys.argv[2])
    now = time.process_time if sys.argv[3:] == ["cpu-time"] else time.perf_counter
    importlib.import_module(f"{lib.__name__}.nn.functional")
    lib.set_num_threads(threads)
    from _calls_rows import calls

    table = {row.name: row for row in (*benchmarks(), *calls())}
    name, clock = "", None
    for line in sys.stdin:
        wanted = line.strip()
        try:
            if wanted != name:
                clock = None  # the arrays of the row before go first
                row = table[wanted]
                with lib.inference_mode(row.group not in RECORDED):
                    clock = Clock(row.make(lib), now)
                name = wanted
            assert clock is not None
            with lib.inference_mode(table[name].group not in RECORDED):
                answer: dict[str, Any] = {"seconds": clock.best()}
        except (AttributeError, ImportError, NotImplementedError) as error:
            answer = {"missing": str(error)}
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
