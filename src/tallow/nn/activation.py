"""Activation functions as modules."""

from __future__ import annotations

from tallow.dtype import DType
from tallow.errors import ArgumentError, expect
from tallow.nn import functional as F
from tallow.nn.init import constant
from tallow.nn.layer import Layer
from tallow.nn.module import Module
from tallow.nn.parameter import declare
from tallow.tensor import Tensor


class _InPlace(Module):
    """A function that may work in place; here without other options."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The options, `inplace` where it is set."""
        return ", ".join(filter(None, (super().extra_repr(), "inplace=True" * self.inplace)))


class _Along(Module):
    """A function along the axis `dim`."""

    _repr_names = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim


class _Shrink(Module):
    """A function of values and the bound `lambd`."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.lambd}"


class Threshold(_InPlace):
    """`x` where it is above `threshold`, else `value`."""

    _repr_names = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.threshold(input, self.threshold, self.value, self.inplace)


class ReLU(_InPlace):
    """`x` where it is positive, else 0."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.relu(input, self.inplace)


class RReLU(_InPlace):
    """`LeakyReLU` with slopes drawn from [lower, upper) in training, their mean in use."""

    _repr_names = ("lower", "upper")

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Hardtanh(_InPlace):
    """`x` limited to [min_val, max_val]."""

    _repr_names: tuple[str, ...] = ("min_val", "max_val")

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        # PyTorch's older names.
        min_val = min_val if min_value is None else min_value
        max_val = max_val if max_value is None else max_value
        wanted = f"a max_val above {min_val}"
        expect(max_val > min_val, "Hardtanh", wanted, max_val, ArgumentError)
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class ReLU6(Hardtanh):
    """`x` limited to [0, 6]."""

    _repr_names = ()

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.relu6(input, self.inplace)


class Sigmoid(Module):
    """`1 / (1 + exp(-x))`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.sigmoid(input)


class Hardsigmoid(_InPlace):
    """`relu6(x + 3) / 6`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        """Nothing, as in torch."""
        return ""


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.tanh(input)


class SiLU(_InPlace):
    """`x * sigmoid(x)`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """`x * tanh(softplus(x))`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.mish(input, self.inplace)


class Hardswish(_InPlace):
    """`x * hardsigmoid(x)`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        """Nothing, as in torch."""
        return ""


class ELU(_InPlace):
    """`x` where it is positive, else `alpha * (exp(x) - 1)`."""

    _repr_names = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.elu(input, self.alpha, self.inplace)


class CELU(_InPlace):
    """`x` where it is positive, else `alpha * (exp(x / alpha) - 1)`."""

    _repr_names = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.celu(input, self.alpha, self.inplace)


class SELU(_InPlace):
    """ELU scaled so that layers keep mean 0 and variance 1 (arXiv 1706.02515)."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.selu(input, self.inplace)


class GELU(Module):
    """`x * Phi(x)`, exactly or by tanh (`approximate="tanh"`)."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """The options."""
        return f"approximate={self.approximate!r}"


class Hardshrink(_Shrink):
    """`x`, or 0 within `lambd` of 0."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.hardshrink(input, self.lambd)


class LeakyReLU(_InPlace):
    """`x` where it is positive, else `negative_slope * x`."""

    _repr_names = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class LogSigmoid(Module):
    """`log(sigmoid(x))`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.logsigmoid(input)


class Softplus(Module):
    """`log(1 + exp(beta * x)) / beta`; `x` itself where `beta * x` is above `threshold`."""

    _repr_names = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.softplus(input, self.beta, self.threshold)


class Softshrink(_Shrink):
    """`x` drawn nearer to 0 by `lambd`, and 0 within it."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.softshrink(input, self.lambd)


class Softsign(Module):
    """`x / (1 + |x|)`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.softsign(input)


class Tanhshrink(Module):
    """`x - tanh(x)`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.tanhshrink(input)


class GLU(Module):
    """The first half of axis `dim` times the sigmoid of the second (arXiv 1612.08083)."""

    _repr_names = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept but for `dim`, which is halved."""
        return F.glu(input, self.dim)


class Softmin(_Along):
    """`softmax(-x)` along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.softmin(input, self.dim)


class Softmax(_Along):
    """`exp(x)` scaled to sum 1 along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.softmax(input, self.dim)


class LogSoftmax(_Along):
    """`log(softmax(x))` along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.log_softmax(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels of (batch, channels, height, width)."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, height, width)`, or without the batch, kept."""
        expect(input.ndim in (3, 4), "Softmax2d", "input of 3 or 4 axes", input.shape)
        return F.softmax(input, -3)


class PReLU(Layer):
    """`x` where it is positive, else `weight * x`, with one learnt slope, or one per channel."""

    _repr_names = ("num_parameters",)

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        self.num_parameters, self.init = num_parameters, init
        self.weight = declare(num_parameters, init=constant(init), dtype=dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, ...)`, kept."""
        return F.prelu(input, self.weight)
