"""SentencePiece tokenizers of Hugging Face folders, as GGUF metadata: the same ids."""

from __future__ import annotations

import json

import pytest

from tallow.conversion.gguf_vocab import vocab_metadata
from tallow.errors import ModelError
from tallow.text import Tokenizer

hf = pytest.importorskip("tokenizers")

CORPUS = [
    "It is the east, and Juliet is the sun. Arise, fair sun, and kill the envious moon,",
    "who is already sick and pale with grief that thou her maid art far more fair than she.",
    "The more I give to thee, the more I have, for both are infinite; good night, good night!",
    "numbers 12 and 345 and 6789, the theatre, there, then, these, those, themselves",
] * 5
TEXTS = (
    *CORPUS[:4],
    "the moon  and   the sun",
    " leading and trailing ",
    "häßlich — 漢字 😀",
    "thethethe",
    "",
    "unseen: QWERTY\nnew line\ttab",
)


@pytest.fixture
def folder(tmp_path):
    """Llama 2's kind of tokenizer.json: `▁` for spaces, bytes for what has no token."""
    trained = hf.Tokenizer(hf.models.BPE())
    trained.pre_tokenizer = hf.pre_tokenizers.Metaspace()
    trained.train_from_iterator(CORPUS, hf.trainers.BpeTrainer(vocab_size=400, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    special = ["<unk>", "<s>", "</s>"]
    order = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]
    added = [
        {"id": i, "content": text, "special": True, "normalized": False, "lstrip": False,
         "rstrip": False, "single_word": False}
        for i, text in enumerate(special)
    ]  # fmt: skip
    bos = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    root = {
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "post_processor": {
            "type": "TemplateProcessing", "single": bos,
            "pair": [*bos, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {
            "type": "BPE", "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>",
            "vocab": {text: i for i, text in enumerate(order)}, "merges": model["merges"],
        },
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(root))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": {"content": "<unk>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    return tmp_path


def plain(metadata):
    return {key: value.value for key, value in metadata.items()}


def test_ids_are_those_of_the_folder(folder):
    theirs = Tokenizer.from_folder(folder)
    metadata = plain(vocab_metadata(folder, {}, theirs.vocab_size))
    ours = Tokenizer.from_gguf(metadata)
    assert metadata["tokenizer.ggml.model"] == "llama"
    for text in TEXTS[:-2]:
        assert ours.encode(text) == theirs.encode(text), text
        assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text))
    assert ours.encode(TEXTS[-1]) == theirs.encode(TEXTS[-1])
    assert (ours.bos_id, ours.eos_id, ours.unk_id) == (1, 2, 0)


def test_scores_order_the_merges(folder):
    metadata = plain(vocab_metadata(folder, {}, 700))
    scores = dict(
        zip(metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.scores"], strict=True)
    )
    merges = json.loads((folder / "tokenizer.json").read_text())["model"]["merges"]
    ranked = [scores["".join(pair)] for pair in merges]
    assert ranked == sorted(ranked, reverse=True)
    assert min(ranked) > scores["<s>"]


def test_ids_without_a_token_are_filled(folder):
    size = Tokenizer.from_folder(folder).vocab_size
    metadata = plain(vocab_metadata(folder, {"pad_token_id": 5}, size + 3))
    assert metadata["tokenizer.ggml.tokens"][-2:] == [f"[PAD{size + 1}]", f"[PAD{size + 2}]"]
    assert metadata["tokenizer.ggml.token_type"][-3:] == [5, 5, 5]
    assert len(metadata["tokenizer.ggml.scores"]) == size + 3
    assert metadata["tokenizer.ggml.padding_token_id"] == 5
    with pytest.raises(ModelError, match="vocab_size"):
        vocab_metadata(folder, {}, size - 1)


def test_other_kinds_are_refused(folder):
    file = folder / "tokenizer.json"
    root = json.loads(file.read_text())
    vocab = {"<unk>": 0, "a": 1, "b": 2}
    root["model"] = {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}
    root["added_tokens"], root["post_processor"] = [], None
    file.write_text(json.dumps(root))
    with pytest.raises(ModelError, match="byte-pair or SentencePiece"):
        vocab_metadata(folder, {}, 10)
