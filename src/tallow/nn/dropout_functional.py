"""Randomness in training: dropout of elements and channels, its relatives, Gumbel's softmax."""

from __future__ import annotations

import math
import warnings

from tallow.autograd.inplace import change
from tallow.errors import ArgumentError, expect
from tallow.factories import empty
from tallow.ops.random import bernoulli_, exponential_
from tallow.tensor import Tensor


def _kept(p: float, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """1 with the probability 1 - p, else 0, in the dtype of `like`."""
    return bernoulli_(empty(shape, dtype=like.dtype), 1 - p)


def _probability(name: str, p: float) -> None:
    expect(0 <= p <= 1, name, "a probability p in [0, 1]", p, ArgumentError)


def _drop(input: Tensor, p: float, shape: tuple[int, ...], inplace: bool) -> Tensor:
    def drop(x: Tensor) -> Tensor:
        if p == 1:
            return x * 0
        return x * _kept(p, shape, x).mul_(1 / (1 - p))

    return change(input, (), {}, drop, "dropout_") if inplace else drop(input)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Elements set to 0 with the probability `p`, the others times 1 / (1 - p), when `training`."""
    _probability("dropout", p)
    if not training or p == 0:
        return input
    return _drop(input, p, input.shape, inplace)


def _channels(
    name: str, input: Tensor, p: float, training: bool, axes: int, inplace: bool
) -> Tensor:
    """Dropout of whole channels; `axes` is the number of axes with a batch.

    Two axes, and one too many or too few, are taken for (batch, channels, ...) where torch does.
    """
    _probability(name, p)
    if axes > 3 and input.ndim > 1 and input.ndim not in (axes - 1, axes):
        text = f"{name}: an input of {input.ndim} axes is taken for (batch, channels, ...)"
        warnings.warn(text, UserWarning, stacklevel=3)
        axes = input.ndim
    wanted = f"input of {axes - 1} or {axes} axes"
    expect(input.ndim in (axes - 1, axes), name, wanted, input.shape)
    if not training or p == 0:
        return input
    lead = input.ndim - (axes - 2)
    shape = (*input.shape[:lead], *(1,) * (axes - 2))
    return _drop(input, p, shape, inplace)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """`dropout` of whole channels of (batch, channels, length)."""
    return _channels("dropout1d", input, p, training, 3, inplace)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """`dropout` of whole channels of (batch, channels, height, width).

    Three axes are taken for (batch, channels, length), as in torch.
    """
    if input.ndim == 3:
        return _channels("dropout2d", input, p, training, 3, inplace)
    return _channels("dropout2d", input, p, training, 4, inplace)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """`dropout` of whole channels of (batch, channels, depth, height, width)."""
    return _channels("dropout3d", input, p, training, 5, inplace)


_LOWEST = -1.7580993408473766  # SELU's value far below 0 (arXiv 1706.02515)


def _alpha(input: Tensor, p: float, shape: tuple[int, ...], inplace: bool) -> Tensor:
    def drop(x: Tensor) -> Tensor:
        if p == 1:
            return x * 0
        scale = 1 / math.sqrt((1 - p) * (1 + p * _LOWEST**2))
        kept = _kept(p, shape, x)
        return x * (kept * scale) + ((1 - kept) * (_LOWEST * scale) - scale * _LOWEST * p)

    return change(input, (), {}, drop, "alpha_dropout_") if inplace else drop(input)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout after SELU: elements go to its lowest value; mean and variance stay."""
    _probability("alpha_dropout", p)
    if not training or p == 0:
        return input
    return _alpha(input, p, input.shape, inplace)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels of (batch, channels, ...)."""
    _probability("feature_alpha_dropout", p)
    if not training or p == 0:
        return input
    expect(input.ndim >= 2, "feature_alpha_dropout", "at least 2 axes", input.shape)
    return _alpha(input, p, (*input.shape[:2], *(1,) * (input.ndim - 2)), inplace)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample near a corner of the simplex, by Gumbel noise (arXiv 1611.00712).

    `hard` gives the corner itself, with the gradient of the soft sample.
    """
    noise = -exponential_(empty(logits.shape, dtype=logits.dtype)).log()
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    top = soft.detach().argmax(dim, keepdim=True)
    corner = (soft.detach() * 0).scatter(dim, top, 1.0)
    return corner - soft.detach() + soft
