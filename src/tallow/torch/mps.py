"""torch.mps as a build without it has it: there is no device."""

from __future__ import annotations

from tallow.torch._names import NoDeviceError, namespace

__getattr__, __dir__ = namespace(
    __name__,
    answers={
        "is_available": False,
        "device_count": 0,
        "manual_seed": None,
        "seed": None,
        "empty_cache": None,
    },
    refuses={
        "there is no MPS device: Tallow runs on the CPU": (
            "synchronize get_rng_state set_rng_state current_allocated_memory "
            "driver_allocated_memory recommended_max_memory set_per_process_memory_fraction Event "
            "event profiler compile_shader"
        )
    },
    error=NoDeviceError,
)
