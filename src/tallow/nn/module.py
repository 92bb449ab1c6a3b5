"""Module: a tree of sub-modules; parameters are declared first and filled later."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, cast
from weakref import ReferenceType, ref

from tallow.dtype import DType, f32
from tallow.errors import ModelError, expect
from tallow.nn.init import Init, zeros
from tallow.tensor import Tensor, from_buffer

FLOAT = "f"
FLOAT_OR_BLOCK = "fq"


class Param:
    """What a parameter will be: shape, initial values and the dtypes it may be filled with.

    It holds no memory. Modules that share a parameter share this object; `owners` are the
    attributes to set when the value arrives, weakly held, so that a dropped model and the file it
    borrows are freed at once.
    """

    __slots__ = ("dtype", "init", "kinds", "owners", "shape")

    def __init__(self, shape: tuple[int, ...], init: Init, dtype: DType | None, kinds: str) -> None:
        self.shape = shape
        self.init = init
        self.dtype = dtype
        self.kinds = kinds
        self.owners: list[tuple[ReferenceType[Module], str]] = []

    def fill(self, value: Tensor) -> None:
        """Make `value` the parameter of every owner."""
        for owner, name in self.owners:
            module = owner()
            if module is not None:
                module.__dict__[name] = value

    def fits(self, value: Tensor) -> bool:
        """Whether shape and kind of dtype are the declared ones."""
        return tuple(value.shape) == self.shape and value.dtype.kind in self.kinds


def param(
    *shape: int, init: Init = zeros, dtype: DType | None = None, kinds: str | None = None
) -> Tensor:
    """Declare a parameter without memory; assign it to an attribute of a Module.

    The first read of the attribute draws the initial values, unless weights were loaded before.
    `dtype` is the one that weights are converted to when they are loaded (None: as in the file);
    `kinds` the accepted dtype kinds, by default floats, and for matrices block formats too.
    """
    expect(min(shape, default=0) >= 0, param, "sizes of at least 0", shape)
    allowed = kinds or (FLOAT_OR_BLOCK if len(shape) == 2 else FLOAT)
    return cast(Tensor, Param(shape, init, dtype, allowed))


class Module:
    """Base of layers and models: attributes are the names that a checkpoint uses.

    Sub-modules are plain attributes; parameters are declared with `param`. Calling a module is
    calling its `forward`: there is nothing in between, so a call costs one Python call.
    """

    training: bool = True
    __call__: Any

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        """Prepare the table of declared parameters, so that `__init__` needs no super() call."""
        self = super().__new__(cls)
        self.__dict__["_params"] = {}
        return self

    def __init_subclass__(cls) -> None:
        """Let the class be called through its own `forward`."""
        super().__init_subclass__()
        if "forward" in cls.__dict__:
            type.__setattr__(cls, "__call__", cls.__dict__["forward"])

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Param):
            self.__dict__.pop(name, None)
            self._params[name] = value
            value.owners.append((ref(self), name))
        else:
            self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        # Only reached when the instance has no such attribute: a parameter that nobody filled yet.
        declared = self.__dict__.get("_params", {}).get(name)
        if declared is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        values = declared.init(declared.shape, _random)
        tensor = from_buffer(values, f32, declared.shape)
        declared.fill(tensor if declared.dtype in (None, f32) else tensor.to(declared.dtype))
        return self.__dict__[name]

    def __delattr__(self, name: str) -> None:
        found = self.__dict__.pop(name, self)
        declared = self._params.pop(name, None)
        if declared is not None:
            declared.owners.remove((ref(self), name))
        elif found is self:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def _declared(self) -> dict[str, Param]:
        return cast("dict[str, Param]", self.__dict__["_params"])

    def children(self) -> Iterator[tuple[str, Module]]:
        """Pairs of name and direct sub-module, in the order of assignment."""
        for name, value in self.__dict__.items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Pairs of path and module: this one first, then all below it, each once."""
        seen: set[int] = set()
        stack = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            below = [(_join(path, name), child) for name, child in module.children()]
            stack.extend(reversed(below))

    def declarations(self) -> Iterator[tuple[str, Param]]:
        """Pairs of path and declared parameter; a shared one comes under each of its paths."""
        for path, declared, _, _ in self._walk():
            yield path, declared

    def _walk(self) -> Iterator[tuple[str, Param, Module, str]]:
        for path, module in self.named_modules():
            for name, declared in module._declared.items():
                yield _join(path, name), declared, module, name

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Pairs of path and tensor; a shared parameter comes once, under its first path."""
        seen: set[int] = set()
        for path, declared, module, name in self._walk():
            if id(declared) not in seen:
                seen.add(id(declared))
                yield path, getattr(module, name)

    def parameters(self) -> Iterator[Tensor]:
        """The parameters, shared ones once."""
        for _, tensor in self.named_parameters():
            yield tensor

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters by path; the tensors themselves, not copies."""
        return dict(self.named_parameters())

    def load_state_dict(self, state: Mapping[str, Tensor], *, strict: bool = True) -> None:
        """Fill the parameters from tensors by path.

        All misfits are listed in one ModelError; `strict=False` tolerates missing and unknown
        names. Nothing is filled when anything misfits.
        """
        found: list[tuple[Param, Tensor]] = []
        wrong: list[str] = []
        known = dict(self.declarations())
        given = {id(known[name]) for name in state if name in known}
        for name, declared in known.items():
            value = state.get(name)
            if value is not None and declared.fits(value):
                found.append((declared, value))
            elif value is not None:
                wrong.append(f"{name}: expected {declared.shape}, got {tuple(value.shape)}")
            elif strict and id(declared) not in given:
                wrong.append(f"{name}: expected {declared.shape}, got nothing")
        if strict:
            wrong += [f"{name}: expected no such name" for name in state if name not in known]
        if wrong:
            raise ModelError(f"load_state_dict of {type(self).__name__}: " + "; ".join(wrong))
        for declared, value in found:
            declared.fill(value)

    def train(self, mode: bool = True) -> Self:
        """Set the `training` flag here and below; returns the module."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """`train(False)`."""
        return self.train(False)

    def to(self, dtype: DType) -> Self:
        """Convert the float parameters to `dtype` in place; block-quantised ones stay."""
        done: set[int] = set()
        for _, declared, module, name in self._walk():
            if id(declared) not in done:
                done.add(id(declared))
                tensor = getattr(module, name)
                if tensor.dtype.kind == FLOAT:
                    declared.fill(tensor.to(dtype))
        return self

    def extra_repr(self) -> str:
        """What stands between the parentheses of a leaf in the printed tree."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): " + repr(child) for name, child in self.children()]
        return _tree(type(self).__name__, self.extra_repr(), lines)


class ModuleList(Module):
    """A list of modules, named by their index as in PyTorch."""

    def __init__(self, modules: Sequence[Module] = ()) -> None:
        for i, module in enumerate(modules):
            self.__dict__[str(i)] = module
        self.items: list[Any] = list(modules)

    def append(self, module: Module) -> None:
        """Add a module at the end."""
        self.__dict__[str(len(self.items))] = module
        self.items.append(module)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]

    def __repr__(self) -> str:
        lines: list[str] = []
        texts = [repr(module) for module in self.items]
        first = 0
        for i in range(len(texts) + 1):
            if i == len(texts) or texts[i] != texts[first]:
                if i > first:
                    same = i - first
                    head = f"({first}): " if same == 1 else f"({first}-{i - 1}): {same} x "
                    lines.append(head + texts[first])
                first = i
        return _tree("ModuleList", "", lines)


def tie(module: Module, name: str, other: Module, other_name: str) -> None:
    """Let `module.name` be the same parameter as `other.other_name`."""
    setattr(module, name, other._declared[other_name])
    if other_name in other.__dict__:
        module.__dict__[name] = other.__dict__[other_name]


def seed(value: int) -> None:
    """Make the initial values drawn from now on reproducible."""
    _random.seed(value)


_random = random.Random()


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _tree(name: str, extra: str, lines: list[str]) -> str:
    if not lines:
        return f"{name}({extra})"
    body = "\n".join("  " + line.replace("\n", "\n  ") for line in lines)
    return f"{name}(\n{body}\n)"
