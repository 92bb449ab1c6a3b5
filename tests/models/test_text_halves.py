"""Folders of whole models (pictures, sounds, texts): the text in them gives its golden logits."""

import json
from pathlib import Path

import pytest

import tallow as tl
from tallow.conversion.gguf_model import gguf_content
from tallow.errors import ConfigWarning, ModelError
from tallow.weights import open_weights

GOLDEN = Path(__file__).parents[1] / "golden" / "families"
PUBLISHED = ("model.language_model.", "lm_head.")
OLDER = ("language_model.model.", "language_model.lm_head.")


def whole(folder, kind, names=PUBLISHED, **more):
    """A folder of a whole model around the golden of its text, with a tower's tensor."""
    source = GOLDEN / f"{kind}_text"
    text = json.loads((source / "config.json").read_text())
    tensors = {}
    for name, value in tl.load(source / "model.safetensors").items():
        head = name.startswith("lm_head.")
        tensors[names[head] + name.removeprefix("lm_head." if head else "model.")] = value
    tensors["model.visual.patch_embed.weight"] = tl.ones(4, 4)
    tl.save(tensors, folder / "model.safetensors")
    tied = text.pop("tie_word_embeddings", True)
    architecture = text.pop("architectures")[0].replace("ForCausalLM", "ForConditionalGeneration")
    values = {
        "model_type": kind, "architectures": [architecture], "tie_word_embeddings": tied,
        "text_config": text, "vision_config": {"hidden_size": 4}, **more,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("names", [PUBLISHED, OLDER], ids=["published", "older"])
@pytest.mark.parametrize("kind", ["gemma3n", "gemma4", "llama4", "qwen3_5", "qwen3_5_moe"])
def test_text_of_a_whole_model(tmp_path, kind, names):
    with pytest.warns(ConfigWarning, match=f"pictures and sounds of {kind} are not read") as told:
        model = tl.models.load(whole(tmp_path, kind, names), dtype="f32")
    assert len(told) == 1
    golden = tl.load(GOLDEN / f"{kind}_text" / "golden.safetensors")
    given = {n.removeprefix("in."): v for n, v in golden.items() if n.startswith("in.")}
    seen = given.get("attention_mask", tl.ones(*given["input_ids"].shape)).bool()
    off = (model(**given).logits - golden["out.logits"]).abs().max(-1)[0]
    assert (off * seen).max().item() < 1e-4 * golden["out.logits"].abs().max().item()
    model.save_pretrained(tmp_path / "saved")  # as the text that it is, which needs no warning
    again = tl.models.load(tmp_path / "saved", dtype="f32")
    assert again(**given).logits.equal(model(**given).logits)


@pytest.mark.filterwarnings("ignore::tallow.errors.ConfigWarning")
@pytest.mark.parametrize("kind", ["gemma4", "qwen3_5", "qwen3_5_moe"])
def test_its_gguf_file_is_that_of_the_text(tmp_path, kind):
    found = gguf_content(open_weights(whole(tmp_path, kind)))
    alone = tmp_path / "text"
    alone.mkdir()
    tl.models.load(tmp_path).save_pretrained(alone)
    text = gguf_content(open_weights(alone))
    shapes = [{n: e.shape for n, e in each.entries.items()} for each in (found, text)]
    assert shapes[0] == shapes[1]
    assert {key: value for key, value in found.metadata.items() if "name" not in key} == {
        key: value for key, value in text.metadata.items() if "name" not in key
    }


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"text_config": None}, "text_config"),
        ({"text_config": {"model_type": "llama"}}, "text_config: model_type"),
        ({"architectures": ["Gemma4ForSequenceClassification"]}, "architectures"),
    ],
    ids=["no_text", "other_text", "other_task"],
)
def test_what_is_no_whole_model(tmp_path, more, named):
    with pytest.raises(ModelError, match=named):
        tl.models.load(whole(tmp_path, "gemma4", **more))
