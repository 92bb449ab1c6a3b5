"""States of a module and its optimiser, by the parameters' paths, in a group of one process."""

from __future__ import annotations

from typing import Any

from tallow.lazy_dataclasses import dataclass
from tallow.nn.module import Module


@dataclass
class StateDictOptions:
    """What a state holds; with one process it is always whole."""

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False


def get_model_state_dict(model: Module, *, submodules: Any = None, options: Any = None) -> Any:
    """The module's state; without frozen parameters when the options say so."""
    state = model.state_dict()
    if options is not None and options.ignore_frozen_params:
        frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        state = {name: x for name, x in state.items() if name not in frozen}
    return state


def set_model_state_dict(
    model: Module, model_state_dict: Any, *, options: StateDictOptions | None = None
) -> Any:
    """Load the module's state."""
    return model.load_state_dict(model_state_dict, strict=options.strict if options else True)


def _names(model: Module) -> dict[int, str]:
    return {id(p): name for name, p in model.named_parameters()}


def get_optimizer_state_dict(model: Module, optimizers: Any, **_: Any) -> dict[str, Any]:
    """The optimiser's state with the parameters' paths in the place of their numbers."""
    names, state = _names(model), optimizers.state_dict()
    order = [names[id(p)] for group in optimizers.param_groups for p in group["params"]]
    return {
        "state": {order[i]: entries for i, entries in state["state"].items()},
        "param_groups": [
            {**group, "params": [order[i] for i in group["params"]]}
            for group in state["param_groups"]
        ],
    }


def set_optimizer_state_dict(
    model: Module, optimizers: Any, optim_state_dict: dict[str, Any], **_: Any
) -> None:
    """Load what `get_optimizer_state_dict` gave."""
    names = _names(model)
    order = [names[id(p)] for group in optimizers.param_groups for p in group["params"]]
    number = {name: i for i, name in enumerate(order)}
    optimizers.load_state_dict({
        "state": {number[name]: entries for name, entries in optim_state_dict["state"].items()},
        "param_groups": [
            {**group, "params": [number[name] for name in group["params"]]}
            for group in optim_state_dict["param_groups"]
        ],
    })  # fmt: skip


def _init_optim_state(optim: Any) -> None:
    """Give every parameter the state of a first step, without changing any."""
    if optim.state:
        return
    from tallow.factories import zeros_like

    kept = [group["lr"] for group in optim.param_groups]
    for group in optim.param_groups:
        group["lr"] = 0.0
        for p in group["params"]:
            p.grad = zeros_like(p)
    optim.step()
    for group, lr in zip(optim.param_groups, kept, strict=True):
        group["lr"] = lr
    optim.zero_grad()
