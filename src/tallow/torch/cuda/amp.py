"""torch.cuda.amp: `autocast` and `GradScaler` under their older names."""

from __future__ import annotations

from typing import Any

from tallow.torch.amp import GradScaler as _Scaler
from tallow.torch.amp import autocast as _autocast
from tallow.torch.amp import custom_bwd as _custom_bwd
from tallow.torch.amp import custom_fwd as _custom_fwd


class autocast(_autocast):  # noqa: N801  (PyTorch's name)
    """`torch.amp.autocast("cuda")`: switched off, with a warning, where there is no CUDA."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(_Scaler):
    """`torch.amp.GradScaler("cuda")`: switched off, with a warning, where there is no CUDA."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


def custom_fwd(function: Any = None, **options: Any) -> Any:
    """As `torch.amp.custom_fwd`."""
    return _custom_fwd(function, device_type="cuda", **options)


def custom_bwd(function: Any = None) -> Any:
    """As `torch.amp.custom_bwd`."""
    return _custom_bwd(function, device_type="cuda")
