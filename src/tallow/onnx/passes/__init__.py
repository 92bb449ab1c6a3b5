"""Passes over a graph before it is run: each gives the same results by less work."""

from __future__ import annotations

from tallow.onnx.graph import Graph
from tallow.onnx.passes.folding import folded
from tallow.onnx.passes.unused import without_unused

__all__ = ["optimized"]


def optimized(graph: Graph) -> Graph:
    """A graph that gives the same outputs."""
    return without_unused(folded(graph))
