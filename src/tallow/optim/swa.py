"""The two helpers of stochastic weight averaging: its rate, and statistics of batch norms."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.nn import Module
from tallow.optim.lr_scheduler.base import LRScheduler


class SWALR(LRScheduler):
    """From the rate there is to `swa_lr` in `anneal_epochs` steps, by a cosine or a line.

    Izmailov et al., arXiv 1803.05407. Arguments as torch.optim.swa_utils.SWALR.
    """

    def __init__(
        self,
        optimizer: Any,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        known = ("cos", "linear")
        expect(anneal_strategy in known, SWALR, f"one of {known}", anneal_strategy, ArgumentError)
        ok = type(anneal_epochs) is int and anneal_epochs >= 0
        expect(ok, SWALR, "a number of epochs", anneal_epochs, ArgumentError)
        groups = optimizer.param_groups
        rates = swa_lr if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(groups)
        expect(len(rates) == len(groups), SWALR, f"{len(groups)} rates", len(rates), ArgumentError)
        for group, rate in zip(groups, rates, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, t: float) -> float:
        """How far from the first rate, at the share t of the way."""
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list[float]:
        """The rate of each group at this step, from that of the step before."""
        step = self.last_epoch
        whole = max(1, self.anneal_epochs)
        if self.anneal_epochs == 0:
            step = max(1, step)
        before = self._share(max(0.0, min(1.0, (step - 1) / whole)))
        now = self._share(max(0.0, min(1.0, step / whole)))
        rates = []
        for group in self.optimizer.param_groups:
            last, lr = group["swa_lr"], group["lr"]
            first = last if before == 1 else (lr - before * last) / (1 - before)
            rates.append(last * now + first * (1 - now))
        return rates


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Take the statistics of all batch norms anew, from one pass over the data."""
    norms: dict[Any, Any] = {
        m: m.momentum
        for m in model.modules()
        if hasattr(m, "running_mean") and hasattr(m, "momentum")
    }
    if not norms:
        return
    training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        with no_grad():
            for batch in loader:
                model(batch[0] if isinstance(batch, (list, tuple)) else batch)
    finally:
        for norm, momentum in norms.items():
            norm.momentum = momentum
        model.train(training)
