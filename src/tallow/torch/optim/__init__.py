"""torch.optim: Tallow's optimisers and schedules."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    modules="lr_scheduler swa_utils",
    behind=("tallow.optim",),
    refuses={"sparse gradients are not supported (use Adam)": "SparseAdam"},
)
