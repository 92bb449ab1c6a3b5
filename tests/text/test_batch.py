"""Batches equal those of Hugging Face: rows, types, masks, spans, words, what is cut off."""

import itertools
import json

import pytest

from odd_texts import odd_texts
from tallow.errors import ArgumentError, DTypeError, FormatError, MissingExtraError, ShapeError
from tallow.text import Tokenizer

CLS, SEP = "[CLS]", "[SEP]"


def bert(hf, tokenizer):
    """`trained_wordpiece` with BERT's template."""
    ids = [(text, tokenizer.token_to_id(text)) for text in (CLS, SEP)]
    tokenizer.post_processor = hf.processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}", pair=f"{CLS} $A {SEP} $B:1 {SEP}:1", special_tokens=ids
    )
    return {"cls_token": CLS, "sep_token": SEP, "pad_token": "[PAD]", "mask_token": "[MASK]"}


def old_bert(hf, tokenizer):
    bert(hf, tokenizer)
    sep, cls = ((text, tokenizer.token_to_id(text)) for text in (SEP, CLS))
    tokenizer.post_processor = hf.processors.BertProcessing(sep, cls)
    return {"pad_token": "[PAD]"}


def roberta(hf, tokenizer):
    sep, cls = ("<|im_end|>", 2), ("<|im_start|>", 1)
    tokenizer.post_processor = hf.processors.RobertaProcessing(sep, cls)
    return {"pad_token": "<|endoftext|>"}


def llama(hf, tokenizer):
    template = hf.processors.TemplateProcessing(
        single="<|im_start|> $A", pair="<|im_start|> $A <|im_start|>:1 $B:1",
        special_tokens=[("<|im_start|>", 1)],
    )  # fmt: skip
    byte_level = hf.processors.ByteLevel(trim_offsets=True)
    tokenizer.post_processor = hf.processors.Sequence([byte_level, template])
    return {"pad_token": "<|endoftext|>", "padding_side": "left", "truncation_side": "left"}


def bare(hf, tokenizer):
    return {"pad_token": "<pad>"}


KINDS = {
    "bert": ("wordpiece", bert),
    "old_bert": ("wordpiece", old_bert),
    "roberta": ("bpe", roberta),
    "llama": ("bpe", llama),
    "bare": ("unigram", bare),
}


@pytest.fixture
def make(request, tmp_path):
    """A folder's tokenizer, and Hugging Face's own."""

    def made(kind, **changes):
        import tokenizers as hf

        name, finish = KINDS[kind]
        trained = request.getfixturevalue(f"trained_{name}")
        oracle = hf.Tokenizer.from_str(trained.to_str())
        config = finish(hf, oracle) | {"tokenizer_class": "BertTokenizer"} | changes
        oracle.save(str(tmp_path / "tokenizer.json"))
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        return Tokenizer.from_folder(tmp_path), oracle, config

    return made


def columns(encodings):
    return [
        [each.ids for each in encodings],
        [each.attention_mask for each in encodings],
        [each.type_ids for each in encodings],
        [each.special_tokens_mask for each in encodings],
        [each.offsets for each in encodings],
        [each.word_ids for each in encodings],
    ]


def ours(found):
    tensors = (found.input_ids, found.attention_mask, found.token_type_ids)
    tensors += (found.special_tokens_mask,)
    return [each.tolist() for each in tensors] + [found.offsets, found.word_ids]


TEXTS = [
    "Hello there, my friend, how are you?", "", "a", "the quick brown fox", " ", "[MASK] of it",
    "<|im_end|> naïve 日本語 e\u0301", "x " * 30,
]  # fmt: skip
OTHERS = [*TEXTS[3:], *TEXTS[:3]]
CUTS = list(itertools.product(["longest_first", "only_first", "only_second"], [5, 9, 16], [0, 1]))


def expected(oracle, config, inputs, split=False, cut=None, special=True, **padding):
    import tokenizers as hf

    oracle = hf.Tokenizer.from_str(oracle.to_str())
    if cut is not None:
        strategy, length, stride = cut
        side = config.get("truncation_side", "right")
        oracle.enable_truncation(length, stride=stride, strategy=strategy, direction=side)
    pad = config["pad_token"]
    side = padding.pop("padding_side", config.get("padding_side", "right"))
    oracle.enable_padding(direction=side, pad_id=oracle.token_to_id(pad), pad_token=pad, **padding)
    return oracle.encode_batch(inputs, is_pretokenized=split, add_special_tokens=special)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pairs", [None, OTHERS], ids=["single", "pair"])
def test_rows_equal_hugging_face(make, kind, pairs):
    tokenizer, oracle, config = make(kind)
    inputs = TEXTS if pairs is None else list(zip(TEXTS, pairs, strict=True))
    for padding in ({}, {"padding_side": "left"}, {"pad_to_multiple_of": 8}):
        found = tokenizer.batch(TEXTS, pairs, return_offsets=True, **padding)
        assert ours(found) == columns(expected(oracle, config, inputs, **padding))
        assert found.overflow_to_sample == list(range(len(TEXTS))) and len(found) == len(TEXTS)
    found = tokenizer.batch(TEXTS, pairs, return_offsets=True, add_special=False)
    assert ours(found) == columns(expected(oracle, config, inputs, special=False))
    quick = tokenizer.batch(TEXTS, pairs)
    assert quick.input_ids.tolist() == tokenizer.batch(TEXTS, pairs).input_ids.tolist()
    assert quick.offsets is None and quick.word_ids is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("pairs", [None, OTHERS], ids=["single", "pair"])
def test_what_is_cut_equals_hugging_face(make, kind, pairs, cut):
    tokenizer, oracle, config = make(kind)
    strategy, length, stride = cut
    for i, text in enumerate(TEXTS):
        one = text if pairs is None else (text, pairs[i])
        call = {"truncation": strategy, "max_length": length, "stride": stride}
        call |= {"return_offsets": True, "padding": "max_length", "return_overflow": True}
        try:
            (first,) = expected(oracle, config, [one], cut=cut, length=length)
        except BaseException:  # a Rust panic is no Exception
            with pytest.raises(ArgumentError, match="text 0"):
                tokenizer.batch([one], **call)
            continue
        found = tokenizer.batch([one], **call)
        if max(len(each.ids) for each in first.overflowing or [first]) > length:
            continue  # all of a text that is cut to nothing, which is no row of this length
        assert ours(found) == columns([first, *first.overflowing])
        assert found.overflow_to_sample == [0] * len(found)
        kept = tokenizer.batch([one], **{**call, "return_overflow": False})
        assert ours(kept) == columns([first])


@pytest.mark.parametrize("kind", KINDS)
def test_words_equal_hugging_face(make, kind):
    tokenizer, oracle, config = make(kind)
    words = [["Hello", "there,", "naïve"], [], ["", "a", " b"], ["日本語", "x y"]]
    found = tokenizer.batch(words, is_split_into_words=True, return_offsets=True)
    assert ours(found) == columns(expected(oracle, config, words, split=True))
    pairs = [words[3], words[2], words[0], words[1]]
    both = tokenizer.batch(words, pairs, is_split_into_words=True, return_offsets=True)
    inputs = list(zip(words, pairs, strict=True))
    assert ours(both) == columns(expected(oracle, config, inputs, split=True))
    one = tokenizer.batch(words[0], is_split_into_words=True)
    assert ours(one)[0] == [expected(oracle, config, words[:1], split=True)[0].ids]


@pytest.mark.parametrize("kind", ["roberta", "llama"])
def test_the_stand_in_gives_the_same_batches(make, kind, tmp_path):
    full, _, _ = make(kind)
    plain = Tokenizer.from_folder(tmp_path, engine="python")
    texts = odd_texts(100, ("<|im_end|>",))
    for call in ({}, {"pairs": texts[::-1]}, {"truncation": True, "max_length": 12}):
        one, other = (each.batch(texts, **call) for each in (full, plain))
        assert ours(one) == ours(other)
    words = [text.split() for text in texts]
    assert (
        ours(full.batch(words, is_split_into_words=True))[:4]
        == (ours(plain.batch(words, is_split_into_words=True))[:4])
    )
    with pytest.raises(MissingExtraError, match="return_offsets"):
        plain.batch(texts, return_offsets=True)


def test_sequence_ids_tell_the_texts_apart(make):
    tokenizer, _, _ = make("bert")
    found = tokenizer.batch(["a a", "a"], ["a", "a"])
    assert found.sequence_ids == [
        [None, 0, 0, None, 1, None],
        [None, 0, None, 1, None, None],
    ]


def test_arguments_as_in_transformers(make):
    tokenizer, oracle, config = make("bert", model_max_length=6)
    assert (tokenizer.model_max_length, tokenizer.padding_side) == (6, "right")
    ids = [oracle.token_to_id(config[f"{role}_token"]) for role in ("cls", "sep", "mask", "pad")]
    assert [tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id, tokenizer.pad_id] == ids
    long = TEXTS[0]
    assert tokenizer.batch(long, truncation=True).input_ids.shape == (1, 6)
    assert tokenizer.batch("a", padding="max_length").input_ids.shape == (1, 6)
    assert tokenizer.batch(long, padding=False, max_length=5).input_ids.shape == (1, 5)
    assert tokenizer.batch([], padding=True).input_ids.shape == (0, 0)
    assert tokenizer.batch([("a", "a"), "a"]).token_type_ids.tolist() == [
        [0, 0, 0, 1, 1],
        [0, 0, 0, 0, 0],
    ]
    with pytest.warns(UserWarning, match="max_length"):
        assert tokenizer.batch(long, max_length=5).input_ids.shape[1] > 5


@pytest.mark.parametrize(
    ("config", "types"),
    [
        ({"tokenizer_class": "BertTokenizerFast"}, True),
        ({"tokenizer_class": "RobertaTokenizer"}, False),
        ({"tokenizer_class": None}, False),
        ({"tokenizer_class": "X", "model_input_names": ["input_ids", "token_type_ids"]}, True),
        ({"model_input_names": ["input_ids"]}, False),
    ],
)
def test_types_only_where_the_model_takes_them(make, config, types):
    tokenizer, _, _ = make("bert", **config)
    assert (tokenizer.batch("a").token_type_ids is not None) == types
    assert tokenizer.batch("a", return_token_type_ids=True).token_type_ids is not None
    assert tokenizer.batch("a", return_token_type_ids=False).token_type_ids is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"texts": ["a", 3]}, DTypeError, "text 1: expected a string, got int"),
        ({"texts": ["a", None]}, DTypeError, "text 1: expected a string, got NoneType"),
        ({"texts": [b"a"]}, DTypeError, "text 0: expected a string, got bytes"),
        ({"texts": b"a"}, DTypeError, "expected a list of texts, got bytes"),
        ({"texts": {"a": 1}}, DTypeError, "expected a list of texts, got dict"),
        ({"texts": ["a"], "pairs": [1]}, DTypeError, "pair 0: expected a string, got int"),
        ({"texts": ["a"], "pairs": "b"}, DTypeError, "pairs: expected a list of texts, got str"),
        ({"texts": ["a"], "pairs": ["b", "c"]}, ShapeError, "expected 1 pairs"),
        ({"texts": [["a", 1]], "is_split_into_words": True}, DTypeError, "text 0, word 1"),
        ({"texts": ["a", ["b"]], "is_split_into_words": True}, DTypeError, "expected a string"),
        ({"texts": ["a", "a b"], "padding": False}, ShapeError, "row 0: expected"),
        ({"texts": "a", "padding": "long"}, ArgumentError, "padding: expected one of True"),
        ({"texts": "a", "padding": 2}, ArgumentError, "padding: expected one of True"),
        ({"texts": "a", "truncation": "short"}, ArgumentError, "truncation: expected one of"),
        ({"texts": "a", "padding_side": "up"}, ArgumentError, "padding_side: expected right"),
        ({"texts": "a", "max_length": -1}, ArgumentError, "max_length: expected a number"),
        ({"texts": "a", "stride": True}, ArgumentError, "stride: expected a number"),
        ({"texts": "a", "pad_to_multiple_of": 0}, ArgumentError, "pad_to_multiple_of: expected"),
        ({"texts": "a", "truncation": True, "max_length": 9, "pad_to_multiple_of": 8},
         ArgumentError, "max_length: expected a multiple of 8"),
        ({"texts": "a", "truncation": True, "max_length": 1}, ArgumentError, "2 special tokens"),
        ({"texts": ["a", "a a a a a a"], "truncation": "only_second", "max_length": 5},
         ArgumentError, "text 1: truncation: only_second: expected a pair"),
    ],
)  # fmt: skip
def test_wrong_calls_give_one_clear_error(make, call, error, message):
    tokenizer, _, _ = make("bert")
    with pytest.raises(error, match=message):
        tokenizer.batch(**call)


def test_no_pad_token(make):
    tokenizer, _, _ = make("bert", pad_token=None)
    with pytest.raises(ArgumentError, match="expected a tokenizer with a pad token"):
        tokenizer.batch("a")
    assert tokenizer.batch("a", padding=False).input_ids.shape == (1, 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("padding_side", "up"),
        ("truncation_side", 3),
        ("model_max_length", "512"),
        ("model_max_length", 0),
        ("model_max_length", float("nan")),
        ("model_input_names", "input_ids"),
    ],
)
def test_wrong_configs(make, field, value):
    with pytest.raises(FormatError, match=f"tokenizer_config.json: {field}: expected"):
        make("bert", **{field: value})


def test_a_length_without_limit(make):
    tokenizer, _, _ = make("bert", model_max_length=1e30)
    assert tokenizer.model_max_length is None
    assert tokenizer.batch("a a", truncation=True, padding="max_length").input_ids.shape == (1, 4)


def test_pairs_of_a_gguf_vocabulary(wordpiece_metadata):
    tokenizer = Tokenizer.from_gguf(wordpiece_metadata)
    found = tokenizer.batch(["a", "a a"], ["a", "a"], return_token_type_ids=True)
    cls, sep, a = tokenizer.cls_id, tokenizer.sep_id, tokenizer.encode("a", add_special=False)
    assert found.input_ids.tolist()[1] == [cls, *a, *a, sep, *a, sep]
    assert found.token_type_ids.tolist()[1] == [0, 0, 0, 0, 1, 1]
