"""Module: a tree of sub-modules with parameters and buffers, called through `forward`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Self, cast

from tallow.device import SEEN, elsewhere
from tallow.errors import ArgumentError, expect
from tallow.nn import hooks
from tallow.nn.conversion import Conversion
from tallow.nn.hooks import Hooks, HooksMixin
from tallow.nn.parameter import (
    DIFFERENTIABLE,
    Param,
    Parameter,
)
from tallow.nn.state import (
    EXTRA,
    IncompatibleKeys,
    Loading,
    load_own,
    load_state,
    own_state,
    targets,
)
from tallow.tensor import Tensor


def _no_forward(self: Module, *_args: Any, **_kwargs: Any) -> NoReturn:
    """What a module without `forward` answers."""
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


class Module(Conversion, HooksMixin):
    """Base of layers and models: attributes are the names that a checkpoint uses.

    Sub-modules are plain attributes; parameters are `Parameter`s assigned to an attribute, or made
    with `param`. Calling a module is calling its `forward`, between the hooks if there are any.
    """

    training: bool = True
    dump_patches: bool = False
    call_super_init: bool = False
    computes_in_f32: bool = False  # whether weights of other float dtypes are converted for it
    _version: int = 1  # of the layout of its part of a state dict
    _optional: frozenset[str] = frozenset()  # buffers of its own that a file may lack
    _repr_names: tuple[str, ...] = ()  # attributes that `extra_repr` shows
    _hooks: Hooks | None = None  # of Module itself: those of all modules

    def __init__(self) -> None:
        """Nothing is left to do; so sub-classes may leave the call out."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `forward`."""
        if self._hooks is not None:
            return hooks.call(self, args, kwargs)
        return self.forward(*args, **kwargs) if kwargs else self.forward(*args)

    # A class has its own signature; the annotation keeps type checkers from comparing them.
    forward: Callable[..., Any] = _no_forward

    # --- walks ------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Pairs of name and direct sub-module, in the order of assignment, each once."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct sub-modules."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Pairs of path and module: this one first, then all below it, each once."""
        seen = set() if memo is None else memo
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if remove_duplicate:
                if module in seen:
                    continue
                seen.add(module)
            yield path, module
            below = [(_join(path, name), m) for name, m in module._modules.items() if m is not None]
            stack.extend(reversed(below))

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it; each once, or as often as it stands there."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def _named_members(
        self,
        get_members_fn: Callable[[Module], Any],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        """Pairs of path and member, of all modules, those that are None left out."""
        seen: set[int] = set()
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        else:
            modules = iter([(prefix, self)])
        for path, module in modules:
            for name, value in get_members_fn(module):
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield _join(path, name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Pairs of path and parameter; a shared one comes once, under its first path."""
        return self._named_members(_parameters_of, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, shared ones once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Pairs of path and buffer; a shared one comes once, under its first path."""
        return self._named_members(_buffers_of, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, shared ones once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def declarations(self) -> Iterator[tuple[str, Param]]:
        """Pairs of path and what may be loaded there; a shared parameter has one under each."""
        for path, param in targets(self):
            if isinstance(param.parameter, Parameter):
                yield path, param

    def get_submodule(self, target: str) -> Module:
        """The module at a path ("" is this one); AttributeError when there is none."""
        module = self
        for name in target.split(".") if target else ():
            found = getattr(module, name, None)
            if not isinstance(found, Module):
                raise AttributeError(f"{type(module).__name__} has no sub-module {name!r}")
            module = found
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module at a path; AttributeError when the one above it does not exist.

        With `strict`, one must stand there already.
        """
        expect(bool(target), "set_submodule", "a path", repr(target), ArgumentError)
        expect(isinstance(module, Module), "set_submodule", "a Module", module, ArgumentError)
        path, _, name = target.rpartition(".")
        above = self.get_submodule(path)
        if strict:
            above.get_submodule(name)
        setattr(above, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path; AttributeError when there is none."""
        return cast(Parameter, self._member(target, "_parameters", "parameter"))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path; AttributeError when there is none."""
        return cast(Tensor, self._member(target, "_buffers", "buffer"))

    def _member(self, target: str, kind: str, word: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in module.__dict__[kind]:
            raise AttributeError(f"{type(module).__name__} has no {word} {name!r}")
        return getattr(module, name)

    # --- state ------------------------------------------------------------------------------------

    def state_dict(
        self,
        *args: Any,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by path, in torch's order; they share the storage.

        A shared parameter comes under each of its paths. `prefix` ends in a dot, as in torch;
        `keep_vars` gives the parameters themselves.
        """
        if args:  # as torch still takes them
            given: Any = (*args, *(destination, prefix, keep_vars)[len(args) :])
            destination, prefix, keep_vars = given
        out: Any = destination
        if out is None:
            out = OrderedDict()
            out._metadata = OrderedDict()
        local = {"version": self._version}
        if hasattr(out, "_metadata"):
            out._metadata[prefix[:-1]] = local
        tables = self._hooks.tables if self._hooks is not None else {}
        for before in tables.get("state_dict_pre", {}).values():
            before(self, prefix, keep_vars)
        self._save_to_state_dict(out, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=out, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for key, after in tables.get("state_dict", {}).items():
            found = after(self, out, prefix, local)
            if found is not None:
                private = self._hooks is not None and self._hooks.asks(key, "private")
                where = "state_dict post-hook"
                expect(private, where, "None", type(found).__name__, ArgumentError)
                out = found
        return cast("dict[str, Any]", out)

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Enter what this module alone has."""
        for name, value in own_state(self).items():
            destination[prefix + name] = value if keep_vars else value.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + EXTRA] = self.get_extra_state()

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy tensors into the parameters and buffers by path; the names that did not match.

        What the module has keeps its dtype and identity; block-quantised tensors are taken over as
        they are, and a parameter that `nn.deferred` left without values takes the state's dtype
        unless its layer declared one. `assign` puts the state's tensors in their place instead.

        Raises:
            ModelError: all mismatches in one, when what fitted has been loaded, as in torch;
                `strict=False` tolerates missing and unknown names.
        """
        return load_state(self, state_dict, strict, assign)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load what concerns this module alone; the lists take what does not fit."""
        told = Loading(missing_keys, unexpected_keys, error_msgs)
        if self._hooks is not None:
            for key, hook in list(self._hooks.tables["load_state_dict_pre"].items()):
                given = (self,) if self._hooks.asks(key, "with_module") else ()
                hook(*given, state_dict, prefix, local_metadata, strict, *told)
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        load_own(self, state_dict, prefix, assign, strict, told)

    def get_extra_state(self) -> Any:
        """What a state dict holds of this module beside tensors; a sub-class may define it."""
        raise NotImplementedError(f"{type(self).__name__} has no extra state")

    def set_extra_state(self, state: Any) -> None:
        """Take over what `get_extra_state` gave; a sub-class that has the one has the other."""
        raise NotImplementedError(f"{type(self).__name__} has no extra state")

    def train(self, mode: bool = True) -> Self:
        """Set the `training` flag here and below; returns the module."""
        expect(isinstance(mode, bool), "train", "mode True or False", mode, ArgumentError)
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let the float parameters ask for gradients, or freeze them; returns the module."""
        for value in self.parameters():
            value.requires_grad_(requires_grad and value.dtype.kind in DIFFERENTIABLE)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for value in self.parameters():
            if value.grad is not None:
                value.grad = None if set_to_none else value.grad.detach().zero_()

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` with every module below this one, then with this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # --- printing ---------------------------------------------------------------------------------

    def compile(self, *_args: Any, **_options: Any) -> None:
        """Nothing: layers run as they are (`tallow.compile` makes plans of functions)."""

    def extra_repr(self) -> str:
        """What stands between the parentheses of a leaf in the printed tree."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in self._repr_names)

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = [f"({name}): {module!r}" for name, module in self._modules.items()]
        return tree(self._get_name(), self.extra_repr(), lines)


_call = Module.__call__


def _call_on_device(self: Module, *args: Any, **kwargs: Any) -> Any:
    """Call `forward`; what it makes on its way is made on the device of its tensors."""
    place = elsewhere(None, (*args, *kwargs.values()))
    if place is None:
        return _call(self, *args, **kwargs)
    with place:
        return _call(self, *args, **kwargs)


# Before that, calls need not look.
SEEN.on_several(lambda: setattr(Module, "__call__", _call_on_device))


def _parameters_of(module: Module) -> Any:
    return module._parameters.items()


def _buffers_of(module: Module) -> Any:
    return module._buffers.items()


def tie(module: Module, name: str, other: Module, other_name: str) -> None:
    """Let `module.name` be the same parameter as `other.other_name`."""
    setattr(module, name, getattr(other, other_name))


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
