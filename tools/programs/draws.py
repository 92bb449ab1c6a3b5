"""Random draws that come out alike in torch and in Tallow: one Philox stream per kind and shape.

A draw is a function of the seed, its kind, its shape and how many draws of that kind and shape went
before, so that two libraries that draw their weights in another order still get the same ones.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import random
from typing import Any

import numpy as np
from draws_torch import attach_torch


class Draws:
    """The stream that both sides read."""

    def __init__(self) -> None:
        self.restart(0)

    def restart(self, seed: int) -> None:
        """Begin anew, as `torch.manual_seed` does."""
        self.key = int(seed) & ((1 << 64) - 1)
        self.counts: dict[Any, int] = {}

    def _source(self, kind: str, shape: tuple[int, ...]) -> np.random.Generator:
        count = self.counts[kind, shape] = self.counts.get((kind, shape), 0) + 1
        name = repr((self.key, kind, shape, count)).encode()
        key = int.from_bytes(hashlib.blake2b(name, digest_size=16).digest(), "little")
        return np.random.Generator(np.random.Philox(key=key))

    def uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Numbers in [low, high), of 24 bits so that f32 and f64 get the same ones."""
        unit = self._source("uniform", shape).integers(0, 1 << 24, size=shape) / (1 << 24)
        return _rounded(unit * (float(high) - float(low)) + float(low))

    def normal(self, shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0) -> np.ndarray:
        """Normal numbers."""
        unit = self._source("normal", shape).standard_normal(shape, dtype=np.float32)
        return _rounded(np.asarray(unit, np.float64) * float(std) + float(mean))

    def integers(self, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
        """Integers in [low, high)."""
        high = min(high, (1 << 63) - 1)
        return np.asarray(self._source(f"integers {low} {high}", shape).integers(low, high, shape))

    def permutation(self, n: int) -> np.ndarray:
        """The numbers below n in random order."""
        return self._source("permutation", (n,)).permutation(n)


NUDGES = int(os.environ.get("PROGRAMS_NUDGED") or 0)


def _rounded(values: Any) -> np.ndarray:
    """What f32 can hold, so that a run in f64 begins with the same weights.

    In a nudged run each number is one of its neighbours, by chance.
    """
    single = np.asarray(values, np.float32)
    if NUDGES:
        up = np.random.default_rng([NUDGES, single.size]).random(single.shape) < 0.5
        single = np.nextafter(single, np.where(up, np.inf, -np.inf).astype(np.float32))
    return single.astype(np.float64)


def attach(torch: Any, draws: Draws) -> None:
    """Let every random function of `torch` (the real one or Tallow's) read the stream."""
    random.seed(0)
    np.random.seed(0)
    (_attach_tallow if torch.nn.__name__.startswith("tallow") else attach_torch)(torch, draws)
    seeding = torch.manual_seed

    def manual_seed(seed: int) -> Any:
        draws.restart(seed)
        return seeding(seed)

    torch.manual_seed = torch.random.manual_seed = manual_seed


def _attach_tallow(torch: Any, draws: Draws) -> None:
    """All draws of Tallow are ops of six kernels: fill their results instead."""
    import tallow as tl
    from tallow.borrowing import from_buffer
    from tallow.registry import OPS
    from tallow.tensor import wrap

    tl.ops.open_all()

    def fill(array: Any, values: np.ndarray) -> None:
        name = {"b": "u8", "i": "i64"}.get(values.dtype.kind, "f64")
        flat = np.ascontiguousarray(values, np.dtype({"u8": "u1", "i64": "i8", "f64": "f8"}[name]))
        whole = from_buffer(flat.tobytes(), name, array.shape)
        array.copy_(whole._array.cast(array.dtype))

    def call(name: str, *args: Any) -> Any:
        out, shape = args[0], tuple(args[0].shape)
        if name == "random_uniform":
            fill(out, draws.uniform(shape, args[2], args[3]))
        elif name == "random_normal":
            fill(out, draws.normal(shape, args[2], args[3]))
        elif name == "random_integers":
            fill(out, draws.integers(shape, args[2], args[2] + (args[3] or (1 << 63))))
        elif name == "random_permutation":
            fill(out, draws.permutation(shape[0]))
        elif name == "random_dropout":
            mask, _state, x, keep = args[1:]
            kept = draws.uniform(shape) < keep
            fill(mask, kept)
            scaled = from_buffer((kept / keep).astype("f8").tobytes(), "f64", shape)
            out.copy_((wrap(x) * scaled.to(wrap(x).dtype))._array)
        else:
            raise NotImplementedError(f"{name} is not replayed")
        return None

    def replay(op: Any) -> None:
        name, outputs, arguments = op.kernel_name, op.outputs, op.arguments
        signature = inspect.signature(op.signature)

        def kernel(*args: Any, **named: Any) -> Any:
            bound = signature.bind(*args, **named)
            bound.apply_defaults()
            values = tuple(bound.arguments.values())
            wanted = outputs(*values)
            specs = wanted if isinstance(wanted, list) else [wanted]
            outs = [
                tl.empty_like(one)
                if isinstance(one, tl.Tensor)
                else tl.empty(
                    one[0].shape if isinstance(one[0], tl.Tensor) else one[0], dtype=one[1]
                )
                for one in specs
            ]
            given = values if arguments is None else arguments(*values)
            call(name, *(getattr(x, "_array", x) for x in (*outs, *given)))
            return tuple(outs) if isinstance(wanted, list) else outs[0]

        op.kernel(kernel)

    for op in list(OPS.values()):
        if (op.kernel_name or "").startswith("random_"):
            replay(op)
