"""What an ONNX file says and cannot be: each one error with the part and the two values."""

import pytest

from formats import onnx_bytes as make
from formats.protobuf_bytes import sized
from hostile.corpora.onnx import FAULTS, nested
from tallow.errors import FormatError
from tallow.formats.onnx import open_onnx


@pytest.mark.parametrize("name", FAULTS)
def test_refused(name):
    raw, field, text = FAULTS[name]
    with pytest.raises(FormatError) as caught:
        open_onnx(raw)
    assert field in caught.value.field and text in str(caught.value)
    assert len(str(caught.value)) < 300


def test_infos_of_values_are_read_when_they_are_asked_for():
    file = open_onnx(make.model(make.graph(infos=[sized(1, "x", 9)])))
    with pytest.raises(FormatError, match=r"ValueInfoProto\.name"):
        len(file.graph.value_infos)


def test_graphs_in_graphs_up_to_what_protobuf_allows():
    graph, depth = open_onnx(make.model(nested(32))).graph, 0
    while graph.nodes:
        graph, depth = graph.nodes[0].attributes["b"], depth + 1
    assert depth == 32
