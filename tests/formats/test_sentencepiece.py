"""SentencePiece's `.model` files, written by hand and by the package sentencepiece."""

import io

import pytest

from formats.protobuf_bytes import number, piece, sized
from odd_texts import odd_texts
from tallow.errors import FormatError
from tallow.formats import sentencepiece
from tallow.formats.sentencepiece import open_sentencepiece

HEAD = piece("<unk>", 0.0, 2) + piece("<s>", 0.0, 3) + piece("</s>", 0.0, 3)


def test_a_model_with_what_the_format_says_where_it_is_silent(tmp_path):
    path = tmp_path / "spiece.model"
    path.write_bytes(HEAD + piece("▁a", -1.5) + piece("<x>", 0, 4))
    model = open_sentencepiece(path)
    assert model.pieces == ["<unk>", "<s>", "</s>", "▁a", "<x>"]
    assert model.scores[3] == -1.5 and model.kinds == [2, 3, 3, 1, 4]
    assert (model.algorithm, model.byte_fallback, model.space_as_suffix) == (
        "unigram",
        False,
        False,
    )
    assert (model.unk_id, model.bos_id, model.eos_id, model.pad_id) == (0, 1, 2, -1)
    assert model.unk_surface == " \u2047 "
    rules = model.normalizer
    assert (rules.charsmap, rules.name) == (b"", "")
    assert (rules.add_dummy_prefix, rules.remove_extra_whitespaces, rules.escape_whitespaces) == (
        (True,) * 3
    )
    assert model.of_kind(sentencepiece.USER_DEFINED) == [4]


def test_what_a_model_says():
    trainer = number(3, 2) + number(35, 1) + number(24, 1) + sized(44, "?")
    trainer += number(41, -1) + number(42, 5) + number(43, 3)
    normalizer = sized(1, "nfkc") + sized(2, b"abc") + number(3, 0) + number(4, 0) + number(5, 0)
    raw = HEAD + sized(2, trainer) + sized(3, normalizer) + sized(5, sized(2, b"de"))
    model = open_sentencepiece(raw)
    assert (model.algorithm, model.byte_fallback, model.space_as_suffix) == ("bpe", True, True)
    assert (model.bos_id, model.eos_id, model.pad_id, model.unk_surface) == (-1, 5, 3, "?")
    assert model.normalizer == sentencepiece.TextRules("nfkc", b"abc", False, False, False)
    assert model.denormalizer == sentencepiece.TextRules(charsmap=b"de")


def test_no_file(tmp_path):
    with pytest.raises(FormatError, match=r"none.model: file: expected a readable file"):
        open_sentencepiece(tmp_path / "none.model")


@pytest.mark.needs_torch
@pytest.mark.parametrize("kind", ["unigram", "bpe", "word", "char"])
def test_models_of_the_package_sentencepiece(kind):
    spm = pytest.importorskip("sentencepiece")
    from sentencepiece import sentencepiece_model_pb2 as official

    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(odd_texts(2000)), model_writer=out, vocab_size=4000, model_type=kind,
        user_defined_symbols=["<sep>"], byte_fallback=kind == "bpe", hard_vocab_limit=False,
        pad_id=3, minloglevel=2, remove_extra_whitespaces=kind != "word",
    )  # fmt: skip
    raw = out.getvalue()
    ours, wanted = open_sentencepiece(raw), official.ModelProto.FromString(raw)
    assert ours.pieces == [each.piece for each in wanted.pieces]
    assert ours.scores == [each.score for each in wanted.pieces]
    assert ours.kinds == [each.type for each in wanted.pieces]
    trainer, normalizer = wanted.trainer_spec, wanted.normalizer_spec
    assert (ours.algorithm, ours.byte_fallback) == (kind, trainer.byte_fallback)
    assert (ours.bos_id, ours.eos_id, ours.pad_id) == (trainer.bos_id, trainer.eos_id, 3)
    assert ours.unk_surface == trainer.unk_surface
    rules = ours.normalizer
    assert (rules.name, rules.charsmap) == (normalizer.name, normalizer.precompiled_charsmap)
    assert rules.remove_extra_whitespaces == normalizer.remove_extra_whitespaces


@pytest.mark.needs_torch
def test_the_tables_have_the_numbers_of_the_official_ones():
    official = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
    for ours, theirs in (
        (sentencepiece._PIECE, official.ModelProto.SentencePiece),
        (sentencepiece._TRAINER, official.TrainerSpec),
        (sentencepiece._NORMALIZER, official.NormalizerSpec),
        (sentencepiece._MODEL, official.ModelProto),
    ):
        for n, field in ours.fields.items():
            assert theirs.DESCRIPTOR.fields_by_number[n].name == field.name
