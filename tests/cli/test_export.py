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


ONNX = {
    TINY: ("input_ids [batch, length]", ["logits"]),
    TASKS / "sentences": ("attention_mask [batch, length]", ["last_hidden_state", "pooler_output"]),
    TASKS / "texts": ("input_ids [batch, length]", ["logits"]),
    TASKS / "images": ("pixel_values [batch, 3, ", ["logits"]),
}


@pytest.mark.parametrize("model", ONNX, ids=lambda path: path.name)
def test_each_kind_of_model_as_an_onnx_graph(model, tmp_path, capsys):
    out = tmp_path / "x.onnx"
    assert main(["export", str(model), str(out), "--opset", "21"]) == 0
    said, outputs = ONNX[model]
    assert said in capsys.readouterr().err
    loaded = tl.onnx.load(out)
    assert loaded.opsets == {"": 21}
    assert [each.name for each in loaded.outputs] == outputs
    opened = tl.models.load(model, activations="float")
    from tallow.onnx.exporter.examples import example_inputs

    inputs = {name: x[:1] for name, x in example_inputs(opened)[0].items()}
    with tl.inference_mode():
        wanted = opened(**inputs)
    for name, got in loaded.run(inputs).items():
        scale = wanted[name].abs().max().item()
        assert tl.allclose(got, wanted[name], rtol=1e-4, atol=1e-4 * max(1.0, scale))


def test_onnx_of_what_cannot_be_written(tmp_path, capsys):
    for words, said in (
        (["x.tlw", "--onnx", "--opset", "5"], "an opset of 17 to 21, got 5"),
        (["x.onnx", "--image-size", "12"], "expected HEIGHTxWIDTH as 224x224, got '12'"),
        (["no/x.onnx"], "expected a file in a folder that is there"),
    ):
        assert main(["export", str(TASKS / "images"), str(tmp_path / words[0]), *words[1:]]) > 0
        assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
