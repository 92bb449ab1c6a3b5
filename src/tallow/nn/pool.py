"""Pooling layers: windows of 1 to 3 axes reduced to their maximum, mean or power mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.nn import functional as F
from tallow.nn.conv import Size, per_axis
from tallow.nn.module import Module
from tallow.tensor import Tensor


class _Windows(Module):
    """Windows of `kernel_size`, `stride` apart (by default side by side).

    As in torch, some classes keep one number for all axes, and others one for each of `n`.
    """

    _repr_names: tuple[str, ...] = ("kernel_size", "stride", "padding")

    n = 0
    _function = ""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
    ) -> None:
        stride = kernel_size if stride is None else stride
        n, where = self.n, type(self).__name__
        if n:
            kernel_size, stride = per_axis(kernel_size, n, where), per_axis(stride, n, where)
            padding = per_axis(padding, n, where)
        self.kernel_size, self.stride = kernel_size, stride
        self.padding, self.ceil_mode = padding, ceil_mode


class _MaxPool(_Windows):
    """Maxima; with `return_indices` also where they are."""

    _repr_names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation, self.return_indices = dilation, return_indices

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, *sizes)`, or without the batch; a pair with `return_indices`."""
        return getattr(F, self._function)(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip


class MaxPool1d(_MaxPool):
    """Maxima of windows of (batch, channels, length)."""

    _function = "max_pool1d"


class MaxPool2d(_MaxPool):
    """Maxima of windows of (batch, channels, height, width)."""

    _function = "max_pool2d"


class MaxPool3d(_MaxPool):
    """Maxima of windows of (batch, channels, depth, height, width)."""

    _function = "max_pool3d"


class _MaxUnpool(_Windows):
    """Values put back to where the maxima were; zeros elsewhere."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__(kernel_size, stride, padding)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Any:
        """`(batch, channels, *sizes)` and the indices of the max pooling."""
        return getattr(F, self._function)(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class MaxUnpool1d(_MaxUnpool):
    """Values put back to where `MaxPool1d` took them from; zeros elsewhere."""

    _function = "max_unpool1d"
    n = 1


class MaxUnpool2d(_MaxUnpool):
    """Values put back to where `MaxPool2d` took them from; zeros elsewhere."""

    _function = "max_unpool2d"
    n = 2


class MaxUnpool3d(_MaxUnpool):
    """Values put back to where `MaxPool3d` took them from; zeros elsewhere."""

    _function = "max_unpool3d"
    n = 3


class _AvgPool(_Windows):
    """Means over windows."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, *sizes)`, or without the batch."""
        return getattr(F, self._function)(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip


class _DividedAvgPool(_AvgPool):
    """Means over windows, or sums over `divisor_override`."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, *sizes)`, or without the batch."""
        return getattr(F, self._function)(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip


class AvgPool1d(_AvgPool):
    """Means of windows of (batch, channels, length)."""

    n = 1
    _function = "avg_pool1d"


class AvgPool2d(_DividedAvgPool):
    """Means of windows of (batch, channels, height, width)."""

    _function = "avg_pool2d"


class AvgPool3d(_DividedAvgPool):
    """Means of windows of (batch, channels, depth, height, width)."""

    _function = "avg_pool3d"


class _LPPool(Module):
    """`(sum of x ** norm_type) ** (1 / norm_type)` of windows."""

    _repr_names = ("norm_type", "kernel_size", "stride", "ceil_mode")

    _function = ""

    def __init__(
        self,
        norm_type: float,
        kernel_size: Size,
        stride: Size | None = None,
        ceil_mode: bool = False,
    ) -> None:
        self.norm_type, self.kernel_size, self.stride = norm_type, kernel_size, stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, *sizes)`, or without the batch."""
        return getattr(F, self._function)(
            input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode
        )


class LPPool1d(_LPPool):
    """Power means of windows of (batch, channels, length)."""

    _function = "lp_pool1d"


class LPPool2d(_LPPool):
    """Power means of windows of (batch, channels, height, width)."""

    _function = "lp_pool2d"


class LPPool3d(_LPPool):
    """Power means of windows of (batch, channels, depth, height, width)."""

    _function = "lp_pool3d"


class _Adaptive(Module):
    """As many windows as `output_size` says, whatever the input's size."""

    _repr_names = ("output_size",)

    _function = ""

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        self.output_size = output_size

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, *sizes)`, or without the batch."""
        return getattr(F, self._function)(input, self.output_size)


class _AdaptiveMax(_Adaptive):
    """Maxima; with `return_indices` also where they are."""

    def __init__(
        self, output_size: int | Sequence[int | None] | None, return_indices: bool = False
    ) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, *sizes)`, or without the batch; a pair with `return_indices`."""
        return getattr(F, self._function)(input, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_Adaptive):
    """Means of `output_size` windows of (batch, channels, length)."""

    _function = "adaptive_avg_pool1d"


class AdaptiveMaxPool1d(_AdaptiveMax):
    """Maxima of `output_size` windows of (batch, channels, length)."""

    _function = "adaptive_max_pool1d"


class AdaptiveAvgPool2d(_Adaptive):
    """Means of `output_size` windows of (batch, channels, height, width)."""

    _function = "adaptive_avg_pool2d"


class AdaptiveMaxPool2d(_AdaptiveMax):
    """Maxima of `output_size` windows of (batch, channels, height, width)."""

    _function = "adaptive_max_pool2d"


class AdaptiveAvgPool3d(_Adaptive):
    """Means of `output_size` windows of (batch, channels, depth, height, width)."""

    _function = "adaptive_avg_pool3d"


class AdaptiveMaxPool3d(_AdaptiveMax):
    """Maxima of `output_size` windows of (batch, channels, depth, height, width)."""

    _function = "adaptive_max_pool3d"
