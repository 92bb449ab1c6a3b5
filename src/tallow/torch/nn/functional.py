"""torch.nn.functional: Tallow's, and names that PyTorch keeps there besides."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={
        "tallow.torch.nn._functional": "adaptive_max_pool1d_with_indices "
        "adaptive_max_pool2d_with_indices adaptive_max_pool3d_with_indices boolean_dispatch "
        "conv_tbc has_torch_function has_torch_function_unary has_torch_function_variadic "
        "max_pool1d_with_indices max_pool2d_with_indices "
        "max_pool3d_with_indices fractional_max_pool2d_with_indices "
        "fractional_max_pool3d_with_indices rrelu_ native_channel_shuffle",
        "tallow.torch.nn._linear_cross_entropy": "linear_cross_entropy",
        "tallow.torch.nn._bases": "_single _pair _triple",
        "tallow.torch": "Tensor",
        "tallow.torch.overrides": "handle_torch_function",
    },
    behind=("tallow.nn.functional",),
    refuses={"it is not supported": "grouped_mm scaled_mm scaled_grouped_mm"},
)
