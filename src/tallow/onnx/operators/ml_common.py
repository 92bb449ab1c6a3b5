"""What rows of ai.onnx.ml share: tables kept between calls, transforms of scores, labels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

from tallow import ops
from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import tensor
from tallow.tensor import Tensor

ML: Final = "ai.onnx.ml"
_MOST_KEPT: Final = 256
_kept: OrderedDict[Any, tuple[Any, tuple[Any, ...]]] = OrderedDict()


def kept(make: Callable[..., Any], *attributes: Any) -> Any:
    """What `make` gives for attributes of a node: made once for the same objects."""
    key = (make, *(x if isinstance(x, str | int | None) else id(x) for x in attributes))
    found = _kept.get(key)
    if found is None:
        found = _kept[key] = (make(*attributes), attributes)  # the ids are theirs while they live
        if len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return found[0]


def floats(values: Any) -> Tensor:
    """An attribute's numbers as a tensor."""
    return tensor([*values], dtype=f32)


def rows_of(x: Tensor) -> Tensor:
    """Features as (rows, features) in a float dtype: one row is a batch of one."""
    if x.ndim == 1:
        x = x.unsqueeze(0)
    expect(x.ndim == 2, ML, "features of shape (rows, features)", x.shape)
    return x if x.dtype.is_floating_point else x.to(f32)


def transformed(scores: Tensor, post_transform: str) -> Tensor:
    """Scores of shape (rows, classes) after a transform by its name in the standard."""
    if post_transform == "NONE":
        return scores
    if post_transform == "SOFTMAX":
        return ops.softmax(scores, -1)
    if post_transform == "LOGISTIC":
        return scores.sigmoid()
    if post_transform == "PROBIT":
        return ops.erfinv(2 * scores - 1) * 2**0.5
    expect(post_transform == "SOFTMAX_ZERO", ML, "a post_transform of the standard",
           post_transform, ArgumentError)  # fmt: skip
    largest = scores.amax(-1, keepdim=True)
    counted = scores.abs() > 1e-7
    powers = (scores - largest).exp()
    zero = scores * (-largest).exp()
    return ops.where(counted, powers, zero) / (powers * counted).sum(-1, keepdim=True)


def labels_of(
    classes: Tensor, integers: Sequence[int] | None, strings: Sequence[str] | None
) -> Any:
    """Labels for numbers of classes: a tensor of integers, or a numpy array of texts."""
    if integers:
        return kept(_integers, integers)[classes]
    expect(bool(strings), ML, "labels of the classes", "none", ArgumentError)
    assert strings is not None
    return texts(strings)[classes.numpy()]


def _integers(values: Sequence[int]) -> Tensor:
    return tensor([*values], dtype=i64)


def texts(values: Sequence[str]) -> Any:
    """A numpy array of texts."""
    import numpy as np

    made = np.empty(len(values), object)
    made[:] = [*values]
    return made
