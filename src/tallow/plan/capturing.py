"""Capture: a function's kernel calls become a plan, which is run again on other inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from tallow import _native
from tallow.errors import DTypeError, ShapeError, expect
from tallow.tensor import Tensor, wrap
from tallow.trees import TreeSpec, flatten


class HasWeights(Protocol):
    """A module: its parameters and buffers are the weights of what runs it."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Pairs of path and parameter."""

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Pairs of path and buffer."""


def weights_of(given: HasWeights | Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """Weights by name: of a module, or of a mapping."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    return dict([*given.named_parameters(), *given.named_buffers()])


def module_behind(fn: Any) -> HasWeights | None:
    """The module that is called: `fn` itself, or what it is a method of."""
    owner = getattr(fn, "__self__", fn)
    return owner if hasattr(owner, "named_parameters") else None


class Recording:
    """A capture that has run: the native plan, and the results as the function gave them.

    Raises CaptureError where the function reads a value that depends on an input or a state, or
    where examples share memory. If it is `undoable`, `undo()` gives what was written in place the
    values from before; an error does so, too. If it is `dry`, nothing that depends on an input is
    computed: the plan is there, and its results are to come from a run of it.
    """

    def __init__(
        self,
        fn: Callable[[], Any],
        inputs: Iterable[Tensor],
        weights: Mapping[str, Tensor],
        states: Iterable[Tensor] = (),
        *,
        beside: _native.Plan | None = None,
        undoable: bool = False,
        dry: bool = False,
        rewrites: Iterable[str] = (),
    ) -> None:
        native = _native.Capture(undoable)
        native.dry = dry
        for name, weight in weights.items():
            native.weight(weight._array, name)
        for state in states:
            native.state(state._array)
        for x in inputs:
            native.input(x._array)
        self.undo = native.restore
        native.start()
        try:
            self.outputs = fn()
            native.stop()
            self.leaves, self.structure = results_of(self.outputs)
            self.tensors = [i for i, leaf in enumerate(self.leaves) if isinstance(leaf, Tensor)]
            plan = native.finish([self.leaves[i]._array for i in self.tensors], beside)
            self.plan = plan
            if rewrites:
                from tallow.plan.rewrites import rewrite

                self.plan = rewrite(plan, rewrites)
        except BaseException:
            native.stop()
            native.restore()
            raise


def results_of(outputs: Any) -> tuple[list[Any], TreeSpec]:
    """What a function gave: its tensors and other leaves, and how they are nested."""
    return flatten(outputs, lambda x: isinstance(x, Tensor), dataclasses=True)


def is_same(a: Tensor, b: Tensor) -> bool:
    """Whether both are one view of one memory, if they have one shape."""
    x, y = a._array, b._array
    return x.storage_id == y.storage_id and (x.offset, x.strides) == (y.offset, y.strides)


class Plan:
    """What `capture` gives: called with inputs like the examples, it refills the same outputs.

    `inputs` are the tensors that replays read; writing to them in place and calling `run()` saves
    the copies of a call. `outputs` is what the function returned when it was captured: the same
    memory is overwritten by each replay.
    """

    def __init__(self, recording: Recording, inputs: tuple[Tensor, ...]) -> None:
        self._native = recording.plan
        self.inputs = inputs
        self.outputs = recording.outputs
        self.run = recording.plan.run

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
            if not is_same(given, own):
                own.copy_(given)
        self.run()
        return self.outputs

    def memory(self) -> dict[str, int]:
        """Bytes by role: `input`, `weight`, `constant`, `state`, `output`, `kept`; the `arena`.

        `kept` is what follows from weights alone and was computed once. The arena holds all
        temporaries, which share it as far as their lifetimes allow.
        """
        return memory_of(self._native)

    def __len__(self) -> int:
        return len(self._native)


def memory_of(plan: _native.Plan) -> dict[str, int]:
    """Bytes of a native plan by role, and of its arena."""
    found = dict.fromkeys(("input", "weight", "constant", "state", "output", "kept"), 0)
    for role, size, *_ in plan.buffers:
        if role != "temporary":
            found[role] += size
    return {**found, "arena": plan.arena_bytes}


def capture(
    fn: Callable[..., Any],
    *examples: Tensor,
    weights: HasWeights | Mapping[str, Tensor] | None = None,
    states: Iterable[Tensor] = (),
    rewrites: bool | Iterable[str] = False,
) -> Plan:
    """Run `fn(*examples)` once and record its kernel calls.

    Shapes, Python numbers and control flow are fixed as they were in this run; what is to change
    must be read from the example tensors, which must not share memory. `weights` (a module, or
    tensors by name; of a module or its method they are known) are read as they are at each replay,
    and so is what the function writes in place, its `states`. All other tensors are constants,
    which the plan keeps as they were. Reading a value that depends on an input or a state into
    Python (`item`, `tolist`, `numpy`, a mask as an index) is a CaptureError; reading constants
    and shapes is not. Replays are bit-equal to running `fn` again; with `rewrites` (True, or names
    of `tallow.plan.rewrites`) they are so within the tolerance that these state.
    """
    names: Iterable[str] = ()
    if rewrites:
        from tallow.plan.rewrites import chosen

        names = chosen(rewrites)
    found = weights_of(weights if weights is not None else module_behind(fn))
    inputs = tuple([wrap(x._array) for x in examples])  # `fn` may give its own another shape
    recording = Recording(lambda: fn(*examples), examples, found, states, rewrites=names)
    return Plan(recording, inputs)
