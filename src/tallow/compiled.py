"""`tallow.compile`: a function or module that keeps a plan for each signature of its arguments."""

from __future__ import annotations

import functools
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter, is_
from typing import Any, overload

from tallow import _native
from tallow.autograd.mode import MODE
from tallow.device import Device
from tallow.dtype import Default, DType
from tallow.errors import ArgumentError, CaptureError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.nn.module import Module
from tallow.nn.parameter import Buffer, Parameter
from tallow.plan.capturing import Recording, memory_of
from tallow.plan.rewrites import chosen
from tallow.tensor import Tensor, wrap
from tallow.trees import TreeSpec, flatten

# Arguments beside tensors that belong to the signature.
_CONSTANTS = (int, float, complex, str, bytes, bool, type(None), DType, Device, slice, type(...))
_PLAIN = (Tensor, Parameter, Buffer)
_LEAVES = frozenset((*_CONSTANTS, *_PLAIN))  # what is looked into by nobody
_META = 1  # the code of the device
_array = attrgetter("_array")


@dataclass
class CompileStats:
    """What the calls of a compiled function came to."""

    hits: int = 0  # a plan was there
    misses: int = 0  # a plan was made
    recompiled: int = 0  # of the misses: a module or tensor had changed
    evicted: int = 0  # plans dropped for others
    eager: int = 0  # no plan could be used


class _Watch:
    """What a function reaches beside its arguments, to see whether it is still the same."""

    def __init__(self, reached: list[Any]) -> None:
        found = [each for each in reached if isinstance(each, Module)]
        modules = [m for each in found for m in each.modules()]
        self.modules = list({id(m): m for m in modules}.values())
        self._tables = [vars(module) for module in self.modules]
        self._values = [list(table.values()) for table in self._tables]
        members = [[*module._parameters.values(), *module._buffers.values()]
                   for module in self.modules]  # fmt: skip
        self.tensors: list[Any] = [t for each in members for t in each if isinstance(t, Tensor)]
        self.tensors += [each for each in reached if isinstance(each, Tensor)]
        self._arrays = [*map(_array, self.tensors)]
        self._versions = [array.storage_version for array in self._arrays]

    def differs(self, values_read: bool) -> str:
        """What has changed, or nothing; `values_read`: the elements of tensors count."""
        for module, table, values in zip(self.modules, self._tables, self._values, strict=True):
            if len(table) != len(values) or not all(map(is_, table.values(), values)):
                return f"an attribute of {type(module).__name__}"
        if not all(map(is_, map(_array, self.tensors), self._arrays)):
            return "a tensor"
        if values_read and self._versions != [a.storage_version for a in self._arrays]:
            return "a value that was read"
        return ""


class _Reach:
    """The objects that a function names: bound self, partial arguments, closure, globals."""

    def __init__(self, function: Any) -> None:
        self._fixed: list[Any] = []
        self._cells: list[Any] = []
        self._globals: list[tuple[dict[str, Any], str]] = []
        while isinstance(function, functools.partial):
            self._fixed += [*function.args, *function.keywords.values()]
            function = function.func
        if isinstance(function, Module):
            self._fixed.append(function)
        elif isinstance(function, types.MethodType):
            self._fixed.append(function.__self__)
            function = function.__func__
        if isinstance(function, types.FunctionType):
            self._cells = list(function.__closure__ or ())
            self._fixed += [
                *(function.__defaults__ or ()),
                *(function.__kwdefaults__ or {}).values(),
            ]
            code = function.__code__
            self._globals = [(function.__globals__, name) for name in code.co_names]

    def objects(self) -> list[Any]:
        """As they are now."""
        cells = [_content(cell) for cell in self._cells]
        return self._fixed + cells + [names.get(name) for names, name in self._globals]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return None


class _Entry:
    """A plan, and what its results are made of."""

    def __init__(self, recording: Recording, reached: list[Any], watch: _Watch) -> None:
        self.plan = recording.plan
        self.reached = reached
        self.watch = watch
        self._leaves = [None if isinstance(x, Tensor) else x for x in recording.leaves]
        self._tensors = recording.tensors
        self._structure: TreeSpec | None = recording.structure
        if self._structure.is_leaf():
            self._structure = None

    def stale(self, reached: list[Any]) -> bool:
        """Whether what it was made from has changed."""
        return (
            len(reached) != len(self.reached)
            or not all(map(is_, reached, self.reached))
            or bool(self.watch.differs(self.plan.read_weights))
            or self.plan.stale
        )

    def __call__(self, arrays: list[_native.Array]) -> Any:
        found = self.plan.call(arrays)
        if self._structure is None:
            return wrap(found[0]) if found else self._leaves[0]
        leaves = self._leaves.copy()
        for place, array in zip(self._tensors, found, strict=True):
            leaves[place] = wrap(array)
        return self._structure.unflatten(leaves)


class Compiled:
    """A function or module with a plan for each signature of its arguments; see `compile`.

    `stats` counts what the calls came to. What is asked of a compiled module beside calling it,
    the module answers.
    """

    def __init__(
        self, function: Callable[..., Any], cache_size: int, rewrites: bool | Iterable[str]
    ) -> None:
        expect(callable(function), "compile", "a function or module", type(function).__name__)
        expect(cache_size > 0, "compile", "a cache_size of at least 1", cache_size, ArgumentError)
        self._function = function
        self._cache_size = cache_size
        self._rewrites = chosen(rewrites)
        self._reach = _Reach(function)
        self._plans: OrderedDict[Any, _Entry | None] = OrderedDict()
        self._told: set[str] = set()
        self.stats = CompileStats()
        functools.update_wrapper(self, function, updated=())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_function" not in vars(self):
            raise AttributeError(name)
        return getattr(self._function, name)

    def __repr__(self) -> str:
        return f"compile({self._function!r})"

    def clear(self) -> None:
        """Drop all plans and the memory of their temporaries."""
        self._plans.clear()

    def memory(self) -> dict[str, int]:
        """Bytes that the plans hold: `constant`, `kept` and the `arena` that they share.

        `kept` is what follows from weights alone, such as kernels with a batch norm folded in.
        """
        found = [memory_of(entry.plan) for entry in self._plans.values() if entry is not None]
        arena = max((each["arena"] for each in found), default=0)
        sums = {role: sum(each[role] for each in found) for role in ("constant", "kept")}
        return {**sums, "arena": arena}

    # --- calls ------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """By a plan, or as the function does it."""
        if _native.capturing():  # part of another plan
            return self._function(*args, **kwargs)
        leaves, structure = _leaves_of(args, kwargs)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        reached = self._reach.objects()
        reason = self._obstacle(leaves, tensors, reached)
        if reason:
            return self._eager(reason, args, kwargs)
        key = _signature(leaves, structure)
        entry = self._plans.get(key)
        if entry is None and key in self._plans:
            self.stats.eager += 1
            return self._function(*args, **kwargs)
        if entry is not None and not entry.stale(reached):
            self._plans.move_to_end(key)
            self.stats.hits += 1
            return entry([*map(_array, tensors)])
        self.stats.recompiled += entry is not None
        return self._compile(key, tensors, args, kwargs)

    def _obstacle(self, leaves: list[Any], tensors: list[Tensor], reached: list[Any]) -> str:
        """Why no plan can stand for this call, or nothing."""
        for leaf in leaves:
            kind = type(leaf)
            if kind not in _LEAVES:
                return f"an argument is {kind.__module__}.{kind.__qualname__}"
        if any(x._array.device == _META for x in tensors):
            return "a tensor is on meta"
        if len(tensors) > 1 and _overlap(tensors):
            return "arguments share memory"
        if MODE.enabled and any(x.requires_grad for x in [*tensors, *_tensors_in(reached)]):
            return "gradients are recorded (use no_grad or inference_mode)"
        return ""

    def _eager(self, reason: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.stats.eager += 1
        if reason not in self._told:
            self._told.add(reason)
            name = getattr(self._function, "__qualname__", type(self._function).__qualname__)
            warnings.warn(f"compile: {name} runs without a plan: {reason}", stacklevel=3)
        return self._function(*args, **kwargs)

    def _compile(
        self, key: Any, tensors: list[Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        reached = self._reach.objects()
        watch = _Watch(reached)
        reason = _obstacle_in(watch)
        if reason:
            return self._eager(reason, args, kwargs)
        try:
            recording, watch = self._record(tensors, watch, args, kwargs)
        except CaptureError as error:
            self._keep(key, None)
            return self._eager(str(error), args, kwargs)
        self.stats.misses += 1
        self._keep(key, _Entry(recording, reached, watch))
        return recording.outputs

    def _record(
        self, tensors: list[Tensor], watch: _Watch, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Recording, _Watch]:
        """A capture during which nothing changed that it depends on.

        A module may keep what it computes at its first call; it is captured once more then.
        """
        weights = {
            f"{i}.{name}" if i else name: value
            for i, module in enumerate(_roots(watch.modules))
            for name, value in [*module.named_parameters(), *module.named_buffers()]
        }
        beside = next((e.plan for e in self._plans.values() if e is not None), None)
        for again in (False, True):
            recording = Recording(
                lambda: self._function(*args, **kwargs), tensors, weights,
                beside=beside, undoable=True, rewrites=self._rewrites,
            )  # fmt: skip
            changed = watch.differs(False)
            if not changed:
                return recording, watch
            recording.undo()
            if again:
                raise CaptureError(f"its calls change {changed}")
            watch = _Watch(self._reach.objects())
        raise AssertionError

    def _keep(self, key: Any, entry: _Entry | None) -> None:
        self._plans[key] = entry
        self._plans.move_to_end(key)
        if len(self._plans) > self._cache_size:
            self._plans.popitem(last=False)
            self.stats.evicted += 1


def _leaves_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], Any]:
    """Tensors and other values of a call, and how they are nested."""
    leaves = [*args, *kwargs.values()]
    for leaf in leaves:
        if type(leaf) not in _LEAVES:
            break
    else:
        return leaves, (len(args), *kwargs)
    leaves, structure = flatten((args, kwargs), _is_tensor)
    return leaves, _shape_of(structure)


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def _overlap(tensors: list[Tensor]) -> bool:
    """Whether two arguments share memory and are not the same view of it."""
    views: dict[int, Any] = {}
    for x in tensors:
        a = x._array
        view = (a.offset, a.dtype, a.shape, a.strides)
        if views.setdefault(a.storage_id, view) != view:
            return True
    return False


def _signature(leaves: list[Any], structure: Any) -> Any:
    """What calls must have in common for one plan: all but the elements of tensors."""
    parts: list[Any] = [structure, Default.float.code, MODE.autocast, MODE.inference]
    places: dict[int, int] = {}
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            a = leaf._array
            first = places.setdefault(a.storage_id, len(places))
            parts.append((a.dtype, a.shape, a.strides, a.device, first))
        elif type(leaf) is float and leaf != leaf:
            parts.append("nan")
        else:
            parts.append((type(leaf), str(leaf) if type(leaf) in (slice, float) else leaf))
    return tuple(parts)


def _shape_of(tree: TreeSpec) -> Any:
    if not tree.children_specs:
        return tree.type
    context = tree.context
    names = tuple(context) if isinstance(context, list) else str(context)
    return (tree.type, names, *map(_shape_of, tree.children_specs))


def _tensors_in(reached: list[Any]) -> Iterator[Tensor]:
    for each in reached:
        if isinstance(each, Module):
            yield from each.parameters()
        elif isinstance(each, Tensor):
            yield each


def _roots(modules: list[Module]) -> list[Module]:
    """Those that are not part of another."""
    below = {id(child) for module in modules for child in module.children()}
    return [module for module in modules if id(module) not in below]


def _obstacle_in(watch: _Watch) -> str:
    """What a module has that a plan cannot stand for, or nothing."""
    for module in watch.modules:
        if module._hooks is not None:
            return f"{type(module).__name__} has hooks"
    return ""


@overload
def compile(
    model: Callable[..., Any], *, cache_size: int = ..., rewrites: bool | Iterable[str] = ...
) -> Compiled: ...
@overload
def compile(
    model: None = ..., *, cache_size: int = ..., rewrites: bool | Iterable[str] = ...
) -> Callable[[Any], Compiled]: ...
def compile(
    model: Callable[..., Any] | None = None,
    *,
    cache_size: int = 8,
    rewrites: bool | Iterable[str] = True,
) -> Any:
    """A module or function that runs by plans, for inference; also a decorator.

    The first call with arguments of a new signature (how they are nested, shapes, strides and
    dtypes of tensors, all other values) runs `model` and captures a plan; further calls replay it
    on their tensors, without Python, and give results on new memory. The `cache_size` plans that
    were used last are kept, and share the memory of their temporaries.

    `rewrites` are the passes over a plan, which leave out and join calls: names of
    `tallow.plan.rewrites`, True for all, "exact" for those with which results are bit for bit what
    `model` gives, False for none. Batch norms that are folded into convolutions change a result by
    up to 1e-4 of its largest element.

    Weights are read as they are at each call; what follows from them alone is computed again when
    one has been written. Where a module has got other tensors, attributes, hooks or sub-modules
    since (`load_state_dict(assign=True)`, `train()`, an adapter), or another tensor or module
    stands in the function's closure or globals, a new plan is made. Changes that cannot be seen: of
    lists and other objects that `model` reads, and of globals of functions that it calls.

    What no plan can hold runs `model` itself, with one warning for each reason: recorded
    gradients, hooks, arguments of other classes, values read into Python.
    """
    if model is None:
        return functools.partial(compile, cache_size=cache_size, rewrites=rewrites)
    return Compiled(model, cache_size, rewrites)
