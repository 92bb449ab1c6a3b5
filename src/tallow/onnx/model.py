"""An ONNX model as a module: its weights are parameters, its calls run by plans."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Self

from tallow import _native
from tallow.autograd.mode import MODE
from tallow.dtype import DType, as_dtype, f32
from tallow.errors import ArgumentError, DTypeError, ShapeError, TallowError, expect
from tallow.formats.onnx import OnnxFile, ValueInfo
from tallow.nn.attributes import TABLES
from tallow.nn.module import Module
from tallow.nn.parameter import Buffer, DeferredParameter, Parameter
from tallow.onnx.graph import Graph
from tallow.onnx.passes import optimized
from tallow.onnx.program import Program
from tallow.onnx.runner import Runner
from tallow.onnx.segment import RunStats
from tallow.onnx.signature import Binding, bind, two_lengths
from tallow.onnx.unread import is_unread, release
from tallow.onnx.weights import Weights, WeightTable, quantizable, with_weights, without_weights
from tallow.tensor import Tensor

_array = attrgetter("_array")


class Model(Module):
    """A graph with its weights.

    `inputs` and `outputs` are what the file says of them: each has `name`, `shape` (a length, the
    name of one, or None) and `dtype`. `optional_inputs` have a value in the file that a call may
    replace. Weights are parameters (floats) and buffers under their names in the file, those of
    sub-graphs too; when one is replaced or written, what follows from it is computed anew. The
    types of the graph stay what they are: a weight of another dtype (after `model.to(f16)`) is
    converted when it is used.

    Threads may call one model at the same time: their calls run one after the other.
    """

    def __init__(
        self, file: OnnxFile, graph: Graph, *, plans: bool = True,
        rewrites: bool | str | Iterable[str] = True,
    ) -> None:  # fmt: skip
        self.path = file.path
        self.opsets, self.metadata, self.info = file.opsets, file.metadata, file.info
        self.inputs: list[ValueInfo] = graph.inputs
        self._outputs: list[ValueInfo] = graph.outputs
        self._inferred = False
        self.optional_inputs: list[ValueInfo] = [*graph.optional]
        self._graph, weights = without_weights(graph)
        self._options: tuple[bool, Any] = (plans, rewrites)
        self._exact = False  # of activations, where weights are quantised
        self.training = False
        self.stats = RunStats()
        self._begin({}, {})
        for name, value in weights.items():
            if isinstance(value, DeferredParameter):
                self._parameters[name] = value
            elif value.dtype.is_floating_point:
                self._parameters[name] = Parameter(value, requires_grad=False)
            else:
                self._buffers[name] = Buffer(value)

    def _begin(self, parameters: Mapping[str, Any], buffers: Mapping[str, Any]) -> None:
        """What a new model has, and one that was copied or unpickled."""
        own = self.__dict__
        own["_parameters"] = WeightTable(self, parameters)
        own["_buffers"] = WeightTable(self, buffers)
        own["_engines"], own["_lock"] = {}, threading.RLock()

    @property
    def outputs(self) -> list[ValueInfo]:
        """Names and types of the outputs; shapes that the file does not have are inferred."""
        unknown = [o for o in self._outputs if o.type is None or (o.dtype and o.shape is None)]
        if unknown and not self._inferred:
            self._inferred = True
            found = self.infer_shapes()
            self._outputs = [found.get(o.name, o) if o in unknown else o for o in self._outputs]
        return self._outputs

    @property
    def weights(self) -> Weights:
        """Parameters and buffers by name; `model.weights[name] = tensor` replaces one."""
        return Weights(self)

    def run(
        self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """The outputs by name (all, or those named) for inputs by name; tensors out.

        Takes tensors, numpy arrays, and numbers or nested lists of them, which get the input's
        dtype.

        Raises:
            ArgumentError, DTypeError, ShapeError: a name is unknown or missing; a dtype, a rank or
                a length is none that the file allows. The text has all of them.
        """
        found = dict(zip([o.name for o in self._outputs], self._call("run", inputs), strict=True))
        if outputs is None:
            return found
        lost = [name for name in outputs if name not in found]
        expect(not lost, "run", f"outputs of {[*found]}", lost, ArgumentError)
        return {name: found[name] for name in outputs}

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The outputs for inputs in their order or by name: one value, or a tuple of several."""
        names = [each.name for each in (*self.inputs, *self.optional_inputs)]
        expect(len(inputs) <= len(names), "forward", f"the inputs {names}", len(inputs),
               ArgumentError)  # fmt: skip
        given = dict(zip(names, inputs, strict=False))
        twice = [*given.keys() & named.keys()]
        expect(not twice, "forward", "each input once", f"two values for {twice}", ArgumentError)
        found = self._call("forward", given | named)
        return found[0] if len(found) == 1 else tuple(found)

    def infer_shapes(
        self, lengths: Mapping[str, int] | None = None, values: Mapping[str, Any] | None = None
    ) -> dict[str, ValueInfo]:
        """Dtypes and shapes of all tensors of the graph by name, without computing them.

        `lengths` are those of names in the shapes of `inputs` (`x.shape[2]` where the file has
        none); what follows from other names is an expression such as `(width + 3)//4`, or None
        where it depends on elements. `values` are inputs whose elements decide shapes.

        Raises:
            ArgumentError: a name is unknown.
            ShapeError: the lengths do not fit together.
        """
        from tallow.onnx.shapes import inferred

        given = dict(values or {})
        infos = [each for each in self.inputs if each.name in given]
        known = (
            dict(zip([e.name for e in infos], bind("infer_shapes", infos, given), strict=True))
            if given
            else {}
        )
        graph = with_weights(self._graph, self.weights)
        return inferred(graph, lengths or {}, known)

    def quantize(
        self, dtype: DType | str = "q8_0", names: Iterable[str] | None = None, *,
        activations: str = "int8",
    ) -> list[str]:  # fmt: skip
        """Quantise the matrices of MatMul and Gemm to blocks, in place; gives their names.

        All of them, or those in `names`. A MatMul's (k, n) stands as (n, k), in rows of blocks.
        What other operators use too, or what blocks do not divide, stays as it is. `activations`
        are "int8" (rounded to blocks as well, faster) or "float".

        Raises:
            ArgumentError: one of `names` is no such matrix.
            DTypeError: `dtype` has no blocks.
        """
        kind = as_dtype(dtype)
        expect(kind.is_quantized, "quantize", "a dtype of blocks", kind.name, DTypeError)
        known = ("int8", "float")
        expect(activations in known, "quantize", f"activations of {known}", activations,
               ArgumentError)  # fmt: skip
        found = {
            weight.name: transposed
            for weight, transposed in quantizable(self._graph)
            if weight.dtype.name in ("f32", "f16", "bf16")
            and weight.shape[0 if transposed else 1] % kind.block == 0
            and not self.weights[weight.name].dtype.is_quantized
        }
        lost = [name for name in names or () if name not in found]
        expect(not lost, "quantize", f"matrices of MatMul or Gemm, of {[*found]}", lost,
               ArgumentError)  # fmt: skip
        chosen = [*found] if names is None else [*names]
        for name in chosen:
            value = self.weights[name].detach().to(f32)
            value = value.transpose(0, 1).contiguous() if found[name] else value
            self.weights[name] = value.to(kind)
        self._exact = activations == "float"
        self._engines.clear()
        return chosen

    def _call(self, where: str, given: Mapping[str, Any], *, strict: bool = True) -> list[Any]:
        optional = self.optional_inputs
        more = tuple([each.name for each in optional if each.name in given]) if optional else ()
        engine: _Engine | None = self._engines.get(more)
        if engine is None:
            with self._lock:
                engine = self._engines.get(more) or _Engine(self._with_inputs(more), self)
                self._engines[more] = engine
        values = engine.binding(where, given, strict)
        try:
            return engine.run(self._parameters, self._buffers, values)
        except TallowError as error:
            told = two_lengths(engine.inputs, values)
            if told is None:
                raise
            raise ShapeError(f"{where}: {told}; {error}") from error

    def _with_inputs(self, names: tuple[str, ...]) -> Graph:
        """The graph with values of the file as inputs."""
        g = self._graph
        inputs = [*g.inputs, *(each for each in self.optional_inputs if each.name in names)]
        constants = {name: value for name, value in g.constants.items() if name not in names}
        return Graph(g.name, g.nodes, inputs, g.outputs, constants)

    # --- as a module ------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, Tensor) and name in own.get("_buffers", ()):
            own["_buffers"][name] = value
        elif name in own and not isinstance(value, Tensor) and name not in TABLES:
            own[name] = value  # the model's, whatever its weights are called
        else:
            super().__setattr__(name, value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._engines.clear()  # weights that are unread are converted without a trace
        return super()._apply(fn, recurse)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of that name, which may have dots."""
        if target in self._parameters:
            return self._parameters[target]  # type: ignore[return-value]
        return super().get_parameter(target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of that name, which may have dots."""
        if target in self._buffers:
            return self._buffers[target]  # type: ignore[return-value]
        return super().get_buffer(target)

    def extra_repr(self) -> str:
        """Names of inputs and outputs, and counts."""
        names = [", ".join(e.name for e in part) for part in (self.inputs, self._outputs)]
        return (
            f"{names[0]} → {names[1]}; {len(self._graph.nodes)} nodes, {len(self.weights)} weights"
        )

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: v for name, v in state.items() if name not in ("_engines", "_lock", "stats")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = self.__dict__
        own.update(state)
        own["stats"] = RunStats()
        self._begin(state["_parameters"], state["_buffers"])


class _Engine:
    """The program of a graph for its weights as they are."""

    def __init__(self, graph: Graph, model: Model) -> None:
        """`graph` has a `Weight` in the place of each weight."""
        self._graph, self._lock, self._stats = graph, model._lock, model.stats
        self._plans, self._rewrites = model._options
        self._exact = model._exact
        self._any_unread = any(map(is_unread, model.parameters()))
        self.inputs = graph.inputs
        self.binding = Binding(graph.inputs)
        self._arrays: list[_native.Array] = []
        self._state = b""
        self._runner: Runner | None = None

    def run(
        self, parameters: dict[str, Any], buffers: dict[str, Any], inputs: list[Any]
    ) -> list[Any]:
        """The outputs of the program for these weights."""
        if self._runner is not None:
            same, recorded = _native.compare_state(self._state, parameters, buffers, inputs)
            if same and not (recorded and MODE.enabled):
                with self._lock:  # plans share the memory of their temporaries
                    return self._runner.run(inputs, [])
        return self._run_anew(parameters, buffers, inputs)

    def _run_anew(
        self, parameters: dict[str, Any], buffers: dict[str, Any], inputs: list[Any]
    ) -> list[Any]:
        tensors = [*parameters.values(), *buffers.values()]
        if self._any_unread:
            tensors = [x for x in tensors if type(x) is not DeferredParameter or x.requires_grad]
        state, recorded = _native.tensors_state(tensors)
        if MODE.enabled and (
            recorded or any(isinstance(x, Tensor) and x.requires_grad for x in inputs)
        ):
            graph = self._with({**parameters, **buffers})
            return Program(graph).interpret(inputs, [])
        with self._lock:
            if self._runner is None or state != self._state:
                self._prepare({**parameters, **buffers}, tensors, state)
            assert self._runner is not None
            return self._runner.run(inputs, [])

    def _with(self, weights: Mapping[str, Any]) -> Graph:
        return with_weights(self._graph, weights, exact=self._exact)

    def _prepare(self, weights: Mapping[str, Any], tensors: list[Tensor], state: bytes) -> None:
        graph = self._with(weights)
        release(weights.values())
        graph = optimized(graph)
        named = {n: v for n, v in graph.constants.items() if isinstance(v, Tensor)}
        self._runner = Runner(
            Program(graph), plans=self._plans, rewrites=self._rewrites, weights=named,
            stats=self._stats,
        )  # fmt: skip
        self._state = state
        self._arrays = [*map(_array, tensors)]  # kept, so that none can have another's place
        _native.pool_trim()  # of weights that were read to make other constants of them
