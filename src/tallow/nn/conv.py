"""Convolutions and transposed convolutions over 1 to 3 axes, and their windows as columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from operator import index
from typing import Any

from tallow.dtype import DType
from tallow.errors import ArgumentError, ShapeError, expect
from tallow.nn import functional as F
from tallow.nn.init import kaiming_uniform_, uniform
from tallow.nn.layer import Layer
from tallow.nn.module import Module
from tallow.nn.parameter import Parameter, declare
from tallow.tensor import Tensor

Size = int | Sequence[int]


def per_axis(value: Size, n: int, where: str) -> tuple[int, ...]:
    """One number for all `n` axes, alone or in a sequence, or one for each."""
    made = (index(value),) * n if hasattr(value, "__index__") else tuple(value)
    made = made * n if len(made) == 1 else made
    expect(len(made) == n, where, f"a number, or {n} of them", made)
    return made


class _Conv(Layer):
    """What all convolutions declare: weight and bias, uniform within (inputs)^-0.5 initially."""

    n = 0
    _function = ""
    transposed = False
    bias: Parameter | None

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str,
        output_padding: Size,
        dilation: Size,
        groups: int,
        bias: bool,
        padding_mode: str,
        dtype: DType | str | None,
    ) -> None:
        name, n = type(self).__name__, self.n
        wanted = "a number of groups that divides in_channels and out_channels"
        good = groups > 0 and in_channels % groups == 0 and out_channels % groups == 0
        expect(good, name, wanted, (in_channels, out_channels, groups), ArgumentError)
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        wanted = f"padding_mode one of {', '.join(modes)}"
        expect(padding_mode in modes, name, wanted, repr(padding_mode), ArgumentError)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = per_axis(kernel_size, n, name)
        whole = not isinstance(kernel_size, Sequence) or len(kernel_size) == n
        expect(whole, name, f"kernel_size: a number, or {n} of them", kernel_size)
        self.stride, self.dilation = per_axis(stride, n, name), per_axis(dilation, n, name)
        self.padding = self._padding_of(padding)
        self.output_padding = per_axis(output_padding, n, name)
        self.padding_mode = padding_mode
        first, second = out_channels, in_channels // groups
        if self.transposed:
            first, second = in_channels, out_channels // groups
        shape = (first, second, *self.kernel_size)
        rule = partial(kaiming_uniform_, a=math.sqrt(5))
        self.weight = declare(*shape, init=rule, dtype=dtype)
        fan = second * math.prod(self.kernel_size)
        bound = fan**-0.5 if fan else 0.0
        row = declare(out_channels, init=uniform(bound), dtype=dtype) if bias else None
        self.register_parameter("bias", row)
        self.reset_parameters()

    def _padding_of(self, given: Size | str) -> str | tuple[int, ...]:
        """One number for each axis, `valid`, or `same`, which needs a stride of 1."""
        name = type(self).__name__
        if not isinstance(given, str):
            return per_axis(given, self.n, name)
        expect(given in ("valid", "same"), name, "padding valid or same", repr(given))
        plain = given == "valid" or set(self.stride) == {1}
        expect(plain, name, "a stride of 1 with padding same", self.stride, ArgumentError)
        return given

    def extra_repr(self) -> str:
        """Sizes, and the options that differ from the usual ones."""
        n = self.n
        said = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        said += f", stride={self.stride}"
        if self.padding != (0,) * n:
            said += f", padding={self.padding}"
        if self.dilation != (1,) * n:
            said += f", dilation={self.dilation}"
        if self.output_padding != (0,) * n:
            said += f", output_padding={self.output_padding}"
        if self.groups != 1:
            said += f", groups={self.groups}"
        if self.bias is None:
            said += ", bias=False"
        if self.padding_mode != "zeros":
            said += f", padding_mode={self.padding_mode}"
        return said


class _Forward(_Conv):
    """A convolution with its input padded by `padding_mode`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias,
            padding_mode, dtype,
        )  # fmt: skip

    def _sides(self) -> list[int]:
        """Padding of each axis before and behind it, the last axis first, as `pad` takes it."""
        sides: list[int] = []
        for i in reversed(range(self.n)):
            if self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                sides += [total // 2, total - total // 2]
            else:
                one = 0 if self.padding == "valid" else int(self.padding[i])
                sides += [one, one]
        return sides

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, in_channels, *sizes)`, or without the batch → `(batch, out_channels, ...)`."""
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            x = F.pad(x, self._sides(), mode=self.padding_mode)
            padding = 0
        return getattr(F, self._function)(
            x, weight, bias, self.stride, padding, self.dilation, self.groups
        )


class Conv1d(_Forward):
    """Convolution over length: (batch, channels, length)."""

    n = 1
    _function = "conv1d"


class Conv2d(_Forward):
    """Convolution over images: (batch, channels, height, width)."""

    n = 2
    _function = "conv2d"


class Conv3d(_Forward):
    """Convolution over volumes: (batch, channels, depth, height, width)."""

    n = 3
    _function = "conv3d"


class _Transposed(_Conv):
    """The gradient of a convolution as a layer; `output_size` picks one of the possible sizes."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation,
            groups, bias, padding_mode, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """`(batch, in_channels, *sizes)`, or without the batch → `(batch, out_channels, ...)`."""
        extra = self.output_padding
        if output_size is not None:
            extra = self._extra(input, output_size)
        return getattr(F, self._function)(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _extra(self, x: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output_padding that leads to the wanted sizes."""
        wanted = tuple(output_size)[-self.n :]
        made: list[int] = []
        for i, size in enumerate(wanted):
            least = (x.shape[x.ndim - self.n + i] - 1) * self.stride[i] - 2 * int(self.padding[i])
            least += self.dilation[i] * (self.kernel_size[i] - 1) + 1
            good = least <= size < least + self.stride[i]
            text = f"an output size in [{least}, {least + self.stride[i]})"
            expect(good, type(self), text, size, ShapeError)
            made.append(size - least)
        return tuple(made)


class ConvTranspose1d(_Transposed):
    """Transposed convolution over length: (batch, channels, length)."""

    n = 1
    _function = "conv_transpose1d"


class ConvTranspose2d(_Transposed):
    """Transposed convolution over images: (batch, channels, height, width)."""

    n = 2
    _function = "conv_transpose2d"


class ConvTranspose3d(_Transposed):
    """Transposed convolution over volumes: (batch, channels, depth, height, width)."""

    n = 3
    _function = "conv_transpose3d"


class Unfold(Module):
    """Sliding blocks as columns: (n, c, h, w) to (n, c * kernel elements, positions)."""

    _repr_names = ("kernel_size", "dilation", "padding", "stride")

    def __init__(
        self, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
    ) -> None:
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, height, width)`, or without the batch."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Module):
    """Columns added up into an image of `output_size`: the transpose of `Unfold`."""

    _repr_names = ("output_size", "kernel_size", "dilation", "padding", "stride")

    def __init__(
        self,
        output_size: Size,
        kernel_size: Size,
        dilation: Size = 1,
        padding: Size = 0,
        stride: Size = 1,
    ) -> None:
        self.output_size = output_size
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels * kernel elements, positions)`, or without the batch."""
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )
