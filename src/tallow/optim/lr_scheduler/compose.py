"""Schedules made of schedules, and one that listens to a metric."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from tallow.errors import ArgumentError, DTypeError, expect
from tallow.optim.lr_scheduler.base import LRScheduler, per_group, set_rate
from tallow.optim.optimizer import Optimizer


def _check(where: object, schedulers: Sequence[Any], optimizer: Optimizer) -> None:
    for scheduler in schedulers:
        ok = isinstance(scheduler, LRScheduler) and not isinstance(scheduler, ReduceLROnPlateau)
        expect(ok, where, "schedulers that step by epochs", scheduler, ArgumentError)
        same = scheduler.optimizer is optimizer
        expect(same, where, "schedulers of one optimizer", scheduler, ArgumentError)


class _Composed(LRScheduler):
    transient = (*LRScheduler.transient, "_schedulers")
    _schedulers: list[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        """Its own state, and a list of those of the parts."""
        state = super().state_dict()
        state["_schedulers"] = [part.state_dict() for part in self._schedulers]
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state, and those of the parts."""
        parts = state_dict.get("_schedulers")
        count = len(self._schedulers)
        ok = isinstance(parts, list) and len(parts) == count
        expect(ok, type(self), f"the state of {count} schedulers", parts, ArgumentError)
        own = LRScheduler.state_dict(self)
        for name in own:
            if name in state_dict:
                self.__dict__[name] = state_dict[name]
        assert isinstance(parts, list)
        for part, entries in zip(self._schedulers, parts, strict=True):
            part.load_state_dict(entries)


class SequentialLR(_Composed):
    """One schedule after the other; `milestones` are the epochs at which the next one begins."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        where = SequentialLR
        expect(len(schedulers) > 0, where, "at least one scheduler", "none", ArgumentError)
        _check(where, schedulers, optimizer)
        wanted = len(schedulers) - 1
        expect(
            len(milestones) == wanted, where, f"{wanted} milestones", len(milestones), ArgumentError
        )
        self.optimizer = optimizer
        self._schedulers = list(schedulers)
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            set_rate(group, "lr", group["initial_lr"])
        for scheduler in schedulers:
            _step_back(scheduler)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first.start()
        self._last_lr = first.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Step the schedule whose turn it is; at a milestone the next one begins at its epoch 0."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            scheduler.move(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _step_back(scheduler: LRScheduler) -> None:
    """Undo the step that a schedule took when it was made."""
    if isinstance(scheduler, _Composed):
        for part in scheduler._schedulers:
            _step_back(part)
    else:
        scheduler.last_epoch -= 1


class ChainedScheduler(_Composed):
    """Several schedules that act on the rates one after the other, at each step."""

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        where = ChainedScheduler
        expect(len(schedulers) > 0, where, "at least one scheduler", "none", ArgumentError)
        self.optimizer = optimizer or schedulers[0].optimizer
        _check(where, schedulers, self.optimizer)
        self._schedulers = list(schedulers)
        self._last_lr = [float(rate) for rate in self.rates()]

    def start(self) -> None:
        """Step every part, as torch does in a SequentialLR: those by a factor change the rate."""
        for scheduler in self._schedulers:
            scheduler.move()
        self._last_lr = [float(rate) for rate in self.rates()]

    def step(self, epoch: int | None = None) -> None:
        """Step every part."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = [float(rate) for rate in self.rates()]


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` when a metric has not improved for `patience` epochs.

    `step(metric)` after each epoch. Better is a change of `threshold`, relative or absolute by
    `threshold_mode`, downwards or upwards by `mode`. After a reduction `cooldown` epochs pass
    before bad ones count again.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        where = ReduceLROnPlateau
        expect(isinstance(optimizer, Optimizer), where, "an Optimizer", optimizer, DTypeError)
        expect(factor < 1, where, "a factor below 1", factor, ArgumentError)
        expect(mode in ("min", "max"), where, "mode min or max", mode, ArgumentError)
        known = ("rel", "abs")
        expect(
            threshold_mode in known, where, "threshold_mode rel or abs", threshold_mode,
            ArgumentError,
        )  # fmt: skip
        self.optimizer = optimizer
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = per_group(where, "min_lr", optimizer, min_lr)
        self.mode_worse = self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self.last_epoch = 0
        self._last_lr = [float(rate) for rate in self.rates()]

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        bound = self.best * (1 - sign * self.threshold)
        if self.threshold_mode == "abs":
            bound = self.best - sign * self.threshold
        return sign * value < sign * bound

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]  # asks for a metric
        """Note the metric of an epoch; reduce the rates when it is time."""
        value = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            groups = self.optimizer.param_groups
            expect(
                len(groups) == len(self.min_lrs), ReduceLROnPlateau,
                f"{len(self.min_lrs)} groups, as when it was made", len(groups), ArgumentError,
            )  # fmt: skip
            for group, low in zip(groups, self.min_lrs, strict=True):
                old = float(group["lr"])
                new = max(old * self.factor, low)
                if old - new > self.eps:
                    set_rate(group, "lr", new)
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [float(rate) for rate in self.rates()]
