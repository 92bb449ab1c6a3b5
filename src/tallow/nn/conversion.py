"""Conversion of modules: their parameters and buffers as another dtype, or in other memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self, cast

from tallow.autograd.mode import no_grad
from tallow.device import BY_CODE, SEEN, Device, code_of, is_device_name
from tallow.dtype import DType, as_dtype, bf16, f16, f32, f64
from tallow.errors import DTypeError, expect
from tallow.factories import empty, empty_like
from tallow.nn.attributes import Attributes
from tallow.nn.parameter import DIFFERENTIABLE, DeferredParameter
from tallow.nn.uninitialized import UninitializedTensorMixin
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.nn.parameter import Parameter


def _waits(x: Tensor) -> bool:
    """Whether it is yet to get memory, on the CPU."""
    return isinstance(x, (DeferredParameter, UninitializedTensorMixin))


class Conversion(Attributes):
    """The part of Module that changes what its tensors are stored in."""

    if TYPE_CHECKING:  # the walks of Module

        def children(self) -> Iterator[Conversion]:
            """The direct sub-modules."""
            raise NotImplementedError

        def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
            """The parameters, shared ones once."""
            raise NotImplementedError

        def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
            """The buffers, shared ones once."""
            raise NotImplementedError

    def to(
        self,
        *targets: DType | Device | str | Tensor | bool | None,
        dtype: DType | str | None = None,
        device: Device | str | None = None,
        non_blocking: bool = False,
        memory_format: object = None,
    ) -> Self:
        """Convert the float parameters and buffers in place; block-quantised ones stay.

        Takes a dtype, a device, or a tensor that has both. Parameters keep their identity.
        """
        wanted = None if dtype is None else as_dtype(dtype)
        place = device
        for target in targets:
            if isinstance(target, Tensor):
                wanted, place = target.dtype, target.device
            elif isinstance(target, Device) or is_device_name(target):
                place = target
            elif target is not None and not isinstance(target, bool):
                wanted = as_dtype(target)
        code = 0 if place is None else code_of(place)
        if wanted is not None:
            good = wanted.kind in DIFFERENTIABLE
            expect(good, "Module.to", "a float dtype", wanted.name, DTypeError)
            self._convert(wanted, DIFFERENTIABLE)
        if place is not None and SEEN.several:
            self._fill_waiting(code)
            self._apply(lambda x: x if _waits(x) else x.to(BY_CODE[code]))
        return self

    def _fill_waiting(self, code: int) -> None:
        """Let parameters that wait for their values wait no longer on a device without any."""
        for value in self.parameters() if code else ():
            if isinstance(value, DeferredParameter):
                value.place(empty(value.shape, dtype=value.dtype, device=BY_CODE[code]))

    def _convert(self, dtype: DType, kinds: str) -> Self:
        for value in (*self.parameters(), *self.buffers()):
            waits = isinstance(value, (DeferredParameter, UninitializedTensorMixin))
            if waits and value.dtype.kind in kinds:
                cast(Any, value).convert(dtype)
        return self._apply(
            lambda x: x.to(dtype) if x.dtype.kind in kinds and x.dtype is not dtype else x
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Put what `fn` makes of each parameter, gradient and buffer in its place."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        with no_grad():
            for value in self._parameters.values():
                if value is None:
                    continue
                made, grad = fn(value), value.grad
                if made is not value:
                    value._array = made._array
                if grad is not None:
                    grad._array = fn(grad)._array
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    self._buffers[name] = fn(buffer)
        return self

    def type(self, dst_type: DType | str) -> Self:
        """Convert all parameters and buffers, whatever they are."""
        wanted = as_dtype(dst_type)
        return self._apply(lambda x: x.to(wanted))

    def float(self) -> Self:
        """Float parameters and buffers as f32."""
        return self._convert(f32, "f")

    def double(self) -> Self:
        """Float parameters and buffers as f64."""
        return self._convert(f64, "f")

    def half(self) -> Self:
        """Float parameters and buffers as f16."""
        return self._convert(f16, "f")

    def bfloat16(self) -> Self:
        """Float parameters and buffers as bf16."""
        return self._convert(bf16, "f")

    def cpu(self) -> Self:
        """`to("cpu")`."""
        return self.to("cpu")

    def cuda(self, device: int | str | Device | None = None) -> Self:
        """`to("cuda")`."""
        return self.to(device=f"cuda:{device}" if isinstance(device, int) else device or "cuda")

    def xpu(self, device: int | Device | None = None) -> Self:
        """`to("xpu")`."""
        return self.to(device="xpu")

    def ipu(self, device: int | Device | None = None) -> Self:
        """`to("ipu")`."""
        return self.to(device="ipu")

    def to_empty(self, *, device: Device | str | None, recurse: bool = True) -> Self:
        """Give parameters and buffers memory on `device` whose values are not set."""
        return self._apply(lambda x: x if _waits(x) else empty_like(x, device=device), recurse)

    def share_memory(self) -> Self:
        """`share_memory_()` for parameters, their gradients and buffers."""
        return self._apply(lambda x: x.share_memory_())
