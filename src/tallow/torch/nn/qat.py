"""torch.nn.qat: PyTorch's quantised layers are not there."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "PyTorch's quantised layers are not supported (see tallow quantize)": (
            "Linear Conv1d Conv2d Conv3d FloatFunctional QFunctional Quantize DeQuantize "
            "ConvBn2d ConvBnReLU2d ConvReLU2d LinearReLU Embedding LSTM"
        )
    },
)
