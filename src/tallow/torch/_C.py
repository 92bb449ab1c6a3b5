"""torch._C: PyTorch's compiled part, as far as programs ask for names in it."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={
        "tallow.torch": "Generator device dtype Size",
        "tallow.tensor": "TensorBase=Tensor _TensorBase=Tensor",
        "tallow.torch._names": "_Unsupported=UnsupportedError",
        "tallow.torch._dispatch": (
            "DispatchKey DispatchKeySet _ExcludeDispatchKeyGuard=Guard "
            "DisableTorchFunctionSubclass=NotAsked DisableTorchFunction=NotAsked "
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
        "_are_functorch_transforms_active": False,
    },
    refuses={
        "programs of TorchScript are not supported": (
            "Graph Node Value Block Type TensorType ListType FunctionSchema ScriptModule "
            "ScriptFunction ScriptObject CompilationUnit ClassType"
        )
    },
)

_has_cuda = has_mkl = has_openmp = has_lapack = False
