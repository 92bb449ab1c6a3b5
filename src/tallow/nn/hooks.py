"""Hooks of modules: around `forward`, in backward, and around state dicts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, expect

if TYPE_CHECKING:
    from tallow.nn.module import Module

Hook = Callable[..., Any]
HookTable = dict[int, Hook]

CALL_KINDS = ("forward_pre", "forward", "backward_pre", "backward")
STATE_KINDS = ("state_dict_pre", "state_dict", "load_state_dict_pre", "load_state_dict_post")

_ids = count()


class Hooks:
    """Hooks by kind: a table from number to function, and the options of those that have some."""

    def __init__(self) -> None:
        self.tables: dict[str, HookTable] = {kind: {} for kind in CALL_KINDS + STATE_KINDS}
        self.options: dict[int, dict[str, bool]] = {}

    def asks(self, key: int, option: str) -> bool:
        """Whether the hook of this number was registered with an option."""
        return bool(self.options) and self.options.get(key, {}).get(option, False)


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


def hooks_of(owner: HooksMixin | type[HooksMixin]) -> Hooks:
    """The hooks of a module, or with Module itself those of all modules; made if there are none."""
    found: Hooks | None = vars(owner).get("_hooks")
    if found is None:
        found = owner._hooks = Hooks()
    return found


def register(
    owner: HooksMixin | type[HooksMixin],
    kind: str,
    hook: Hook,
    *,
    prepend: bool = False,
    **options: bool,
) -> RemovableHandle:
    """Add a hook to a module, or with Module itself to all modules."""
    hooks = hooks_of(owner)
    handle = add(hooks.tables[kind], hook, prepend)
    if any(options.values()):
        hooks.options[handle.id] = options
    return handle


def add(table: dict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    """Put a hook into a table, behind or before those that are there."""
    key = next(_ids)
    table[key] = hook
    if prepend:
        for other in [k for k in table if k != key]:
            table[other] = table.pop(other)
    return RemovableHandle(table, key)


def call(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call `forward` between the hooks of all modules and of this one."""
    of_all, own = _all_and_own(module)
    for hooks in (of_all, own):
        for key, hook in list(hooks.tables["forward_pre"].items()):
            args, kwargs = _before(module, hook, hooks.asks(key, "with_kwargs"), args, kwargs)
    watcher = None
    if any(hooks.tables[kind] for hooks in (of_all, own) for kind in ("backward", "backward_pre")):
        from tallow.nn.backward_hooks import BackwardHook

        before = [*of_all.tables["backward_pre"].values(), *own.tables["backward_pre"].values()]
        after = [*of_all.tables["backward"].values(), *own.tables["backward"].values()]
        watcher = BackwardHook(module, before, after)
        args = watcher.inputs(args)
    ran: set[int] = set()
    try:
        out = module.forward(*args, **kwargs)
        for hooks in (of_all, own):
            for key, hook in list(hooks.tables["forward"].items()):
                ran.add(key)
                out = _after(module, hook, hooks.asks(key, "with_kwargs"), args, kwargs, out)
    except Exception:  # hooks of always_call run whatever was raised
        for hooks in (of_all, own):
            for key, hook in list(hooks.tables["forward"].items()):
                if hooks.asks(key, "always_call") and key not in ran:
                    _after(module, hook, hooks.asks(key, "with_kwargs"), args, kwargs, None)
        raise
    return out if watcher is None else watcher.outputs(out)


_NONE = Hooks()


def _all_and_own(module: Module) -> tuple[Hooks, Hooks]:
    from tallow.nn.module import Module

    return vars(Module)["_hooks"] or _NONE, vars(module).get("_hooks") or _NONE


def is_watched(module: Module) -> bool:
    """Whether hooks, or another `forward` than its class has, see what goes into a call."""
    if "forward" in vars(module):
        return True
    return any(hooks.tables[kind] for hooks in _all_and_own(module) for kind in CALL_KINDS)


def _before(
    module: Module, hook: Hook, with_kwargs: bool, args: Any, kwargs: Any
) -> tuple[Any, Any]:
    if with_kwargs:
        found = hook(module, args, kwargs)
        good = found is None or (isinstance(found, tuple) and len(found) == 2)
        expect(good, "forward pre-hook", "None or (args, kwargs)", found, ArgumentError)
        return (args, kwargs) if found is None else found
    found = hook(module, args)
    if found is None:
        return args, kwargs
    return found if isinstance(found, tuple) else (found,), kwargs


def _after(module: Module, hook: Hook, with_kwargs: bool, args: Any, kwargs: Any, out: Any) -> Any:
    found = hook(module, args, kwargs, out) if with_kwargs else hook(module, args, out)
    return out if found is None else found


class HooksMixin:
    """The part of Module that takes hooks."""

    _hooks: Hooks | None = None

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments."""
        return register(self, "forward_pre", hook, prepend=prepend, with_kwargs=with_kwargs)

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; its result replaces the output."""
        return register(
            self, "forward", hook, prepend=prepend, with_kwargs=with_kwargs, always_call=always_call
        )

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` in backward; its result is grad_input."""
        return register(self, "backward", hook, prepend=prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """`register_full_backward_hook`, under the name that torch has given up."""
        return self.register_full_backward_hook(hook)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's backward; may replace it."""
        return register(self, "backward_pre", hook, prepend=prepend)

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before the module enters its state."""
        return register(self, "state_dict_pre", hook)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)`, which may change the dict."""
        return register(self, "state_dict", hook)

    def _register_state_dict_hook(self, hook: Hook) -> RemovableHandle:
        """The same, for a hook that may also return another dict."""
        return register(self, "state_dict", hook, private=True)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, *lists)` before loading.

        The lists are those of missing keys, unexpected keys and error messages.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Hook, with_module: bool = False
    ) -> RemovableHandle:
        return register(self, "load_state_dict_pre", hook, with_module=with_module)

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` when the module was loaded."""
        return register(self, "load_state_dict_post", hook)


def _hook_table(kind: str) -> property:
    """The table of a module's hooks of one kind, under torch's name."""
    return property(lambda self: hooks_of(self).tables[kind])


for _name, _kind in {
    "_forward_hooks": "forward", "_forward_pre_hooks": "forward_pre", "_backward_hooks": "backward",
    "_backward_pre_hooks": "backward_pre", "_state_dict_hooks": "state_dict",
    "_state_dict_pre_hooks": "state_dict_pre", "_load_state_dict_pre_hooks": "load_state_dict_pre",
    "_load_state_dict_post_hooks": "load_state_dict_post",
}.items():  # fmt: skip
    setattr(HooksMixin, _name, _hook_table(_kind))
