"""Hooks of modules: a class pays for them only from the moment one of its modules has one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallow.nn.module import Module

Hook = Callable[..., Any]

KINDS = ("forward_pre", "forward", "backward_pre", "backward")

_ids = count()


class Hooks:
    """The hooks of one module, by kind; an entry holds the function and its options."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[int, tuple[Hook, dict[str, bool]]]] = {k: {} for k in KINDS}

    def __deepcopy__(self, memo: dict[int, Any]) -> Hooks:
        made = Hooks()
        made.tables = {kind: dict(table) for kind, table in self.tables.items()}
        return made


class RemovableHandle:
    """What registering gives: `remove()` takes the hook away, and so does the end of a `with`."""

    def __init__(self, table: dict[int, Any], key: int) -> None:
        self._table, self.id = table, key

    def remove(self) -> None:
        """Take the hook away; nothing happens the second time."""
        self._table.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def register(
    module: Module, kind: str, hook: Hook, *, prepend: bool = False, **options: bool
) -> RemovableHandle:
    """Add a hook to `module` and let its class look for hooks from now on."""
    hooks = module.__dict__.get("_hooks")
    if hooks is None:
        hooks = module.__dict__["_hooks"] = Hooks()
    table = hooks.tables[kind]
    key = next(_ids)
    table[key] = (hook, options)
    if prepend:
        for other in [k for k in table if k != key]:
            table[other] = table.pop(other)
    watch(type(module))
    return RemovableHandle(table, key)


def watch(cls: type[Module]) -> None:
    """Let calls of this class's modules pass by their hooks instead of going to `forward`."""
    if cls.__dict__.get("__call__") is not call:
        type.__setattr__(cls, "__call__", call)


def call(self: Module, *args: Any, **kwargs: Any) -> Any:
    """Call `forward` between the hooks of the module."""
    hooks = self.__dict__.get("_hooks")
    if hooks is None or not any(hooks.tables.values()):
        return self.forward(*args, **kwargs)
    tables = hooks.tables
    for hook, options in list(tables["forward_pre"].values()):
        args, kwargs = _before(self, hook, options, args, kwargs)
    watcher = None
    if tables["backward"] or tables["backward_pre"]:
        from tallow.nn.backward_hooks import Watcher

        watcher = Watcher(self, tables)
        args = watcher.inputs(args)
    ran: set[int] = set()
    try:
        out = self.forward(*args, **kwargs)
        for key, (hook, options) in list(tables["forward"].items()):
            ran.add(key)
            out = _after(self, hook, options, args, kwargs, out)
    except Exception:
        for key, (hook, options) in list(tables["forward"].items()):
            if options.get("always_call") and key not in ran:
                _after(self, hook, options, args, kwargs, None)
        raise
    return out if watcher is None else watcher.outputs(out)


def _before(
    module: Module, hook: Hook, options: dict[str, bool], args: Any, kwargs: Any
) -> tuple[Any, Any]:
    if options.get("with_kwargs"):
        found = hook(module, args, kwargs)
        return (args, kwargs) if found is None else found
    found = hook(module, args)
    if found is None:
        return args, kwargs
    return found if isinstance(found, tuple) else (found,), kwargs


def _after(
    module: Module, hook: Hook, options: dict[str, bool], args: Any, kwargs: Any, out: Any
) -> Any:
    if options.get("with_kwargs"):
        found = hook(module, args, kwargs, out)
    else:
        found = hook(module, args, out)
    return out if found is None else found
