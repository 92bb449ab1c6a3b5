"""torch.nn.utils: Tallow's, with normalised weights, pruning and fusion."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="rnn parametrize parametrizations prune fusion memory_format stateless",
    places={
        "tallow.torch.nn.utils._older": "clip_grad_norm skip_init weight_norm remove_weight_norm "
        "spectral_norm remove_spectral_norm",
        "tallow.torch.nn.utils.fusion": (
            "fuse_conv_bn_eval fuse_conv_bn_weights fuse_linear_bn_eval fuse_linear_bn_weights"
        ),
        "tallow.torch.nn.utils.memory_format": (
            "convert_conv2d_weight_memory_format convert_conv3d_weight_memory_format"
        ),
    },
    behind=("tallow.nn.utils",),
)
