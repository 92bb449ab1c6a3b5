"""Schedules that go up and down and move the momentum the other way: CyclicLR, OneCycleLR."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tallow.errors import ArgumentError, expect
from tallow.optim.lr_scheduler.base import LRScheduler, cosine, per_group, set_rate
from tallow.optim.optimizer import Optimizer


def _has_momentum(where: object, optimizer: Optimizer) -> None:
    known = {"momentum", "betas"} & set(optimizer.defaults)
    wanted = "an optimizer with momentum or betas, or cycle_momentum=False"
    expect(bool(known), where, wanted, type(optimizer).__name__, ArgumentError)


def _set_momentum(group: dict[str, Any], value: float) -> None:
    """Write the momentum, or the first beta where there are betas."""
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def _bounds(optimizer: Optimizer, low: list[float], high: list[float], first: bool) -> None:
    """Note the range of the momentum in the groups; set it to the top at the start."""
    for group, base, top in zip(optimizer.param_groups, low, high, strict=True):
        if first:
            _set_momentum(group, top)
            group["max_momentum"], group["base_momentum"] = top, base


class CyclicLR(LRScheduler):
    """Triangles between `base_lr` and `max_lr` (Smith, arXiv 1506.01186).

    Their height is scaled by the cycle (`"triangular"`: 1, `"triangular2"`: halved each cycle) or
    by the step (`"exp_range"`: `gamma ** step`), or by `scale_fn`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        where = CyclicLR
        known = ("triangular", "triangular2", "exp_range")
        expect(
            mode in known or scale_fn is not None, where, f"mode in {known}", mode, ArgumentError
        )
        down = step_size_up if step_size_down is None else step_size_down
        expect(min(step_size_up, down) > 0, where, "steps above 0", (step_size_up, down))
        lows = per_group(where, "base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, low in zip(optimizer.param_groups, lows, strict=True):
                set_rate(group, "lr", low)
        self.max_lrs = per_group(where, "max_lr", optimizer, max_lr)
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma = mode, gamma
        self._scale_fn_custom = scale_fn
        by_cycle = mode != "exp_range"
        self.scale_mode = scale_mode if scale_fn else "cycle" if by_cycle else "iterations"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            _has_momentum(where, optimizer)
            self.use_beta1 = "betas" in optimizer.defaults
            self.base_momentums = per_group(where, "base_momentum", optimizer, base_momentum)
            self.max_momentums = per_group(where, "max_momentum", optimizer, max_momentum)
            _bounds(optimizer, self.base_momentums, self.max_momentums, last_epoch == -1)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def scale_fn(self, x: float) -> float:
        """What the height of the triangle of this cycle, or at this step, is multiplied by."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return float(0.5 ** (x - 1))
        return float(self.gamma**x) if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[float]:
        """The place on the triangle; the momentum is set on the way."""
        turns = self.last_epoch / self.total_size
        cycle = math.floor(1 + turns)
        part = 1.0 + turns - cycle
        rising = part <= self.step_ratio
        height = part / self.step_ratio if rising else (1 - part) / (1 - self.step_ratio)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            rows = zip(
                self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True
            )
            for group, low, high in rows:
                _set_momentum(group, high - (high - low) * height)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height for low, high in pairs]


# The entries of a phase, as torch's states have them.
PHASE = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and far down again within `total_steps` (Smith & Topin, arXiv 1708.07120).

    From `max_lr / div_factor` up in `pct_start` of the steps, then down to that over
    `final_div_factor`; `three_phase` goes down as long as it went up, then on to the end. The
    momentum goes the other way. ArgumentError when it is stepped beyond `total_steps`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        where = OneCycleLR
        if total_steps is None:
            both = epochs is not None and steps_per_epoch is not None
            expect(both, where, "total_steps, or epochs and steps_per_epoch", None, ArgumentError)
            total_steps = (epochs or 0) * (steps_per_epoch or 0)
        expect(total_steps > 0, where, "an integer of steps above 0", total_steps, ArgumentError)
        expect(0 <= pct_start <= 1, where, "pct_start in [0, 1]", pct_start, ArgumentError)
        known = ("cos", "linear")
        expect(anneal_strategy in known, where, f"one of {known}", anneal_strategy, ArgumentError)
        self.total_steps, self._anneal_func_type = total_steps, anneal_strategy
        up = pct_start * total_steps - 1
        # (end, rate from, rate to, momentum from, momentum to)
        low, high = "base_momentum", "max_momentum"
        phases: list[tuple[Any, ...]] = [(up, "initial_lr", "max_lr", high, low)]
        if three_phase:
            phases += [
                (2 * pct_start * total_steps - 2, "max_lr", "initial_lr", low, high),
                (total_steps - 1, "initial_lr", "min_lr", high, high),
            ]
        else:
            phases += [(total_steps - 1, "max_lr", "min_lr", low, high)]
        self._schedule_phases = [dict(zip(PHASE, phase, strict=True)) for phase in phases]
        tops = per_group(where, "max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, tops, strict=True):
                group["initial_lr"], group["max_lr"] = top / div_factor, top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            _has_momentum(where, optimizer)
            self.use_beta1 = "betas" in optimizer.defaults
            lows = per_group(where, "base_momentum", optimizer, base_momentum)
            highs = per_group(where, "max_momentum", optimizer, max_momentum)
            _bounds(optimizer, lows, highs, last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The place in the current phase; the momentum is set on the way."""
        now = self.last_epoch
        expect(now <= self.total_steps, OneCycleLR, f"{self.total_steps} steps", now, ArgumentError)
        start = 0.0
        for phase in self._schedule_phases:
            end, *names = (phase[name] for name in PHASE)
            if now <= end or phase is self._schedule_phases[-1]:
                break
            start = end
        part = (now - start) / (end - start) if end != start else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            values = [group[name] for name in names] if self.cycle_momentum else []
            if values:
                _set_momentum(group, self._between(values[2], values[3], part))
            rates.append(self._between(group[names[0]], group[names[1]], part))
        return rates

    def _between(self, start: float, end: float, part: float) -> float:
        if self._anneal_func_type == "cos":
            return cosine(start, end, part)
        return start + (end - start) * part
