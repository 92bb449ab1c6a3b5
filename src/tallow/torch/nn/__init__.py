"""torch.nn: Tallow's layers, and PyTorch's names for what stands elsewhere."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="attention functional init parallel utils quantized qat intrinsic",
    places={
        "tallow.torch.nn._layers": (
            "SyncBatchNorm CrossMapLRN2d AdaptiveLogSoftmaxWithLoss Container"
        ),
        "tallow.torch.nn._linear_cross_entropy": (
            "LinearCrossEntropyLoss LinearCrossEntropyOptions"
        ),
        "tallow.nn.transformer": "NonDynamicallyQuantizableLinear",
        "tallow.torch.nn._global_hooks": (
            "register_module_forward_pre_hook register_module_forward_hook "
            "register_module_full_backward_hook register_module_full_backward_pre_hook"
        ),
        "tallow.torch.nn._bases": (
            "_BatchNorm _NormBase _InstanceNorm _ConvNd _ConvTransposeNd _Loss _WeightedLoss "
            "_MaxPoolNd _AvgPoolNd _AdaptiveAvgPoolNd _AdaptiveMaxPoolNd _DropoutNd RNNCellBase "
            "_single _pair _triple _quadruple _ntuple _reverse_repeat_tuple"
        ),
        "tallow.torch.nn.parallel": "DataParallel",
        "tallow.torch.nn._functional": "_get_activation_fn _get_clones",
    },
    behind=("tallow.nn",),
)
