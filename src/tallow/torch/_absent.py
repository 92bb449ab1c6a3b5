"""The devices that are not there: what their modules answer, and what they refuse."""

from __future__ import annotations

from typing import Any

from tallow.torch._names import NoDeviceError, namespace

_NONE: dict[str, Any] = {"is_available": False, "device_count": 0, "empty_cache": None}
_MEMORY: dict[str, Any] = {
    "memory_allocated": 0,
    "max_memory_allocated": 0,
    "memory_reserved": 0,
    "max_memory_reserved": 0,
    "reset_peak_memory_stats": None,
}
_AS_CUDA: dict[str, Any] = {
    **_NONE,
    **_MEMORY,
    "is_initialized": False,
    "is_bf16_supported": False,
    "manual_seed": None,
    "manual_seed_all": None,
}
_AS_CUDA_REFUSES = (
    "synchronize current_device set_device get_device_name get_device_capability "
    "get_device_properties current_stream Stream Event get_rng_state set_rng_state"
)

# Module → what its errors say, what it answers, what it refuses.
DEVICES: dict[str, tuple[str, dict[str, Any], str]] = {
    "cuda": (
        "there is no CUDA device: Tallow runs on the CPU (torch.cuda.is_available() says so)",
        _AS_CUDA | {
            "is_tf32_supported": False,
            "get_arch_list": [],
            "get_gencode_flags": "",
            "seed": None,
            "seed_all": None,
            "get_rng_state_all": [],
            "memory_cached": 0,
            "max_memory_cached": 0,
            "reset_max_memory_allocated": None,
            "reset_max_memory_cached": None,
            "reset_accumulated_memory_stats": None,
            "memory_stats": {},
            "is_current_stream_capturing": False,
            "ipc_collect": None,
            "set_device": None,
        },
        ("init current_device synchronize get_device_name get_device_capability "
        "get_device_properties mem_get_info memory_summary memory_snapshot initial_seed "
        "get_rng_state set_rng_state set_rng_state_all current_stream default_stream "
        "set_stream Event Stream ExternalStream utilization temperature power_draw clock_rate "
        "current_blas_handle can_device_access_peer set_per_process_memory_fraction "
        "CUDAGraph graph make_graphed_callables cudart set_sync_debug_mode "
        "FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor ShortTensor "
        "CharTensor ByteTensor BoolTensor"),
    ),
    "xpu": ("there is no XPU device: Tallow runs on the CPU", _AS_CUDA, _AS_CUDA_REFUSES),
    "mtia": ("there is no MTIA device: Tallow runs on the CPU", _AS_CUDA, _AS_CUDA_REFUSES),
    "mps": (
        "there is no MPS device: Tallow runs on the CPU",
        _NONE | {"manual_seed": None, "seed": None},
        ("synchronize get_rng_state set_rng_state current_allocated_memory "
        "driver_allocated_memory recommended_max_memory set_per_process_memory_fraction Event "
        "event profiler compile_shader"),
    ),
    "accelerator": (
        "there is no accelerator: Tallow runs on the CPU",
        _NONE | _MEMORY | {
            "current_accelerator": None,
            "memory_stats": {},
            "reset_accumulated_memory_stats": None,
        },
        ("synchronize current_device_index current_device_idx set_device_index set_device_idx "
        "current_stream set_stream get_memory_info device_index"),
    ),
}  # fmt: skip


def absent(module: str, modules: str = "") -> Any:
    """`__getattr__` and `__dir__` of the module of a device that is not there."""
    reason, answers, refuses = DEVICES[module.rpartition(".")[2]]
    return namespace(
        module, modules=modules, answers=answers, refuses={reason: refuses}, error=NoDeviceError
    )
