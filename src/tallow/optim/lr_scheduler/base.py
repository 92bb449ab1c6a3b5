"""What learning rate schedules share: the epoch count, the rates of the groups, their state."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from tallow.errors import ArgumentError, DTypeError, expect
from tallow.optim.optimizer import Optimizer
from tallow.tensor import Tensor


def set_rate(group: dict[str, Any], name: str, value: float) -> None:
    """Write an option of a group: into the tensor when it is one, as torch does."""
    if isinstance(group[name], Tensor):
        group[name].fill_(float(value))
    else:
        group[name] = value


def per_group(where: object, name: str, optimizer: Optimizer, value: Any) -> list[float]:
    """`value` for each group: a list of the right length as it is, a number repeated."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    expect(len(value) == groups, where, f"{name} for {groups} groups", len(value), ArgumentError)
    return list(value)


class LRScheduler:
    """Base of the schedules: `step()` after each epoch (or optimiser step) sets the rates.

    A schedule changes the rates when it is made already: they belong to epoch 0. `last_epoch` other
    than -1 resumes after that epoch; the groups must bring their `initial_lr` then.
    """

    # Attributes whose name in a state differs, by that of torch.
    spelled: ClassVar[dict[str, str]] = {}
    # What `state_dict` leaves out.
    transient: ClassVar[tuple[str, ...]] = ("optimizer", "_initial")

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        where = type(self)
        expect(isinstance(optimizer, Optimizer), where, "an Optimizer", optimizer, DTypeError)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{where.__name__}: expected initial_lr in group {i} when last_epoch is not -1"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self.start()

    def start(self) -> None:
        """Set the rates of the first epoch."""
        self._step_count = 0
        self._initial = True
        self.step()
        self._initial = False

    def get_lr(self) -> list[float]:
        """The rate of each group at `last_epoch`, given the rates of the epoch before."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The rates that were set last."""
        return self._last_lr

    def rates(self) -> list[float]:
        """The current rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, or to `epoch`."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                f"{type(self).__name__}.step: expected optimizer.step() before it, got no call:"
                " the first rate of the schedule is skipped",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self.move(epoch)

    def move(self, epoch: int | None = None) -> None:
        """Set the rates of the next epoch, or of `epoch`."""
        if epoch is None:
            self.last_epoch += 1
            self.put(self.get_lr())
        else:
            self.last_epoch = epoch
            self.put(self.closed_form())

    def closed_form(self) -> list[float]:
        """The rates at `last_epoch`, whatever the rates before it."""
        return self.get_lr()

    def put(self, values: Sequence[float]) -> None:
        """Write the rates into the groups."""
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            set_rate(group, "lr", value)
        self._last_lr = [float(rate) for rate in self.rates()]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and functions; numbers, texts and lists only."""
        return {
            self.spelled.get(name, name): value
            for name, value in self.__dict__.items()
            if name not in self.transient and not callable(value)
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` of the same kind of schedule gave.

        The entries must be like the schedule's own; further ones, as torch has, are passed over.
        """
        own = self.state_dict()
        where = f"{type(self).__name__}.load_state_dict"
        expect("last_epoch" in state_dict, where, "last_epoch", sorted(state_dict), ArgumentError)
        for name, value in own.items():
            found = state_dict.get(name, value)
            expect(_alike(value, found), where, f"{name} like {value!r}", found, ArgumentError)
        ours = {theirs: name for name, theirs in self.spelled.items()}
        for name in own:
            if name in state_dict:
                self.__dict__[ours.get(name, name)] = state_dict[name]


def _alike(ours: Any, theirs: Any) -> bool:
    if ours is None or theirs is None or isinstance(ours, (list, dict)):
        listed = isinstance(theirs, (list, tuple)) and isinstance(ours, list)
        return (listed and len(ours) == len(theirs)) or not isinstance(ours, list)
    if isinstance(ours, str):
        return isinstance(theirs, str)
    return isinstance(theirs, (bool, int, float))


class FactorLR(LRScheduler):
    """A schedule given by `factor(epoch)`, what the initial rate is multiplied by.

    Each step multiplies the current rate (what lies above `floor` of it) by the change of the
    factor, so that schedules which act on one optimiser multiply.
    """

    floor: float = 0.0
    # Whether the first rate after a resumption is the next of the sequence, or the one that was.
    goes_on = False

    def factor(self, epoch: int) -> float:
        """The multiple of the initial rate."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        """The current rates times the change of the factor."""
        now, rates = self.last_epoch, self.rates()
        if now == 0:
            return [rate * self.factor(0) for rate in rates]
        if self._initial and not self.goes_on:
            return rates
        before, after = self.factor(now - 1), self.factor(now)
        if before == after:
            return rates
        floor = self.floor
        if before == 0:
            pairs = zip(rates, self.base_lrs, strict=True)
            return [rate + (base - floor) * after for rate, base in pairs]
        return [floor + (rate - floor) * (after / before) for rate in rates]

    def closed_form(self) -> list[float]:
        """The initial rates times the factor."""
        by = self.factor(self.last_epoch)
        return [self.floor + (base - self.floor) * by for base in self.base_lrs]


Multiplier = Callable[[int], float]


def cosine(start: float, end: float, part: float) -> float:
    """From `start` (at 0) to `end` (at 1) along half a cosine."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))
