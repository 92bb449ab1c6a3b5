"""Normalising layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallow.dtype import Default, DType, f32
from tallow.errors import ArgumentError, expect
from tallow.factories import ones as full_of_ones
from tallow.factories import tensor
from tallow.factories import zeros as full_of_zeros
from tallow.nn import functional as F
from tallow.nn.init import ones, zeros
from tallow.nn.layer import Layer
from tallow.nn.module import Module
from tallow.nn.parameter import Parameter, declare
from tallow.ops import layer_norm, rms_norm
from tallow.tensor import Tensor


def _scale_and_shift(
    layer: Layer,
    shape: tuple[int, ...],
    affine: bool,
    bias: bool,
    dtype: DType | str | None,
    loaded: DType | None = None,
) -> None:
    """Declare `weight` and `bias`, or their absence, and set them."""
    scale = declare(*shape, init=ones, dtype=dtype, loaded=loaded) if affine else None
    shift = declare(*shape, init=zeros, dtype=dtype, loaded=loaded) if affine and bias else None
    layer.register_parameter("weight", scale)
    layer.register_parameter("bias", shift)
    layer.reset_parameters()


def _sizes(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


class RMSNorm(Layer):
    """Scale the last axes to unit root-mean-square, then by `weight` (arXiv 1910.07467).

    `eps` None is the distance from 1 to the next number of the dtype, as in torch.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        self.normalized_shape = _sizes(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        scale = declare(*shape, init=ones, dtype=dtype, loaded=f32) if elementwise_affine else None
        self.register_parameter("weight", scale)
        self.reset_parameters()
        # What language models use goes to the row at once.
        self._eps = eps if len(shape) == 1 and elementwise_affine else None

    def forward(self, x: Tensor) -> Tensor:
        """`(..., *normalized_shape)`, kept."""
        if self._eps is not None:
            return rms_norm(x, self.weight, self._eps)
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Shape and options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LayerNorm(Layer):
    """Shift and scale the last axes to mean 0 and variance 1, then by `weight` and `bias`."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: object = None,
        dtype: DType | str | None = None,
    ) -> None:
        self.normalized_shape = shape = _sizes(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        _scale_and_shift(self, shape, elementwise_affine, bias, dtype, f32)

    def forward(self, input: Tensor) -> Tensor:
        """`(..., *normalized_shape)`, kept."""
        if len(self.normalized_shape) == 1 and self.elementwise_affine:
            return layer_norm(input, self.weight, self.bias, self.eps)
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Shape and options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(Layer):
    """Groups of channels of each sample at mean 0, variance 1, then scaled and shifted."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: object = None,
        dtype: DType | str | None = None,
        bias: bool = True,
    ) -> None:
        wanted = f"a divisor of {num_channels} channels"
        good = num_groups > 0 and num_channels % num_groups == 0
        expect(good, "GroupNorm", wanted, num_groups, ArgumentError)
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.affine = affine
        _scale_and_shift(self, (num_channels,), affine, bias, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, ...)`, kept."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Numbers and options."""
        said = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return f"{said}, bias={self.bias is not None}"


class LocalResponseNorm(Module):
    """Divide by the energy of neighbouring channels; as `functional.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, ...)`, kept."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class _RunningNorm(Layer):
    """Statistics per channel that run along while training, and what else batch and instance share.

    `axes` are the numbers of axes that the input may have.
    """

    axes: tuple[int, ...] = ()
    _version = 2
    _optional = frozenset({"num_batches_tracked"})
    weight: Parameter | None
    bias: Parameter | None

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        *lists: Any,
    ) -> None:
        """Load; the number of batches may be absent in layouts before the second."""
        key = f"{prefix}num_batches_tracked"
        if self.num_batches_tracked is not None and (local_metadata.get("version") or 0) < 2:
            state_dict.setdefault(key, self.num_batches_tracked)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *lists)

    def _set_up(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        dtype: DType | str | None,
        bias: bool,
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        track, kind = track_running_stats, dtype or Default.float
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        zero = full_of_zeros(num_features, dtype=kind) if track else None
        one = full_of_ones(num_features, dtype=kind) if track else None
        self.register_buffer("running_mean", zero)
        self.register_buffer("running_var", one)
        self.register_buffer("num_batches_tracked", tensor(0) if track else None)
        _scale_and_shift(self, (num_features,), affine, bias, dtype)

    def reset_running_stats(self) -> None:
        """Forget the statistics."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget the statistics and draw the parameters again."""
        self.reset_running_stats()
        super().reset_parameters()

    def extra_repr(self) -> str:
        """Number of channels and options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningNorm):
    """Each channel at mean 0, variance 1: over the batch in training, else by running statistics.

    They take up each batch with the share `momentum` (None: their plain mean), and are absent
    without `track_running_stats`; then the batch's own serve always. Source: arXiv 1502.03167.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: object = None,
        dtype: DType | str | None = None,
        bias: bool = True,
    ) -> None:
        self._set_up(num_features, eps, momentum, affine, track_running_stats, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, ...)`, kept."""
        self._check_input_dim(input)
        share = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                share = 1.0 / float(self.num_batches_tracked.item())
        absent = [self.running_mean is None, self.running_var is None]
        whole = self.training or absent[0] == absent[1]
        expect(whole, type(self), "both running_mean and running_var", "one", ArgumentError)
        own = self.training or absent[0]
        tracked = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight, self.bias, own, share, self.eps,
        )  # fmt: skip

    def _check_input_dim(self, x: Tensor) -> None:
        wanted = f"input of {' or '.join(map(str, self.axes))} axes"
        expect(x.ndim in self.axes, type(self), wanted, x.shape)


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (batch, channels) or (batch, channels, length)."""

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (batch, channels, height, width)."""

    axes = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (batch, channels, depth, height, width)."""

    axes = (5,)


class _InstanceNorm(_RunningNorm):
    """Each channel of each sample at mean 0, variance 1; by running statistics only if tracked.

    Source: arXiv 1607.08022.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: object = None,
        dtype: DType | str | None = None,
        bias: bool = True,
    ) -> None:
        self._set_up(num_features, eps, momentum, affine, track_running_stats, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        """`(batch, channels, ...)`, or without the batch, kept."""
        single, full = self.axes
        expect(
            input.ndim in self.axes, type(self), f"input of {single} or {full} axes", input.shape
        )
        out: Tensor = F.instance_norm(
            input.unsqueeze(0) if input.ndim == single else input,
            self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum, self.eps,
        )  # fmt: skip
        return out.squeeze(0) if input.ndim == single else out


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (batch, channels, length)."""

    axes = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (batch, channels, height, width)."""

    axes = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (batch, channels, depth, height, width)."""

    axes = (4, 5)
