"""What an ONNX graph cannot be: one error that has all of a kind, with nodes and names."""

from itertools import pairwise

import pytest

from formats import onnx_bytes as make
from hostile.corpora.onnx_graphs import FAULTS, RAISES, call, function, graph, nested, node
from tallow.errors import FormatError
from tallow.formats.onnx import open_onnx
from tallow.onnx.importing import import_graph


@pytest.mark.parametrize("name", FAULTS)
def test_refused(name):
    raw, field, text = FAULTS[name]
    with pytest.raises(RAISES) as caught:
        import_graph(open_onnx(raw))
    assert text in str(caught.value)
    assert field in (
        caught.value.field if isinstance(caught.value, FormatError) else str(caught.value)
    )


def test_functions_and_sub_graphs_as_deep_as_they_may_be():
    assert import_graph(open_onnx(nested(32, ())))
    functions = [function("F0", [node("Relu", "a", "b")])] + [
        function(f"F{n}", [call(f"F{n - 1}", "a", "b")]) for n in range(1, 64)
    ]
    made = import_graph(open_onnx(graph([call("F63")], functions=functions)))
    assert [each.op_type for each in made.nodes] == ["Relu"]


def test_functions_that_double_up_to_the_limit():
    functions = [function("F0", [node("Relu", "a", "b")])] + [
        function(f"F{n}", [call(f"F{n - 1}", "a", "t"), call(f"F{n - 1}", "t", "b")])
        for n in range(1, 13)
    ]
    made = import_graph(open_onnx(graph([call("F12")], functions=functions)))
    assert len(made.nodes) == 1 << 12
    assert max(len(name) for each in made.nodes for name in each.outputs) < 500


def test_long_names_do_not_multiply():
    """A name of 100 kB in a function that is called often is not written out for each call."""
    long = "n" * 100_000
    functions = [function("F", [node("Relu", "a", [long]), node("Relu", [long], "b")])]
    names = ["x", *(f"v{n}" for n in range(999)), "y"]
    nodes = [make.node("F", [a], [b], name=long, domain="local") for a, b in pairwise(names)]
    made = import_graph(open_onnx(graph(nodes[:50], outputs=["v49"], functions=functions)))
    assert sum(len(name) for each in made.nodes for name in each.outputs) < 100_000


def test_nodes_of_our_own_domain_are_unknown():
    raw = graph([node("Linear", ["x", "x"], "y", domain="tallow")])
    with pytest.raises(RAISES, match="tallow.Linear"):
        import_graph(open_onnx(raw))
