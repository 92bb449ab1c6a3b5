"""The tokenizers of csrc/text: ids and texts of the Python ones and of Hugging Face's engine."""

import contextlib
import itertools
import json
import random

import pytest

from charsmaps import charsmap
from native_text import NativeTokenizer
from odd_texts import odd_texts
from tallow.errors import ModelError
from tallow.text import StreamDecoder, Tokenizer, pretokenizers
from tallow.text.tables import tokenizer_tables
from tallow.text.vocab import byte_chars, clean
from text.test_pipeline_python import CUTS, FLAGS, KNOWN, NORMALIZERS, REGEX, TEXTS
from text.test_vocab_files import CASES, GOLDEN, unpack
from text.tiny_tokenizers import RULES

# SentencePiece's own search, in single precision, words beside a model of it, bytes: refused.
OWN = ("siglip", "siglip_cased", "byt5", "m2m_100", "marian")
KINDS = ("bpe", "spm", "wordpiece", "unigram")


def native(tokenizer):
    return NativeTokenizer(tokenizer_tables(tokenizer))


def same(ours, theirs, texts, *, decode=True):
    """Ids of every text in each way, their texts, and the texts as they stream."""
    for text in map(clean, texts):
        for special, parse in ((True, False), (False, True)):
            wanted = ours.encode(text, special, parse)
            assert theirs.encode(text, special, parse) == wanted, ascii(text)
        for skip in (True, False) if decode else ():
            assert theirs.decode(wanted, skip) == ours.decode(wanted, skip), ascii(text)
            stream = StreamDecoder(ours, skip)
            pieces = [*map(stream.push, wanted), stream.finish()]
            if "\0" not in text:  # what the library separates them by
                assert theirs.stream(wanted, skip) == pieces, ascii(text)


def special_of(tokenizer):
    return tuple(sorted(tokenizer.id_to_token(index) for index in tokenizer.special_ids)[:8])


@pytest.mark.parametrize("kind", KINDS)
def test_gguf_vocabularies(kind, request, texts):
    ours = Tokenizer.from_gguf(request.getfixturevalue(f"{kind}_metadata"), engine="python")
    same(ours, native(ours), [*texts, *odd_texts(400, special_of(ours)), "", " ", "a" * 5000])


def test_smollm2(smollm2_metadata, golden):
    ours = Tokenizer.from_gguf(smollm2_metadata)
    theirs = native(ours)
    for text, plain, special in golden["rows"]:
        assert theirs.encode(text) == plain, text
        assert theirs.encode(text, parse_special=True) == (special or plain), text
    same(ours, theirs, odd_texts(1000, special_of(ours)))
    assert {i for i in range(ours.vocab_size) if theirs.ends(i)} == ours.eos_ids


@pytest.mark.parametrize("options", [
    {"add_space_prefix": False}, {"remove_extra_whitespaces": True},
    {"add_space_prefix": False, "remove_extra_whitespaces": True}, {"add_eos_token": True},
])  # fmt: skip
@pytest.mark.parametrize("kind", ["spm", "unigram"])
def test_spaces_of_sentencepiece(kind, options, request):
    metadata = request.getfixturevalue(f"{kind}_metadata")
    metadata = metadata | {f"tokenizer.ggml.{key}": value for key, value in options.items()}
    ours = Tokenizer.from_gguf(metadata, engine="python")
    same(ours, native(ours), ["", " ", "  ", " a  b ", *odd_texts(200, ("</s>", "  "))])


def test_pieces_that_cross_words(spm_metadata):
    tokens = [*spm_metadata["tokenizer.ggml.tokens"], "a▁b", "▁a▁b"]
    metadata = {**spm_metadata, "tokenizer.ggml.tokens": tokens}
    metadata["tokenizer.ggml.scores"] = [*spm_metadata["tokenizer.ggml.scores"], 1.0, 2.0]
    metadata["tokenizer.ggml.token_type"] = [*spm_metadata["tokenizer.ggml.token_type"], 1, 1]
    ours = Tokenizer.from_gguf(metadata, engine="python")
    theirs = native(ours)
    assert theirs.encode("a b", add_special=False) == [len(tokens) - 1]
    same(ours, theirs, odd_texts(200, ("a b", " ")))


def test_a_map_of_characters(unigram_metadata):
    metadata = {**unigram_metadata, "tokenizer.ggml.precompiled_charsmap": charsmap(RULES)}
    ours = Tokenizer.from_gguf(metadata, engine="python")
    marked = ["Ⅷ\u0301 a", "a\x85b", "½\u200dc", "e\u0301\u200d", "\u3000\u0301x", "\r\n\u0600a"]
    same(ours, native(ours), [*marked, *odd_texts(400)])


def cut_by(patterns, tmp_path):
    """A vocabulary of bytes, in which the last one of a word has another id."""
    ids = {char: index for index, char in enumerate(byte_chars())}
    vocab = ids | {f"{char}</w>": 256 + index for char, index in ids.items()}
    model = {"type": "BPE", "vocab": vocab, "merges": [], "end_of_word_suffix": "</w>"}
    steps = [{**REGEX, "pattern": {"Regex": pattern}} for pattern in patterns]
    steps.append({"type": "ByteLevel", "add_prefix_space": False, "use_regex": False})
    root = {"model": model, "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    return Tokenizer.from_folder(tmp_path, engine="python")


@pytest.mark.parametrize("name", pretokenizers.names())
def test_each_pre_tokenizer(name, texts, tmp_path):
    ours = cut_by(pretokenizers.by_name(name).patterns, tmp_path)
    assert sum(index > 255 for index in ours.encode("ab cd-12\n\n")) > 1
    same(ours, native(ours), [*texts, *odd_texts(150)], decode=False)


@pytest.mark.parametrize("engine", ["hf", "python"])
@pytest.mark.parametrize("name", [name for name in CASES if name not in OWN])
def test_folders(name, engine, tmp_path):
    """Special tokens that count and that do not; the goldens are transformers' own."""
    ours = Tokenizer.from_folder(unpack(name, tmp_path), engine=engine)
    theirs = native(ours)
    special = special_of(ours)
    texts = odd_texts(150, (*special, "Ⅷ\u0301", "½\u200d", "\u0e33"))
    same(ours, theirs, [row[0] for row in GOLDEN[name]["rows"]], decode=engine == "python")
    same(ours, theirs, texts, decode=engine == "python")
    draw = random.Random(3)
    for _ in range(100):
        ids = draw.choices(range(ours.vocab_size), k=draw.randint(0, 12))
        assert theirs.decode(ids) == ours.decode(ids), ids


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("name", ["bert", "roberta_space", "xlm_roberta", "xlnet", "t5", "gpt2"])
def test_rows(name, left, tmp_path):
    """Of one text and of pairs, cut to a length, with types: as `Tokenizer.batch` makes them."""
    file = unpack(name, tmp_path) / "tokenizer_config.json"
    config = json.loads(file.read_text())
    config |= {"truncation_side": "left"} if left else {}
    file.write_text(json.dumps(config | {"model_max_length": 30}))
    ours = Tokenizer.from_folder(tmp_path)
    theirs = native(ours)
    texts = [clean(text) for text in odd_texts(120, special_of(ours))]
    for first, second in zip(texts, texts[::-1], strict=True):
        for other, most in itertools.product((None, second), (0, 8, 13, 1000)):
            pair = None if other is None else [other]
            call = {"truncation": True, "max_length": most or None, "padding": False}
            row = ours.batch([first], pair, **call, return_token_type_ids=True)
            wanted = row.input_ids.tolist()[0], row.token_type_ids.tolist()[0]
            assert theirs.row(first, other, most) == wanted, (ascii(first), ascii(second), most)
    with (
        pytest.raises(ValueError, match="room for the special tokens")
        if name != "gpt2"
        else (contextlib.nullcontext())
    ):
        theirs.row("a", "b", 1)


@pytest.mark.parametrize("name", OWN)
def test_what_has_no_form_is_refused(name, tmp_path):
    ours = Tokenizer.from_folder(unpack(name, tmp_path))
    with pytest.raises(ModelError, match=r"tokenizer tables: .* has no form there"):
        tokenizer_tables(ours)


@pytest.mark.parametrize("step", [
    ("normalizer", {"type": "Nmt"}), ("pre_tokenizer", {"type": "UnicodeScripts"}),
    ("pre_tokenizer", {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}),
    *(("pre_tokenizer", {**REGEX, "pattern": {"Regex": regex}})
      for regex in ("(a?b?)+", "(?<=ab)c", r"(a)\1", "^a")),
])  # fmt: skip
def test_steps_without_a_form_are_refused_by_name(step, tmp_path):
    part, value = step
    root = {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}, part: value}
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    with pytest.raises(ModelError, match="tokenizer tables: .* has no form there"):
        tokenizer_tables(Tokenizer.from_folder(tmp_path, engine="hf"))


def one_step(tmp_path, part, step):
    """A vocabulary of all bytes under one step, so that ids tell what it does."""
    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)}
    model = {"type": "BPE", "vocab": vocab, "merges": [], "byte_fallback": True}
    if part == "pre_tokenizer":  # a piece that is cut off is known by its first character's id
        letters = {char: 256 + i for i, char in enumerate(["</w>", "b</w>", "a</w>", ".</w>"])}
        model = {"type": "BPE", "vocab": {**letters, "a": 0, "b": 1, " ": 2, ".": 3}, "merges": [],
                 "end_of_word_suffix": "</w>", "unk_token": "a"}  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model, part: step}))
    return Tokenizer.from_folder(tmp_path, engine="python")


@pytest.mark.parametrize("name", NORMALIZERS)
def test_normalizers(name, tmp_path):
    ours = one_step(tmp_path, "normalizer", NORMALIZERS[name])
    same(ours, native(ours), ["".join(KNOWN), *odd_texts(400, ("``", "  ", "ΣΣ"))], decode=False)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_normal_forms(form, tmp_path):
    ours = one_step(tmp_path, "normalizer", {"type": form})
    marks = "".join(char for char in KNOWN if "\u0300" <= char <= "\u036f")
    texts = [*(f"a{char}\u0301\u0323" for char in KNOWN), f"e{marks}", *odd_texts(400)]
    same(ours, native(ours), ["".join(texts[:-401]), *texts[-401:]], decode=False)


@pytest.mark.parametrize("name", [name for name in CUTS if name != "bytes"])
def test_cuts(name, tmp_path):
    ours = one_step(tmp_path, "pre_tokenizer", CUTS[name])
    texts = ["".join(f"a{char}b" for char in KNOWN), *odd_texts(400, ("a.", "▁", " "))]
    same(ours, native(ours), texts, decode=False)


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("flag", ["none", *FLAGS])
def test_added_tokens(flag, normalized, tmp_path):
    unpack("bert", tmp_path)
    size = Tokenizer.from_folder(tmp_path).vocab_size
    flags = {name: name == flag for name in FLAGS} | {"normalized": normalized}
    rows = {str(size + i): {"content": text, **flags} for i, text in enumerate(("The", "Them"))}
    config = {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": rows}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    ours = Tokenizer.from_folder(tmp_path, engine="python")
    same(ours, native(ours), TEXTS)


@pytest.mark.parametrize("normal", [None, "NFC", "NFKC"])
def test_byte_level_files(normal, tmp_path, trained_bpe, texts):
    import tokenizers as hf

    made = hf.Tokenizer.from_str(trained_bpe.to_str())
    if normal:
        made.normalizer = getattr(hf.normalizers, normal)()
        pattern = hf.Regex(pretokenizers.by_name("qwen2").patterns[0])
        level = hf.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        steps = [hf.pre_tokenizers.Split(pattern, "isolated"), level]
        made.pre_tokenizer = hf.pre_tokenizers.Sequence(steps)
    made.save(str(tmp_path / "tokenizer.json"))
    theirs = native(Tokenizer.from_folder(tmp_path))
    for text in (*texts, *odd_texts(400, ("<|im_end|>", "<think>"))):
        wanted = made.encode(text).ids
        assert theirs.encode(clean(text), parse_special=True) == wanted, ascii(text)
        for skip in (True, False):
            decoded = made.decode(wanted, skip_special_tokens=skip)
            assert theirs.decode(wanted, skip) == decoded, ascii(text)


@pytest.mark.parametrize(
    "raw", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xc0\xafb", b"\xf4\x90\x80\x80"]
)
def test_invalid_utf_8_counts_as_python_replaces_it(raw, bpe_metadata):
    ours = Tokenizer.from_gguf(bpe_metadata)
    assert native(ours).encode(raw) == ours.encode(raw.decode("utf-8", "replace"))
    ids = [ours.token_to_id(char) for char in bytes_as_tokens(raw)]
    assert native(ours).decode(ids) == ours.decode(ids) == raw.decode("utf-8", "replace")


def bytes_as_tokens(raw):
    return [byte_chars()[byte] for byte in raw]


@pytest.mark.parametrize("kind", KINDS)
def test_long_words_take_no_square_of_their_length(kind, request):
    """A million letters: a search of n² steps would take hours, not seconds."""
    theirs = native(Tokenizer.from_gguf(request.getfixturevalue(f"{kind}_metadata")))
    draw = random.Random(7)
    for text in ("a" * 1_000_000, "".join(draw.choices("abcdefgh", k=1_000_000)), " " * 1_000_000):
        assert theirs.encode(text) == theirs.encode(text)


def test_a_pattern_without_end_is_refused(bpe_metadata):
    metadata = {**bpe_metadata, "tokenizer.ggml.pre": "afmoe"}
    theirs = native(Tokenizer.from_gguf(metadata))
    with pytest.raises(ValueError, match="a pattern of the tokenizer takes too long"):
        theirs.encode("1" * 300_000 + "x")


def test_random_texts(bpe_metadata):
    hypothesis = pytest.importorskip("hypothesis")
    ours = Tokenizer.from_gguf(bpe_metadata)
    theirs = native(ours)

    @hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
    @hypothesis.given(hypothesis.strategies.text(max_size=40))
    def run(text):
        same(ours, theirs, [text])

    run()
