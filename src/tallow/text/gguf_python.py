"""GGUF's WordPiece and Unigram vocabularies in plain Python, as `hf` builds them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from tallow.text.hf import check_charsmap, unigram_pieces, unknown_of, wordpiece_ids
from tallow.text.merging import WordCache
from tallow.text.pipeline_python import MODELS, Words
from tallow.text.steps_python import Cut, Normalize, cutter, normalizer
from tallow.text.vocab import SPACE_MARK, Vocab

Step = Mapping[str, Any]


class StepsModel:
    """Plain text through a normalizer, a pre-tokenizer and a model."""

    def __init__(self, normalize: Normalize, cut: Cut, words: Words) -> None:
        self._normalize, self._cut, self._words = normalize, cut, words
        self._cache = WordCache()

    def encode(self, text: str) -> list[int]:
        """The ids of plain `text`."""
        return self._cache.encode(self._cut([self._normalize(text)]), self._words)


def build(vocab: Vocab) -> StepsModel:
    """The model of a vocabulary; ModelError where it has no unknown token."""
    normalizers, cuts, model = _BUILDERS[vocab.algorithm](vocab)
    words = MODELS[model["type"]](model, frozenset())
    return StepsModel(normalizer(normalizers), cutter(cuts), words)


def _wordpiece(vocab: Vocab) -> tuple[list[Step], list[Step], Step]:
    unk = unknown_of(vocab)
    ids = {**wordpiece_ids(vocab), vocab.tokens[unk]: unk}
    rules = vocab.normalizer
    lower = {"type": "BertNormalizer", "lowercase": rules.lowercase}
    model = {"type": "WordPiece", "vocab": ids, "unk_token": vocab.tokens[unk]}
    return (
        [{**lower, "strip_accents": rules.strip_accents}],
        [{"type": "BertPreTokenizer"}],
        model,
    )


def _unigram(vocab: Vocab) -> tuple[list[Step], list[Step], Step]:
    prefix = vocab.add_space_prefix or vocab.remove_extra_whitespaces
    spaces = {"type": "Metaspace", "replacement": SPACE_MARK}
    spaces["prepend_scheme"] = "always" if prefix else "never"
    steps: list[Step] = []
    cuts: list[Step] = [spaces]
    if vocab.normalizer.charsmap:
        text = base64.b64encode(check_charsmap(vocab.normalizer.charsmap, "tokenizer.ggml"))
        steps.append({"type": "Precompiled", "precompiled_charsmap": text.decode()})
        if vocab.remove_extra_whitespaces:
            cuts.insert(0, {"type": "WhitespaceSplit"})
    elif vocab.remove_extra_whitespaces:
        steps += [
            {"type": "Strip"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ]
    model = {"type": "Unigram", "vocab": unigram_pieces(vocab), "unk_id": unknown_of(vocab)}
    return steps, cuts, model


_BUILDERS: Mapping[str, Callable[[Vocab], tuple[list[Step], list[Step], Step]]] = {
    "wordpiece": _wordpiece,
    "unigram": _unigram,
}
