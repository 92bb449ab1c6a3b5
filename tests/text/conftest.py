"""Metadata of the real model, and of small tokenizers that are trained on the spot."""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "text"


@pytest.fixture(scope="session")
def golden():
    """llama.cpp's ids for a broad sample of text."""
    return json.loads((GOLDEN / "smollm2.json").read_text())


@pytest.fixture(scope="session")
def texts(golden):
    return [row[0] for row in golden["rows"]]


@pytest.fixture(scope="session")
def template_golden():
    return json.loads((GOLDEN / "templates.json").read_text())


@pytest.fixture(scope="session")
def smollm2_metadata(smollm2_path):
    from tallow.formats.gguf import open_gguf

    return dict(open_gguf(smollm2_path).metadata)


@pytest.fixture(scope="session")
def corpus(texts):
    """Text to train on: the sample without its control characters, several times over."""
    return [text for text in texts if text.isprintable() or "\n" in text] * 3


@pytest.fixture(scope="session")
def trained_bpe(corpus):
    """A byte-level BPE of Hugging Face's with GPT-2's pre-tokenizer and two special tokens."""
    import tokenizers as hf

    tokenizer = hf.Tokenizer(hf.models.BPE())
    tokenizer.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = hf.decoders.ByteLevel()
    trainer = hf.trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=hf.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens(["<think>"])
    return tokenizer


@pytest.fixture(scope="session")
def bpe_metadata(trained_bpe):
    """The same tokenizer as GGUF metadata."""
    model = json.loads(trained_bpe.to_str())["model"]
    vocab = trained_bpe.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=vocab.get)
    special = {"<|endoftext|>": 3, "<|im_start|>": 3, "<|im_end|>": 3, "<think>": 4}
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [special.get(token, 1) for token in tokens],
        "tokenizer.ggml.merges": [
            pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]
        ],
        "tokenizer.ggml.bos_token_id": vocab["<|endoftext|>"],
        "tokenizer.ggml.eos_token_id": vocab["<|im_end|>"],
        "tokenizer.ggml.add_bos_token": False,
    }


@pytest.fixture(scope="session")
def spm_metadata(corpus):
    """A SentencePiece-like vocabulary: control tokens, bytes, pieces by score, characters."""
    import tokenizers as hf

    tokenizer = hf.Tokenizer(hf.models.BPE())
    tokenizer.pre_tokenizer = hf.pre_tokenizers.Metaspace()
    trainer = hf.trainers.BpeTrainer(vocab_size=900, show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merged = ["".join(pair) for pair in model["merges"]]
    runs = ["▁" * n for n in (2, 3, 4, 5, 8)] + ["=" * n for n in (2, 3, 4, 6, 8)] + ["a" * 3]
    # A piece that is the text of a control token would be taken for one.
    known = [piece for piece in dict.fromkeys(merged + runs) if "|>" not in piece]
    # Characters without a token, nor any in a piece, are spelled in bytes.
    pieces = [piece for piece in known if not set(piece) & set("漢字😀")]
    letters = [char for char in model["vocab"] if len(char) == 1 and char not in "漢字😀"]
    head = ["<unk>", "<s>", "</s>"]
    tokens = head + [f"<0x{b:02X}>" for b in range(256)] + pieces + letters
    count = len(pieces)
    scores = [0.0] * (len(head) + 256) + [-float(i) for i in range(count)]
    scores += [-float(count + i) for i in range(len(letters))]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (count + len(letters))
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }


@pytest.fixture(scope="session")
def trained_wordpiece(corpus):
    import tokenizers as hf

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = hf.BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(
        corpus, vocab_size=800, special_tokens=special, show_progress=False
    )
    return tokenizer


@pytest.fixture(scope="session")
def wordpiece_metadata(trained_wordpiece):
    """BERT as llama.cpp's converter spells it: `▁word`, then bare pieces."""
    vocab = trained_wordpiece.get_vocab()
    texts = sorted(vocab, key=vocab.get)
    special = set(texts[:5])

    def spelled(text):
        if text in special:
            return text
        return text[2:] if text.startswith("##") else f"▁{text}"

    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "bert-bge",
        "tokenizer.ggml.tokens": [spelled(text) for text in texts],
        "tokenizer.ggml.token_type": [3 if text in special else 1 for text in texts],
        "tokenizer.ggml.cls_token_id": vocab["[CLS]"],
        "tokenizer.ggml.seperator_token_id": vocab["[SEP]"],
        "tokenizer.ggml.unknown_token_id": vocab["[UNK]"],
        "tokenizer.ggml.padding_token_id": vocab["[PAD]"],
    }


@pytest.fixture(scope="session")
def trained_unigram(corpus):
    import tokenizers as hf

    tokenizer = hf.Tokenizer(hf.models.Unigram())
    tokenizer.normalizer = hf.normalizers.Sequence(
        [hf.normalizers.Strip(), hf.normalizers.Replace(hf.Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = hf.pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = hf.decoders.Metaspace(prepend_scheme="always")
    trainer = hf.trainers.UnigramTrainer(
        vocab_size=600, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


@pytest.fixture(scope="session")
def unigram_metadata(trained_unigram):
    pieces = json.loads(trained_unigram.to_str())["model"]["vocab"]
    special = {"<pad>": 3, "</s>": 3, "<unk>": 2}
    return {
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.tokens": [text for text, _ in pieces],
        "tokenizer.ggml.scores": [score for _, score in pieces],
        "tokenizer.ggml.token_type": [special.get(text, 1) for text, _ in pieces],
        "tokenizer.ggml.add_space_prefix": True,
        "tokenizer.ggml.remove_extra_whitespaces": True,
    }
