"""`tallow inspect` of ONNX models."""

from __future__ import annotations

import json

import pytest

import tallow as tl
from onnx_made import graph, node, raw, value
from tallow.formats.onnx import Function, Node


@pytest.fixture
def model(tmp_path):
    """One of every part: an optional input, a sub-graph, a function, an unknown operator."""
    branch = graph(
        [], [value("b", None)], [node("Relu", "x", "r"), node("Add", "r v", "b")],
        {"v": tl.ones(3, dtype=tl.f16)}, "branch",
    )  # fmt: skip
    twice = Function("Twice", "own", "", ["a"], ["b"], {}, [node("Add", "a a", "b")], {"": 17})
    content = raw(
        [value("x", ("batch", 3)), value("w", (3,)), value("c", (), "bool")],
        [value("z", ("batch", None)), value("k", None, "int64")],
        [
            Node("Constant", "", "n", [], ["k"], {"value": _stored("", tl.arange(16))}),
            Node("Constant", "", "m", [], ["l"], {"value": _stored("", tl.arange(2))}),
            node("If", "c", "i", then_branch=branch, else_branch=branch),
            node("Add", "x w", "a"),
            node("Strange", "a i", "s", "other.domain"),
            node("Twice", "s", "z", "own"),
        ],
        {"w": tl.zeros(3)},
        {"": 17, "other.domain": 2, "own": 1},
        functions=[twice],
        producer="maker 1.2",
        metadata={"character": "a\nb", "long": "x" * 300},
    )
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    return path


def _stored(name, tensor):
    from tallow.formats.onnx.writing import stored

    return stored(name, tensor)


def test_json(run, model):
    code, text, _ = run("inspect", model, "--json")
    found = json.loads(text)
    assert code == 0
    assert (found["format"], found["producer"], found["path"]) == ("onnx", "maker 1.2", str(model))
    assert found["opsets"] == {"ai.onnx": 17, "other.domain": 2, "own": 1}
    assert found["metadata"]["character"] == "a\nb"
    assert found["inputs"] == [
        {"name": "x", "type": "tensor(float)", "shape": ["batch", 3], "optional": False},
        {"name": "w", "type": "tensor(float)", "shape": [3], "optional": True},
        {"name": "c", "type": "tensor(bool)", "shape": [], "optional": False},
    ]
    assert [e["shape"] for e in found["outputs"]] == [["batch", None], None]
    rows = {e["operator"]: (e["graph"], e["sub-graphs"], e["functions"], e["known"])
            for e in found["operators"]}  # fmt: skip
    assert rows == {
        "Add": (1, 2, 1, True), "Constant": (2, 0, 0, True), "Relu": (0, 2, 0, True),
        "If": (1, 0, 0, True), "Strange": (1, 0, 0, False),
    }  # fmt: skip
    assert found["functions"] == ["own.Twice"]
    weights = found["tensors"]
    assert {(e["where"] + e["name"], e["dtype"], *e["shape"], e["bytes"]) for e in weights} == {
        ("w", "float", 3, 12), ("k", "int64", 16, 128), ("l", "int64", 2, 16),
        ("If_i/then_branch/v", "float16", 3, 6), ("If_i/else_branch/v", "float16", 3, 6),
    }  # fmt: skip
    assert found["totals"]["elements"] == 27 and found["totals"]["bytes"] == 168
    assert found["totals"]["by_dtype"]["float16"] == {"tensors": 2, "elements": 6, "bytes": 12}


def test_for_people(run, model):
    code, text, _ = run("inspect", model)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert code == 0
    for wanted in (
        "producer maker 1.2", "opsets ai.onnx 17, other.domain 2, own 1", r"character a\nb",
        "input x tensor(float) batch × 3", "optional w tensor(float) 3",
        "input c tensor(bool) scalar", "output z tensor(float) batch × ?",
        "output k tensor(int64) ?", "function own.Twice", "Add 17 1 2 1", "Constant 17 2",
        "other.domain.Strange 2 1 not there",
        "10 nodes of 5 operators; Tallow has not: other.domain.Strange",
        "If_i/then_branch/v float16 3 6", "k int64 16 128", "float16 2 6 12", "all 5 27 168",
        "1 constants of fewer than 16 elements are not shown",
        "168 bytes in 5 tensors, 27 parameters",
    ):  # fmt: skip
        assert wanted in lines, wanted
    assert not any(line.startswith("l int64") for line in lines)
    assert "x" * 101 not in text
    assert "x" * 300 in run("inspect", model, "--full")[1]


def test_the_name_does_not_matter(run, model):
    other = model.rename(model.with_suffix(".bin"))
    assert json.loads(run("inspect", other, "--json")[1])["format"] == "onnx"


def test_all_operators_are_there(run, tmp_path):
    x = value("x", (1,))
    (tmp_path / "a.onnx").write_bytes(raw([x], [value("y", (1,))], [node("Relu", "x", "y")]))
    text = run("inspect", tmp_path / "a.onnx")[1]
    assert "1 nodes of 1 operators, all of which Tallow has" in text
    assert "not there" not in text


def test_a_file_that_is_none(run, tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"\x08\x07\x3a\xff\xff\xff\x7f")
    code, out, err = run("inspect", tmp_path / "a.onnx")
    assert (code, out) == (1, "")
    assert err.startswith("error: ") and "a.onnx" in err and err.count("\n") == 1
