"""State dicts of modules: each module saves and loads its own part, and all mismatches are told."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tallow.autograd.mode import no_grad
from tallow.errors import DTypeError, ModelError, expect
from tallow.nn.parameter import (
    DIFFERENTIABLE,
    DeferredParameter,
    Param,
    Parameter,
    as_parameter,
    fill,
)
from tallow.nn.uninitialized import UninitializedTensorMixin
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.nn.module import Module

EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """The names that a state dict lacked, and those that nothing in the module asked for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        names = f"missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys}"
        return f"_IncompatibleKeys({names})"


class Loading(NamedTuple):
    """What went wrong so far; modules append to the lists."""

    missing: list[str]
    unexpected: list[str]
    errors: list[str]


def load_state(
    module: Module, state: Mapping[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """See `Module.load_state_dict`."""
    where = f"load_state_dict of {type(module).__name__}"
    expect(isinstance(state, Mapping), where, "a mapping", type(state).__name__, DTypeError)
    metadata = getattr(state, "_metadata", None) or {}
    own = OrderedDict(state)
    own._metadata = metadata  # type: ignore[attr-defined]  # as PyTorch keeps it
    told = Loading([], [], [])
    _load(module, own, "", metadata, assign, told)
    wrong = list(told.errors)
    if strict:
        shapes = _shapes(module) if told.missing else {}
        wrong += [
            f"{key}: expected {shapes.get(key, 'a value')}, got nothing" for key in told.missing
        ]
        wrong += [f"{key}: expected no such name" for key in told.unexpected]
    if wrong:
        raise ModelError(f"{where}: " + "; ".join(wrong))
    return IncompatibleKeys(told.missing, told.unexpected)


def _load(
    module: Module, state: dict[str, Any], prefix: str, metadata: Any, assign: bool, told: Loading
) -> None:
    local = dict(metadata.get(prefix[:-1], {}))
    if assign:
        local["assign_to_params_buffers"] = True
    module._load_from_state_dict(
        state, prefix, local, True, told.missing, told.unexpected, told.errors
    )
    parts: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        name, dot, _ = key[len(prefix) :].partition(".")
        if dot:
            parts.setdefault(name, {})[key] = value
    for name, child in module._modules.items():
        if child is not None:
            _load(child, parts.get(name, {}), f"{prefix}{name}.", metadata, assign, told)
    for hook in module._hooks.tables["load_state_dict_post"].values() if module._hooks else ():
        found = hook(module, IncompatibleKeys(told.missing, told.unexpected))
        where = "load_state_dict hook"
        expect(found is None, where, "keys changed in place, and no result", found, DTypeError)


def load_own(
    module: Module, state: dict[str, Any], prefix: str, assign: bool, strict: bool, told: Loading
) -> None:
    """Fill the parameters and buffers of one module, and tell what did not fit."""
    own = own_state(module)
    for name, current in own.items():
        key = prefix + name
        if key in state:
            told.errors.extend(_take(module, name, current, key, state[key], assign))
        elif strict:
            told.missing.append(key)
    takes_extra = type(module).set_extra_state is not _plain(module).set_extra_state
    extra = prefix + EXTRA
    if takes_extra and extra in state:
        module.set_extra_state(state[extra])
    elif takes_extra and strict:
        told.missing.append(extra)
    if strict:
        names = {*own, EXTRA} if takes_extra else {*own}
        told.unexpected.extend(key for key in state if not _expected(module, key, prefix, names))


def _plain(module: Module) -> type[Module]:
    from tallow.nn.module import Module

    return Module


def own_state(module: Module) -> dict[str, Tensor]:
    """The parameters and persistent buffers of this module alone that are not None."""
    passing = module._non_persistent_buffers_set
    both = [
        *module._parameters.items(),
        *((name, value) for name, value in module._buffers.items() if name not in passing),
    ]
    return {name: value for name, value in both if value is not None}


def targets(module: Module) -> Iterator[tuple[str, Param]]:
    """What a file may fill: parameters and persistent buffers by path, of each module its own.

    A shared tensor comes under each of its paths with the same `Param`.
    """
    made: dict[int, Param] = {}
    for path, part in module.named_modules():
        for name, value in own_state(part).items():
            declared = part._declared.get(name)
            if isinstance(value, DeferredParameter):
                declared = value._declared
            param = Param(value, declared, name in part._optional)
            yield f"{path}.{name}" if path else name, made.setdefault(id(value), param)


def shape_mismatch(wanted: Param, shape: tuple[int, ...]) -> str | None:
    """What is wrong with a tensor of this shape, in words, or None."""
    if tuple(shape) == tuple(wanted.shape):
        return None
    return f"expected {tuple(wanted.shape)}, got {tuple(shape)}"


def _expected(module: Module, key: str, prefix: str, names: set[str]) -> bool:
    own = key[len(prefix) :]
    name, dot, _ = own.partition(".")
    # The names of some files have dots.
    return not key.startswith(prefix) or own in names or (bool(dot) and name in module._modules)


def _shapes(module: Module) -> dict[str, tuple[int, ...]]:
    """The shapes of all parameters and persistent buffers, by path."""
    return {
        name: tuple(param.shape)
        for name, param in targets(module)
        if not isinstance(param.parameter, UninitializedTensorMixin)
    }


def _take(
    module: Module, name: str, current: Tensor, key: str, value: Any, assign: bool
) -> list[str]:
    """Put a tensor in the place of `current`; what is wrong with it."""
    if not isinstance(value, Tensor):
        return [f"{key}: expected a Tensor, got {type(value).__name__}"]
    if not isinstance(current, UninitializedTensorMixin):
        if current.ndim == 0 and value.ndim == 1 and value.shape[0]:
            value = value[0]  # as torch 0.3 wrote scalars
        mismatch = shape_mismatch(Param(current), value.shape)
        if mismatch is not None:
            return [f"{key}: {mismatch}"]
    if value.dtype.kind == "q" and not isinstance(current, Parameter):
        return [f"{key}: expected a plain dtype, got {value.dtype.name}"]
    if not assign and value.is_meta is not _on_meta(current):
        wanted = "values" if value.is_meta else "assign=True for what is on meta, without memory"
        return [f"{key}: expected {wanted}, got a tensor on {value.device}"]
    with no_grad():
        if assign and isinstance(current, Parameter):
            setattr(module, name, _as_given(value, current))
        elif assign:
            setattr(module, name, value)
        else:
            _copy(current, value)
    return []


def _on_meta(current: Tensor) -> bool:
    return not isinstance(current, UninitializedTensorMixin) and current.is_meta


def _as_given(value: Tensor, current: Parameter) -> Parameter:
    """What is assigned: a given Parameter itself, any other tensor as a leaf of its own."""
    wanted = current.requires_grad
    if not isinstance(value, Parameter):
        return as_parameter(value, wanted)
    value.requires_grad_(wanted and value.dtype.kind in DIFFERENTIABLE)
    return value


def _copy(current: Tensor, value: Tensor) -> None:
    if isinstance(current, DeferredParameter):
        declared = current._declared.dtype
        plain = value.detach()
        if plain.dtype.kind not in current._declared.kinds:
            declared = declared or current.dtype
        made = plain if declared is None else plain.to(declared)
        current.place(made.clone() if made.data_ptr() == value.data_ptr() else made)
        if current.dtype.kind not in DIFFERENTIABLE:
            current.requires_grad_(False)
    elif isinstance(current, Parameter) and "q" in (value.dtype.kind, current.dtype.kind):
        fill(current, value.detach().clone())
    else:
        current._array.copy_(value._array)
