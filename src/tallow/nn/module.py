"""Module: a tree of sub-modules; parameters are declared first and filled later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Self, cast

from tallow.device import Device, as_device
from tallow.dtype import DType, as_dtype, bf16, f16, f32, f64
from tallow.errors import ArgumentError, DTypeError, expect
from tallow.nn import hooks
from tallow.nn.hooks import Hook, RemovableHandle
from tallow.nn.parameter import DIFFERENTIABLE, Param, Parameter, declaration_of, mark
from tallow.nn.state import IncompatibleKeys, load_state
from tallow.tensor import Tensor


def _no_forward(self: Module, *_args: Any, **_kwargs: Any) -> NoReturn:
    """What a module without `forward` answers."""
    raise NotImplementedError(f"{type(self).__name__} has no forward")


class Module:
    """Base of layers and models: attributes are the names that a checkpoint uses.

    Sub-modules are plain attributes; parameters are declared with `param`, or are `Parameter`s
    assigned to an attribute. Calling a module is calling its `forward`: there is nothing in
    between until a hook is registered, so a call costs one Python call.
    """

    training: bool = True

    def __new__(cls, *_args: Any, **_options: Any) -> Self:
        """Prepare the tables of parameters and buffers: `__init__` needs no super() call."""
        self = super().__new__(cls)
        self.__dict__["_params"] = {}
        self.__dict__["_buffers"] = {}
        return self

    def __init_subclass__(cls) -> None:
        """Let the class be called through its own `forward`."""
        super().__init_subclass__()
        if "forward" in cls.__dict__ and "__call__" not in cls.__dict__:
            type.__setattr__(cls, "__call__", cls.__dict__["forward"])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `forward`."""
        return self.forward(*args, **kwargs)

    # A class has its own signature; the annotation keeps type checkers from comparing them.
    forward: Callable[..., Any] = _no_forward

    # --- attributes -------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, Param):
            self._declare(name, value)
        elif isinstance(value, Parameter):
            self._declare(name, declaration_of(value))
            own[name] = value
        elif name in self._params:
            if value is not None:
                wanted = f"a Parameter or None for {name!r}"
                expect(False, type(self), wanted, type(value).__name__, DTypeError)
            self._params.pop(name).disown(self, name)
            own[name] = None
        else:
            if isinstance(value, Module) and not isinstance(own.get(name, value), Module):
                del own[name]  # the order of sub-modules is that of their registration
            own[name] = value
            if name == "forward":
                hooks.watch(type(self))

    def _declare(self, name: str, declared: Param) -> None:
        old = self._params.get(name)
        if old is not None:
            old.disown(self, name)
        self.__dict__.pop(name, None)
        self._buffers.pop(name, None)
        self._params[name] = declared
        declared.own(self, name)

    def __getattr__(self, name: str) -> Any:
        # Only reached when the instance has no such attribute: a parameter that nobody filled yet.
        declared = self.__dict__.get("_params", {}).get(name)
        if declared is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        declared.draw()
        return self.__dict__[name]

    def __delattr__(self, name: str) -> None:
        found = self.__dict__.pop(name, self)
        self._buffers.pop(name, None)
        declared = self._params.pop(name, None)
        if declared is not None:
            declared.disown(self, name)
        elif found is self:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        for name, declared in self._params.items():
            if (value := self.__dict__.get(name)) is not None:
                declared.requires_grad = value.requires_grad
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name, declared in self._params.items():
            declared.own(self, name)
            if (value := self.__dict__.get(name)) is not None:
                mark(value, declared.requires_grad)
        if "_hooks" in state or "forward" in state:
            hooks.watch(type(self))

    @property
    def _declared(self) -> dict[str, Param]:
        return cast("dict[str, Param]", self.__dict__["_params"])

    # --- registration -----------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Give the module a parameter; None keeps the name for one that is absent."""
        self._new_name(name, "register_parameter", name in self._params)
        good = param is None or isinstance(param, (Parameter, Param))
        expect(good, "register_parameter", "a Parameter or None", type(param).__name__, DTypeError)
        setattr(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Give the module a tensor that is no parameter; a persistent one is in `state_dict`."""
        self._new_name(name, "register_buffer", name in self._buffers)
        good = tensor is None or isinstance(tensor, Tensor)
        expect(good, "register_buffer", "a Tensor or None", type(tensor).__name__, DTypeError)
        self._buffers[name] = persistent
        self.__dict__[name] = tensor

    def add_module(self, name: str, module: Module | None) -> None:
        """Give the module a sub-module."""
        self._new_name(name, "add_module", isinstance(self.__dict__.get(name), Module))
        good = module is None or isinstance(module, Module)
        expect(good, "add_module", "a Module or None", type(module).__name__, DTypeError)
        setattr(self, name, module)

    register_module = add_module

    def _new_name(self, name: str, where: str, again: bool) -> None:
        """Refuse a name that means something else already; `again`: what it names is replaced."""
        good = bool(name) and "." not in name
        expect(good, where, "a name without dots", repr(name), ArgumentError)
        declared = name in self._params or self.__dict__.get(name) is not None
        free = again or not (declared or hasattr(type(self), name))
        expect(free, where, "a name that is not taken", repr(name), ArgumentError)

    # --- walks ------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Pairs of name and direct sub-module, in the order of assignment, each once."""
        seen: set[int] = set()
        for name, value in self.__dict__.items():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """The direct sub-modules."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Pairs of path and module: this one first, then all below it, each once."""
        seen = set() if memo is None else memo
        stack = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if remove_duplicate:
                if module in seen:
                    continue
                seen.add(module)
            yield path, module
            below = [
                (_join(path, name), value)
                for name, value in module.__dict__.items()
                if isinstance(value, Module)
            ]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def declarations(self) -> Iterator[tuple[str, Param]]:
        """Pairs of path and declared parameter; a shared one comes under each of its paths."""
        for path, declared, _, _ in self._walk():
            yield path, declared

    def _walk(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Param, Module, str]]:
        # One Parameter assigned to two modules is declared twice; the first declaration counts.
        first: dict[int, Param] = {}
        modules = self.named_modules(prefix=prefix) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, declared in module._declared.items():
                value = module.__dict__.get(name)
                if value is not None:
                    declared = first.setdefault(id(value), declared)
                yield _join(path, name), declared, module, name

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Pairs of path and tensor; a shared parameter comes once, under its first path."""
        seen: set[int] = set()
        for path, declared, module, name in self._walk(prefix, recurse):
            if remove_duplicate and id(declared) in seen:
                continue
            seen.add(id(declared))
            yield path, getattr(module, name)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, shared ones once."""
        for _, tensor in self.named_parameters(recurse=recurse):
            yield tensor

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Pairs of path and buffer, those that are None left out."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix=prefix) if recurse else [(prefix, self)]:
            for name in module._buffers:
                value = module.__dict__[name]
                if value is None or (remove_duplicate and id(value) in seen):
                    continue
                seen.add(id(value))
                yield _join(path, name), value

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, shared ones once."""
        for _, tensor in self.named_buffers(recurse=recurse):
            yield tensor

    def get_submodule(self, target: str) -> Module:
        """The module at a path ("" is this one); AttributeError when there is none."""
        module = self
        for name in target.split(".") if target else ():
            found = getattr(module, name, None)
            if not isinstance(found, Module):
                raise AttributeError(f"{type(module).__name__} has no sub-module {name!r}")
            module = found
        return module

    def set_submodule(self, target: str, module: Module) -> None:
        """Put a module at a path; AttributeError when the one above it does not exist."""
        path, _, name = target.rpartition(".")
        above = self.get_submodule(path)
        if hasattr(above, "__setitem__"):  # a list keeps its order, too
            above[int(name) if name.isdigit() else name] = module
        else:
            above.add_module(name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path; AttributeError when there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in module._params:
            raise AttributeError(f"{type(module).__name__} has no parameter {name!r}")
        return cast(Parameter, getattr(module, name))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path; AttributeError when there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in module._buffers:
            raise AttributeError(f"{type(module).__name__} has no buffer {name!r}")
        return cast(Tensor, module.__dict__[name])

    # --- state ------------------------------------------------------------------------------------

    def state_dict(
        self,
        *,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by path, in torch's order; they share the storage.

        A shared parameter comes under each of its paths. `prefix` ends in a dot, as in torch;
        `keep_vars` gives the parameters themselves.
        """
        out: dict[str, Any] = {} if destination is None else destination
        for path, module in self.named_modules(remove_duplicate=False):
            start = prefix + (f"{path}." if path else "")
            for name in module._params:
                value = getattr(module, name)
                out[start + name] = value if keep_vars else value.detach()
            for name, persistent in module._buffers.items():
                value = module.__dict__[name]
                if persistent and value is not None:
                    out[start + name] = value if keep_vars else value.detach()
        return out

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy tensors into the parameters and buffers by path; the names that did not match.

        A tensor that the module has already keeps its dtype and identity; a parameter that was
        not drawn yet takes the state's dtype unless its layer declared one; block-quantised ones
        are taken over as they are. `assign` borrows the state's tensors instead of copying.

        Raises:
            ModelError: all misfits in one; `strict=False` tolerates missing and unknown names.
                Nothing is filled then.
        """
        return load_state(self, state_dict, strict, assign)

    def train(self, mode: bool = True) -> Self:
        """Set the `training` flag here and below; returns the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let the float parameters ask for gradients, or freeze them; returns the module."""
        for _, declared, module, name in self._walk():
            declared.requires_grad = requires_grad
            value = module.__dict__.get(name)
            if value is not None and value.dtype.kind in DIFFERENTIABLE:
                value.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for _, _, module, name in self._walk():
            value = module.__dict__.get(name)
            if value is not None and value.grad is not None:
                if set_to_none:
                    value.grad = None
                else:
                    value.grad = value.grad.detach().zero_()

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` with every module below this one, then with this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # --- conversion -------------------------------------------------------------------------------

    def to(
        self,
        *targets: DType | Device | str | Tensor | None,
        dtype: DType | str | None = None,
        device: Device | str | None = None,
        non_blocking: bool = False,
    ) -> Self:
        """Convert the float parameters and buffers in place; block-quantised ones stay.

        Takes a dtype, a device, or a tensor that has both. Parameters keep their identity.
        """
        wanted = None if dtype is None else as_dtype(dtype)
        for target in targets:
            if isinstance(target, Tensor):
                wanted = target.dtype
            elif isinstance(target, Device) or (isinstance(target, str) and target == "cpu"):
                as_device(target)
            elif target is not None:
                wanted = as_dtype(target)
        if device is not None:
            as_device(device)
        if wanted is not None:
            expect(
                wanted.kind in DIFFERENTIABLE, "Module.to", "a float dtype", wanted.name, DTypeError
            )
            self._convert(wanted)
        return self

    def _convert(self, dtype: DType) -> None:
        for _, declared, module, name in self._walk():
            value = module.__dict__.get(name)
            if value is None:
                declared.dtype = dtype
            elif value.dtype.kind in DIFFERENTIABLE and value.dtype is not dtype:
                value._array = value.detach().to(dtype)._array
                if value.grad is not None:
                    value.grad = value.grad.detach().to(dtype)
        for module in self.modules():
            for name in module._buffers:
                value = module.__dict__[name]
                if value is not None and value.dtype.kind in DIFFERENTIABLE:
                    module.__dict__[name] = value.to(dtype)

    def float(self) -> Self:
        """`to(f32)`."""
        return self.to(f32)

    def double(self) -> Self:
        """`to(f64)`."""
        return self.to(f64)

    def half(self) -> Self:
        """`to(f16)`."""
        return self.to(f16)

    def bfloat16(self) -> Self:
        """`to(bf16)`."""
        return self.to(bf16)

    def cpu(self) -> Self:
        """`to("cpu")`."""
        return self.to("cpu")

    # --- hooks ------------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments."""
        return hooks.register(self, "forward_pre", hook, prepend=prepend, with_kwargs=with_kwargs)

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; its result replaces the output."""
        return hooks.register(
            self, "forward", hook, prepend=prepend, with_kwargs=with_kwargs, always_call=always_call
        )

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` in backward; its result is grad_input."""
        return hooks.register(self, "backward", hook, prepend=prepend)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's backward; may replace it."""
        return hooks.register(self, "backward_pre", hook, prepend=prepend)

    # --- printing ---------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of a leaf in the printed tree."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"({name}): " + repr(child)
            for name, child in self.__dict__.items()
            if isinstance(child, Module)
        ]
        return tree(type(self).__name__, self.extra_repr(), lines)


def tie(module: Module, name: str, other: Module, other_name: str) -> None:
    """Let `module.name` be the same parameter as `other.other_name`."""
    setattr(module, name, other._declared[other_name])
    if other_name in other.__dict__:
        module.__dict__[name] = other.__dict__[other_name]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def tree(name: str, extra: str, lines: list[str]) -> str:
    """`name(extra)` of a leaf; else the lines of the children, indented, below it."""
    if not lines and "\n" not in extra:
        return f"{name}({extra})"
    if extra:
        lines = [*extra.split("\n"), *lines]
    body = "\n".join("  " + line.replace("\n", "\n  ") for line in lines)
    return f"{name}(\n{body}\n)"
