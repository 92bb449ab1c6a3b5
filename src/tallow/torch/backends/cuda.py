"""torch.backends.cuda: not there; its switches can be set and change nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tallow.torch._names import Settings, namespace

matmul = Settings(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
    fp32_precision="none",
)
cufft_plan_cache = Settings(size=0, max_size=0)

_enabled = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}

__getattr__, __dir__ = namespace(
    __name__,
    answers={
        "is_built": False,
        "is_flash_attention_available": False,
        "can_use_flash_attention": False,
        "can_use_efficient_attention": False,
        "can_use_cudnn_attention": False,
        "preferred_linalg_library": None,
        "preferred_blas_library": None,
        "enable_fp16_bf16_reduction_math_sdp": None,
    },
)


def flash_sdp_enabled() -> bool:
    """What was set."""
    return _enabled["flash"]


def mem_efficient_sdp_enabled() -> bool:
    """What was set."""
    return _enabled["mem_efficient"]


def math_sdp_enabled() -> bool:
    """What was set."""
    return _enabled["math"]


def cudnn_sdp_enabled() -> bool:
    """What was set."""
    return _enabled["cudnn"]


def enable_flash_sdp(enabled: bool) -> None:
    """Remembered; there is one attention here, and it is right."""
    _enabled["flash"] = bool(enabled)


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Remembered."""
    _enabled["mem_efficient"] = bool(enabled)


def enable_math_sdp(enabled: bool) -> None:
    """Remembered."""
    _enabled["math"] = bool(enabled)


def enable_cudnn_sdp(enabled: bool) -> None:
    """Remembered."""
    _enabled["cudnn"] = bool(enabled)


def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
    **_: Any,
) -> AbstractContextManager[None]:
    """A block that changes nothing: there is one attention here."""
    return nullcontext()
