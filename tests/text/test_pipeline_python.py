"""tokenizer.json run in plain Python, step by step and as a whole: as Hugging Face runs it."""

import json
import unicodedata

import pytest

from odd_texts import odd_texts
from tallow.errors import MissingExtraError
from tallow.text import Tokenizer
from tallow.text.steps_python import cutter, normalizer
from text.test_vocab_files import unpack

# Every character of Unicode 3.2, of the long runs of ideographs and syllables a few.
RUNS = ((0x3410, 0x4DB0), (0x4E10, 0x9FA0), (0xAC10, 0xD7A0), (0x20010, 0x2A6D0), (0xE010, 0xF8F0))
KNOWN = [
    chr(code)
    for code in range(0xF0000)
    if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs")
    and not any(first <= code < last for first, last in RUNS)
]


def bert(**flags):
    names = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    return {"type": "BertNormalizer", **dict.fromkeys(names, False), **flags}


NORMALIZERS = {
    "clean": bert(clean_text=True),
    "chinese": bert(handle_chinese_chars=True),
    "accents": bert(strip_accents=True),
    "whole": bert(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True),
    "lower": {"type": "Lowercase"},
    "strip_accents": {"type": "StripAccents"},
    "nfkd": {"type": "NFKD"},
    "strip": {"type": "Strip", "strip_left": True, "strip_right": False},
    "string": {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
    "regex": {"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\n\r\t]"}, "content": " "},
    "prepend": {"type": "Prepend", "prepend": "▁"},
}
REGEX = {"type": "Split", "invert": False, "behavior": "Isolated"}
SPACES = {"type": "Metaspace", "replacement": "▁"}
CUTS = {
    "bert": {"type": "BertPreTokenizer"},
    "white": {"type": "WhitespaceSplit"},
    "punctuation": {"type": "Punctuation", "behavior": "Isolated"},
    "digits": {"type": "Digits", "individual_digits": True},
    "runs": {"type": "Digits", "individual_digits": False},
    "characters": {**REGEX, "pattern": {"Regex": r"[\s\S]"}},
    "words": {**REGEX, "pattern": {"Regex": r"\w+|\S"}, "behavior": "Removed", "invert": True},
    **{f"{name}{invert}": {**REGEX, "pattern": {"Regex": "[ab]|\\s+"}, "behavior": name,
                           "invert": invert}
       for name in ("MergedWithPrevious", "MergedWithNext", "Contiguous", "Removed")
       for invert in (True, False)},
    "gemma": {**REGEX, "pattern": {"String": " "}, "behavior": "MergedWithPrevious"},
    "marks": {"type": "Punctuation", "behavior": "MergedWithPrevious"},
    "no_marks": {"type": "Punctuation", "behavior": "Removed"},
    "contiguous_marks": {"type": "Punctuation", "behavior": "Contiguous"},
    "string": {**REGEX, "pattern": {"String": "a."}, "behavior": "Removed"},
    "spaces": {**SPACES, "prepend_scheme": "always", "split": True},
    "whole": {**SPACES, "prepend_scheme": "never", "split": False},
    "bytes": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True,
              "trim_offsets": True},
}  # fmt: skip


def engine(part, step):
    """Hugging Face's engine with that one step."""
    import tokenizers as hf

    model = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
    return hf.Tokenizer.from_str(json.dumps({"version": "1.0", "model": model, part: step}))


@pytest.mark.parametrize("name", NORMALIZERS)
def test_normalizers(name):
    step = NORMALIZERS[name]
    oracle, ours = engine("normalizer", step).normalizer, normalizer([step])
    for text in [*KNOWN, *odd_texts(500, ("``", "  ", "ΣΣ"))]:
        assert ours(text) == oracle.normalize_str(text), ascii(text)


@pytest.mark.parametrize("name", CUTS)
def test_pre_tokenizers(name):
    step = CUTS[name]
    oracle, ours = engine("pre_tokenizer", step).pre_tokenizer, cutter([step])
    for text in [*(f"a{char}b" for char in KNOWN), *odd_texts(500, ("a.", "▁", " "))]:
        wanted = [piece for piece, _ in oracle.pre_tokenize_str(text)]
        assert ours([text]) == wanted, ascii(text)


NAMES = (
    "bert", "bert_cased", "mpnet", "roberta_space", "clip", "xlm_roberta_user", "mbart50", "t5_few",
    "albert", "albert_cased", "deberta_v2_lower", "mgp_str",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_whole_folders(name, tmp_path):
    """Special tokens that count and that do not, words, pairs, marked chats."""
    unpack(name, tmp_path)
    full, plain = (Tokenizer.from_folder(tmp_path, engine=each) for each in ("hf", "python"))
    special = sorted(full.id_to_token(index) for index in full.special_ids)[:8]
    texts = odd_texts(400, (*special, "Ⅷ\u0301", "½\u200d", "\u0e33"))
    for text in texts:
        for parse in (True, False):
            wanted = full.encode(text, parse_special=parse)
            assert plain.encode(text, parse_special=parse) == wanted, ascii(text)
    words = [text.split() for text in texts[:100]]
    one, other = (each.batch(words, is_split_into_words=True) for each in (full, plain))
    assert one.input_ids.tolist() == other.input_ids.tolist() and one.word_ids == other.word_ids
    call = {"truncation": True, "max_length": 20}
    one, other = (each.batch(texts, texts[::-1], **call) for each in (full, plain))
    assert one.input_ids.tolist() == other.input_ids.tolist()
    mark = "\x00\x01"
    for token in special:
        text = f"a {full.break_special(token, mark)} {token}"
        assert full.encode_prompt(text, mark) == plain.encode_prompt(text, mark)


FLAGS = ("single_word", "lstrip", "rstrip", "special")
TEXTS = ("The Them", "theThem The", " a  The  b", "Thema", "The\n", "é The_", "THE them", "TheThe",
         "x\u3000Them\u3000y")  # fmt: skip


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("flag", ["none", *FLAGS])
def test_added_tokens(flag, normalized, tmp_path):
    """Found where they stand by their flags, the longest of several first."""
    unpack("bert", tmp_path)
    size = Tokenizer.from_folder(tmp_path).vocab_size
    flags = {name: name == flag for name in FLAGS} | {"normalized": normalized}
    rows = {str(size + i): {"content": text, **flags} for i, text in enumerate(("The", "Them"))}
    config = {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": rows}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    full, plain = (Tokenizer.from_folder(tmp_path, engine=each) for each in ("hf", "python"))
    for text in TEXTS:
        for parse in (True, False):
            wanted = full.encode(text, parse_special=parse)
            assert plain.encode(text, parse_special=parse) == wanted, (text, parse)


@pytest.mark.parametrize(
    ("part", "step"),
    [
        ("normalizer", {"type": "Nmt"}),
        ("pre_tokenizer", {"type": "UnicodeScripts"}),
        ("pre_tokenizer", {**REGEX, "pattern": {"Regex": "a"}, "behavior": "Other"}),
        ("pre_tokenizer", {"type": "Punctuation", "behavior": "Other"}),
        ("pre_tokenizer", {"type": "Metaspace", "prepend_scheme": "first"}),
    ],
)
def test_what_is_not_known_is_refused(part, step, tmp_path):
    root = {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}, part: step}
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    with pytest.raises(MissingExtraError, match=r"pip install 'tallow\[text\]'"):
        Tokenizer.from_folder(tmp_path, engine="python")
