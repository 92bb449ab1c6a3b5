"""torch.accelerator: there is none, and what needs one says so."""

from __future__ import annotations

from tallow.torch._names import NoDeviceError, namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={
        "is_available": False,
        "device_count": 0,
        "current_accelerator": None,
        "memory_allocated": 0,
        "max_memory_allocated": 0,
        "memory_reserved": 0,
        "max_memory_reserved": 0,
        "memory_stats": {},
        "empty_cache": None,
        "reset_peak_memory_stats": None,
        "reset_accumulated_memory_stats": None,
    },
    refuses={
        "there is no accelerator: Tallow runs on the CPU": (
            "synchronize current_device_index current_device_idx set_device_index set_device_idx "
            "current_stream set_stream get_memory_info device_index"
        )
    },
    error=NoDeviceError,
)
