"""What the configs of a class say of letters and spaces wins over its tokenizer.json."""

import json

import pytest

from odd_texts import odd_texts
from tallow.text import Tokenizer

BERT = ({}, {"do_lower_case": False}, {"do_lower_case": False, "strip_accents": True},
        {"strip_accents": False}, {"tokenize_chinese_chars": False})  # fmt: skip
ROBERTA = ({}, {"add_prefix_space": True}, {"add_prefix_space": False})
CASES = [
    *(("wordpiece", "BertTokenizer", flags) for flags in BERT),
    *(("wordpiece", "DistilBertTokenizerFast", flags) for flags in BERT[:2]),
    *(("wordpiece", "PreTrainedTokenizerFast", flags) for flags in BERT[:2]),
    *(("bpe", "RobertaTokenizer", flags) for flags in ROBERTA),
    *(("bpe", "LayoutLMv3Tokenizer", flags) for flags in ROBERTA),
]


@pytest.fixture
def folder(request, tmp_path):
    def made(kind, name, flags):
        tokenizer = request.getfixturevalue(f"trained_{kind}")
        roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]",
                 "sep_token": "[SEP]", "mask_token": "[MASK]"}  # fmt: skip
        if kind == "bpe":
            roles = dict.fromkeys(
                ("bos_token", "eos_token", "sep_token", "cls_token", "unk_token", "pad_token",
                 "mask_token"), "<|endoftext|>",
            )  # fmt: skip
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        config = {"tokenizer_class": name, **roles, **flags}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        return tmp_path

    return made


@pytest.mark.needs_torch
@pytest.mark.parametrize(("kind", "name", "flags"), CASES)
def test_flags_are_those_of_transformers(folder, kind, name, flags):
    transformers = pytest.importorskip("transformers")
    path = folder(kind, name, flags)
    oracle = transformers.AutoTokenizer.from_pretrained(str(path))
    ours = Tokenizer.from_folder(path)
    for text in odd_texts(300):
        if name.startswith("LayoutLM"):
            words = text.split() or ["a"]
            wanted = oracle(words, boxes=[[0] * 4] * len(words), add_special_tokens=False)
            found = ours.batch([words], is_split_into_words=True, add_special=False)
            assert found.input_ids.tolist() == [wanted["input_ids"]], ascii(text)
            continue
        wanted = oracle(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text, add_special=False, parse_special=True) == wanted, ascii(text)


@pytest.mark.parametrize("engine", ["hf", "python"])
@pytest.mark.parametrize(
    ("flags", "lower"),
    [({}, True), ({"do_lower_case": True}, True), ({"do_lower_case": False}, False)],
)
def test_capital_letters(folder, flags, lower, engine):
    tokenizer = Tokenizer.from_folder(folder("wordpiece", "BertTokenizer", flags), engine=engine)
    assert (tokenizer.encode("HELLO É") == tokenizer.encode("hello e")) == lower


def test_special_tokens_of_the_class_where_the_configs_name_none(folder, trained_wordpiece):
    path = folder("wordpiece", "BertTokenizer", {})
    (path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    tokenizer = Tokenizer.from_folder(path)
    ids = [trained_wordpiece.token_to_id(f"[{name}]") for name in ("PAD", "CLS", "SEP", "MASK")]
    found = [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id]
    assert found == ids
    assert tokenizer.batch(["a", "a a"]).attention_mask.tolist()[0][-1] == 0


def test_siglip2_lowers_letters(folder):
    path = folder("bpe", "GemmaTokenizer", {})
    assert Tokenizer.from_folder(path).encode("HELLO") != Tokenizer.from_folder(path).encode(
        "hello"
    )
    (path / "config.json").write_text('{"model_type": "siglip2"}')
    tokenizer = Tokenizer.from_folder(path)
    assert tokenizer.encode("HELLO") == tokenizer.encode("hello")
    assert tokenizer.padding_side == "left"


@pytest.mark.parametrize("engine", ["hf", "python"])
def test_a_space_before_a_text(folder, engine):
    for flags, spaced in (({}, False), ({"add_prefix_space": True}, True)):
        tokenizer = Tokenizer.from_folder(folder("bpe", "RobertaTokenizer", flags), engine=engine)
        assert (tokenizer.encode("the") == tokenizer.encode(" the")) == spaced
