"""torch._C: PyTorch's compiled part, as far as programs ask for names in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tallow.torch._names import Settings, namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={
        "tallow.torch": "Generator device dtype Size",
        "tallow.tensor": "TensorBase=Tensor _TensorBase=Tensor",
        "tallow.torch._names": "_Unsupported=UnsupportedError",
        "tallow.torch._dispatch": (
            "DispatchKey DispatchKeySet _ExcludeDispatchKeyGuard=Guard "
            "DisableTorchFunctionSubclass=Guard DisableTorchFunction=Guard "
            "_AutoDispatchBelowAutograd=Guard"
        ),
    },
    answers={
        "_get_tracing_state": None,
        "_get_privateuse1_backend_name": "privateuseone",
        "_jit_can_fuse_on_cpu": False,
        "_jit_can_fuse_on_gpu": False,
        "_jit_set_nvfuser_guard_mode": False,
        "_log_api_usage_once": None,
        "_jit_set_profiling_executor": False,
        "_jit_set_profiling_mode": False,
        "_jit_override_can_fuse_on_cpu": None,
        "_jit_override_can_fuse_on_gpu": None,
        "_jit_set_texpr_fuser_enabled": None,
        "_jit_set_nvfuser_enabled": None,
        "_jit_texpr_fuser_enabled": False,
        "_debug_set_autodiff_subgraph_inlining": None,
        "_cuda_clearCublasWorkspaces": None,
        "_has_mkldnn": False,
        "_cuda_getDeviceCount": 0,
        "_is_tracing": False,
        "_jit_set_nvfuser_guard_mode": False,
        "_jit_can_fuse_on_cpu": False,
        "_jit_can_fuse_on_gpu": False,
        "_get_privateuse1_backend_name": "privateuseone",
    },
)

_has_cuda = has_mkl = has_openmp = has_lapack = False

DispatchKey = Settings(CPU=0, CUDA=1, AutocastCPU=2, AutocastCUDA=3, AutocastXPU=4)


class DispatchKeySet:
    """Which parts of PyTorch's dispatch are meant: there is none here."""

    def __init__(self, *keys: Any) -> None:
        self.keys = keys

    def __or__(self, other: Any) -> DispatchKeySet:
        return self


@contextmanager
def _ExcludeDispatchKeyGuard(keys: Any) -> Iterator[None]:  # noqa: N802  (PyTorch's name)
    yield


@contextmanager
def DisableTorchFunctionSubclass() -> Iterator[None]:  # noqa: N802
    """A block that changes nothing: functions are not overridden here."""
    yield


DisableTorchFunction = DisableTorchFunctionSubclass
