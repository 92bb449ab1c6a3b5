"""torch.xpu as a build without it has it: there is no device."""

from __future__ import annotations

from tallow.torch._names import NoDeviceError, namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={
        "is_available": False,
        "is_initialized": False,
        "is_bf16_supported": False,
        "device_count": 0,
        "manual_seed": None,
        "manual_seed_all": None,
        "empty_cache": None,
        "memory_allocated": 0,
        "max_memory_allocated": 0,
        "memory_reserved": 0,
        "max_memory_reserved": 0,
        "reset_peak_memory_stats": None,
    },
    refuses={
        "there is no XPU device: Tallow runs on the CPU": (
            "synchronize current_device set_device get_device_name get_device_capability "
            "get_device_properties current_stream Stream Event get_rng_state set_rng_state"
        )
    },
    error=NoDeviceError,
)
