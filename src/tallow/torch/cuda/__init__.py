"""torch.cuda as a build for CPUs has it: there is no device, and what needs one says so."""

from __future__ import annotations

from typing import Any

from tallow.torch._names import NoDeviceError, namespace, refused

_NONE = "there is no CUDA device: Tallow runs on the CPU (torch.cuda.is_available() says so)"
_TYPES = (
    "FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor ShortTensor "
    "CharTensor "
    "ByteTensor BoolTensor"
)

__getattr__, __dir__ = namespace(
    __name__,
    modules="amp nccl nvtx",
    answers={
        "is_available": False,
        "is_initialized": False,
        "is_bf16_supported": False,
        "is_tf32_supported": False,
        "device_count": 0,
        "get_arch_list": [],
        "get_gencode_flags": "",
        "manual_seed": None,
        "manual_seed_all": None,
        "seed": None,
        "seed_all": None,
        "get_rng_state_all": [],
        "empty_cache": None,
        "memory_allocated": 0,
        "max_memory_allocated": 0,
        "memory_reserved": 0,
        "max_memory_reserved": 0,
        "memory_cached": 0,
        "max_memory_cached": 0,
        "reset_peak_memory_stats": None,
        "reset_max_memory_allocated": None,
        "reset_max_memory_cached": None,
        "reset_accumulated_memory_stats": None,
        "memory_stats": {},
        "is_current_stream_capturing": False,
        "ipc_collect": None,
        "set_device": None,
    },
    refuses={
        _NONE: (
            "init current_device synchronize get_device_name get_device_capability "
            "get_device_properties mem_get_info memory_summary memory_snapshot initial_seed "
            "get_rng_state set_rng_state set_rng_state_all current_stream default_stream "
            "set_stream Event Stream ExternalStream utilization temperature power_draw clock_rate "
            "current_blas_handle can_device_access_peer set_per_process_memory_fraction "
            f"CUDAGraph graph make_graphed_callables cudart set_sync_debug_mode {_TYPES}"
        )
    },
    error=NoDeviceError,
)

_CudaDeviceProperties = refused(__name__, "_CudaDeviceProperties", _NONE, NoDeviceError)
OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {"__module__": __name__})


class device:  # noqa: N801  (PyTorch's name)
    """`with torch.cuda.device(0):` does nothing, for there is none."""

    def __init__(self, device: Any) -> None:
        self.idx = -1

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


device_of = device


class stream:  # noqa: N801  (PyTorch's name)
    """`with torch.cuda.stream(None):` does nothing, for there is none."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


StreamContext = stream
