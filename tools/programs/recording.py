"""What a running program shows of itself: the loss of every `backward()`, and values it names."""

from __future__ import annotations

from typing import Any


class Enough(SystemExit):
    """The number of steps that was asked for is done."""


class Record:
    """Losses in order, and named values."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.losses: list[float] = []
        self.values: dict[str, Any] = {}
        self._inside = False

    def loss(self, tensor: Any) -> None:
        """Note a loss; ends the program where it would begin a step too many."""
        if self.steps and len(self.losses) >= self.steps:
            raise Enough(0)
        values = tensor.detach().double() if hasattr(tensor, "detach") else tensor
        self.losses.append(float(values.sum()))

    def attach(self, torch: Any) -> None:
        """Note the loss of each `Tensor.backward` and `torch.autograd.backward` of a program."""
        method, function = torch.Tensor.backward, torch.autograd.backward

        def backward(tensor: Any, *args: Any, **named: Any) -> Any:
            if self._inside:
                return method(tensor, *args, **named)
            self.loss(tensor)
            self._inside = True
            try:
                return method(tensor, *args, **named)
            finally:
                self._inside = False

        def backward_of(tensors: Any, *args: Any, **named: Any) -> Any:
            if self._inside:
                return function(tensors, *args, **named)
            for tensor in tensors if isinstance(tensors, (list, tuple)) else [tensors]:
                self.loss(tensor)
            self._inside = True
            try:
                return function(tensors, *args, **named)
            finally:
                self._inside = False

        torch.Tensor.backward = backward
        torch.autograd.backward = backward_of


RECORD = Record(0)


def note(name: str, value: Any) -> None:
    """Name a number, or the numbers of a tensor, that both sides must agree on."""
    if hasattr(value, "detach"):
        value = value.detach().double().reshape(-1).tolist()
    RECORD.values[name] = value
