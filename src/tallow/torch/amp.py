"""torch.amp: autocast by device, and a GradScaler."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from tallow.amp import autocast as _autocast
from tallow.amp import get_autocast_dtype as get_autocast_dtype
from tallow.amp import is_autocast_enabled as _is_autocast_enabled
from tallow.dtype import DType, bf16, f16
from tallow.errors import ArgumentError, expect
from tallow.tensor import Tensor

__all__ = [
    "GradScaler", "autocast", "custom_bwd", "custom_fwd", "get_autocast_dtype",
    "is_autocast_available", "is_autocast_enabled",
]  # fmt: skip

_DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "mtia")


class autocast(_autocast):  # noqa: N801  (PyTorch's name)
    """`tallow.amp.autocast` on the CPU; switched off, with a warning, for other devices."""

    def __init__(
        self,
        device_type: str,
        dtype: DType | str | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        name = str(device_type).partition(":")[0]
        expect(name in _DEVICES, "autocast", f"one of {_DEVICES}", device_type, ArgumentError)
        if name != "cpu" and enabled:
            text = f"autocast: there is no {name} here, so it is switched off"
            warnings.warn(text, UserWarning, stacklevel=2)
            enabled = False
        chosen = dtype if dtype in (bf16, f16) else None
        if enabled and dtype is not None and chosen is None:
            text = "autocast: expected bf16 or f16, so it is switched off"
            warnings.warn(text, UserWarning, stacklevel=2)
            enabled = False
        super().__init__("cpu", chosen, enabled, cache_enabled is not False)
        self.device = name


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether the calling thread is in an `autocast` of that device."""
    return device_type == "cpu" and _is_autocast_enabled()


def is_autocast_available(device_type: str) -> bool:
    """Whether that device has it: the CPU does."""
    return device_type == "cpu"


class GradScaler:
    """Loss scaling for f16 gradients (arXiv 1710.03740), as PyTorch's.

    For "cuda", which is not there, it is switched off with a warning, and passes all through.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and device != "cpu":
            text = f"GradScaler: there is no {device} here, so it is switched off"
            warnings.warn(text, UserWarning, stacklevel=2)
            enabled = False
        self._enabled = enabled
        self._scale, self._tracker = float(init_scale), 0
        self._growth, self._backoff = float(growth_factor), float(backoff_factor)
        self._interval = int(growth_interval)
        self._found: dict[int, bool] = {}  # optimisers whose gradients are unscaled → inf found

    def scale(self, outputs: Any) -> Any:
        """`outputs` times the scale; lists and tuples of tensors, too."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        return type(outputs)(self.scale(x) for x in outputs)

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimiser's parameters by the scale, once a step."""
        if not self._enabled:
            return
        fresh = id(optimizer) not in self._found
        expect(fresh, "GradScaler.unscale_", "one call between steps", "another", ArgumentError)
        bad = False
        for group in optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad.mul_(1 / self._scale)
                    bad = bad or not bool(p.grad.isfinite().all())
        self._found[id(optimizer)] = bad

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step()`, unless a gradient is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) not in self._found:
            self.unscale_(optimizer)
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Shrink the scale after a bad step, grow it after a row of good ones."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif any(self._found.values()):
            self._scale, self._tracker = self._scale * self._backoff, 0
        else:
            expect(
                bool(self._found), "GradScaler.update", "a step before it", "none", ArgumentError
            )
            self._tracker += 1
            if self._tracker == self._interval:
                self._scale, self._tracker = self._scale * self._growth, 0
        self._found = {}

    def get_scale(self) -> float:
        """The scale; 1 when switched off."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def get_growth_factor(self) -> float:
        """By how much the scale grows."""
        return self._growth

    def set_growth_factor(self, new_factor: float) -> None:
        """Set it."""
        self._growth = float(new_factor)

    def get_backoff_factor(self) -> float:
        """By how much the scale shrinks."""
        return self._backoff

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set it."""
        self._backoff = float(new_factor)

    def get_growth_interval(self) -> int:
        """After how many good steps the scale grows."""
        return self._interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set it."""
        self._interval = int(new_interval)

    def state_dict(self) -> dict[str, Any]:
        """Scale and counters; empty when switched off."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale, "growth_factor": self._growth, "backoff_factor": self._backoff,
            "growth_interval": self._interval, "_growth_tracker": self._tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        if not self._enabled:
            return
        got = "an empty one (of a scaler that was switched off)"
        expect(bool(state_dict), "GradScaler.load_state_dict", "a state", got, ArgumentError)
        self._scale, self._tracker = state_dict["scale"], state_dict["_growth_tracker"]
        self._growth, self._backoff = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._interval = state_dict["growth_interval"]


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str = "cpu", cast_inputs: Any = None
) -> Any:
    """Mark `forward` of a Function: inside an `autocast` its inputs become `cast_inputs`."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def within(*args: Any, **kwargs: Any) -> Any:
        if cast_inputs is None or not is_autocast_enabled(device_type):
            return fwd(*args, **kwargs)
        with autocast("cpu", enabled=False):
            cast = [
                a.to(cast_inputs) if isinstance(a, Tensor) and a.is_floating_point() else a
                for a in args
            ]
            return fwd(*cast, **kwargs)

    return within


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str = "cpu") -> Any:
    """Mark `backward` of a Function; gradients keep the dtype of their tensors here."""
    return functools.partial(custom_bwd, device_type=device_type) if bwd is None else bwd
