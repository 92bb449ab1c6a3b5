"""torch.optim.lr_scheduler: Tallow's schedules."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    places={"tallow.optim.lr_scheduler": "_LRScheduler=LRScheduler"},
    behind=("tallow.optim.lr_scheduler",),
)
