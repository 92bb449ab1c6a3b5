"""SentencePiece models in plain Python: pieces and texts of the package sentencepiece."""

import io

import pytest

from charsmaps import charsmap
from formats.protobuf_bytes import number, piece, sized
from odd_texts import odd_texts
from tallow.errors import ModelError
from tallow.formats.sentencepiece import open_sentencepiece
from tallow.text.charsmap import CharsMap
from tallow.text.sentencepiece_python import SentencePieceText
from text.tiny_tokenizers import corpus

HEAD = piece("<unk>", 0, 2) + piece("<s>", 0, 3)


def made(*pieces, normalizer=b"", trainer=b""):
    raw = HEAD + b"".join(pieces) + sized(2, trainer) + sized(3, normalizer)
    return SentencePieceText(open_sentencepiece(raw))


def test_the_likeliest_pieces_win():
    """Scores of a-b-c: ab + c is -3, a + bc -3.5, a + b + c -6; ties go to the one found first."""
    scores = {"▁": -1, "a": -2, "b": -2, "c": -2, "ab": -1, "bc": -1.5}
    text = made(*(piece(name, score) for name, score in scores.items()))
    assert text.pieces("abc") == ["▁", "ab", "c"]
    assert text.pieces("xyc") == ["▁", "xy", "c"]  # unknown neighbours are one piece
    assert text.decode(["▁", "ab", "c"]) == "abc"
    assert text.decode(["▁", "<unk>", "ab", "<s>"]) == " \u2047 ab"


def test_spaces_as_the_model_says():
    plain = made(piece("▁a", -1))
    assert plain.normalize("  a   b ") == "▁a▁b"
    kept = made(piece("▁a", -1), normalizer=number(3, 0) + number(4, 0))
    assert kept.normalize("  a  b ") == "▁▁a▁▁b▁"
    suffixed = made(piece("a▁", -1), trainer=number(24, 1))
    assert suffixed.normalize(" a b") == "a▁b▁"
    unescaped = made(piece("a", -1), normalizer=number(5, 0))
    assert unescaped.normalize("a b") == " a b"
    assert plain.normalize("   ") == plain.normalize("") == ""


def test_the_longest_text_of_a_map_is_replaced():
    found = CharsMap(charsmap({"a": "1", "ab": "2", "é": "e"}))
    assert list(found.matches(b"abc")) == [(1, b"1"), (2, b"2")]
    assert list(found.matches("xé".encode(), 1)) == [(2, b"e")]
    assert list(found.matches(b"b")) == list(CharsMap(b"").matches(b"a")) == []
    rules = sized(2, charsmap({"a": "1", "ab": "2", "é": "e"}))
    assert made(piece("x", -1), normalizer=rules).normalize("abaéab") == "▁21e2"


def test_a_map_that_lies_about_its_size():
    with pytest.raises(ModelError, match="precompiled_charsmap"):
        CharsMap(b"\xff\xff\xff\x7f")
    broken = charsmap({"a": "1"})
    for cut in range(5, len(broken), 97):  # any bytes as an array: a match or none
        units = (cut - 4) // 4 * 4
        list(CharsMap(units.to_bytes(4, "little") + broken[4:cut]).matches(b"aaaa"))


def test_other_algorithms_are_refused():
    with pytest.raises(ModelError, match="expected a unigram or BPE model, got word"):
        made(piece("a", -1), trainer=number(3, 3))


def test_pairs_of_best_score_are_joined_first():
    scores = {"▁": -9, "a": -8, "b": -7, "c": -6, "bc": -1, "ab": -2, "abc": -3, "▁abc": -4}
    text = made(*(piece(name, score) for name, score in scores.items()), trainer=number(3, 2))
    assert text.pieces("abc ab xy") == ["▁abc", "▁", "ab", "▁", "xy"]
    # An unused piece is taken apart again.
    unused = (piece(name, -i) for i, name in enumerate("▁abc"))
    parted = made(*unused, piece("ab", -1, 5), trainer=number(3, 2))
    assert parted.pieces("abc") == ["▁", "a", "b", "c"]


@pytest.mark.needs_torch
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"user_defined_symbols": ["<sep>", "the", "th"]},
        {"remove_extra_whitespaces": False},
        {"add_dummy_prefix": False},
        {"normalization_rule_name": "identity"},
        {"byte_fallback": True},
        {"normalization_rule_name": "nmt_nfkc_cf", "treat_whitespace_as_suffix": True},
        {"model_type": "bpe"},
        {"model_type": "bpe", "user_defined_symbols": ["<sep>", "the", "th"]},
        {"model_type": "bpe", "split_by_whitespace": False},
    ],
    ids=str,
)
def test_pieces_are_those_of_sentencepiece(options):
    sentencepiece = pytest.importorskip("sentencepiece")
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=out, vocab_size=1300, minloglevel=2,
        hard_vocab_limit=False, **options,
    )  # fmt: skip
    official = sentencepiece.SentencePieceProcessor()
    official.LoadFromSerializedProto(out.getvalue())
    ours = SentencePieceText(open_sentencepiece(out.getvalue()))
    for text in odd_texts(1000, ("the", "<sep>", "▁", " ▁ ")):
        wanted = official.encode(text, out_type=str)
        assert ours.pieces(text) == wanted, ascii(text)
        assert ours.decode(wanted) == official.decode(wanted), ascii(text)
