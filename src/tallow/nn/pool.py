"""Pooling layers: windows of 1 to 3 axes reduced to their maximum, mean or power mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.nn import functional as F
from tallow.nn.conv import Size, spread
from tallow.nn.module import Module
from tallow.tensor import Tensor


class _Windows(Module):
    """Windows of `kernel_size`, `stride` apart (by default side by side).

    As in torch, some classes keep one number for all axes, and others one for each of `n`.
    """

    n = 0

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
            kernel_size, stride = spread(kernel_size, n, where), spread(stride, n, where)
            padding = spread(padding, n, where)
        self.kernel_size, self.stride = kernel_size, stride
        self.padding, self.ceil_mode = padding, ceil_mode

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _MaxPool(_Windows):
    """Maxima; with `return_indices` also where they are."""

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

    def extra_repr(self) -> str:
        """The windows."""
        return f"{super().extra_repr()}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(_MaxPool):
    """Maxima of windows of (batch, channels, length)."""

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, length)`, or without the batch; a pair with `return_indices`."""
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip


class MaxPool2d(_MaxPool):
    """Maxima of windows of (batch, channels, height, width)."""

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, height, width)`; a pair with `return_indices`."""
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip


class MaxPool3d(_MaxPool):
    """Maxima of windows of (batch, channels, depth, height, width)."""

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, depth, height, width)`; a pair with `return_indices`."""
        return F.max_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip


class MaxUnpool1d(_Windows):
    """Values put back to where `MaxPool1d` took them from; zeros elsewhere."""

    n = 1

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__(kernel_size, stride, padding)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """`(batch, channels, length)` and the indices of `MaxPool1d`."""
        out: Tensor = F.max_unpool1d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )
        return out


class MaxUnpool2d(_Windows):
    """Values put back to where `MaxPool2d` took them from; zeros elsewhere."""

    n = 2

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__(kernel_size, stride, padding)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """`(batch, channels, height, width)` and the indices of `MaxPool2d`."""
        out: Tensor = F.max_unpool2d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )
        return out


class MaxUnpool3d(_Windows):
    """Values put back to where `MaxPool3d` took them from; zeros elsewhere."""

    n = 3

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__(kernel_size, stride, padding)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        """`(batch, channels, depth, height, width)` and the indices of `MaxPool3d`."""
        out: Tensor = F.max_unpool3d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )
        return out


class AvgPool1d(_Windows):
    """Means of windows of (batch, channels, length)."""

    n = 1

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

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, length)`, or without the batch."""
        out: Tensor = F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )
        return out


class _AvgPool(AvgPool1d):
    """Means over windows, or sums over `divisor_override`."""

    n = 0

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


class AvgPool2d(_AvgPool):
    """Means of windows of (batch, channels, height, width)."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, height, width)`, or without the batch."""
        out: Tensor = F.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip
        return out


class AvgPool3d(_AvgPool):
    """Means of windows of (batch, channels, depth, height, width)."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, depth, height, width)`, or without the batch."""
        out: Tensor = F.avg_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip
        return out


class _LPPool(Module):
    """`(sum of x ** norm_type) ** (1 / norm_type)` of windows."""

    def __init__(
        self,
        norm_type: float,
        kernel_size: Size,
        stride: Size | None = None,
        ceil_mode: bool = False,
    ) -> None:
        self.norm_type, self.kernel_size, self.stride = norm_type, kernel_size, stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        """The windows."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """Power means of windows of (batch, channels, length)."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, length)`, or without the batch."""
        out: Tensor = F.lp_pool1d(
            input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode
        )
        return out


class LPPool2d(_LPPool):
    """Power means of windows of (batch, channels, height, width)."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, height, width)`, or without the batch."""
        out: Tensor = F.lp_pool2d(
            input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode
        )
        return out


class LPPool3d(_LPPool):
    """Power means of windows of (batch, channels, depth, height, width)."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, depth, height, width)`, or without the batch."""
        out: Tensor = F.lp_pool3d(
            input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode
        )
        return out


class _Adaptive(Module):
    """As many windows as `output_size` says, whatever the input's size."""

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        self.output_size = output_size

    def extra_repr(self) -> str:
        """The sizes."""
        return f"output_size={self.output_size}"


class _AdaptiveMax(_Adaptive):
    """Maxima; with `return_indices` also where they are."""

    def __init__(
        self, output_size: int | Sequence[int | None] | None, return_indices: bool = False
    ) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveAvgPool1d(_Adaptive):
    """Means of `output_size` windows of (batch, channels, length)."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, length)`, or without the batch."""
        out: Tensor = F.adaptive_avg_pool1d(input, self.output_size)
        return out


class AdaptiveMaxPool1d(_AdaptiveMax):
    """Maxima of `output_size` windows of (batch, channels, length)."""

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, length)`, or without the batch; a pair with `return_indices`."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveAvgPool2d(_Adaptive):
    """Means of `output_size` windows of (batch, channels, height, width)."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, height, width)`, or without the batch."""
        out: Tensor = F.adaptive_avg_pool2d(input, self.output_size)
        return out


class AdaptiveMaxPool2d(_AdaptiveMax):
    """Maxima of `output_size` windows of (batch, channels, height, width)."""

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, height, width)`; a pair with `return_indices`."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveAvgPool3d(_Adaptive):
    """Means of `output_size` windows of (batch, channels, depth, height, width)."""

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, depth, height, width)`, or without the batch."""
        out: Tensor = F.adaptive_avg_pool3d(input, self.output_size)
        return out


class AdaptiveMaxPool3d(_AdaptiveMax):
    """Maxima of `output_size` windows of (batch, channels, depth, height, width)."""

    def forward(self, input: Tensor) -> Any:
        """`(batch, channels, depth, height, width)`; a pair with `return_indices`."""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)
