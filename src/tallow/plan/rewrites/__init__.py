"""Passes over a plan's tables: each gives a plan that computes the same with less work."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tallow import _native
from tallow.errors import ArgumentError, expect
from tallow.lazy_dataclasses import dataclass
from tallow.plan.rewrites.chains import elementwise_chains
from tallow.plan.rewrites.channels_last import channels_last
from tallow.plan.rewrites.copies import copies
from tallow.plan.rewrites.dead import dead
from tallow.plan.rewrites.duplicates import duplicates
from tallow.plan.rewrites.epilogues import conv_epilogues, linear_epilogues
from tallow.plan.rewrites.graph import Graph
from tallow.plan.rewrites.likeliest import likeliest
from tallow.plan.rewrites.norms import batch_norms
from tallow.plan.rewrites.once import once
from tallow.plan.rewrites.pads import pads
from tallow.plan.rewrites.recurrent_weights import recurrent_weights
from tallow.plan.rewrites.sharing import Result, Shared, fill
from tallow.plan.rewrites.weight_layouts import weight_layouts
from tallow.plan.rewrites.winograd import winograd

__all__ = ["REWRITES", "Rewrite", "Shared", "chosen", "fill", "rewrite", "rewrite_beside"]


@dataclass(frozen=True)
class Rewrite:
    """A pass: `run(graph)` changes the tables and gives how often it did.

    One without `run` is native, and runs after all others: for plans that live too short for
    tables in Python to pay (0.1 instead of 10 ms for those of a language model).

    `needs` are kernels of which it changes calls; without a call of one it is left out.

    `tolerance` is how far a model's result may be from that without the pass, relative to its
    largest element; 0: not a bit.
    """

    run: Callable[[Graph], int] | None
    tolerance: float = 0.0
    needs: tuple[str, ...] = ()


# In the order in which they run.
REWRITES: dict[str, Rewrite] = {
    "duplicates": Rewrite(duplicates),
    "copies": Rewrite(copies, needs=("copy",)),
    "pads": Rewrite(pads, tolerance=1e-6, needs=("pad",)),
    "batch_norms": Rewrite(batch_norms, tolerance=1e-4, needs=("batch_norm",)),
    "likeliest": Rewrite(likeliest, tolerance=1e-6, needs=("softmax",)),
    "linear_epilogues": Rewrite(linear_epilogues, needs=("linear", "linear_act")),
    "conv_epilogues": Rewrite(conv_epilogues, needs=("conv", "conv_act")),
    "winograd": Rewrite(winograd, tolerance=1e-4, needs=("conv", "conv_act")),
    "recurrent_weights": Rewrite(recurrent_weights, tolerance=1e-6, needs=("lstm", "gru")),
    "weight_layouts": Rewrite(weight_layouts, tolerance=1e-6, needs=("linear", "linear_act")),
    "dead": Rewrite(dead),
    "elementwise_chains": Rewrite(elementwise_chains),
    "channels_last": Rewrite(channels_last, tolerance=1e-4),
    "once": Rewrite(once),
    "linear_several": Rewrite(None),
}


def chosen(which: bool | Iterable[str]) -> tuple[str, ...]:
    """The names of passes in the order in which they run: all, none, or some.

    `"exact"` are those that change no bit.

    Raises:
        ArgumentError: there is no pass of a name.
    """
    if isinstance(which, bool):
        return tuple(REWRITES) if which else ()
    if which == "exact":
        return tuple(name for name, each in REWRITES.items() if each.tolerance == 0)
    names = [which] if isinstance(which, str) else list(which)
    for name in names:
        known = name in REWRITES
        expect(known, "rewrites", f"names of {', '.join(REWRITES)}", repr(name), ArgumentError)
    return tuple(name for name in REWRITES if name in names)


def rewrite(plan: _native.Plan, names: Iterable[str]) -> _native.Plan:
    """The plan after these passes; itself where none of them does anything, or off the CPU."""
    return rewrite_beside(plan, names, None)[0]


def rewrite_beside(
    plan: _native.Plan, names: Iterable[str], shared: Shared | None
) -> tuple[_native.Plan, tuple[Result, ...]]:
    """The same, and what the plan shares: to be held beside it, and told of its first run."""
    results: tuple[Result, ...] = ()
    names = list(names)
    if not names or not plan.on_cpu:
        return plan, results
    passes = [each for name in names if (each := REWRITES[name]).run is not None]
    if passes:
        graph = Graph(plan)
        graph.choices = None if shared is None else shared.choices
        changes = sum([_run(each, graph) for each in passes])
        if shared is not None and graph.once:
            results = shared.place(graph)
        plan = graph.native() if changes else plan
    joined = plan.joined() if "linear_several" in names else None
    return plan if joined is None else joined, results


def _run(which: Rewrite, graph: Graph) -> int:
    """How often a pass did what it does."""
    if which.needs and graph.kernels().isdisjoint(which.needs):
        return 0
    assert which.run is not None
    changes = which.run(graph)
    if changes:
        graph.changed()
    return changes
