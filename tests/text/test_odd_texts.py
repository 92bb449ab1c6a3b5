"""Odd texts of every category of Unicode, and tokens that text must not spell."""

import pytest

from charsmaps import charsmap
from odd_texts import odd_texts
from tallow.text import StreamDecoder, Tokenizer

RULES = {
    "Ⅷ": "VIII",
    "½": "1⁄2",
    "e\u0301": "é",
    "\u3000": " ",
    "\xa0": " ",
    "\n": " ",
    "\u200d": " ",
}


def as_transformers(metadata):
    """The Unigram tokenizer that transformers builds for T5 and XLM-RoBERTa."""
    import tokenizers as hf

    pieces = zip(metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.scores"], strict=True)
    built = hf.Tokenizer(hf.models.Unigram(list(pieces), unk_id=2, byte_fallback=False))
    built.normalizer = hf.normalizers.Precompiled(metadata["tokenizer.ggml.precompiled_charsmap"])
    cut = hf.pre_tokenizers
    built.pre_tokenizer = cut.Sequence([cut.WhitespaceSplit(), cut.Metaspace()])
    return built


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_unigram_with_a_map_of_characters_equals_transformers(unigram_metadata, engine):
    """It maps graphemes, and drops a mark behind one that is replaced; llama.cpp keeps it."""
    metadata = {**unigram_metadata, "tokenizer.ggml.precompiled_charsmap": charsmap(RULES)}
    oracle, tokenizer = as_transformers(metadata), Tokenizer.from_gguf(metadata, engine=engine)
    marked = ["Ⅷ\u0301 a", "Ⅷ a", "a\x85b", "\x85", "½\u200dc", "e\u0301\u200d", "\u3000\u0301x"]
    for text in [*marked, *odd_texts(400)]:
        expected = oracle.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text, add_special=False) == expected, ascii(text)
    assert tokenizer.encode("Ⅷ\u0301 a") == tokenizer.encode("Ⅷ a")


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_wordpiece_of_odd_texts_equals_hugging_face(wordpiece_metadata, trained_wordpiece, engine):
    """Korean syllables, spacing marks and long words too, where llama.cpp differs."""
    tokenizer = Tokenizer.from_gguf(wordpiece_metadata, engine=engine)
    for text in ["한국어", "a\u0903b", "a\x0bb", "ab" * 60, *odd_texts(400)]:
        expected = trained_wordpiece.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text, add_special=False) == expected, ascii(text)


@pytest.mark.parametrize(
    "named",
    [
        {"tokenizer.ggml.pre": "jina-v2-code"},
        {"tokenizer.ggml.pre": "roberta-bpe"},
        {"general.architecture": "jina-bert-v3"},
    ],
)
def test_a_mask_swallows_the_white_space_before_it(bpe_metadata, named):
    """As in transformers' RoBERTa (`lstrip`) and in llama.cpp, where GGUF has no key for it."""
    metadata = {**bpe_metadata, **named}
    kinds = [*metadata["tokenizer.ggml.token_type"], 3]
    tokens = [*metadata["tokenizer.ggml.tokens"], "<mask>"]
    metadata |= {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds}
    tokenizer, plain = Tokenizer.from_gguf(metadata), Tokenizer.from_gguf(bpe_metadata)
    word = plain.encode("the")
    for text in ("the<mask> the", "the \t\n<mask> the"):
        ids = tokenizer.encode(text, parse_special=True)
        assert ids == [*word, len(tokens) - 1, *plain.encode(" the")]
    assert tokenizer.encode(" <mask>", parse_special=True) == [len(tokens) - 1]
    assert tokenizer.encode("the ") == plain.encode("the ")


@pytest.mark.parametrize("marker", ["<｜fim▁hole｜>", "<|fim_prefix|>", "<MID>"])
def test_plain_text_cannot_spell_a_marker_of_filling_in(bpe_metadata, marker):
    """DeepSeek Coder's file calls them user-defined, which text of unknown origin could write."""
    tokens = [*bpe_metadata["tokenizer.ggml.tokens"], marker]
    metadata = {**bpe_metadata, "tokenizer.ggml.tokens": tokens}
    metadata["tokenizer.ggml.token_type"] = [*bpe_metadata["tokenizer.ggml.token_type"], 4]
    tokenizer, index = Tokenizer.from_gguf(metadata), len(tokens) - 1
    assert tokenizer.encode(f"a{marker}", parse_special=True)[-1] == index
    assert index not in tokenizer.encode(f"a{marker}")
    assert tokenizer.decode([index]) == "" and index not in tokenizer.eos_ids


def test_a_message_keeps_the_space_behind_what_looks_like_a_token(spm_metadata):
    tokenizer = Tokenizer.from_gguf({**spm_metadata, "general.name": "Phi-3-mini"})
    text = tokenizer.break_special("a</s>  \n b", "\0")
    assert text.replace("\0", "") == "a</s>  \n b" and "</s>" not in text


@pytest.mark.parametrize("kind", ["bpe", "spm", "wordpiece", "unigram"])
def test_a_stream_of_odd_texts_is_their_decoding(kind, request):
    tokenizer = Tokenizer.from_gguf(request.getfixturevalue(f"{kind}_metadata"))
    special = ("</s>", "<|im_end|>", "[SEP]")
    for text in odd_texts(200, special):
        ids = tokenizer.encode(text, parse_special=True)
        for skip in (False, True):
            stream = StreamDecoder(tokenizer, skip)
            found = "".join(map(stream.push, ids)) + stream.finish()
            assert found == tokenizer.decode(ids, skip_special=skip), ascii(text)
            if kind in ("bpe", "spm") and not skip:
                assert tokenizer.decode(tokenizer.encode(text, add_special=False)) == text
