"""Initial values of parameters: torch.nn.init's functions, which fill a tensor in place.

Each is also a rule for `param(init=...)`, with `functools.partial` where it takes options;
`zeros`, `ones`, `constant`, `uniform` and `normal` make the usual rules shorter.
"""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from tallow import ops
from tallow.autograd.mode import no_grad
from tallow.dtype import f32
from tallow.errors import ArgumentError, expect
from tallow.factories import arange, empty, empty_like
from tallow.factories import zeros as _zeros
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.nn.parameter import Init


def _write(tensor: Tensor, values: Tensor | float) -> Tensor:
    """Values into the tensor, outside the graph."""
    with no_grad():
        if isinstance(values, Tensor):
            tensor.copy_(values)
        else:
            tensor.fill_(values)
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Draw from the uniform distribution on [a, b)."""
    from tallow.ops.random import uniform_ as fill

    with no_grad():
        return fill(tensor, a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Draw from the normal distribution."""
    from tallow.ops.random import normal_ as fill

    with no_grad():
        return fill(tensor, mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Draw from the normal distribution as far as it lies in [a, b]."""
    low, high = (math.erf((end - mean) / std / math.sqrt(2)) for end in (a, b))
    drawn = uniform_(empty(tensor.shape, dtype=f32, device=tensor.device), low, high, generator)
    return _write(tensor, (ops.erfinv(drawn) * (std * math.sqrt(2)) + mean).clamp(a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return _write(tensor, val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return _write(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return _write(tensor, 0)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, else 0."""
    expect(tensor.ndim == 2, "eye_", "a matrix", tensor.shape)
    rows, columns = tensor.shape
    column = arange(rows, device=tensor.device).unsqueeze(1)
    return _write(tensor, column.eq(arange(columns, device=tensor.device)))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The identity of convolutions: (out, in, ...), 1 in the middle of as many channels as fit."""
    wanted = "a tensor of 3 to 5 axes"
    expect(tensor.ndim in (3, 4, 5), "dirac_", wanted, tensor.shape)
    outs = tensor.shape[0]
    wanted = f"a divisor of {outs}"
    expect(groups > 0 and outs % groups == 0, "dirac_", wanted, groups, ArgumentError)
    middle = tuple(n // 2 for n in tensor.shape[2:])
    made = _zeros(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    for group in range(groups):
        for i in range(min(outs // groups, tensor.shape[1])):
            made[(group * (outs // groups) + i, i, *middle)] = 1
    return _write(tensor, made)


_GAINS = {
    "linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0, "conv_transpose3d": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0), "selu": 0.75,
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights before a non-linearity are scaled so that the variance stays."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    wanted = f"one of {', '.join([*_GAINS, 'leaky_relu'])}"
    expect(nonlinearity in _GAINS, "calculate_gain", wanted, repr(nonlinearity), ArgumentError)
    return _GAINS[nonlinearity]


def _fans(tensor: Tensor, where: str) -> tuple[int, int]:
    """Inputs and outputs of each neuron: of (out, in, kernel ...)."""
    expect(tensor.ndim >= 2, where, "at least 2 axes", tensor.shape)
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fan(tensor: Tensor, mode: str, where: str) -> int:
    wanted = "mode fan_in or fan_out"
    expect(mode in ("fan_in", "fan_out"), where, wanted, repr(mode), ArgumentError)
    return _fans(tensor, where)[mode == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform within gain * sqrt(6 / (inputs + outputs)) (Glorot & Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / max(sum(_fans(tensor, "xavier_uniform_")), 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with deviation gain * sqrt(2 / (inputs + outputs)) (Glorot & Bengio 2010)."""
    std = gain * math.sqrt(2.0 / max(sum(_fans(tensor, "xavier_normal_")), 1))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Uniform within gain * sqrt(3 / fan) (arXiv 1502.01852); `a` is leaky_relu's slope."""
    if not tensor.numel():
        return _nothing(tensor)
    fan = _fan(tensor, mode, "kaiming_uniform_")
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3.0 / fan)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Normal with deviation gain / sqrt(fan) (arXiv 1502.01852); `a` is leaky_relu's slope."""
    if not tensor.numel():
        return _nothing(tensor)
    fan = _fan(tensor, mode, "kaiming_normal_")
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(fan), generator)


def _nothing(tensor: Tensor) -> Tensor:
    warnings.warn("a tensor without elements was given initial values", UserWarning, stacklevel=3)
    return tensor


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Orthonormal rows or columns, whichever are fewer, of (out, the rest) (arXiv 1312.6120)."""
    expect(tensor.ndim >= 2, "orthogonal_", "at least 2 axes", tensor.shape)
    if not tensor.numel():
        return tensor
    from tallow import linalg

    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    drawn = normal_(empty((rows, columns), device=tensor.device), generator=generator)
    q, r = linalg.qr(drawn.T if rows < columns else drawn)
    q = q * r.diagonal().sign()
    return _write(tensor, (q.T if rows < columns else q).reshape(tensor.shape) * gain)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Normal, but for the share `sparsity` of each column of a matrix, which is 0."""
    expect(tensor.ndim == 2, "sparse_", "a matrix", tensor.shape)
    rows, columns = tensor.shape
    none = math.ceil(sparsity * rows)
    drawn = normal_(empty((rows, columns), device=tensor.device), 0.0, std, generator)
    order = uniform_(empty_like(drawn), generator=generator).argsort(0).argsort(0)
    return _write(tensor, ops.where(order < none, 0.0, drawn))


# --- rules ----------------------------------------------------------------------------------------

zeros = zeros_
ones = ones_


def constant(value: float) -> Init:
    """Every element is `value`."""
    return partial(constant_, val=value)


def uniform(bound: float) -> Init:
    """Drawn uniformly from `[-bound, bound)`."""
    return partial(uniform_, a=-bound, b=bound)


def normal(std: float, mean: float = 0.0) -> Init:
    """Drawn from a normal distribution."""
    return partial(normal_, mean=mean, std=std)
