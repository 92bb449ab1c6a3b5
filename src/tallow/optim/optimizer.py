"""Optimizer: parameters in groups with options, state per parameter, one native call per step."""

from __future__ import annotations

import copy
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from tallow import _native
from tallow.autograd.mode import enable_grad, no_grad
from tallow.dtype import f32, f64
from tallow.errors import ArgumentError, DTypeError, NoEntryError, expect
from tallow.factories import zeros
from tallow.optim.hooks import HOOK_KINDS, HooksMixin, hooked
from tallow.tensor import Tensor, wrap

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
State = dict[str, Any]

_ABSENT = {0: _native.Array.empty((0,), f32.code)}  # on each device, by its code


def absent(p: Tensor) -> _native.Array:
    """What a kernel gets in the place of a state of `p` that is not wanted."""
    code = p._array.device
    if code not in _ABSENT:
        _ABSENT[code] = _native.Array.empty((0,), f32.code, code)
    return _ABSENT[code]


def number(
    where: object, name: str, value: Any, low: float = 0.0, high: float | None = None
) -> Any:
    """`value`, after checking that it is in [low, high), or just at least `low`."""
    given = float(value)
    ok = low <= given and (high is None or given < high)  # a NaN is refused too
    span = f"of at least {low:g}" if high is None else f"in [{low:g}, {high:g})"
    expect(ok, where, f"{name} {span}", given, ArgumentError)
    return value


def _taken(name: str, value: Any, p: Tensor) -> Any:
    """An entry of a state that a sub-class or a user made, copied; floats in the dtype of `p`."""
    if not isinstance(value, Tensor):
        return copy.deepcopy(value)
    made = value.detach()
    if name != "step" and made.dtype.kind == "f" and p.dtype.kind == "f":
        made = made.to(p.dtype)
    return made.clone()


def options_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """The defaults of groups: the arguments of an optimiser's `__init__`, which has no others."""
    recorded, where = arguments.get("differentiable", False), type(arguments["self"])
    wanted = "differentiable=False (steps are not recorded)"
    expect(not recorded, where, wanted, recorded, ArgumentError)
    no_options = ("self", "params", "master_weights", "__class__")
    return {name: value for name, value in arguments.items() if name not in no_options}


class Optimizer(HooksMixin):
    """Base of the optimisers; as in torch.optim, with fused native steps.

    `params` are tensors, `(name, tensor)` pairs or dicts with a `params` key and options that
    differ from the defaults. State is kept in f32 (f64 for f64 parameters) whatever the parameter's
    dtype. `master_weights=True` keeps an f32 copy of each f16 and bf16 parameter too: steps too
    small for the 16-bit parameter add up in the copy instead of being rounded away.
    """

    # Names of the state tensors that have the parameter's shape, and of the numbers beside them.
    tensors: ClassVar[tuple[str, ...]] = ()
    numbers: ClassVar[tuple[str, ...]] = ()
    # Names of the options that may not be negative.
    not_negative: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        params: Params,
        defaults: dict[str, Any],
        *,
        master_weights: bool = False,
    ) -> None:
        if isinstance(params, Tensor):
            raise DTypeError(
                f"{type(self).__name__}: expected an iterable of Tensors, got a Tensor"
            )
        both = bool(defaults.get("foreach")) and bool(defaults.get("fused"))
        expect(not both, type(self), "foreach or fused", "both", ArgumentError)
        self.defaults = defaults
        self.master_weights = master_weights
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._prepare()
        given: list[Any] = list(params)
        expect(len(given) > 0, type(self), "at least one parameter", "none", ArgumentError)
        if not isinstance(given[0], dict):
            given = [{"params": given}]
        for group in given:
            self.add_param_group(group)

    def _prepare(self) -> None:
        """Set what is not part of the state."""
        self._opt_called = False  # the schedulers ask
        self._stepping = False
        self._hooks = {kind: {} for kind in HOOK_KINDS}

    def __init_subclass__(cls) -> None:
        """Let the hooks of `step` stand around the step of the sub-class."""
        super().__init_subclass__()
        if "step" in cls.__dict__:
            type.__setattr__(cls, "step", hooked(cls.__dict__["step"]))

    def __getstate__(self) -> dict[str, Any]:
        """Options, state and groups; hooks stay behind."""
        left = ("_opt_called", "_stepping", "_hooks")
        return {name: value for name, value in self.__dict__.items() if name not in left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._prepare()
        self.__dict__.update(state)

    def _patch_step_function(self) -> None:
        """Nothing, for wrappers that call PyTorch's: a step is hooked when its class is made."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take more parameters in, with options of their own; the defaults fill in the others."""
        where = type(self)
        expect(isinstance(param_group, dict), where, "a dict", type(param_group), DTypeError)
        group = dict(param_group)
        named = "params" in group
        expect(named, where, "a group with params", sorted(map(str, group)), NoEntryError)
        params = group["params"]
        ordered = not isinstance(params, (set, frozenset))
        expect(ordered, where, "parameters in an order", type(params).__name__, DTypeError)
        entries: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        names = [entry[0] for entry in entries if isinstance(entry, tuple)]
        tensors = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
        expect(
            len(names) in (0, len(tensors)), where, "names for all parameters or none", names,
            ArgumentError,
        )  # fmt: skip
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for p in tensors:
            if not isinstance(p, Tensor):
                raise DTypeError(f"{where.__name__}: expected Tensors, got {type(p).__name__}")
            plain = p.dtype.kind == "f" and p.dtype.itemsize > 1
            expect(plain, where, "parameters of f32, f64, f16 or bf16", p.dtype.name, DTypeError)
            expect(p.is_leaf, where, "leaf tensors", "the result of an op", ArgumentError)
            wanted = "no parameter of another group"
            expect(id(p) not in known, where, wanted, "one twice", ArgumentError)
        if len({id(p) for p in tensors}) < len(tensors):  # shared layers: each time is a step
            text = f"{where.__name__}: a parameter group holds a parameter twice"
            warnings.warn(text, UserWarning, stacklevel=3)
        group["params"] = tensors
        if names:
            group["param_names"] = names
        for name, default in self.defaults.items():
            group.setdefault(name, default)
        self.check(group)
        self.param_groups.append(group)

    def check(self, group: dict[str, Any]) -> None:
        """Refuse options of a group that are out of range; subclasses add to it."""
        for name in self.not_negative:
            number(type(self), name, group[name])

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients, or with `set_to_none=False` fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if set_to_none:
                    p.grad = None
                    continue
                if not p.grad.is_leaf:
                    p.grad.detach_()
                p.grad.requires_grad_(False).zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient.

        `closure` computes the loss and its gradients first; its result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                self.update(group)
        return loss

    def update(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group; subclasses implement it."""
        raise NotImplementedError

    # --- what updates are made of -----------------------------------------------------------------

    def pending(
        self, group: dict[str, Any]
    ) -> list[tuple[Tensor, _native.Array, State, _native.Array]]:
        """(parameter, its gradient, its state, its master copy) where there is a gradient."""
        found = []
        states = self.state
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            state = states.get(p)
            if not state:
                state = self.new_state(p, group)
                if self.master_weights and p.dtype.itemsize == 2:
                    state["master"] = p.detach().to(f32)
                if state:
                    states[p] = state
            g = grad._array
            if g.dtype != p._array.dtype:
                g = g.cast(p._array.dtype)
            master = state.get("master")
            found.append((p, g, state, absent(p) if master is None else master._array))
        return found

    def new_state(self, p: Tensor, group: dict[str, Any]) -> State:
        """The state of a parameter before its first step: zeros; subclasses override it."""
        return {**dict.fromkeys(self.numbers, 0), **{name: wide_zeros(p) for name in self.tensors}}

    def shape_of(self, p: Tensor, name: str) -> tuple[int, ...]:
        """The shape of a state tensor: the parameter's, unless a subclass keeps less."""
        return p.shape

    # --- state ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {index: …}, "param_groups": […]}` in torch's layout.

        Parameters are counted through all groups. The tensors are the optimiser's own, not copies;
        `step` is a number, which torch's `load_state_dict` takes as well as its 0-d tensors.
        """
        for before in list(self._hooks["state_dict_pre"].values()):
            before(self)
        index: dict[Tensor, int] = {}
        groups: list[dict[str, Any]] = []
        counted = 0  # what stands twice is counted twice, as in torch
        for group in self.param_groups:
            for position, p in enumerate(group["params"], counted):
                index.setdefault(p, position)
            counted += len(group["params"])
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [index[p] for p in group["params"]]
            groups.append(packed)
        state = {
            index.get(p, p): dict(entries) if isinstance(entries, dict) else entries
            for p, entries in self.state.items()
        }
        made: dict[str, Any] = {"state": state, "param_groups": groups}
        for after in list(self._hooks["state_dict_post"].values()):
            found = after(self, made)
            made = made if found is None else found
        return made

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` of the same kind of optimiser gave (torch's own will do).

        Everything is checked before anything changes: the groups and their lengths, the names,
        shapes and kinds of the state. Tensors are copied, to f32 or f64.
        """
        for before in list(self._hooks["load_pre"].values()):
            found = before(self, state_dict)
            state_dict = state_dict if found is None else found
        where = f"{type(self).__name__}.load_state_dict"
        groups, states = state_dict.get("param_groups"), state_dict.get("state")
        ok = isinstance(groups, list) and isinstance(states, Mapping)
        expect(ok, where, "the keys state and param_groups", sorted(state_dict), ArgumentError)
        assert isinstance(groups, list) and isinstance(states, Mapping)
        sizes = [len(group["params"]) for group in self.param_groups]
        fits = all(isinstance(g, Mapping) and isinstance(g.get("params"), list) for g in groups)
        got = [len(group["params"]) for group in groups] if fits else "something else"
        expect(got == sizes, where, f"groups of {sizes} parameters", got, ArgumentError)
        targets: dict[Any, Tensor] = {}
        loaded: list[dict[str, Any]] = []
        for group, saved in zip(self.param_groups, groups, strict=True):
            targets.update(zip(saved["params"], group["params"], strict=True))
            loaded.append({**self._options(saved, where), "params": group["params"]})
            if "param_names" in group:
                loaded[-1].setdefault("param_names", group["param_names"])
            self.check(loaded[-1])
        made: defaultdict[Any, State] = defaultdict(dict)
        for key, entries in states.items():
            if isinstance(key, str):  # what a sub-class keeps for all parameters
                made[key] = copy.deepcopy(entries)
                continue
            expect(key in targets, where, "state of its parameters", key, ArgumentError)
            expect(isinstance(entries, Mapping), where, "a dict per index", entries, ArgumentError)
            made[targets[key]] = self._load_state(targets[key], entries, f"{where}: {key!r}")
        self.state = made
        for group, options in zip(self.param_groups, loaded, strict=True):
            group.clear()
            group.update(options)
        for after in list(self._hooks["load_post"].values()):
            after(self)

    def _options(self, saved: Mapping[str, Any], where: str) -> dict[str, Any]:
        options = {**self.defaults, **saved}
        for name, default in self.defaults.items():
            value = options[name]
            if isinstance(default, tuple):
                ok = isinstance(value, (list, tuple)) and len(value) == len(default)
                ok = ok and all(
                    isinstance(x, (int, float, Tensor)) or x is d is None
                    for x, d in zip(value, default, strict=True)
                )
                options[name] = tuple(value) if ok else value
            elif isinstance(default, bool):
                ok = isinstance(value, (bool, int))
            elif isinstance(default, (int, float, Tensor)):
                ok = isinstance(value, (int, float)) or hasattr(value, "__float__")
            else:
                ok = value is None or isinstance(default, type(value)) or default is None
            expect(ok, where, f"{name} like {default!r}", value, ArgumentError)
        return options

    def _load_state(self, p: Tensor, entries: Mapping[str, Any], where: str) -> State:
        state: State = {}
        wide = wide_dtype(p)
        for name, value in entries.items():
            if value is None:
                continue
            if name not in self.tensors and name not in self.numbers and name != "master":
                state[name] = _taken(name, value, p)
                continue
            if name in self.numbers:
                count = float(value)
                state[name] = int(count) if count.is_integer() and name == "step" else count
                continue
            array = value if isinstance(value, Tensor) else None
            if array is None and hasattr(value, "__dlpack__"):  # a tensor of torch
                array = wrap(_native.Array.from_dlpack(value.detach().__dlpack__()))
            if array is None:
                raise DTypeError(
                    f"{where}: expected a Tensor as {name}, got {type(value).__name__}"
                )
            shape = self.shape_of(p, name)
            expect(array.shape == shape, where, f"{name} of shape {shape}", array.shape)
            plain = array.dtype.kind == "f"
            expect(plain, where, f"{name} of a float dtype", array.dtype.name, DTypeError)
            state[name] = array.detach().to(wide).clone()
        for name in self.numbers:
            expect(name in state, where, f"the entry {name}", sorted(entries), ArgumentError)
        return state

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = sorted(name for name in group if name != "params")
            lines += [""] if i else []
            lines += [f"Parameter Group {i}"] + [f"    {name}: {group[name]}" for name in options]
        return "\n".join([f"{type(self).__name__} (", *lines, ")"])


Optimizer.step = hooked(Optimizer.step)  # type: ignore[method-assign]  # wrapped once, for all


def wide_dtype(p: Tensor) -> Any:
    """The dtype of a parameter's state: f64 for f64, f32 for the others."""
    return f64 if p.dtype is f64 else f32


def wide_zeros(p: Tensor) -> Tensor:
    """Zeros of a parameter's shape in the dtype of its state."""
    return zeros(p.shape, dtype=wide_dtype(p), device=p.device)


def sign_of(group: Mapping[str, Any]) -> float:
    """The factor of gradients: -1 when the objective is maximised."""
    return -1.0 if group["maximize"] else 1.0
