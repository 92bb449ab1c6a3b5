"""`tallow export` takes what the model is for from the model, and writes nothing else."""

import pytest

import tallow as tl
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


def test_a_program_with_smaller_keys_and_values(tmp_path):
    sizes = {}
    for dtype in ("f32", "f16"):
        out = tmp_path / f"{dtype}.tlw"
        assert main(["export", str(TINY), str(out), "--cache-type", dtype]) == 0
        with tl.LLM(TINY, cache_dtype=dtype) as llm, tl.inference_mode():
            state = llm.model.make_state(dtype=dtype)
            wanted = llm.model(tl.tensor([[5, 6, 7]]), state=state).logits[:, -1]
        given = {"input_ids": tl.tensor([[5, 6, 7]]), "start": tl.tensor([0])}
        got = load_program(out)("prefill", given, length=3, context=32)["logits"]
        assert got.tolist() == wanted.tolist()
        sizes[dtype] = got.tolist()
    assert sizes["f32"] != sizes["f16"]


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        (TINY, ["--cache-type", "q8_0"], "expected heads of a multiple of 32 for q8_0, got 16"),
        (TASKS / "texts", ["--cache-type", "f16"], "--cache-type: expected a model that continues"),
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
