"""Loading a state dict: everything is checked first, and all misfits are told at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tallow.errors import ModelError
from tallow.nn.parameter import DIFFERENTIABLE, Param, as_parameter
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.nn.module import Module

# Buffers that older checkpoints lack; torch tolerates that, too.
OPTIONAL = ("num_batches_tracked",)


class IncompatibleKeys(NamedTuple):
    """The names that a state dict lacked, and those that nothing in the module asked for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys({self.missing_keys}, {self.unexpected_keys})"


def load_state(
    module: Module, state: Mapping[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """See `Module.load_state_dict`."""
    params = dict(module.declarations())
    homes = _buffers(module)
    given = {id(params[name]) for name in state if name in params}
    wrong: list[str] = []
    missing: list[str] = []
    for name, declared in params.items():
        if name in state:
            wrong += _misfit(name, state[name], declared.shape, declared.kinds)
        elif id(declared) not in given:
            missing.append(name)
            wrong += [f"{name}: expected {declared.shape}, got nothing"] if strict else []
    for name, (owner, attribute) in homes.items():
        shape = owner.__dict__[attribute].shape
        if name in state:
            wrong += _misfit(name, state[name], shape, "bufic")
        elif attribute not in OPTIONAL:
            missing.append(name)
            wrong += [f"{name}: expected {shape}, got nothing"] if strict else []
    unexpected = [name for name in state if name not in params and name not in homes]
    wrong += [f"{name}: expected no such name" for name in unexpected if strict]
    if wrong:
        raise ModelError(f"load_state_dict of {type(module).__name__}: " + "; ".join(wrong))
    for name, value in state.items():
        if name in params:
            _fill(params[name], value, assign)
        elif name in homes:
            owner, attribute = homes[name]
            if assign:
                owner.__dict__[attribute] = value
            else:
                owner.__dict__[attribute]._array.copy_(value._array)
    return IncompatibleKeys(missing, unexpected)


def _buffers(module: Module) -> dict[str, tuple[Module, str]]:
    """Where the persistent buffers that are not None live, by path."""
    return {
        f"{path}.{name}" if path else name: (below, name)
        for path, below in module.named_modules()
        for name, persistent in below._buffers.items()
        if persistent and below.__dict__[name] is not None
    }


def _misfit(name: str, value: Any, shape: tuple[int, ...], kinds: str) -> list[str]:
    if not isinstance(value, Tensor):
        return [f"{name}: expected a Tensor, got {type(value).__name__}"]
    if tuple(value.shape) != shape:
        return [f"{name}: expected {shape}, got {tuple(value.shape)}"]
    if value.dtype.kind not in kinds:
        return [f"{name}: expected {_KINDS.get(kinds, 'a plain dtype')}, got {value.dtype.name}"]
    return []


_KINDS = {"f": "floats", "fq": "floats or a block dtype"}


def _fill(declared: Param, value: Tensor, assign: bool) -> None:
    current = declared.value()
    if assign:
        # As in torch: a given Parameter is taken itself, any other tensor gets a leaf of its own.
        wanted = declared.requires_grad if current is None else current.requires_grad
        declared.place(as_parameter(value, wanted))
    elif current is None:
        made = value.detach() if declared.dtype is None else value.detach().to(declared.dtype)
        declared.fill(made.clone() if made.data_ptr() == value.data_ptr() else made)
    elif value.dtype.kind in DIFFERENTIABLE and current.dtype.kind in DIFFERENTIABLE:
        current._array.copy_(value._array)
    else:
        declared.fill(value.detach().clone())
