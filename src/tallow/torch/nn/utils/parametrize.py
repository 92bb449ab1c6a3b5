"""torch.nn.utils.parametrize: tensors of a module as functions of parameters kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from tallow import nn
from tallow.autograd.mode import no_grad
from tallow.errors import ArgumentError, expect
from tallow.nn.parameter import Parameter
from tallow.tensor import Tensor


class _Cache:
    """Values computed once inside `cached()`, by module and name."""

    depth = 0
    values: dict[tuple[int, str], Tensor] = {}  # noqa: RUF012  (one for all)


@contextmanager
def cached() -> Iterator[None]:
    """A block in which each parametrised tensor is computed once."""
    _Cache.depth += 1
    try:
        yield
    finally:
        _Cache.depth -= 1
        if not _Cache.depth:
            _Cache.values.clear()


class ParametrizationList(nn.ModuleList):
    """The functions of one tensor, and what they start from: `original`, `original0`."""

    def __init__(
        self, modules: Sequence[nn.Module], original: Tensor, unsafe: bool = False
    ) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        start: Any = original
        try:
            with no_grad():
                for module in reversed(list(self)):
                    if hasattr(module, "right_inverse"):
                        start = module.right_inverse(start)
        except NotImplementedError:  # it cannot begin with this value; it begins from it
            start = original
        self.is_tensor = isinstance(start, Tensor)
        if self.is_tensor:
            self._keep("original", start, original)
            return
        self.ntensors = len(start)
        for i, part in enumerate(start):
            self._keep(f"original{i}", part, original)

    def _keep(self, name: str, value: Tensor, original: Tensor) -> None:
        if isinstance(original, Parameter):
            made = value if value is original else Parameter(value.detach(), original.requires_grad)
            self.register_parameter(name, made)
        else:
            self.register_buffer(name, value)

    def _starts(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set what the functions start from so that they give `value`."""
        start: Any = value
        with no_grad():
            for module in reversed(list(self)):
                expect(hasattr(module, "right_inverse"), "parametrize",
                       "a right_inverse of each parametrization that is assigned to",
                       type(module).__name__, ArgumentError)  # fmt: skip
                start = module.right_inverse(start)
            given = [start] if isinstance(start, Tensor) else list(start)
            for own, new in zip(self._starts(), given, strict=True):
                own.data = new.detach().to(own.dtype)

    def forward(self) -> Tensor:
        """The tensor."""
        modules = list(self)
        value: Tensor = modules[0](*self._starts())
        for module in modules[1:]:
            value = module(value)
        return value


def _value(module: nn.Module, name: str) -> Tensor:
    functions: Any = module.parametrizations[name]
    value: Tensor
    if not _Cache.depth:
        value = functions()
        return value
    key = (id(module), name)
    if key not in _Cache.values:
        _Cache.values[key] = functions()
    value = _Cache.values[key]
    return value


def _parametrized_class(cls: type[nn.Module], names: tuple[str, ...]) -> type[nn.Module]:
    """`cls` with properties in the place of these tensors."""

    def assign(self: Any, name: str, value: Any) -> None:
        table = self.__dict__.get("_parametrized", ())
        if name in table:
            self.parametrizations[name].right_inverse(value)
        else:
            cls.__setattr__(self, name, value)

    def copied(self: Any, memo: dict[int, Any]) -> Any:
        import copy

        made = object.__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made

    def refuse(self: Any) -> Any:
        text = "a module without parametrizations (save its state_dict)"
        raise ArgumentError(f"pickle: expected {text}, got {type(self).__name__}")

    body: dict[str, Any] = {name: property(partial(_value, name=name)) for name in names}
    body |= {"__setattr__": assign, "__deepcopy__": copied, "__getstate__": refuse}
    body |= {"__module__": cls.__module__, "_plain_class": cls}
    return type(f"Parametrized{cls.__name__}", (cls,), body)


def register_parametrization(
    module: nn.Module, tensor_name: str, parametrization: nn.Module, *, unsafe: bool = False
) -> nn.Module:
    """Let `module.<tensor_name>` be `parametrization` of a parameter that is kept elsewhere."""
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        functions: Any = module.parametrizations[tensor_name]
        if not unsafe:
            with no_grad():
                before = _value(module, tensor_name)
                after = parametrization(before)
            expect(after.shape == before.shape, register_parametrization,
                   f"a result of shape {tuple(before.shape)}", tuple(after.shape))  # fmt: skip
        functions.append(parametrization)
        return module
    original = getattr(module, tensor_name, None)
    wanted = f"a parameter or buffer {tensor_name!r}"
    expect(isinstance(original, Tensor), register_parametrization, wanted,
           type(original).__name__, ArgumentError)  # fmt: skip
    assert isinstance(original, Tensor)
    functions = ParametrizationList([parametrization], original, unsafe)
    if not unsafe:
        with no_grad():
            made = functions()
        good = made.shape == original.shape and made.dtype is original.dtype
        expect(good, register_parametrization, f"a result of shape {tuple(original.shape)} and "
               f"{original.dtype}", f"{tuple(made.shape)} and {made.dtype}")  # fmt: skip
    names: tuple[str, ...] = module.__dict__.get("_parametrized", ())
    delattr(module, tensor_name)
    if not names:
        module.add_module("parametrizations", nn.ModuleDict())
    module.parametrizations[tensor_name] = functions
    _renew(module, (*names, tensor_name))
    return module


def _renew(module: nn.Module, names: tuple[str, ...]) -> None:
    plain = type_before_parametrizations(module)
    object.__setattr__(module, "__class__", _parametrized_class(plain, names) if names else plain)
    module.__dict__["_parametrized"] = names


def is_parametrized(module: nn.Module, tensor_name: str | None = None) -> bool:
    """Whether a module, or one tensor of it, is parametrised."""
    names: tuple[str, ...] = module.__dict__.get("_parametrized", ())
    return bool(names) if tensor_name is None else tensor_name in names


def remove_parametrizations(
    module: nn.Module, tensor_name: str, leave_parametrized: bool = True
) -> nn.Module:
    """Make the tensor a plain one again: of its value, or of what the functions began with."""
    wanted = "a parametrised tensor"
    expect(is_parametrized(module, tensor_name), remove_parametrizations, wanted, tensor_name,
           ArgumentError)  # fmt: skip
    functions: Any = module.parametrizations[tensor_name]
    starts = functions._starts()
    held = isinstance(starts[0], Parameter)
    if leave_parametrized:
        with no_grad():
            value = _value(module, tensor_name).detach()
    else:
        expect(functions.is_tensor, remove_parametrizations, "leave_parametrized=True",
               leave_parametrized, ArgumentError)  # fmt: skip
        value = functions.original
    del module.parametrizations[tensor_name]
    names = tuple(n for n in module.__dict__["_parametrized"] if n != tensor_name)
    _renew(module, names)
    if not names:
        del module.parametrizations
    if held:
        if functions.is_tensor:  # the same parameter, so that an optimiser keeps it
            original = functions.original
            original.data = value.detach()
            module.register_parameter(tensor_name, original)
        else:
            module.register_parameter(tensor_name, Parameter(value))
    else:
        module.register_buffer(tensor_name, value)
    return module


def type_before_parametrizations(module: nn.Module) -> type[nn.Module]:
    """The module's class before anything was parametrised."""
    found: type[nn.Module] = getattr(type(module), "_plain_class", type(module))
    return found


def transfer_parametrizations_and_params(
    from_module: nn.Module, to_module: nn.Module, tensor_name: str | None = None
) -> nn.Module:
    """Parametrise `to_module` as `from_module` is, with its parameters."""
    names = from_module.__dict__.get("_parametrized", ())
    for name in names if tensor_name is None else (tensor_name,):
        functions: Any = from_module.parametrizations[name]
        for function in functions:
            register_parametrization(to_module, name, function, unsafe=True)
        target: Any = to_module.parametrizations[name]
        for own, new in zip(target._starts(), functions._starts(), strict=True):
            own.data = new.detach().clone()
    return to_module
