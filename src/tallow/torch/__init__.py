"""PyTorch's namespace on Tallow: `import tallow.torch as torch`.

What PyTorch calls by another name, or only PyTorch has, stands here and not in `tallow`. What
cannot be had raises one line when it is called, never when it is imported. `install()` lets
`import torch` find this namespace, and `python -m tallow.torch SCRIPT` runs a program so.
"""

from __future__ import annotations

import sys as _sys

from tallow.torch._finder import find_aliases as _find_aliases
from tallow.torch._finder import install
from tallow.torch._foreach import NAMES as _FOREACH
from tallow.torch._names import namespace as _namespace
from tallow.torch._refused_methods import refuse as _refuse

torch = _sys.modules[__name__]  # PyTorch's __init__ imports it, and some write torch.torch.Tensor
_find_aliases()
_refuse()

# What `tallow` has under PyTorch's names, beside the ops.
_TALLOW = (
    "Generator Tensor as_tensor asarray arange bfloat16 bool can_cast checkpoint complex64 "
    "default_generator "
    "device double dtype e empty empty_like enable_grad finfo float float16 float32 float64 "
    "float8_e4m3fn float8_e5m2 from_dlpack from_numpy frombuffer full full_like get_rng_state half "
    "iinfo inf "
    "inference_mode initial_seed int int16 int32 int64 int8 is_complex is_floating_point "
    "is_grad_enabled is_inference_mode_enabled is_tensor long manual_seed nan no_grad numel ones "
    "ones_like pi promote_types result_type seed set_grad_enabled set_rng_state short tensor "
    "uint16 "
    "uint32 uint64 uint8 zeros zeros_like cfloat"
)
_MODULES = (
    "accelerator amp autograd backends classes cpu cuda distributed distributions fft func futures "
    "fx hub jit library linalg monitor mps mtia multiprocessing nested nn onnx ops optim overrides "
    "package profiler quantization random serialization signal sparse special testing types utils "
    "version xpu ao _C _dynamo _functorch _inductor _ops _utils _logging export compiler "
    "functional "
    "return_types storage masked _tensor _prims_common _subclasses"
)
_NO_SPARSE = "sparse tensors are not supported"
_NO_QUANTISED = "PyTorch's quantised tensors are not supported (see tallow quantize)"

__getattr__, __dir__ = _namespace(
    __name__,
    modules=_MODULES,
    places={
        "tallow": _TALLOW,
        "tallow.ops": "spmm=mm dsmm=mm",
        "tallow.torch._settings": (
            "set_default_dtype get_default_dtype set_default_device get_default_device "
            "set_default_tensor_type set_printoptions use_deterministic_algorithms "
            "are_deterministic_algorithms_enabled is_deterministic_algorithms_warn_only_enabled "
            "set_deterministic_debug_mode get_deterministic_debug_mode set_num_threads "
            "get_num_threads set_num_interop_threads get_num_interop_threads "
            "set_float32_matmul_precision get_float32_matmul_precision set_flush_denormal "
            "set_warn_always is_warn_always_enabled"
        ),
        "tallow.torch._typed": (
            "FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor ShortTensor "
            "CharTensor ByteTensor BoolTensor"
        ),
        "tallow.tensor": "Size",
        "tallow.torch._saving": "save load",
        "tallow.torch._coordinates": "sparse_coo_tensor",
        "tallow.layout": (
            "memory_format layout contiguous_format channels_last channels_last_3d "
            "preserve_format strided"
        ),
        "tallow.torch._top": (
            "broadcast_shapes detach is_nonzero is_storage is_same_size is_conj is_neg "
            "is_inference sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc jagged "
            "complex128 complex32 cdouble chalf qint8 quint8 qint32 quint4x2 float8_e4m3fnuz "
            "float8_e5m2fnuz float8_e8m0fnu per_channel_affine per_tensor_affine range "
            "unravel_index native_channel_shuffle scalar_tensor "
            "typename is_distributed SymInt SymFloat SymBool sym_int _assert _assert_async _check "
            "_check_value _check_type _check_is_size _shape_as_tensor _sample_dirichlet "
            "_standard_gamma sym_float sym_max sym_min sym_not newaxis"
        ),
        "tallow.torch._top_maths": (
            "chain_matmul gradient trapz lu pca_lowrank svd_lowrank segment_reduce"
        ),
        "tallow.torch._top_layers": (
            "embedding_bag alpha_dropout feature_dropout native_layer_norm dropout_ lstm gru "
            "convolution _convolution "
            "rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"
        ),
        "tallow.torch._inplace": (
            "abs_ acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ "
            "asinh_ atan_ atanh_ ceil_ celu_ clamp_ clamp_max_ clamp_min_ clip_ conj_physical_ "
            "cos_ cosh_ deg2rad_ detach_ erf_ erfc_ exp2_ exp_ expm1_ fill_ fix_ floor_ frac_ "
            "gcd_ i0_ index_put_ lcm_ ldexp_ log10_ log1p_ log2_ log_ logit_ nan_to_num_ neg_ "
            "negative_ rad2deg_ reciprocal_ relu_ resize_as_ round_ rrelu_ rsqrt_ selu_ "
            "sigmoid_ sin_ sinc_ sinh_ sqrt_ square_ tan_ tanh_ threshold_ trunc_ xlogy_ zero_"
        ),
        "tallow.torch._top_copies": (
            "alias_copy as_strided_copy detach_copy diagonal_copy expand_copy narrow_copy "
            "permute_copy select_copy split_copy split_with_sizes_copy squeeze_copy t_copy "
            "transpose_copy unbind_copy unfold_copy unsqueeze_copy view_as_complex_copy "
            "view_as_real_copy view_copy fill get_device is_signed unsafe_chunk unsafe_split "
            "unsafe_split_with_sizes nonzero_static empty_permuted histogramdd frobenius_norm "
            "nuclear_norm binomial sym_sum sym_sqrt"
        ),
        "tallow.torch._foreach": _FOREACH,
        "tallow.torch.version": "__version__",
        "tallow.torch.amp": (
            "autocast GradScaler is_autocast_enabled get_autocast_dtype "
            "get_autocast_cpu_dtype=get_autocast_dtype get_autocast_gpu_dtype=get_autocast_dtype"
        ),
        "tallow.torch.jit": "compile",
        "tallow.torch.func": "vmap",
        "tallow.torch.storage": "UntypedStorage TypedStorage",
    },
    behind=("tallow.torch._ops_of_tallow",),
    answers={
        "is_vulkan_available": False,
        "is_autocast_cpu_enabled": False,
        "is_autocast_cache_enabled": True,
        "clear_autocast_cache": None,
        "is_anomaly_enabled": False,
        "is_anomaly_check_nan_enabled": True,
        "compiled_with_cxx11_abi": True,
    },
    refuses={
        _NO_SPARSE: (
            "sparse_csr_tensor sparse_csc_tensor sparse_bsr_tensor "
            "sparse_bsc_tensor sparse_compressed_tensor hspmm smm sspaddmm"
        ),
        _NO_QUANTISED: (
            "quantize_per_tensor quantize_per_channel quantize_per_tensor_dynamic dequantize "
            "quantized_batch_norm quantized_lstm_cell quantized_gru_cell quantized_rnn_relu_cell "
            "quantized_rnn_tanh_cell quantized_max_pool1d quantized_max_pool2d empty_quantized "
            "fake_quantize_per_tensor_affine fake_quantize_per_channel_affine"
        ),
        "it is not supported": "lobpcg cond while_loop vitals_enabled",
    },
)
