"""Records the ops that a module calls, by their names and arguments, at one choice of sizes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from tallow import overrides
from tallow.autograd.mode import inference_mode
from tallow.dtype import DType
from tallow.errors import ModelError
from tallow.function_modes import FunctionMode
from tallow.lazy_dataclasses import dataclass, field
from tallow.nn.module import Module
from tallow.onnx.exporter.table import bind
from tallow.ops.operators import OPERATORS
from tallow.plan.capturing import Recording
from tallow.registry import OPS, Op
from tallow.tensor import Tensor


class Ref(NamedTuple):
    """In the arguments of a call: the tensor of that number."""

    number: int


@dataclass
class Traced:
    """A tensor of a trace: an input, a weight or a constant by `kind`, or what a call gave."""

    kind: str
    name: str
    tensor: Tensor
    shape: tuple[int, ...]
    dtype: DType


@dataclass
class Call:
    """A call of an op: arguments by the op's parameters, with `Ref` for tensors."""

    op: str
    arguments: dict[str, Any]
    results: list[int]
    scope: str


@dataclass
class Trace:
    """Tensors by number, the calls in order, and the results of the module by name."""

    tensors: list[Traced] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)


# Functions of Tensor that give the same elements: nothing is recorded of them.
_SAME = frozenset(
    ("contiguous", "detach", "to_dense", "cpu", "clone", "positive", "requires_grad_")
)
_CASTS = frozenset(
    [
        "to",
        "float",
        "double",
        "half",
        "bfloat16",
        "long",
        "int",
        "short",
        "char",
        "byte",
        "bool",
        "type",
        "type_as",
        "cast",
    ]
)
_LOCK = threading.Lock()  # classes are changed while one thread traces
_READS = frozenset(("item", "tolist", "__repr__"))


class Tracer(FunctionMode):
    """While it is on, calls of ops are noted; an op that `knows` does not take by its reference."""

    def __init__(self, knows: Callable[[str, dict[str, Any]], bool]) -> None:
        self.trace = Trace()
        self._knows = knows
        self._numbers: dict[tuple[Any, ...], int] = {}  # by what a tensor sees of which memory
        self._computed: dict[int, str] = {}  # storages that calls wrote, and the op
        self._held: list[Tensor] = []  # a storage that is gone may give its number to another
        self._asked: list[Any] = []  # functions that are no ops, which we are in
        self._scope: list[str] = []
        self._swapped = {
            id(Tensor.__dict__[names[1]])
            for names in OPERATORS.values()
            if len(names) > 1 and names[1] in Tensor.__dict__
        }

    # --- tensors ----------------------------------------------------------------------------------

    @staticmethod
    def _key(x: Tensor) -> tuple[Any, ...]:
        a = x._array
        return a.storage_id, a.storage_version, a.data_ptr, a.shape, a.strides, a.dtype

    def add(self, kind: str, name: str, x: Tensor) -> int:
        """Number a tensor; it is what its memory holds from here on."""
        number = len(self.trace.tensors)
        self.trace.tensors.append(Traced(kind, name, x, tuple(x.shape), x.dtype))
        self._numbers[self._key(x)] = number
        return number

    def number(self, x: Tensor) -> int:
        """That of a tensor; one that no call gave is a constant.

        Raises:
            ModelError: its memory was written, or seen, by something that is no op.
        """
        found = self._numbers.get(self._key(x))
        if found is not None:
            return found
        op = self._computed.get(x._array.storage_id)
        if op is not None:
            raise ModelError(
                f"onnx.export: expected {self.path or 'the module'} to use results of ops as they"
                f" are, got one of {op} that was written in place or viewed by other means"
            )
        return self.add("constant", "", x)

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return Ref(self.number(value))
        if isinstance(value, list | tuple):
            return tuple(map(self._replaced, value))
        if isinstance(value, slice):
            return slice(*map(self._replaced, (value.start, value.stop, value.step)))
        return value

    # --- scopes -----------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path of the module that is being called."""
        return self._scope[-1] if self._scope else ""

    @contextmanager
    def scopes(self, module: Module) -> Any:
        """In the block calls of modules are known by their paths."""
        paths = {id(each): name for name, each in module.named_modules()}
        plain: Any = Module.__call__

        mine = threading.get_ident()

        def call(called: Module, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != mine:
                return plain(called, *args, **kwargs)
            self._scope.append(paths.get(id(called), self.path))
            try:
                return plain(called, *args, **kwargs)
            finally:
                self._scope.pop()

        owner: Any = Module
        owner.__call__ = call
        try:
            yield
        finally:
            owner.__call__ = plain

    # --- calls ------------------------------------------------------------------------------------

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Note the call, and give what it gives."""
        named = kwargs or {}
        name: str = func.__name__
        op: Op[..., Any] | None = func if isinstance(func, Op) else getattr(func, "op", None)
        if op is None and name.endswith("_") and name[:-1] in OPS:
            op = OPS[name[:-1]]
        if op is None:
            return self._function(name, func, args, named)
        if id(func) in self._swapped:
            args = (args[1], args[0], *args[2:])
            func = op.caller()
        if name.endswith("_") and name != op.__name__:
            return self._in_place(op, args, named)
        return self._op(op, func, args, named)

    def _op(self, op: Op[..., Any], func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        name = op.__name__
        if name in _SAME:
            return self._same(func, args, named)
        bound = bind(op, args, named)
        if name == "cast":
            return self._cast(func, args, named)
        if self._knows(name, bound):
            before = {key: self._replaced(value) for key, value in bound.items()}
            out = func(*args, **named)
            self._note(name, before, out)
            return out
        if not op.has_reference:
            raise ModelError(
                f"onnx.export: expected ops that ONNX can express, got {name} in "
                f"{self.path or 'the module'}"
            )
        with self._on():
            return op.reference(*args, **named)

    def _function(self, name: str, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if name in _SAME:
            return self._same(func, args, named)
        if name in _CASTS:
            return self._cast(func, args, named)
        if name == "__getitem__":
            x, key = args
            if x._array.basic_index(key) is None:
                with self._on():
                    return func(x, key)
            before = {"x": self._replaced(x), "key": self._replaced(key)}
            out = func(x, key)
            self._note("getitem", before, out)
            return out
        if name in ("fill_", "zero_", "copy_"):
            if not self._knows_of(args):  # a factory at work: what it makes is a constant
                return func(*args, **named)
            out = func(*args, **named)
            value = 0 if name == "zero_" else args[1]
            given = self._replaced(value)
            self._note("fill", {"shape": tuple(out.shape), "value": given, "dtype": out.dtype}, out)
            return out
        if name in _READS or func in self._asked:  # a factory, which asks again
            return func(*args, **named)
        self._asked.append(func)
        try:
            with self._on():
                return func(*args, **named)
        finally:
            self._asked.pop()

    def _knows_of(self, values: Iterable[Any]) -> bool:
        """Whether the memory of one of these is that of a result, an input or a known constant."""
        return any(
            x._array.storage_id in self._computed or self._key(x) in self._numbers
            for x in values
            if isinstance(x, Tensor)
        )

    def _same(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        number = self.number(args[0])
        out = func(*args, **named)
        self._numbers[self._key(out)] = number
        self._computed.setdefault(out._array.storage_id, "a copy")
        self._held.append(out)
        return out

    def _cast(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        x = args[0]
        before = Ref(self.number(x))
        out = func(*args, **named)
        if isinstance(out, Tensor) and out.dtype is not x.dtype:
            self._note("cast", {"x": before, "dtype": out.dtype}, out)
        elif isinstance(out, Tensor):
            self._numbers[self._key(out)] = before.number
            self._held.append(out)
        return out

    def _in_place(self, op: Op[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """`x.name_(…)`: the op, whose result becomes what the tensor holds."""
        x = args[0]
        with self._on():
            made = op.caller()(*args, **named)
            if made.dtype is not x.dtype:
                made = made.to(x.dtype)
        number = self.number(made)
        x._array.copy_(made._array)
        self._numbers[self._key(x)] = number
        self._computed[x._array.storage_id] = op.__name__
        self._held.append(x)
        return x

    def put(self, plain: Callable[..., None], x: Tensor, key: Any, value: Any) -> None:
        """`x[key] = value` with slices and integers, as a new tensor of all elements."""
        if x._array.basic_index(key) is None:
            raise ModelError(
                "onnx.export: expected no x[key] = value with arrays in the key, got one in "
                f"{self.path or 'the module'}"
            )
        given = {"x": self._replaced(x), "key": self._replaced(key), "value": self._replaced(value)}
        plain(x, key, value)
        self._note("setitem", given, x)

    def _note(self, name: str, arguments: dict[str, Any], out: Any) -> None:
        outs = [out] if isinstance(out, Tensor) else list(out)
        if not all(isinstance(each, Tensor) for each in outs):
            raise ModelError(
                f"onnx.export: expected ops that give tensors, got {name} in "
                f"{self.path or 'the module'}"
            )
        numbers = [self.add("computed", "", each) for each in outs]
        for each in outs:
            self._computed.setdefault(each._array.storage_id, name)
        self.trace.calls.append(Call(name, arguments, numbers, self.path))

    @contextmanager
    def _on(self) -> Any:
        """The mode is off while it answers; in this block it sees the calls in what it calls."""
        overrides.modes().append(self)
        try:
            yield
        finally:
            overrides.modes().pop()


def trace(
    module: Module,
    inputs: Mapping[str, Tensor],
    call: Callable[[], Any],
    knows: Callable[[str, dict[str, Any]], bool],
) -> Trace:
    """What `call` calls; it gives the module's results for the inputs.

    Raises:
        CaptureError: what depends on an input is read into Python.
        ModelError: an op is none of ONNX's, or is done past the ops.
    """
    tracer = Tracer(knows)
    weights = dict([*module.named_parameters(), *module.named_buffers()])
    for name, weight in weights.items():
        if tracer._key(weight) not in tracer._numbers:
            tracer.add("weight", name, weight)
    for name, x in inputs.items():
        tracer.trace.inputs[name] = tracer.add("input", name, x)
        tracer._computed[x._array.storage_id] = f"the input {name}"

    def put(x: Tensor, key: Any, value: Any) -> None:
        if overrides.modes() and overrides.modes()[-1] is tracer:
            overrides.modes().pop()
            try:
                tracer.put(plain, x, key, value)
            finally:
                overrides.modes().append(tracer)
        else:
            plain(x, key, value)

    def run() -> Any:
        with tracer.scopes(module), tracer:
            return call()

    with _LOCK:
        plain: Any = Tensor.__setitem__
        Tensor.__setitem__ = put  # type: ignore[method-assign]
        try:
            with inference_mode():
                found = Recording(run, inputs.values(), weights)
        finally:
            Tensor.__setitem__ = plain  # type: ignore[method-assign]
    for name, x in named_results(found.outputs):
        tracer.trace.outputs[name] = tracer.number(x)
    return tracer.trace


def named_results(outputs: Any, path: str = "") -> list[tuple[str, Tensor]]:
    """The tensors among results, by field, key or place; one alone is "output"."""
    if isinstance(outputs, Tensor):
        return [(path or "output", outputs)]
    items: Iterable[tuple[Any, Any]]
    if isinstance(outputs, Mapping) or hasattr(outputs, "items"):
        items = outputs.items()
    elif hasattr(outputs, "_fields"):
        items = zip(outputs._fields, outputs, strict=True)
    elif isinstance(outputs, list | tuple):
        items = enumerate(outputs)
    else:
        return []
    found = []
    for key, value in items:
        name = f"output_{key}" if not path and isinstance(key, int) else str(key)
        found += named_results(value, f"{path}.{name}" if path else name)
    return found
