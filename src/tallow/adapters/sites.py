"""Sites: modules whose `forward` adds what the selected adapters change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tallow.adapters.parts import OtherBias, Part, Whole
from tallow.errors import ArgumentError, expect
from tallow.nn import Module
from tallow.tensor import Tensor

Selection = tuple[tuple[str, float], ...]  # adapters and their weights, in order

# In a block of `using`: of which adapters, and what is selected of them.
_USED: ContextVar[tuple[object, Selection] | None] = ContextVar("adapters", default=None)


class Active:
    """Which of a model's adapters are selected: everywhere, or within a block of this thread."""

    def __init__(self) -> None:
        self.default: Selection = ()

    @property
    def now(self) -> Selection:
        """What calls of this thread use."""
        used = _USED.get()
        return used[1] if used is not None and used[0] is self else self.default

    @contextmanager
    def using(self, selection: Selection) -> Iterator[None]:
        """In this block and this thread, use `selection`."""
        token = _USED.set((self, selection))
        try:
            yield
        finally:
            _USED.reset(token)


class Site:
    """Stands in the place of a module's `forward`; `parts` are by the adapter's name."""

    def __init__(self, path: str, module: Module, active: Active) -> None:
        self.path, self.module, self.active = path, module, active
        self.parts: dict[str, list[Part]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gives, with what the selected adapters add."""
        chosen = [
            (part, weight) for name, weight in self.active.now for part in self.parts.get(name, ())
        ]
        wholes = [part for part, _ in chosen if isinstance(part, Whole)]
        if wholes:
            return wholes[0].module(*args, **kwargs)
        forward: Any = type(self.module).forward
        out: Tensor = forward(self.module, *args, **kwargs)
        for part, weight in chosen:
            out = part.add(args[0], out, self.module, weight)
        return out

    def attach(self) -> None:
        """Let the module be called through this."""
        self.module.__dict__["forward"] = self

    def detach(self) -> None:
        """Let the module be called as ever."""
        self.module.__dict__.pop("forward", None)


def selection_of(given: str | Sequence[str] | Mapping[str, float], known: Any) -> Selection:
    """Names, or names with weights, as a selection of `known` adapters.

    Raises:
        ArgumentError: an unknown name, a name twice, or a weight that is no number.
    """
    if isinstance(given, str):
        given = [given]
    pairs = [(name, 1.0) for name in given] if not isinstance(given, Mapping) else given.items()
    found: dict[str, float] = {}
    for name, weight in pairs:
        have = ", ".join(known) or "none"
        expect(name in known, "adapters", f"names of those loaded ({have})", name, ArgumentError)
        expect(name not in found, "adapters", "each name once", name, ArgumentError)
        good = type(weight) in (int, float) and abs(weight) < 1e6
        expect(good, "adapters", f"a number as the weight of {name}", weight, ArgumentError)
        found[name] = float(weight)
    return tuple((name, weight) for name, weight in found.items() if weight)


def refuse_rivals(selection: Selection, sites: Mapping[str, Site]) -> None:
    """Refuse adapters that would each put something of their own in one place.

    Raises:
        ArgumentError: two of them bring a whole module, or a bias, for the same place.
    """
    if len(selection) < 2:
        return
    for path, site in sites.items():
        for kind, what in ((Whole, "a module"), (OtherBias, "a bias")):
            names = [
                name
                for name, _ in selection
                if any(isinstance(part, kind) for part in site.parts.get(name, ()))
            ]
            expect(
                len(names) < 2, "adapters", f"one that brings {what} for {path}",
                ", ".join(names), ArgumentError,
            )  # fmt: skip
