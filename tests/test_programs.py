"""The runner of public programs: its table, made-up data, replayed draws and comparison."""

import json
import math
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import tallow as tl

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "tools"
PARTS = TOOLS / "programs"


@pytest.fixture
def tools(monkeypatch):
    """The modules of the runner."""
    monkeypatch.syspath_prepend(str(PARTS))
    monkeypatch.syspath_prepend(str(TOOLS))
    before = {*sys.modules}
    import draws
    import made_data

    import programs

    yield {"draws": draws, "made_data": made_data, "programs": programs}
    for name in {*sys.modules} - before:
        if str(TOOLS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_the_table_names_what_exists(tools):
    table = tomllib.loads((TOOLS / "programs.toml").read_text())
    names = [row["name"] for row in table["program"]]
    assert len(names) == len({*names}) >= 90
    packages = {name.partition("==")[0] for name in table["packages"]["names"]}
    for row in table["program"]:
        assert row["source"] in table["sources"] or row["source"] in packages, row
        assert ("script" in row) != ("driver" in row), row
        assert "driver" not in row or (PARTS / row["driver"]).is_file(), row
        assert all((PARTS / "standins" / n).is_dir() for n in row.get("standins", [])), row
        kinds = {spec.split()[0] for spec in row.get("data", [])}
        assert kinds <= tools["made_data"].MAKERS.keys(), row
    assert all(len(commit) == 40 for commit in table["sources"].values())


def test_made_up_sets_have_the_real_formats(tools, tmp_path):
    make = tools["made_data"].make
    make("mnist data train=20 test=10", tmp_path)
    train = tl.data.MNIST(tmp_path / "data" / "MNIST" / "raw", train=True)
    assert len(train) == 20
    assert {*train.targets.tolist()} <= {*range(10)}
    make("cifar10 data train=20 test=10", tmp_path)
    batch = pickle.loads((tmp_path / "data/cifar-10-batches-py/test_batch").read_bytes())
    assert batch["data"].shape == (10, 3072) and batch["data"].dtype == np.uint8
    make("shakespeare_char data lines=20", tmp_path)
    meta = pickle.loads((tmp_path / "data" / "meta.pkl").read_bytes())
    ids = np.fromfile(tmp_path / "data" / "val.bin", np.uint16)
    assert len(meta["itos"]) == meta["vocab_size"] > ids.max()
    make("text a.txt lines=3 first=O_God", tmp_path)
    assert (tmp_path / "a.txt").read_text().splitlines()[0] == "O God"


def test_a_draw_depends_on_kind_shape_and_number_only(tools):
    one, other = tools["draws"].Draws(), tools["draws"].Draws()
    first = [one.uniform((3,)), one.normal((2, 2)), one.uniform((3,)), one.uniform((4,))]
    again = [other.uniform((4,)), other.uniform((3,)), other.uniform((3,)), other.normal((2, 2))]
    for a, b in zip(first, [again[1], again[3], again[2], again[0]], strict=True):
        assert (a == b).all()
    assert (first[0] != first[2]).any()
    one.restart(7)
    other.restart(7)
    assert (one.permutation(9) == other.permutation(9)).all()
    assert {*one.integers((100,), -2, 3).tolist()} == {-2, -1, 0, 1, 2}
    scaled = one.uniform((1000,), -3, 5)
    assert scaled.min() >= -3 and scaled.max() < 5 and abs(scaled.mean() - 1) < 0.3


def test_draws_are_of_f32_and_nudged_to_their_neighbours(tools, monkeypatch):
    draws = tools["draws"]
    plain = draws.Draws().normal((1000,), 1, 2)
    assert (plain == plain.astype(np.float32)).all()
    monkeypatch.setattr(draws, "NUDGES", 1)
    nudged = draws.Draws().normal((1000,), 1, 2)
    steps = (nudged - plain) / np.spacing(np.abs(plain.astype(np.float32)))
    assert {*np.sign(steps)} == {-1, 1} and (abs(steps) <= 1).all()
    assert (draws.Draws().normal((1000,), 1, 2) == nudged).all()
    monkeypatch.setattr(draws, "NUDGES", 2)
    assert (draws.Draws().normal((1000,), 1, 2) != nudged).any()


class Runs:
    """A program whose sides showed these losses."""

    row: ClassVar[dict] = {}

    def __init__(self, **losses):
        self.losses, self.ran = losses, []

    def run(self, side):
        self.ran.append(side)
        losses = self.losses.get(side.removeprefix("torch-").replace("-", "_"))
        error = None if losses else "exit status 1"
        return {"error": error, "losses": losses or [], "values": {}}


@pytest.mark.parametrize(
    ("losses", "grown"),
    [
        ({"plain": [1.0005]}, True),  # torch differs as much from itself
        ({"plain": [1.00001]}, False),
        ({"plain": [1.00001], "nudged_3": [0.9995]}, True),
        ({"double": [1.0005]}, True),  # both are as far from the truth
        ({"double": [1.00001]}, False),
        ({"plain": [1.001]}, True),  # ours is torch's other kernels'
        ({"plain": [1.0, 1.0]}, False),  # another number of losses
        ({}, False),
    ],
    ids=str,
)
def test_rounding_explains_what_torch_shows_of_itself(tools, losses, grown):
    programs = tools["programs"]
    ours, theirs = ({"losses": [v], "values": {}} for v in (1.001, 1.0))
    line = {"worst": programs.curve_error([1.001], [1.0])}
    assert programs.grown(Runs(**losses), line, theirs, ours) is grown


@pytest.mark.needs_torch
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("two", [False, True])
def test_dropout_between_recurrent_layers_is_replayed(kind, two, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import draws, torch\n"
        "draws.attach(torch, draws.Draws())\n"
        f"layer = torch.nn.{kind}(3, 4, 3, dropout=0.4, bidirectional={two})\n"
        "x = torch.randn(5, 2, 3, requires_grad=True)\n"
        "out, state = layer(x)\n"
        "state = torch.stack(state) if isinstance(state, tuple) else state\n"
        "(out.square().sum() + state.sum()).backward()\n"
        "print([t.double().norm().item() for t in (out, state, x.grad)]"
        " + [p.grad.double().norm().item() for p in layer.parameters()])\n"
    )
    (tmp_path / "a.py").write_text(code)
    said = []
    for before in ([], ["-m", "tallow.torch"]):
        command = [sys.executable, *before, str(tmp_path / "a.py"), str(PARTS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        said.append(json.loads(done.stdout))
    assert said[0] == pytest.approx(said[1], rel=1e-5)


def test_the_error_of_a_curve(tools):
    error = tools["programs"].curve_error
    assert error([1.0, 2.0], [1.0, 2.0]) == 0
    assert error([1.0, 2.2], [1.0, 2.0]) == pytest.approx(0.2 / 2.2)
    assert error([100.0, 1e-9], [100.0, 0.0]) == pytest.approx(1e-9)
    assert error([1.0], [1.0, 2.0]) == math.inf
    assert error([], []) == math.inf
    assert error([math.nan, 1.0], [math.nan, 1.0]) == 0
    assert error([math.nan], [1.0]) == error([1.0], [math.inf]) == math.inf


def test_printed_numbers_without_the_lines_of_times(tools):
    text = "step 3: loss 0.25, -1e-3\nin 7.5 s\n"
    assert tools["programs"].numbers(text, "^in ") == [3, 0.25, -1e-3]
    assert tools["programs"].numbers("71\t2.5\n72\t3\n", "", r"^\d+\t") == [2.5, 3]


def test_the_page_claims_only_what_ran(tools, tmp_path):
    import document

    rows = [{"name": n, "source": "a/b", "script": "x.py"} for n in ("one", "two", "three", "four")]
    table = {"program": rows, "sources": {"a/b": "0" * 40}, "packages": {"names": []}}
    lines = {
        "one": {"state": "equal", "said": "3 losses", "worst": 1e-7},
        "two": {"state": "fails", "said": "TypeError: no"},
        "three": {"state": "amplifies", "said": "3 losses", "worst": 2e-3, "itself": 1e-3},
    }
    document.write(tmp_path / "page.md", table, lines)
    page = (tmp_path / "page.md").read_text()
    assert "1 of 4 programs ran with only the import replaced and equal results." in page
    assert "| two | fails | TypeError: no |  |" in page
    assert "| three | ran, rounding grows | 3 losses | 2e-03 (torch with itself 1e-03) |" in page
    assert "| four | not run |  |  |" in page and "0" * 40 in page
