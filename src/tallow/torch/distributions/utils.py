"""torch.distributions.utils: arguments as tensors, probabilities and logits."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.factories import tensor
from tallow.nn import functional as F
from tallow.tensor import Tensor
from tallow.torch._settings import get_default_dtype

_EPS = {"f64": 2.0**-52, "f32": 2.0**-23, "f16": 2.0**-10, "bf16": 2.0**-7}


def eps_of(x: Tensor) -> float:
    """The distance from 1 to the next number."""
    return _EPS[x.dtype.name]


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape."""
    given = [v for v in values if isinstance(v, Tensor)]
    dtype = given[0].dtype if given else get_default_dtype()
    made = [v if isinstance(v, Tensor) else tensor(float(v), dtype) for v in values]
    return tuple(ops.broadcast_tensors(*made))


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept off 0 and 1."""
    return probs.clamp(eps_of(probs), 1 - eps_of(probs))


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of logits: by sigmoid for two outcomes, else by softmax."""
    return logits.sigmoid() if is_binary else F.softmax(logits, -1)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logits of probabilities."""
    kept = clamp_probs(probs)
    return kept.log() - (-kept).log1p() if is_binary else kept.log()


class lazy_property:  # noqa: N801  (PyTorch's name)
    """A property computed once."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped, self.__doc__ = wrapped, wrapped.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:
    return ops.randn(tuple(shape), dtype=dtype, device=device)


def sum_rightmost(value: Any, dim: int) -> Any:
    """The sum over the last `dim` axes."""
    return value if dim == 0 else value.sum(tuple(range(-dim, 0)))
