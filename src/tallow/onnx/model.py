"""An ONNX model as a module: its weights are parameters, its calls run by plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, is_
from typing import Any

from tallow import _native
from tallow.autograd.mode import MODE
from tallow.errors import ArgumentError, expect
from tallow.formats.onnx import OnnxFile, ValueInfo
from tallow.nn.module import Module
from tallow.nn.parameter import Buffer, Parameter
from tallow.onnx.graph import Graph
from tallow.onnx.passes import optimized
from tallow.onnx.program import Program
from tallow.onnx.runner import Runner, RunStats
from tallow.tensor import Tensor

_array = attrgetter("_array")


class Model(Module):
    """A graph with its weights.

    `inputs` and `outputs` are what the file says of them (`ValueInfo`: name and type). Weights are
    parameters (floats) and buffers under their names in the file; when one is replaced or written,
    what follows from it is computed anew.
    """

    def __init__(
        self, file: OnnxFile, graph: Graph, *, plans: bool = True,
        rewrites: bool | str | Iterable[str] = True,
    ) -> None:  # fmt: skip
        self.path = file.path
        self.opsets, self.metadata = file.opsets, file.metadata
        self.inputs: list[ValueInfo] = graph.inputs
        self.outputs: list[ValueInfo] = graph.outputs
        for name, value in graph.constants.items():
            if isinstance(value, Tensor):
                if value.dtype.is_floating_point:
                    self._parameters[name] = Parameter(value, requires_grad=False)
                else:
                    self._buffers[name] = Buffer(value)
        self._engine = _Engine(graph, plans, rewrites)
        self.training = False

    @property
    def stats(self) -> RunStats:
        """How many plans were captured and replayed, and how many calls ran without one."""
        return self._engine.stats

    def run(
        self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """The outputs by name (all, or those named) for inputs by name; tensors in, tensors out.

        Raises:
            ArgumentError: a name is unknown or missing.
        """
        names = [each.name for each in self.inputs]
        unknown, missing = inputs.keys() - {*names}, [n for n in names if n not in inputs]
        expect(not unknown and not missing, "run", f"the inputs {names}", [*inputs], ArgumentError)
        found = dict(
            zip([o.name for o in self.outputs], self._call([inputs[n] for n in names]), strict=True)
        )
        if outputs is None:
            return found
        lost = [name for name in outputs if name not in found]
        expect(not lost, "run", f"outputs of {[*found]}", lost, ArgumentError)
        return {name: found[name] for name in outputs}

    def forward(self, *inputs: Any) -> Any:
        """The outputs for inputs in their order: one value, or a tuple of several."""
        found = self._call([*inputs])
        return found[0] if len(found) == 1 else tuple(found)

    def _call(self, inputs: list[Any]) -> list[Any]:
        return self._engine.run(self._parameters, self._buffers, inputs)


class _Engine:
    """The program of a graph for its weights as they are."""

    def __init__(self, graph: Graph, plans: bool, rewrites: Any) -> None:
        self._graph, self._plans, self._rewrites = graph, plans, rewrites
        self.stats = RunStats()
        self._weights: list[Tensor] = []
        self._arrays: list[_native.Array] = []
        self._versions = b""
        self._runner: Runner | None = None

    def run(
        self, parameters: Mapping[str, Any], buffers: Mapping[str, Any], inputs: list[Any]
    ) -> list[Any]:
        """The outputs of the program for these weights."""
        tensors = [*parameters.values(), *buffers.values()]
        if MODE.enabled and any(x.requires_grad for x in parameters.values()):
            return Program(self._with({**parameters, **buffers})).interpret(inputs, [])
        if self._runner is None or self._changed(tensors):
            self._prepare({**parameters, **buffers}, tensors)
        assert self._runner is not None
        return self._runner.run(inputs, [])

    def _changed(self, tensors: list[Tensor]) -> bool:
        return (
            len(tensors) != len(self._weights)
            or not all(map(is_, tensors, self._weights))
            or _native.storage_versions(self._arrays) != self._versions
            or not all(map(is_, map(_array, tensors), self._arrays))
        )

    def _with(self, weights: Mapping[str, Any]) -> Graph:
        g = self._graph
        return Graph(g.name, g.nodes, g.inputs, g.outputs, g.constants | dict(weights))

    def _prepare(self, weights: Mapping[str, Any], tensors: list[Tensor]) -> None:
        graph = optimized(self._with(weights))
        named = {n: v for n, v in graph.constants.items() if isinstance(v, Tensor)}
        self._runner = Runner(
            Program(graph), plans=self._plans, rewrites=self._rewrites, weights=named,
            stats=self.stats,
        )  # fmt: skip
        self._weights = tensors
        self._arrays = [*map(_array, tensors)]
        self._versions = _native.storage_versions(self._arrays)
