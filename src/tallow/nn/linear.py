"""Linear, bilinear and identity maps."""

from __future__ import annotations

from typing import Any

from tallow import ops
from tallow.dtype import DType, f32
from tallow.errors import ArgumentError, expect
from tallow.nn.init import uniform
from tallow.nn.layer import Layer
from tallow.nn.module import Module
from tallow.nn.parameter import Parameter, declare
from tallow.ops import linear
from tallow.tensor import Tensor


class Linear(Layer):
    """`x @ weight.T + bias`; the weight may be loaded in any float or block-quantised dtype.

    `exact` asks for float activations where the weight is block-quantised; otherwise they are
    rounded to 8-bit blocks, which is faster. Initially uniform within in_features^-0.5.
    """

    exact: bool = False
    quantizable = True  # whether `load(dtype="q8_0")` makes blocks of the weight
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        self.in_features, self.out_features = in_features, out_features
        bound = in_features**-0.5 if in_features else 0.0
        rule = uniform(bound)
        self.weight = declare(out_features, in_features, init=rule, dtype=dtype)
        row = declare(out_features, init=rule, dtype=dtype, loaded=f32) if bias else None
        self.register_parameter("bias", row)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """`(..., in_features)` → `(..., out_features)`."""
        return linear(input, self.weight, self.bias, exact=self.exact)

    def extra_repr(self) -> str:
        """Sizes, and whether there is a bias."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class Bilinear(Layer):
    """`x1^T weight[o] x2 + bias[o]`; initially uniform within in1_features^-0.5."""

    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        expect(in1_features > 0, "Bilinear", "in1_features above 0", in1_features, ArgumentError)
        rule = uniform(in1_features**-0.5)
        self.weight = declare(out_features, in1_features, in2_features, init=rule, dtype=dtype)
        row = declare(out_features, init=rule, dtype=dtype) if bias else None
        self.register_parameter("bias", row)
        self.reset_parameters()

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """`(..., in1_features)`, `(..., in2_features)` → `(..., out_features)`."""
        return ops.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes, and whether there is a bias."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """Gives its argument back; takes any options and ignores them."""

    def __init__(self, *_args: Any, **_options: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, kept."""
        return input
