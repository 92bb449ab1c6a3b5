"""Schedules that follow one rule: steps, ramps, powers, cosines, functions of the user."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any, ClassVar

from tallow.errors import ArgumentError, expect
from tallow.optim.lr_scheduler.base import FactorLR, LRScheduler, Multiplier, cosine
from tallow.optim.optimizer import Optimizer


class StepLR(FactorLR):
    """The rate times `gamma` every `step_size` epochs."""

    goes_on = True

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        expect(step_size > 0, StepLR, "a step_size above 0", step_size, ArgumentError)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """`gamma ** (epoch // step_size)`."""
        return float(self.gamma ** (epoch // self.step_size))


class MultiStepLR(FactorLR):
    """The rate times `gamma` at each of the epochs in `milestones`."""

    goes_on = True

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """`gamma` to the number of milestones that were reached."""
        return float(self.gamma ** bisect_right(self.milestones, epoch))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state; torch counts equal milestones in a dict."""
        found = state_dict.get("milestones")
        if isinstance(found, Mapping):
            flat = [int(epoch) for epoch, count in found.items() for _ in range(count)]
            state_dict = {**state_dict, "milestones": sorted(flat)}
        super().load_state_dict(state_dict)


class ConstantLR(FactorLR):
    """The rate times `factor` until epoch `total_iters`."""

    spelled: ClassVar[dict[str, str]] = {"multiple": "factor"}
    goes_on = True

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        expect(0 <= factor <= 1, ConstantLR, "a factor in [0, 1]", factor, ArgumentError)
        self.multiple, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """`factor` before `total_iters`, then 1."""
        return 1.0 if epoch >= self.total_iters else self.multiple


class LinearLR(FactorLR):
    """A factor that goes from `start_factor` to `end_factor` in `total_iters` epochs."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        start = f"{LinearLR.__name__} start_factor"
        expect(0 < start_factor <= 1, start, "a number in (0, 1]", start_factor, ArgumentError)
        end = f"{LinearLR.__name__} end_factor"
        expect(0 <= end_factor <= 1, end, "a number in [0, 1]", end_factor, ArgumentError)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Straight from one factor to the other."""
        part = min(epoch, self.total_iters) / self.total_iters if self.total_iters else 1.0
        return self.start_factor + (self.end_factor - self.start_factor) * part


class ExponentialLR(FactorLR):
    """The rate times `gamma` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """`gamma ** epoch`."""
        return float(self.gamma**epoch)

    def get_lr(self) -> list[float]:
        """The current rates times `gamma`: a factor of its own may be too small for a float."""
        by = 1.0 if self._initial else self.gamma
        return [rate * by for rate in self.rates()]


class PolynomialLR(FactorLR):
    """`(1 - epoch / total_iters) ** power` of the rate, 0 in the end."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        expect(total_iters > 0, PolynomialLR, "total_iters above 0", total_iters, ArgumentError)
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """The power of what is left."""
        return float((1 - min(epoch, self.total_iters) / self.total_iters) ** self.power)


class CosineAnnealingLR(FactorLR):
    """Half a cosine from the rate down to `eta_min` in `T_max` epochs (arXiv 1608.03983)."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        expect(T_max > 0, CosineAnnealingLR, "T_max above 0", T_max, ArgumentError)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    @property
    def floor(self) -> float:  # type: ignore[override]  # a property where the base has a value
        """What the cosine goes down to."""
        return self.eta_min

    def factor(self, epoch: int) -> float:
        """From 1 at 0 to 0 at `T_max`, and back."""
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2

    def get_lr(self) -> list[float]:
        """As any factor; the first rates stay as they are, above `eta_min` or not."""
        return self.rates() if self._initial else super().get_lr()


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines down to `eta_min`, `T_0` epochs the first, each `T_mult` times the last.

    `step(epoch)` may be given fractions of epochs (arXiv 1608.03983).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        where = CosineAnnealingWarmRestarts
        expect(type(T_0) is int and T_0 > 0, where, "an integer T_0 above 0", T_0, ArgumentError)
        good = type(T_mult) is int and T_mult >= 1
        expect(good, where, "an integer T_mult of at least 1", T_mult, ArgumentError)
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """From the place in the current cosine."""
        part = self.T_cur / self.T_i
        return [cosine(base, self.eta_min, part) for base in self.base_lrs]

    def move(self, epoch: float | None = None) -> None:
        """Set the rates of the next epoch, or of `epoch`."""
        if epoch is None and self.last_epoch >= 0:
            self.last_epoch += 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            expect(epoch >= 0, CosineAnnealingWarmRestarts, "an epoch of at least 0", epoch)
            self.T_i, self.T_cur = self.T_0, epoch
            if self.T_mult == 1:
                self.T_cur = epoch % self.T_0
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
            self.last_epoch = math.floor(epoch)
        self.put(self.get_lr())


class _FunctionLR(LRScheduler):
    """Schedules by functions of the user, one for all groups or one per group."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Multiplier | list[Multiplier], last_epoch: int = -1
    ) -> None:
        groups = len(optimizer.param_groups)
        given = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        expect(len(given) == groups, type(self), f"{groups} functions", len(given), ArgumentError)
        called = all(callable(rule) for rule in given)
        expect(called, type(self), "functions of the epoch", given, ArgumentError)
        self.lr_lambdas = given
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Without the functions; what an object that is called holds is kept."""
        state = super().state_dict()
        state["lr_lambdas"] = [
            None if isinstance(rule, FunctionType) else dict(getattr(rule, "__dict__", {}))
            for rule in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state; the functions stay."""
        rules = self.lr_lambdas
        held = state_dict.get("lr_lambdas") or [None] * len(rules)
        expect(
            isinstance(held, list) and len(held) == len(rules), type(self),
            f"lr_lambdas of {len(rules)}", held, ArgumentError,
        )  # fmt: skip
        super().load_state_dict(
            {key: value for key, value in state_dict.items() if key != "lr_lambdas"}
        )
        self.lr_lambdas = rules
        for rule, entries in zip(rules, held, strict=True):
            if isinstance(entries, Mapping):
                rule.__dict__.update(entries)


class LambdaLR(_FunctionLR):
    """The initial rate times `lr_lambda(epoch)`."""

    def get_lr(self) -> list[float]:
        """One function per group."""
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * rule(self.last_epoch) for base, rule in pairs]


class MultiplicativeLR(_FunctionLR):
    """The current rate times `lr_lambda(epoch)`."""

    def get_lr(self) -> list[float]:
        """One function per group."""
        if self._initial:
            return self.rates()
        pairs = zip(self.rates(), self.lr_lambdas, strict=True)
        return [rate * rule(self.last_epoch) for rate, rule in pairs]


class WarmupCosineLR(FactorLR):
    """A straight line up to the rate in `warmup` steps, then half a cosine to `min_ratio` of it.

    The schedule of most language models: step t of the warm-up has `(t + 1) / warmup` of the rate,
    and from step `total` on it stays at `min_ratio`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup: int,
        total: int,
        min_ratio: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        ok = 0 <= warmup <= total and total > 0
        expect(ok, WarmupCosineLR, "0 <= warmup <= total", (warmup, total), ArgumentError)
        self.warmup, self.total, self.min_ratio = warmup, total, min_ratio
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """The part of the rate at step `epoch`."""
        if epoch < self.warmup:
            return (epoch + 1) / self.warmup
        if epoch >= self.total:
            return self.min_ratio
        return cosine(1.0, self.min_ratio, (epoch - self.warmup) / (self.total - self.warmup))
