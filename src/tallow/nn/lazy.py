"""Layers that learn the size of their input at their first call, and then are ordinary ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tallow.autograd.mode import no_grad
from tallow.dtype import DTypeLike
from tallow.errors import expect
from tallow.nn.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from tallow.nn.linear import Linear
from tallow.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from tallow.nn.parameter import deferred
from tallow.nn.uninitialized import (
    UninitializedBuffer,
    UninitializedParameter,
    UninitializedTensorMixin,
)
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.nn.module import Module as _Base
else:
    _Base = object

Size = int | Sequence[int]


class LazyModuleMixin(_Base):
    """What a lazy module has before the base class: at its first call `initialize_parameters` runs.

    Then the module becomes one of `cls_to_become`, if that is given. Parameters that wait are
    `UninitializedParameter`s, and stay the same objects.
    """

    cls_to_become: ClassVar[type[Any] | None] = None

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes, from the arguments of the first call."""
        raise NotImplementedError(f"{type(self).__name__} has no initialize_parameters")

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this module alone has no shape yet."""
        both = [*self._parameters.values(), *self._buffers.values()]
        return any(isinstance(value, UninitializedTensorMixin) for value in both)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Find the shapes, and call `forward`."""
        self.initialize_parameters(*args, **kwargs)
        if self.cls_to_become is None:
            return super().__call__(*args, **kwargs)
        cast(Any, self).__class__ = self.cls_to_become
        return self(*args, **kwargs)

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        if not self.has_uninitialized_params():
            super()._save_to_state_dict(destination, prefix, keep_vars)
            return
        for name, value in [*self._parameters.items(), *self._buffers.items()]:
            if value is not None:
                plain = keep_vars or isinstance(value, UninitializedTensorMixin)
                destination[prefix + name] = value if plain else value.detach()

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any, **named: Any
    ) -> None:
        both: list[tuple[str, Any]] = [*self._parameters.items(), *self._buffers.items()]
        for name, value in both:
            given = state_dict.get(prefix + name)
            waits = isinstance(given, UninitializedTensorMixin)
            if isinstance(value, UninitializedTensorMixin):
                if waits:
                    del state_dict[prefix + name]
                elif isinstance(given, Tensor):
                    value.materialize(given.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest, **named)


class _LazyLayer(LazyModuleMixin):
    """A layer of ours whose first argument is the size to be found, its attribute `size_name`."""

    size_name: ClassVar[str]
    _options: dict[str, Any]

    def _begin(self, options: dict[str, Any]) -> None:
        """Be a layer of some size, all of whose tensors wait; `options` are those of the class."""
        ordinary = cast(Any, self.cls_to_become)
        dtype = options.get("dtype")
        with deferred():
            ordinary.__init__(self, options.get("groups", 1), **options)
        for name, value in self._parameters.items():
            if value is not None:
                self._parameters[name] = UninitializedParameter(dtype=dtype)
        for name, buffer in self._buffers.items():
            if buffer is not None and buffer.ndim:
                self._buffers[name] = UninitializedBuffer(dtype=dtype)
        setattr(self, self.size_name, 0)
        self._options = options

    def reset_parameters(self) -> None:
        """Draw initial values, once there is something to draw."""
        if not self.has_uninitialized_params():
            cast(Any, super()).reset_parameters()

    def _size_of(self, x: Tensor) -> int:
        raise NotImplementedError

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Take the shapes and values of an ordinary layer for this input."""
        x = args[0] if args else next(iter(kwargs.values()))
        size = self._size_of(x)
        if self.has_uninitialized_params():
            made = cast(Any, self.cls_to_become)(size, **self._options)
            with no_grad():
                both: list[tuple[str, Any]] = [*self._parameters.items(), *self._buffers.items()]
                for name, value in both:
                    if isinstance(value, UninitializedTensorMixin):
                        value.materialize(getattr(made, name).shape)
                        cast(Any, value).copy_(getattr(made, name))
            self._declared.update(made._declared)
        setattr(self, self.size_name, size)
        del self._options


class LazyLinear(_LazyLayer, Linear):
    """A `Linear` that finds `in_features` at its first call."""

    cls_to_become = Linear
    size_name = "in_features"

    def __init__(
        self, out_features: int, bias: bool = True, device: object = None, dtype: DTypeLike = None
    ) -> None:
        self._begin({"out_features": out_features, "bias": bias, "dtype": dtype})

    def _size_of(self, x: Tensor) -> int:
        return x.shape[-1]


class _LazyConv(_LazyLayer):
    """A convolution that finds `in_channels` at its first call."""

    size_name = "in_channels"
    n: int

    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: object = None,
        dtype: DTypeLike = None,
    ) -> None:
        self._begin({
            "out_channels": out_channels, "kernel_size": kernel_size, "stride": stride,
            "padding": padding, "dilation": dilation, "groups": groups, "bias": bias,
            "padding_mode": padding_mode, "dtype": dtype,
        })  # fmt: skip

    def _size_of(self, x: Tensor) -> int:
        wanted = f"input of {self.n + 1} or {self.n + 2} axes"
        expect(x.ndim in (self.n + 1, self.n + 2), type(self), wanted, x.shape)
        return x.shape[x.ndim - self.n - 1]


class LazyConv1d(_LazyConv, Conv1d):
    """A `Conv1d` that finds `in_channels` at its first call."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """A `Conv2d` that finds `in_channels` at its first call."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """A `Conv3d` that finds `in_channels` at its first call."""

    cls_to_become = Conv3d


class _LazyTransposed(_LazyConv):
    """A transposed convolution that finds `in_channels` at its first call."""

    def __init__(
        self,
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
        dtype: DTypeLike = None,
    ) -> None:
        self._begin({
            "out_channels": out_channels, "kernel_size": kernel_size, "stride": stride,
            "padding": padding, "output_padding": output_padding, "groups": groups, "bias": bias,
            "dilation": dilation, "padding_mode": padding_mode, "dtype": dtype,
        })  # fmt: skip


class LazyConvTranspose1d(_LazyTransposed, ConvTranspose1d):
    """A `ConvTranspose1d` that finds `in_channels` at its first call."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposed, ConvTranspose2d):
    """A `ConvTranspose2d` that finds `in_channels` at its first call."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposed, ConvTranspose3d):
    """A `ConvTranspose3d` that finds `in_channels` at its first call."""

    cls_to_become = ConvTranspose3d


class _LazyNorm(_LazyLayer):
    """A norm that finds `num_features` at its first call."""

    size_name = "num_features"

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: object = None,
        dtype: DTypeLike = None,
        *,
        bias: bool = True,
    ) -> None:
        self._begin({
            "eps": eps, "momentum": momentum, "affine": affine,
            "track_running_stats": track_running_stats, "dtype": dtype, "bias": bias,
        })  # fmt: skip

    def _size_of(self, x: Tensor) -> int:
        expect(x.ndim > 1, type(self), "input of at least 2 axes", x.shape)
        return x.shape[1]


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A `BatchNorm1d` that finds `num_features` at its first call."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A `BatchNorm2d` that finds `num_features` at its first call."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A `BatchNorm3d` that finds `num_features` at its first call."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """An `InstanceNorm1d` that finds `num_features` at its first call."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """An `InstanceNorm2d` that finds `num_features` at its first call."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """An `InstanceNorm3d` that finds `num_features` at its first call."""

    cls_to_become = InstanceNorm3d
