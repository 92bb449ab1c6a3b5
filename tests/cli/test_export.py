"""`tallow export` takes what the model is for from the model, and writes nothing else."""

import pytest

from cli.conftest import GOLDEN, TINY
from tallow.cli import main
from tallow.programs import load_program

TASKS = GOLDEN.parent / "tasks"
MODELS = {
    TINY: ("generate", ["prefill", "decode"]),
    TASKS / "sentences": ("embed", ["embed"]),
    TASKS / "texts": ("classify", ["classify"]),
    TASKS / "images": ("classify", ["classify"]),
}


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.name)
def test_each_kind_of_model(model, tmp_path, capsys):
    out = tmp_path / "x.tlw"
    assert main(["export", str(model), str(out)]) == 0
    program = load_program(out)
    task, plans = MODELS[model]
    assert f'"task": "{task}"'.encode() in program.sections["settings"]
    assert list(program.plans) == plans
    assert str(out) in capsys.readouterr().err


def test_what_is_there_is_kept(tmp_path, capsys):
    out = tmp_path / "x.tlw"
    out.write_bytes(b"mine")
    assert main(["export", str(TINY), str(out)]) == 1
    assert out.read_bytes() == b"mine"
    assert main(["export", str(TINY), str(out), "--force", "--context", "48"]) == 0
    assert load_program(out).plans["decode"]["sizes"] == {"context": (32, 48)}
    capsys.readouterr()


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        (TINY, ["--task", "sing"], "--task: expected one of generate, classify"),
        (TINY, ["--context", "8"], "expected a context of at least 32, got 8"),
        (TASKS / "sentences", ["--task", "generate"], "expected a model that continues texts"),
        (TASKS / "tokens", ["--task", "classify-images"], "task: expected one of BertModel"),
    ],
)
def test_what_cannot_be_exported(model, words, said, tmp_path, capsys):
    assert main(["export", str(model), str(tmp_path / "x.tlw"), *words]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())
