"""Folders as Hugging Face writes them: tokenizer.json and its neighbours."""

import json
import sys

import pytest

from tallow.errors import ArgumentError, FormatError, MissingExtraError, ModelError
from tallow.text import StreamDecoder, Tokenizer

CONFIG = {
    "bos_token": "<|im_start|>",
    "eos_token": {"content": "<|endoftext|>", "lstrip": False},
    "chat_template": "plain",
}


@pytest.fixture
def folder(tmp_path, trained_bpe):
    trained_bpe.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(CONFIG))
    return tmp_path


@pytest.mark.parametrize("engine", ["auto", "hf", "python"])
def test_ids_equal_hugging_face(folder, trained_bpe, texts, engine):
    tokenizer = Tokenizer.from_folder(folder, engine=engine)
    for text in texts:
        expected = trained_bpe.encode(text).ids
        assert tokenizer.encode(text, parse_special=True) == expected, text
        plain = tokenizer.encode(text)
        assert not set(plain) & tokenizer.special_ids
        assert tokenizer.decode(plain) == text


def test_special_tokens(folder):
    tokenizer = Tokenizer.from_folder(folder)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.chat_template) == (1, 0, "plain")
    assert tokenizer.eos_ids == {0, 2}
    (folder / "generation_config.json").write_text('{"eos_token_id": [5, 6]}')
    assert Tokenizer.from_folder(folder).eos_ids == {0, 2, 5, 6}


def test_chat_templates_by_name_and_in_a_file(folder):
    named = [{"name": "tool_use", "template": "b"}, {"name": "default", "template": "a"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert Tokenizer.from_folder(folder).chat_template == "a"
    (folder / "chat_template.jinja").write_text("file")
    assert Tokenizer.from_folder(folder).chat_template == "file"


@pytest.mark.parametrize("engine", ["hf", "python"])
def test_template_processing_adds_tokens(folder, trained_bpe, engine):
    import tokenizers as hf

    tokenizer = hf.Tokenizer.from_str(trained_bpe.to_str())
    tokenizer.post_processor = hf.processors.TemplateProcessing(
        single="<|im_start|> $A <|im_end|>", special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)]
    )
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=50)
    tokenizer.save(str(folder / "tokenizer.json"))
    ours = Tokenizer.from_folder(folder, engine=engine)
    bare = ours.encode("hello there, my friend, how are you", add_special=False)
    assert len(bare) > 5
    assert ours.encode("hello there, my friend, how are you") == [1, *bare, 2]


@pytest.mark.parametrize("engine", ["hf", "python"])
def test_qwen_like_steps(folder, trained_bpe, texts, engine):
    """NFC, a pattern of its own, single digits: what Qwen2 and Llama 3 write."""
    import tokenizers as hf

    from tallow.text import pretokenizers

    tokenizer = hf.Tokenizer.from_str(trained_bpe.to_str())
    tokenizer.normalizer = hf.normalizers.NFC()
    pattern = hf.Regex(pretokenizers.by_name("qwen2").patterns[0])
    tokenizer.pre_tokenizer = hf.pre_tokenizers.Sequence(
        [
            hf.pre_tokenizers.Digits(individual_digits=True),
            hf.pre_tokenizers.Split(pattern, "isolated"),
            hf.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    ours = Tokenizer.from_folder(folder, engine=engine)
    for text in texts:
        assert ours.encode(text, parse_special=True) == tokenizer.encode(text).ids, text


@pytest.mark.parametrize("engine", ["hf", "python"])
def test_the_end_of_a_word_counts(tmp_path, engine):
    """A vocabulary of bytes with a suffix, cut by patterns alone."""
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "Ġ": 4},
             "merges": [], "end_of_word_suffix": "</w>"}  # fmt: skip
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    root = {"model": model, "pre_tokenizer": level, "decoder": level}
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    assert Tokenizer.from_folder(tmp_path, engine=engine).encode("ab ba") == [0, 3, 4, 1, 2]


@pytest.fixture
def other(request, tmp_path):
    tokenizer = request.getfixturevalue(f"trained_{request.param}")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tokenizer, tmp_path


@pytest.mark.parametrize("other", ["wordpiece", "unigram"], indirect=True)
def test_other_kinds_stream_as_they_decode(other, texts):
    oracle, path = other
    tokenizer = Tokenizer.from_folder(path)
    for text in texts:
        ids = tokenizer.encode(text, parse_special=True)
        assert ids == oracle.encode(text).ids
        decoder = StreamDecoder(tokenizer)
        shown = "".join([decoder.push(index) for index in ids]) + decoder.finish()
        assert tokenizer.decode(ids) == oracle.decode(ids)
        # A stream has shown the space before a comma when the comma comes.
        assert shown.replace(" ", "") == tokenizer.decode(ids).replace(" ", "")
    ids = tokenizer.encode("hello world")
    assert tokenizer.decode(ids) == oracle.decode(ids) == "hello world"


@pytest.mark.parametrize("other", ["wordpiece", "unigram"], indirect=True)
def test_without_tokenizers_the_stand_in_gives_the_same_ids(other, texts, monkeypatch):
    oracle, path = other
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    tokenizer = Tokenizer.from_folder(path)
    for text in texts:
        ids = tokenizer.encode(text, parse_special=True)
        assert ids == oracle.encode(text).ids, ascii(text)
        assert tokenizer.decode(ids) == oracle.decode(ids)


def test_without_tokenizers_the_stand_in_takes_over(folder, bpe_metadata, monkeypatch, texts):
    expected = [Tokenizer.from_folder(folder, engine="hf").encode(text) for text in texts]
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for tokenizer in (Tokenizer.from_folder(folder), Tokenizer.from_gguf(bpe_metadata)):
        assert [tokenizer.encode(text) for text in texts] == expected
    with pytest.raises(MissingExtraError, match=r"pip install 'tallow\[text\]'"):
        Tokenizer.from_gguf(bpe_metadata, engine="hf")


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_gguf_vocabularies_without_tokenizers(kind, request, monkeypatch, texts):
    metadata = request.getfixturevalue(f"{kind}_metadata")
    full = Tokenizer.from_gguf(metadata, engine="hf")
    expected = [full.encode(text) for text in texts]
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    plain = Tokenizer.from_gguf(metadata)
    assert [plain.encode(text) for text in texts] == expected
    with pytest.raises(MissingExtraError, match=r"pip install 'tallow\[text\]'"):
        Tokenizer.from_gguf(metadata, engine="hf")


DAMAGED = {
    "empty": "",
    "list": "[]",
    "deep": "[" * 100_000,
    "no model": "{}",
    "no vocab": '{"model": {"type": "BPE"}}',
    "vocab": '{"model": {"type": "BPE", "vocab": 3}}',
    "ids": '{"model": {"type": "BPE", "vocab": {"a": -1}}}',
    "huge id": '{"model": {"type": "BPE", "vocab": {"a": 99999999999}}}',
    "type": '{"model": {"type": "Markov", "vocab": {"a": 0}}}',
    "added": '{"model": {"type": "BPE", "vocab": {"a": 0}}, "added_tokens": [{"content": 3}]}',
    "cut": '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}',
    "twice": '{"model": {"type": "Unigram", "vocab": [["a", 0]]}, "added_tokens": '
    '[{"content": "b", "id": 9}, {"content": "b", "id": 0}]}',
    "rows": '{"model": {"type": "Unigram", "vocab": [3, [], null]}}',
    "id": '{"model": {"type": "BPE", "vocab": {"a": []}}}',
    "score": '{"model": {"type": "Unigram", "vocab": [["a", "b"]]}}',
    "pair": '{"model": {"type": "Unigram", "vocab": [["a"]]}}',
    "step": '{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "normalizer": {"type": {}}}',
    "row": '{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "added_tokens": [null]}',
    "base64": '{"model": {"type": "WordLevel", "vocab": {"a": 0}}, "normalizer": '
    '{"type": "Precompiled", "precompiled_charsmap": "a"}}',
}


@pytest.mark.parametrize("engine", ["auto", "python"])
@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_give_one_clear_error(tmp_path, name, engine):
    (tmp_path / "tokenizer.json").write_text(DAMAGED[name])
    errors = (FormatError, ModelError, MissingExtraError)
    with pytest.raises(errors, match=r"tokenizer\.json"):
        Tokenizer.from_folder(tmp_path, engine=engine)


STEPS = [
    {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": "x"}]}},
    {"pre_tokenizer": {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": "("}}},
    {"post_processor": {"type": "TemplateProcessing", "single": [3]}},
    {"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": 3}]}},
    {"normalizer": {"type": "Nmt"}},
]


@pytest.mark.parametrize("change", STEPS, ids=lambda change: next(iter(change)))
def test_the_stand_in_refuses_steps_it_does_not_know(folder, change):
    file = folder / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises((ModelError, MissingExtraError), match="tokenizer"):
        Tokenizer.from_folder(folder, engine="python").encode("some text")


def test_damaged_config(folder):
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(FormatError, match=r"tokenizer_config\.json: content: expected JSON"):
        Tokenizer.from_folder(folder)


def test_no_tokenizer(tmp_path):
    with pytest.raises(ModelError, match=r"expected a tokenizer: tokenizer\.json, .*; got none"):
        Tokenizer.from_folder(tmp_path)
    with pytest.raises(ArgumentError, match="engine: expected one of"):
        Tokenizer.from_folder(tmp_path, engine="slow")
