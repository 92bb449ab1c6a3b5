"""Random numbers: the same ones at each run where a seed is given.

No plan holds them, for a seed starts the numbers of its node anew.
"""

from __future__ import annotations

import struct
from typing import Any

from tallow import _native, ops
from tallow.dtype import DType
from tallow.errors import ArgumentError, CaptureError, expect
from tallow.factories import full
from tallow.onnx.operators.host import as_value
from tallow.onnx.operators.known import dtype_of
from tallow.onnx.operators.table import operator
from tallow.random import Generator, default_generator
from tallow.tensor import Tensor


def _generator(seed: float | None) -> Generator:
    """A generator from a seed, a float by whose bits it is started, or the default one."""
    if seed is None:
        return default_generator
    expect(isinstance(seed, int | float), "seed", "a number", seed, ArgumentError)
    return Generator().manual_seed(struct.unpack("<Q", struct.pack("<d", seed))[0])


def _uniform(shape: Any, dtype: DType, seed: Any, low: float, high: float) -> Tensor:
    drawn = ops.rand(shape, generator=_generator(seed), dtype=dtype)
    return drawn * (high - low) + low


def _normal(shape: Any, dtype: DType, seed: Any, mean: float, scale: float) -> Tensor:
    return ops.randn(shape, generator=_generator(seed), dtype=dtype) * scale + mean


def _dtype_like(x: Any, code: int | None, where: str) -> DType:
    if code is not None:
        return dtype_of(code, where)
    is_float = isinstance(x, Tensor) and x.dtype.kind == "f"
    expect(is_float, where, "the attribute dtype for an input that has no floats", x.dtype,
           ArgumentError)  # fmt: skip
    found: DType = x.dtype
    return found


@operator("RandomNormal", capture=False)
def random_normal(
    *, shape: Any, dtype: int = 1, mean: float = 0.0, scale: float = 1.0, seed: Any = None
) -> Tensor:
    """Normal numbers in a shape."""
    return _normal(shape, dtype_of(dtype, "RandomNormal"), seed, mean, scale)


@operator("RandomNormalLike", capture=False, host=True)
def random_normal_like(
    x: Any, *, dtype: int | None = None, mean: float = 0.0, scale: float = 1.0, seed: Any = None
) -> Tensor:
    """Normal numbers in the shape of another value."""
    return _normal(x.shape, _dtype_like(x, dtype, "RandomNormalLike"), seed, mean, scale)


@operator("RandomUniform", capture=False)
def random_uniform(
    *, shape: Any, dtype: int = 1, low: float = 0.0, high: float = 1.0, seed: Any = None
) -> Tensor:
    """Uniform numbers in a shape."""
    return _uniform(shape, dtype_of(dtype, "RandomUniform"), seed, low, high)


@operator("RandomUniformLike", capture=False, host=True)
def random_uniform_like(
    x: Any, *, dtype: int | None = None, low: float = 0.0, high: float = 1.0, seed: Any = None
) -> Tensor:
    """Uniform numbers in the shape of another value."""
    return _uniform(x.shape, _dtype_like(x, dtype, "RandomUniformLike"), seed, low, high)


@operator("Bernoulli", since=15, capture=False)
def bernoulli(x: Tensor, *, dtype: int | None = None, seed: Any = None) -> Tensor:
    """1 with the probability that each element is, else 0."""
    wanted = x.dtype if dtype is None else dtype_of(dtype, "Bernoulli")
    drawn = ops.rand(x.shape, generator=_generator(seed), dtype="f64", device=x.device)
    return ops.lt(drawn, x.to("f64")).to(wanted)


@operator("Multinomial", since=7, capture=False)
def multinomial(x: Tensor, *, dtype: int = 6, sample_size: int = 1, seed: Any = None) -> Tensor:
    """(rows, sample_size): places drawn by the logarithms of their weights, (rows, places)."""
    expect(x.ndim == 2, "Multinomial", "a matrix", x.shape)
    weights = ops.softmax(x if x.dtype.itemsize > 2 else x.to("f32"), -1)
    drawn = ops.multinomial(weights, sample_size, True, generator=_generator(seed))
    return drawn.to(dtype_of(dtype, "Multinomial"))


@operator("Dropout", since=7, until=9)
def dropout_with_mask_of_numbers(x: Tensor, *, ratio: float = 0.5, outputs: int) -> Any:
    """The input; a mask of ones in its dtype, if it is wanted."""
    return (x, full(x.shape, 1, x.dtype)) if outputs > 1 else x


@operator("Dropout", since=10, until=11)
def dropout_for_inference(x: Any, *, ratio: float = 0.5, outputs: int) -> Any:
    """The input; a mask that is true, if it is wanted."""
    return (x, full(x.shape, True, "bool")) if outputs > 1 else x


@operator("Dropout", since=12, reads=("ratio", "training_mode"), host=True)
def dropout(
    x: Any, ratio: Any = None, training_mode: Any = None, *, seed: Any = None, outputs: int
) -> Any:
    """The input, and in training random elements of it, scaled; with the mask, if it is wanted."""
    share = _number(ratio, 0.5)
    expect(0 <= share < 1, "Dropout", "a ratio in [0, 1)", share, ArgumentError)
    if not _number(training_mode, False) or share == 0:
        return dropout_for_inference(x, outputs=outputs)
    if _native.capturing():
        raise CaptureError("Dropout: expected no plan in training, for it draws numbers anew")
    mask = _kept(x, share, seed)
    found = x * mask.to(x.dtype) * (1 / (1 - share))
    return (found, mask) if outputs > 1 else found


def _kept(x: Tensor, share: float, seed: int | None) -> Tensor:
    """Which elements stay; by a seed those that onnx's reference evaluator keeps, by numpy."""
    if seed is None:
        return ops.rand(x.shape, dtype="f64", device=x.device).ge(share)
    import numpy as np

    kept = np.random.RandomState(seed).uniform(0.0, 1.0, x.shape) >= share
    found: Tensor = as_value(kept).to(x.device)
    return found


def _number(given: Any, default: Any) -> Any:
    return default if given is None else given[0] if isinstance(given, list) else given
