"""Ids against llama.cpp, Hugging Face's own tokenizers, and SentencePiece's definition."""

import base64
import contextlib
import json
import random
from itertools import pairwise

import pytest

from tallow.errors import ArgumentError, ModelError
from tallow.text import Tokenizer
from tallow.text.folder import FileEncoder

ENGINES = ("hf", "python", "auto")
CONTROL = "<|im_end|>"


@pytest.fixture(scope="session", params=ENGINES)
def smollm2(request, smollm2_metadata):
    return Tokenizer.from_gguf(smollm2_metadata, engine=request.param)


def test_smollm2_ids_equal_llama_cpp(smollm2, golden):
    for text, plain, special in golden["rows"]:
        assert smollm2.encode(text) == plain, text
        assert smollm2.encode(text, parse_special=True) == (special or plain), text


def test_smollm2_special_ids(smollm2, golden):
    assert sorted(smollm2.eos_ids) == golden["end_of_generation"]
    assert (smollm2.bos_id, smollm2.eos_id, smollm2.vocab_size) == (1, 2, 49152)
    assert smollm2.chat_template.startswith("{% for message in messages %}")


def test_smollm2_decode_is_the_inverse(smollm2, texts):
    lacking = "\x06\x0e\x1d\U000f0000\U000e0001"  # bytes without a token are dropped
    for text in texts:
        if not set(text) & set(lacking) and text.isprintable():
            assert smollm2.decode(smollm2.encode(text)) == text


@pytest.fixture(scope="session", params=ENGINES)
def bpe(request, bpe_metadata):
    return Tokenizer.from_gguf(bpe_metadata, engine=request.param)


def test_bpe_equals_hugging_face(bpe, trained_bpe, texts):
    for text in texts:
        expected = trained_bpe.encode(text, add_special_tokens=False).ids
        assert bpe.encode(text, parse_special=True) == expected, text


def test_bpe_decode_equals_hugging_face(bpe, trained_bpe):
    draw = random.Random(3)
    for _ in range(200):
        ids = draw.choices(range(3, bpe.vocab_size), k=draw.randint(0, 12))
        assert bpe.decode(ids) == trained_bpe.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("kind", ["bpe", "spm", "wordpiece", "unigram"])
def test_text_cannot_spell_a_control_token(kind, request):
    metadata = request.getfixturevalue(f"{kind}_metadata")
    tokenizer = Tokenizer.from_gguf(metadata)
    for index in sorted(tokenizer.special_ids):
        text = tokenizer.id_to_token(index)
        for written in (text, f"a {text} b", text * 3, f"{text[0]}{text}{text[1:]}"):
            found = set(tokenizer.encode(written, add_special=False)) & tokenizer.special_ids
            assert found <= {tokenizer.unk_id}, written
            assert index in tokenizer.encode(written, add_special=False, parse_special=True)


def test_control_tokens_are_not_reached_by_merges(bpe_metadata):
    """Even a file whose merges lead to a control token does not let text become one."""
    tokens = [*bpe_metadata["tokenizer.ggml.tokens"], "<|", "im_", "end", "|>", "<|im_", "end|>"]
    added = ["< |", "i m", "im _", "e n", "en d", "| >", "<| im_", "end |>", "<|im_ end|>"]
    kinds = bpe_metadata["tokenizer.ggml.token_type"] + [1] * 6
    metadata = {
        **bpe_metadata,
        "tokenizer.ggml.tokens": list(dict.fromkeys([*tokens, "im", "en"])),
        "tokenizer.ggml.pre": "gemma4",
        "tokenizer.ggml.merges": added,
    }
    metadata["tokenizer.ggml.token_type"] = kinds + [1] * 9
    for engine in ENGINES:
        tokenizer = Tokenizer.from_gguf(metadata, engine=engine)
        assert not set(tokenizer.encode(CONTROL)[1:]) & tokenizer.special_ids
        assert tokenizer.token_to_id(CONTROL) in tokenizer.encode(CONTROL, parse_special=True)


def test_user_defined_tokens_always_count(bpe):
    think = bpe.token_to_id("<think>")
    assert bpe.encode("a<think>b")[1:-1] == [think]
    assert bpe.decode([think]) == "<think>"
    assert bpe.token_bytes(think) == b"<think>"


def merged_by_definition(text, scores):
    """Join the pair that makes the best piece, the leftmost of equals, until none is left."""
    symbols = list(text)
    while True:
        pairs = [
            (-scores[a + b], i) for i, (a, b) in enumerate(pairwise(symbols)) if a + b in scores
        ]
        if not pairs:
            return symbols
        i = min(pairs)[1]
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]


@pytest.fixture(scope="session", params=["hf", "python"])
def spm(request, spm_metadata):
    return Tokenizer.from_gguf(spm_metadata, engine=request.param)


def test_spm_equals_its_definition(spm, spm_metadata, texts):
    tokens = spm_metadata["tokenizer.ggml.tokens"]
    scores = dict(zip(tokens[259:], spm_metadata["tokenizer.ggml.scores"][259:], strict=True))
    ids = {token: i for i, token in enumerate(tokens)}
    runs = [char * n for char in " =a" for n in range(1, 40)]
    for text in texts + runs:
        expected = [1]
        if text:
            for symbol in merged_by_definition(f" {text}".replace(" ", "▁"), scores):
                if symbol in ids:
                    expected.append(ids[symbol])
                else:
                    expected += [3 + byte for byte in symbol.encode()]
        assert spm.encode(text) == expected, text


def test_spm_decode_is_the_inverse(spm, texts):
    for text in texts:
        if "▁" not in text:
            assert spm.decode(spm.encode(text)) == text
    assert spm.token_bytes(3 + 0xE6) == b"\xe6"


def test_spm_space_prefix_follows_each_special_token(spm):
    ids = spm.encode("a</s>a", parse_special=True)
    assert ids == [1, spm.token_to_id("▁a"), 2, spm.token_to_id("▁a")]


@pytest.mark.parametrize("engine", ["hf", "python"])
def test_spm_without_space_prefix(spm_metadata, engine):
    metadata = {**spm_metadata, "tokenizer.ggml.add_space_prefix": False}
    tokenizer = Tokenizer.from_gguf(metadata, engine=engine)
    assert tokenizer.encode("a") == [1, tokenizer.token_to_id("a")]
    assert tokenizer.decode(tokenizer.encode(" a")) == " a"


@pytest.mark.parametrize("engine", ["hf", "python"])
def test_spm_removes_extra_whitespace_when_told(spm_metadata, engine):
    metadata = {**spm_metadata, "tokenizer.ggml.remove_extra_whitespaces": True}
    tokenizer = Tokenizer.from_gguf(metadata, engine=engine)
    assert tokenizer.encode("  the   user ") == tokenizer.encode("the user")


@pytest.mark.parametrize("engine", ["hf", "python"])
def test_spm_equals_sentencepiece(tmp_path, corpus, texts, engine):
    library = pytest.importorskip("sentencepiece")
    prefix = tmp_path / "m"
    lines = [line for text in corpus for line in text.split("\n") if line.strip()]
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(prefix), vocab_size=1500, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, minloglevel=2,
    )  # fmt: skip
    oracle = library.SentencePieceProcessor(model_file=f"{prefix}.model")
    count = range(oracle.vocab_size())
    kinds = [
        2 if oracle.is_unknown(i) else 3 if oracle.is_control(i) else 6 if oracle.is_byte(i) else 1
        for i in count
    ]
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [oracle.id_to_piece(i) for i in count],
        "tokenizer.ggml.scores": [oracle.get_score(i) for i in count],
        "tokenizer.ggml.token_type": kinds,
    }
    tokenizer = Tokenizer.from_gguf(metadata, engine=engine)
    for text in texts:
        if text and "\0" not in text and "▁" not in text:
            assert tokenizer.encode(text, add_special=False) == oracle.encode(text), text
            assert tokenizer.decode(oracle.encode(text)) == oracle.decode(oracle.encode(text))


def test_wordpiece_equals_hugging_face(wordpiece_metadata, trained_wordpiece, texts):
    tokenizer = Tokenizer.from_gguf(wordpiece_metadata)
    cls, sep = (trained_wordpiece.token_to_id(text) for text in ("[CLS]", "[SEP]"))
    for text in texts:
        if "▁" in text:
            continue  # llama.cpp spells `##▁` like the mark itself
        expected = trained_wordpiece.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text) == [cls, *expected, sep], text
    assert tokenizer.decode(tokenizer.encode("the user said hello")) == "the user said hello"
    masked = tokenizer.encode("a [MASK] b", parse_special=True)
    assert trained_wordpiece.token_to_id("[MASK]") in masked


def test_unigram_equals_hugging_face(unigram_metadata, trained_unigram, texts):
    tokenizer = Tokenizer.from_gguf(unigram_metadata)
    for text in texts:
        if any(tokenizer.id_to_token(i) in text for i in tokenizer.special_ids):
            continue  # Hugging Face's object takes them as special
        expected = trained_unigram.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text) == [*expected, 1], text
    ids = tokenizer.encode("hello  world")
    assert tokenizer.decode(ids) == trained_unigram.decode(ids)


def test_add_bos_and_eos(bpe_metadata):
    flags = {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_eos_token": True}
    tokenizer = Tokenizer.from_gguf({**bpe_metadata, **flags})
    bare = tokenizer.encode("hello", add_special=False)
    assert tokenizer.encode("hello") == [tokenizer.bos_id, *bare, tokenizer.eos_id]
    assert tokenizer.encode("") == [tokenizer.bos_id, tokenizer.eos_id]


def test_lone_surrogates_become_replacement_characters(bpe, spm):
    for tokenizer in (bpe, spm):
        assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"


def test_ids_beyond_the_vocabulary(bpe):
    size = bpe.vocab_size
    assert bpe.decode([size, -1, size + 9]) == ""
    for index in (-1, size):
        with pytest.raises(ArgumentError, match=f"got {index}"):
            bpe.token_bytes(index)
        with pytest.raises(ArgumentError, match=f"got {index}"):
            bpe.id_to_token(index)
    assert bpe.token_to_id("no such token") is None


def test_skip_special(bpe):
    ids = bpe.encode(f"hi{CONTROL}", parse_special=True)
    assert bpe.decode(ids) == "hi"
    assert bpe.decode(ids, skip_special=False) == f"hi{CONTROL}"


def test_long_words_take_no_quadratic_time(bpe_metadata, spm_metadata):
    text = "ab" * 100_000
    for metadata in (bpe_metadata, spm_metadata):
        tokenizer = Tokenizer.from_gguf(metadata, engine="python")
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_end_of_generation_texts(bpe_metadata):
    texts = ["<|return|>", "<|call|>", "<|end|>", "</s>", "<|eot_id|>"]
    tokens = bpe_metadata["tokenizer.ggml.tokens"] + texts
    kinds = bpe_metadata["tokenizer.ggml.token_type"] + [3, 3, 3, 1, 1]
    tokenizer = Tokenizer.from_gguf(
        {**bpe_metadata, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds}
    )
    ends = {tokenizer.id_to_token(index) for index in tokenizer.eos_ids}
    assert ends == {"<|im_end|>", "<|endoftext|>", "<|return|>", "<|call|>", "<|eot_id|>"}


WRONG = {
    "no model": ({"tokenizer.ggml.model": None}, "tokenizer.ggml.model: expected one of gpt2"),
    "model": ({"tokenizer.ggml.model": "plamo2"}, "got 'plamo2'"),
    "pre": ({"tokenizer.ggml.pre": "nonsense"}, "unknown pre-tokenizer 'nonsense'; known: .*qwen2"),
    "no tokens": ({"tokenizer.ggml.tokens": None}, "tokens: expected an array of strings"),
    "tokens": ({"tokenizer.ggml.tokens": "abc"}, "tokens: expected an array, got str"),
    "numbers": ({"tokenizer.ggml.tokens": [1, 2]}, "tokens: expected an array of str"),
    "types": ({"tokenizer.ggml.token_type": [1]}, "token_type: expected 1.* entries"),
    "no merges": ({"tokenizer.ggml.merges": []}, "merges: expected an array of strings, got none"),
    "bos": ({"tokenizer.ggml.bos_token_id": "x"}, "bos_token_id: expected a token id"),
    "add bos": (
        {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.bos_token_id": 1 << 31},
        "add_bos_token: expected the id of bos, got none",
    ),
}


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_must_be_finite(unigram_metadata, spm_metadata, score):
    for metadata in (unigram_metadata, spm_metadata):
        scores = [*metadata["tokenizer.ggml.scores"][:-1], score]
        with pytest.raises(ModelError, match="scores: expected finite numbers"):
            Tokenizer.from_gguf({**metadata, "tokenizer.ggml.scores": scores})


@pytest.mark.parametrize("charsmap", [b"\xff" * 9, [1, 2], [0] * 40, b"\0\0\0\1" * 9, "text"])
def test_damaged_charsmap(unigram_metadata, charsmap):
    metadata = {**unigram_metadata, "tokenizer.ggml.precompiled_charsmap": charsmap}
    with contextlib.suppress(ModelError):
        Tokenizer.from_gguf(metadata).encode("hello wörld")


@pytest.mark.parametrize("size", [0xFFFFFFFC, 1 << 30, 44, 38])
def test_a_charsmap_is_as_long_as_it_says(unigram_metadata, size):
    # The library takes memory for what is said, and ends the process where there is none.
    charsmap = size.to_bytes(4, "little") + bytes(36)
    metadata = {**unigram_metadata, "tokenizer.ggml.precompiled_charsmap": charsmap}
    with pytest.raises(ModelError, match="precompiled_charsmap: expected the length of an array"):
        Tokenizer.from_gguf(metadata).encode("hello")
    step = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}
    root = {
        "version": "1.0", "added_tokens": [], "truncation": None, "padding": None,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, step]},
        "pre_tokenizer": None, "post_processor": None, "decoder": None,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0]]},
    }  # fmt: skip
    with pytest.raises(ModelError, match="precompiled_charsmap: expected the length of an array"):
        FileEncoder(root)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_metadata_gives_one_clear_error(name, bpe_metadata):
    change, message = WRONG[name]
    with pytest.raises(ModelError, match=message):
        Tokenizer.from_gguf({**bpe_metadata, **change})


def test_wrong_merges_do_no_harm(bpe_metadata):
    merges = [*bpe_metadata["tokenizer.ggml.merges"], "nothing here", "x", "", " ", "a  b", "é é"]
    metadata = {**bpe_metadata, "tokenizer.ggml.merges": merges}
    for engine in ENGINES:
        tokenizer = Tokenizer.from_gguf(metadata, engine=engine)
        assert tokenizer.decode(tokenizer.encode("hello wörld")) == "hello wörld"


def test_unknown_engine(bpe_metadata):
    with pytest.raises(ArgumentError, match="engine: expected one of auto, hf, python, got rust"):
        Tokenizer.from_gguf(bpe_metadata, engine="rust")


def test_phi3_tokens_swallow_white_space(spm_metadata):
    metadata = {**spm_metadata, "general.name": "Phi-3-mini"}
    tokenizer = Tokenizer.from_gguf(metadata)
    ids = tokenizer.encode("</s>  \n a", add_special=False, parse_special=True)
    assert ids == [2, tokenizer.token_to_id("▁a")]


def test_repr_names_the_kind(bpe_metadata):
    assert repr(Tokenizer.from_gguf(bpe_metadata)).startswith("Tokenizer(bpe, vocab_size=")
    json.dumps(sorted(Tokenizer.from_gguf(bpe_metadata).eos_ids))
