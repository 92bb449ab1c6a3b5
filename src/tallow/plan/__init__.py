"""Plans: the kernel calls of a function, recorded once and replayed without Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow import _native
from tallow.errors import DTypeError, ShapeError, expect
from tallow.tensor import Tensor


class Plan:
    """What `capture` gives: called with inputs like the examples, it refills the same outputs.

    `inputs` are the tensors that replays read; writing to them in place and calling `run()` saves
    the copies of a call. `outputs` is what the function returned when it was captured: the same
    memory is overwritten by each replay.
    """

    def __init__(self, calls: _native.Plan, inputs: tuple[Tensor, ...], outputs: Any) -> None:
        self._calls = calls
        self.inputs = inputs
        self.outputs = outputs
        self.run = calls.run

    def __call__(self, *inputs: Any) -> Any:
        """Copy `inputs` into the plan's own, replay, and return the outputs."""
        expect(
            len(inputs) == len(self.inputs),
            "plan",
            f"{len(self.inputs)} inputs",
            len(inputs),
            ShapeError,
        )
        for own, given in zip(self.inputs, inputs, strict=True):
            if not isinstance(given, Tensor):
                expect(False, "plan", "a Tensor", type(given).__name__, DTypeError)
            expect(given.shape == own.shape, "plan", f"an input of shape {own.shape}", given.shape)
            expect(
                given.dtype is own.dtype,
                "plan",
                f"an input of {own.dtype.name}",
                given.dtype.name,
                DTypeError,
            )
            if given is not own:
                own.copy_(given)
        self.run()
        return self.outputs

    def __len__(self) -> int:
        return len(self._calls)


def capture(fn: Callable[..., Any], *examples: Tensor) -> Plan:
    """Run `fn(*examples)` once and record its kernel calls.

    Shapes, Python numbers and control flow are fixed as they were in this run; what is to change
    must be read from the example tensors. Reading a value into Python (`item`, `tolist`) while
    capturing is an error. Replays are bit-equal to running `fn` again.
    """
    calls = _native.Plan()
    calls.start()
    try:
        outputs = fn(*examples)
    finally:
        calls.stop()
    return Plan(calls, examples, outputs)
