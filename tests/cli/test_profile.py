"""`tallow profile`: a table, JSON, a trace and a picture of models and programs."""

import json
import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from cli.conftest import GOLDEN, TINY
from tallow import _native

TASKS = GOLDEN.parent / "tasks"
KERNELS = dict(_native.kernel_names())


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The tiny model as a program."""
    from tallow.tasks import LLM
    from tallow.tasks.exporting import export

    path = tmp_path_factory.mktemp("program") / "tiny.tlw"
    export(LLM(TINY), path)
    return path


def test_a_language_model_has_two_phases(run):
    code, out, err = run("profile", TINY, "--prompt", "8", "--gen", "3", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    prefill, decode = found["phases"]
    assert (prefill["name"], prefill["count"], prefill["unit"]) == ("prefill", 8, "tokens")
    assert (decode["name"], decode["count"]) == ("decode", 3)
    for phase in found["phases"]:
        assert {row["name"] for row in phase["kernels"]} <= KERNELS.keys()
        assert phase["total"]["calls"] == sum(row["calls"] for row in phase["kernels"])
        assert phase["left_out"] == 0
        assert 0 < phase["total"]["seconds"] <= phase["seconds"]
    assert found["limits"]["isa"] == _native.ISA


def calls_of(phase):
    return {row["name"]: row["calls"] for row in phase["kernels"]}


def test_calls_are_those_of_the_plan(run):
    from tallow.generate.step import DecodeStep
    from tallow.tasks import LLM

    model = LLM(TINY).model
    step = DecodeStep(model, model.make_state(1, 16))
    step([1])
    plan = step._plan
    assert plan is not None
    wanted = Counter(name for name, _ in plan._native.calls)
    _, out, _ = run("profile", TINY, "--prompt", "8", "--gen", "5", "--json")
    found = Counter(calls_of(json.loads(out)["phases"][1]))
    found.subtract({name: 5 * count for name, count in wanted.items()})
    # Beside the plan a step writes its token and its position.
    assert +found == Counter(copy=2 * 5)
    assert -found == Counter()


def test_the_table_names_every_kernel_and_ends_with_all(run):
    code, out, _ = run("profile", TINY, "--prompt", "8", "--gen", "2")
    assert code == 0
    first, *rest = out.split("\n\n")
    assert "GFLOP/s multiply-adds" in first
    for part, phase in zip(rest, ("prefill: 8 tokens", "decode: 2 tokens"), strict=True):
        lines = part.strip().splitlines()
        assert lines[0].startswith(phase)
        head = "kernel calls ms share GFLOP/s of peak GB/s of reads waiting"
        assert lines[1].split() == head.split()
        assert {line.split()[0] for line in lines[2:-1]} <= KERNELS.keys()
        assert lines[-1].startswith("all kernels")


def test_shapes_have_rows_of_their_own(run):
    _, out, _ = run("profile", TINY, "--prompt", "0", "--gen", "2", "--shapes", "--json")
    (phase,) = json.loads(out)["phases"]
    linear = [row["name"] for row in phase["kernels"] if row["name"].startswith("linear")]
    assert len(linear) > 2
    assert all("weight q8_0[" in name for name in linear)


def test_trace_and_picture(run, tmp_path):
    trace, svg = tmp_path / "t.json", tmp_path / "t.svg"
    words = ("profile", TINY, "--prompt", "8", "--gen", "2", "--trace", trace, "--svg", svg)
    code, out, _ = run(*words, "--json")
    assert code == 0
    events = json.loads(trace.read_text())["traceEvents"]
    counted = Counter((e["args"]["phase"], e["name"]) for e in events if e.get("cat") == "call")
    wanted = {
        (phase["name"], name): calls
        for phase in json.loads(out)["phases"]
        for name, calls in calls_of(phase).items()
    }
    assert counted == wanted
    assert {e["name"] for e in events if e.get("cat") == "phase"} == {"prefill", "decode"}
    assert ET.parse(svg).getroot().tag.endswith("svg")
    code, _, err = run(*words)
    assert code == 1
    assert "--force overwrites it" in err


@pytest.mark.parametrize("name", ["sentences", "texts", "tokens", "images"])
def test_other_models_make_passes(name, run):
    code, out, _ = run("profile", TASKS / name, "--prompt", "6", "--runs", "2", "--json")
    assert code == 0
    (phase,) = json.loads(out)["phases"]
    assert (phase["name"], phase["count"], phase["unit"]) == ("forward", 2, "passes")
    assert all(row["calls"] % 2 == 0 for row in phase["kernels"])
    assert any(row["flops"] for row in phase["kernels"])


def test_a_program_that_generates(run, program):
    _, out, _ = run("profile", program, "--prompt", "8", "--gen", "3", "--json")
    prefill, decode = json.loads(out)["phases"]
    assert (prefill["count"], decode["count"]) == (8, 3)
    assert all(row["calls"] % 3 == 0 for row in decode["kernels"])
    code, _, err = run("profile", program, "--size", "context=40")
    assert code == 1
    assert "expected no sizes beside prompt and gen" in err


def test_a_program_of_sizes(run, tmp_path):
    import tallow as tl
    from tallow.programs import Entry, Size, Traced, save_program

    layer = tl.nn.Linear(3, 2)
    path = tmp_path / "layer.tlw"
    with tl.inference_mode():
        trace = lambda sizes: Traced(layer, {"x": tl.ones(sizes["rows"], 3)}, ["y"])  # noqa: E731
        entry = Entry("main", trace, {"rows": Size(1, 1000)})
        save_program(path, [entry], dict(layer.named_parameters()))
    _, out, _ = run("profile", path, "--size", "rows=70", "--runs", "4", "--shapes", "--json")
    (phase,) = json.loads(out)["phases"]
    assert (phase["name"], phase["count"]) == ("main", 4)
    assert sum(row["flops"] or 0 for row in phase["kernels"]) == 4 * 2 * 70 * 3 * 2
    code, _, err = run("profile", path, "--size", "rows=2000")
    assert code == 1
    assert "expected rows of 1 to 1000, got 2000" in err
    code, _, err = run("profile", path, "--size", "columns=2")
    assert code == 1
    assert "expected a size of rows, got columns" in err


@pytest.mark.parametrize("cut", [0, 4, 100, 0.1, 0.5])
def test_a_program_that_is_cut_off(cut, run, program, tmp_path):
    whole = program.read_bytes()
    size = cut if isinstance(cut, int) else int(len(whole) * cut)
    path = tmp_path / "cut.tlw"
    path.write_bytes(whole[:size])
    code, out, err = run("profile", path)
    assert (code, out) == (1, "")
    assert "cut.tlw" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing.tlw"], 1, "nothing.tlw"),
        ([TINY, "--prompt", "0", "--gen", "0"], 2, "expected --prompt or --gen above 0"),
        ([TINY, "--prompt", "100000"], 1, "tokens, got 1000"),
        ([TINY, "--task", "sing"], 1, "--task: expected one of generate, classify"),
        ([TINY, "--size", "rows=3"], 2, "--size: expected a program (.tlw) beside it"),
        ([TINY, "--runs", "0"], 2, "--runs"),
        (["x.tlw", "--size", "rows"], 2, "--size: expected NAME=N, got 'rows'"),
        (["x.tlw", "--size", "rows=-1"], 2, "--size: expected NAME=N, got 'rows=-1'"),
        (["x.tlw", "--task", "embed"], 2, "--task: expected a model beside it"),
        (["x.tlw", "--activations", "float"], 2, "--activations: expected a model beside it"),
        (["x.tlw", "--cache-type", "f16"], 2, "--cache-type: expected a model beside it"),
        ([TINY, "--trace", "no/such/folder/t.json"], 1, "found no no/such/folder"),
        ([TASKS / "texts", "--prompt", "100000"], 1, "tokens, got 100000"),
    ],
)
def test_what_is_refused(words, code, said, run):
    found, out, err = run("profile", *words)
    assert (found, out) == (code, "")
    assert said in err
