"""Weights that come without a config, and the config that `load` is given for them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import ROOT, Case
from tallow.errors import ConfigWarning, DTypeError, ModelError
from tallow.safetensors import save_file


def bare(name, folder, prefix=""):
    """The weights of a golden alone, and its config."""
    tensors = dict(tl.load(ROOT / name / "model.safetensors"))
    path = folder / "weights.safetensors"
    save_file({prefix + key: value for key, value in tensors.items()}, path)
    return path, json.loads((ROOT / name / "config.json").read_text())


@pytest.mark.parametrize("name", ["craft", "crnn", "bert", "timm_mobilenetv3"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_and_a_config_are_a_model(name, prefix, tmp_path):
    case = Case(name)
    path, config = bare(name, tmp_path, prefix)
    model = tl.models.load(path, config=config)
    assert type(model).__name__ == type(case.load()).__name__
    case.check(case.run(model))
    model.save_pretrained(tmp_path / "saved")
    case.check(case.run(tl.models.load(tmp_path / "saved")))


def test_a_decoder_keeps_what_its_config_says(tmp_path):
    path, config = bare("llama_model", tmp_path)
    model = tl.models.load(path, config={**config, "eos_token_id": [3, 5]})
    assert model.end_ids == {3, 5}
    assert not model.has_tokenizer
    wanted = tl.models.load(ROOT / "llama_model")
    ids = tl.tensor([[1, 2, 4]])
    found = [m(ids).last_hidden_state.numpy() for m in (model, wanted)]
    assert np.array_equal(*found)


def test_a_folder_that_lacks_its_config(tmp_path):
    shutil.copytree(ROOT / "bert", tmp_path / "bert")
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    (tmp_path / "bert" / "config.json").unlink()
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]"]))
    settings = json.dumps({"tokenizer_class": "BertTokenizer"})
    (tmp_path / "bert" / "tokenizer_config.json").write_text(settings)
    model = tl.models.load(tmp_path / "bert", config=config)
    assert model.has_tokenizer
    model.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "vocab.txt").is_file()
    case = Case("bert")
    case.check(case.run(tl.models.load(tmp_path / "again")))


def test_a_given_config_is_read_as_strictly(tmp_path):
    path, config = bare("craft", tmp_path)
    where = r"weights\.safetensors: config: "
    with pytest.raises(ModelError, match=where + "model_type: .*found 'crafty'"):
        tl.models.load(path, config={**config, "model_type": "crafty"})
    with pytest.raises(ModelError, match=where + "up_sizes: expected 4 integers"):
        tl.models.load(path, config={**config, "up_sizes": [4, 4]})
    with pytest.raises(ModelError, match=r"basenet\.slice1\.0\.weight: expected .*\(64, 3, 3, 3\)"):
        tl.models.load(path, config={"model_type": "craft"})
    with pytest.warns(ConfigWarning, match="weights.safetensors: config: .*nobody_knows"):
        tl.models.load(path, config={**config, "nobody_knows": 1})
    with pytest.raises(DTypeError, match="config: expected a mapping, got str"):
        tl.models.load(path, config="craft")
    with pytest.raises(ModelError, match="or the argument config, found weights without a config"):
        tl.models.load(path)


def test_no_second_config(golden):
    with pytest.raises(ModelError, match=r"config: .*found one beside a config\.json"):
        tl.models.load(ROOT / "craft", config={"model_type": "craft"})
    with pytest.raises(ModelError, match="config: .*found one beside GGUF metadata"):
        tl.models.load(golden("llama").path("q8_0"), config={"model_type": "llama"})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"characters": "aba"}, "characters: expected characters, each of them once"),
        ({"characters": ["a"]}, "characters: expected a string"),
        ({"output_channel": 36}, "output_channel: expected a multiple of 8, found 36"),
        ({"characters": "ab"}, r"Prediction\.weight: expected .*\(3, 32\)"),
    ],
)
def test_configs_of_readers_that_do_not_fit(values, said, tmp_path):
    path, config = bare("crnn", tmp_path)
    with pytest.raises(ModelError, match=said):
        tl.models.load(path, config={**config, **values})


def test_repeats_and_blanks_are_left_out():
    model = Case("crnn").load()
    steps = [0, 1, 1, 0, 1, 2, 2, 11, 0]
    logits = tl.tensor(np.eye(17, dtype=np.float32)[steps][None])
    assert model.decode(logits) == ["001 "]
    assert model.decode(logits[:, :1]) == [""]
