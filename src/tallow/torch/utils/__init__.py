"""torch.utils: data, checkpoints, and small helpers."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules=(
        "data checkpoint tensorboard model_zoo _pytree benchmark bottleneck collect_env "
        "cpp_extension "
        "dlpack flop_counter hooks mobile_optimizer _contextlib _python_dispatch _triton "
        "deterministic _foreach_utils"
    ),
    places={"tallow.torch.utils._small": "set_module swap_tensors"},
)
