"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tallow import ops
from tallow.errors import ArgumentError, expect
from tallow.nn.module import Module
from tallow.tensor import Tensor


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args)` with tensors in the place of its parameters and buffers, by their paths.

    The module is as before afterwards. Tied parameters follow the one that is given.
    """
    if isinstance(parameter_and_buffer_dicts, Mapping):
        given = dict(parameter_and_buffer_dicts)
    else:
        given = {name: x for part in parameter_and_buffer_dicts for name, x in part.items()}
    own: dict[str, Any] = dict(module.named_parameters(remove_duplicate=False))
    own |= dict(module.named_buffers(remove_duplicate=False))
    if strict:
        unlike = sorted(own.keys() ^ given.keys())
        expect(not unlike, functional_call, "all parameters and buffers", unlike, ArgumentError)
    if tie_weights:
        first = {id(own[name]): x for name, x in given.items() if name in own}
        given |= {
            name: first[id(x)] for name, x in own.items() if name not in given and id(x) in first
        }
    call = () if args is None else args if isinstance(args, tuple) else (args,)
    with _swapped(module, given):
        return module(*call, **(kwargs or {}))


@contextmanager
def _swapped(module: Module, given: Mapping[str, Any]) -> Iterator[None]:
    """The module with other tensors at these paths, past its own bookkeeping."""
    places: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for path, value in given.items():
            above, _, name = path.rpartition(".")
            owner = module.get_submodule(above)
            for table in (vars(owner), *_tables(owner)):
                if name in table and (table is not vars(owner) or isinstance(table[name], Tensor)):
                    places.append((table, name, table[name]))
                    table[name] = value
                    break
            else:
                wanted = "a parameter or buffer"
                raise ArgumentError(f"functional_call: expected {wanted} at {path!r}, got none")
        yield
    finally:
        for table, name, old in reversed(places):
            table[name] = old


def _tables(owner: Module) -> list[dict[str, Any]]:
    found = (vars(owner).get(name) for name in ("_parameters", "_buffers"))
    return [table for table in found if isinstance(table, dict)]


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and buffers of like modules, stacked along a new first axis."""
    expect(len(models) > 0, stack_module_state, "at least one module", "none", ArgumentError)
    kinds = {type(m) for m in models}
    expect(len(kinds) == 1, stack_module_state, "modules of one class", kinds, ArgumentError)
    tables = [dict(m.named_parameters()) for m in models]
    parameters = {
        name: ops.stack([t[name] for t in tables]).detach().requires_grad_(x.requires_grad)
        for name, x in tables[0].items()
    }
    held = [dict(m.named_buffers()) for m in models]
    buffers = {name: ops.stack([t[name] for t in held]) for name in held[0]}
    return parameters, buffers
