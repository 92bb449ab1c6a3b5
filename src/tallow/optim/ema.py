"""Averages of a model's weights over training: EMA of parameters, AveragedModel as torch's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tallow.autograd.mode import no_grad
from tallow.dtype import f32, i64
from tallow.errors import ArgumentError, expect
from tallow.factories import tensor
from tallow.nn import Module
from tallow.tensor import Tensor

Average = Callable[[Tensor, Tensor, Any], Tensor]


class EMA:
    """An exponential moving average of parameters: each `update()` adds `(1 - decay) * (p - a)`.

    The averages are f32 (f64 for f64). `with ema.applied():` puts them into the parameters and
    takes them out again. `warmup=True` begins with a shorter memory: decay is at most
    `(1 + updates) / (10 + updates)`.
    """

    def __init__(
        self, parameters: Iterable[Tensor], decay: float = 0.999, *, warmup: bool = False
    ) -> None:
        expect(0 <= decay <= 1, EMA, "a decay in [0, 1]", decay, ArgumentError)
        self.parameters = list(parameters)
        self.decay, self.warmup, self.updates = decay, warmup, 0
        self.averages = [p.detach().to(_wide(p)).clone() for p in self.parameters]

    def update(self) -> None:
        """Move the averages towards the parameters."""
        decay = self.decay
        if self.warmup:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        with no_grad():
            for p, average in zip(self.parameters, self.averages, strict=True):
                gap = p.detach().to(average.dtype) - average
                average._array.copy_((average + gap * (1 - decay))._array)

    def copy_to(self, parameters: Iterable[Tensor] | None = None) -> None:
        """Write the averages into the parameters (or into others of the same shapes)."""
        targets = self.parameters if parameters is None else list(parameters)
        with no_grad():
            for p, average in zip(targets, self.averages, strict=True):
                p._array.copy_(average._array)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The parameters hold the averages inside the block."""
        kept = [p.detach().clone() for p in self.parameters]
        self.copy_to()
        try:
            yield
        finally:
            for p, value in zip(self.parameters, kept, strict=True):
                p._array.copy_(value._array)

    def state_dict(self) -> dict[str, Any]:
        """The averages by index, and how often they were updated."""
        return {"updates": self.updates, "averages": dict(enumerate(self.averages))}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state of parameters of the same shapes."""
        averages = state_dict.get("averages", {})
        shapes = [p.shape for p in self.parameters]
        got = [getattr(averages.get(i), "shape", None) for i in range(len(shapes))]
        expect(got == shapes and len(averages) == len(shapes), EMA, f"shapes {shapes}", got)
        updates = state_dict.get("updates")
        expect(isinstance(updates, int), EMA, "a number of updates", updates, ArgumentError)
        for i, own in enumerate(self.averages):
            own._array.copy_(averages[i]._array)
        self.updates = int(updates or 0)


def _wide(p: Tensor) -> Any:
    return f32 if p.dtype.itemsize < 4 else p.dtype


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """`decay * average + (1 - decay) * parameter`, for `AveragedModel`."""
    expect(0 <= decay <= 1, get_ema_avg_fn, "a decay in [0, 1]", decay, ArgumentError)
    return lambda average, value, _: average * decay + value * (1 - decay)


def get_swa_avg_fn() -> Average:
    """The plain mean of all that was seen, for `AveragedModel` (Izmailov et al. 1803.05407)."""
    return lambda average, value, seen: average + (value - average) * (1 / (float(seen) + 1))


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[list[Tensor], list[Tensor], Any], None]:
    """`get_ema_avg_fn` for all parameters at once, as `multi_avg_fn`."""
    return _each(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable[[list[Tensor], list[Tensor], Any], None]:
    """`get_swa_avg_fn` for all parameters at once, as `multi_avg_fn`."""
    return _each(get_swa_avg_fn())


def _each(average: Average) -> Callable[[list[Tensor], list[Tensor], Any], None]:
    def update(averages: list[Tensor], values: list[Tensor], seen: Any) -> None:
        for own, value in zip(averages, values, strict=True):
            new = average(own.detach(), value, seen) if value.dtype.kind == "f" else value
            own._array.copy_(new._array)

    return update


class AveragedModel(Module):
    """A copy of a model whose parameters are an average of the model's, updated on demand.

    `avg_fn(average, value, n_averaged)` gives the new average; the plain mean by default. Buffers
    are copied, or averaged too with `use_buffers=True`. As torch.optim.swa_utils.AveragedModel.
    """

    def __init__(
        self,
        model: Module,
        device: object = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Callable[[list[Tensor], list[Tensor], Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        expect(
            avg_fn is None or multi_avg_fn is None, AveragedModel, "one of avg_fn, multi_avg_fn",
            "both", ArgumentError,
        )  # fmt: skip
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", tensor(0, dtype=i64))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters of `model` into the average; the first time they are copied."""
        ours: list[Tensor] = list(self.module.parameters())
        theirs: list[Tensor] = list(model.parameters())
        mine, others = list(self.module.buffers()), list(model.buffers())
        if self.use_buffers:
            ours, theirs, mine, others = ours + mine, theirs + others, [], []
        seen = int(self.n_averaged.item())
        with no_grad():
            if seen > 0 and self.multi_avg_fn is not None:
                self.multi_avg_fn(ours, [p.detach() for p in theirs], seen)
            else:
                average = self.avg_fn or get_swa_avg_fn()
                for own, other in zip(ours, theirs, strict=True):
                    new = other.detach()
                    if seen > 0 and new.dtype.kind == "f":
                        new = average(own.detach(), new, seen)
                    own._array.copy_(new._array)
            for own, other in zip(mine, others, strict=True):
                own._array.copy_(other._array)
        self.n_averaged.fill_(seen + 1)
