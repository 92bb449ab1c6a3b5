"""torch.backends: settings that can be made and change nothing, and what is there."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules=(
        "cpu cuda cudnn cusparselt kleidiai mha mkl mkldnn mps nnpack openmp opt_einsum "
        "quantized xeon"
    ),
)
