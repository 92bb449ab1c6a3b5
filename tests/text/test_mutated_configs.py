"""Configs and steps with values of other types: a tokenizer or one clear error, nothing else."""

import copy
import json
import random

import pytest

from tallow.errors import TallowError
from tallow.text import Tokenizer
from text.test_vocab_files import unpack

KEYS = (
    "add_prefix_space", "do_lower_case", "strip_accents", "keep_accents", "split_by_punct",
    "extra_ids", "additional_special_tokens", "extra_special_tokens", "src_lang", "pad_token",
    "unk_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token", "padding_side",
    "model_max_length", "model_input_names", "added_tokens_decoder", "tokenizer_class",
    "vocab_file", "add_bos_token", "chat_template", "cls_token_box", "pad_token_label",
)  # fmt: skip
VALUES = (
    None, True, -1, 3, 10**12, float("inf"), "", "a", "[PAD]", "../x", "Bert", [], [1], ["a"],
    [["a"]], {}, {"a": 1}, {"content": 3}, {"0": {"content": "zz"}}, {"-1": {}},
)  # fmt: skip
NAMES = ("bert", "roberta", "clip", "xlm_roberta", "t5_few", "mbart", "albert", "mgp_str", "siglip")


def mutated(value, draw):
    """A value with one part of it dropped or replaced, at any depth."""
    if not isinstance(value, (dict, list)) or not value:
        return copy.deepcopy(draw.choice(VALUES))
    key = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))
    kind = draw.random()
    if kind < 0.15:
        value.pop(key)
    else:
        value[key] = copy.deepcopy(draw.choice(VALUES)) if kind < 0.4 else mutated(value[key], draw)
    return value


def run(folder, engine):
    try:
        tokenizer = Tokenizer.from_folder(folder, engine=engine)
        found = tokenizer.batch("Hello [MASK] é", padding=False)
        tokenizer.decode(found.input_ids.tolist()[0])
    except TallowError:
        return 0
    return 1


@pytest.mark.parametrize("name", NAMES)
def test_mutated_configs(name, tmp_path):
    draw = random.Random(name)
    unpack(name, tmp_path)
    file = tmp_path / "tokenizer_config.json"
    config = json.loads(file.read_text())
    read = 0
    for i in range(16):
        changed = {draw.choice(KEYS): draw.choice(VALUES) for _ in range(draw.randint(1, 3))}
        file.write_text(json.dumps({**config, **changed}))
        read += run(tmp_path, ("hf", "python")[i % 2])
    assert read < 16


@pytest.mark.parametrize("name", [name for name in NAMES if name != "siglip"])
def test_mutated_steps(name, tmp_path):
    """In plain Python; Hugging Face's engine reads the same file by itself."""
    draw = random.Random(name)
    unpack(name, tmp_path)
    root = json.loads(json.dumps(Tokenizer.from_folder(tmp_path, engine="hf")._encoder._root))
    model = root["model"]
    vocab = model["vocab"]
    model["vocab"] = vocab[:60] if isinstance(vocab, list) else dict(list(vocab.items())[:60])
    model["merges"] = []
    root["added_tokens"] = [row for row in root["added_tokens"] if row["id"] < 60]
    file = tmp_path / "tokenizer.json"
    read = 0
    for _ in range(60):
        file.write_text(json.dumps(mutated(copy.deepcopy(root), draw)))
        read += run(tmp_path, "python")
    assert 0 < read < 60
