"""Builds the models of Hugging Face's `tokenizers` from a `Vocab`."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tallow.errors import MissingExtraError, ModelError
from tallow.text.vocab import SPACE_MARK, Model, Vocab, byte_chars


def import_tokenizers() -> Any:
    """The package `tokenizers`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("tokenizers")
    except ImportError as error:
        raise MissingExtraError(
            "this tokenizer needs the package tokenizers: pip install 'tallow[text]'"
        ) from error


@contextlib.contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turns whatever the library raises (bare Exception, or a Rust panic) into a ModelError."""
    try:
        yield
    except (ModelError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:  # a Rust panic is no Exception
        raise ModelError(f"{what}: {error}") from error


def check_charsmap(charsmap: bytes, where: str) -> bytes:
    """`charsmap`, whose array is as long as it says: the library takes memory for what it says.

    Raises:
        ModelError: it is not; without memory for it, the library would end the process.
    """
    size = int.from_bytes(charsmap[:4], "little")
    if not 4 <= 4 + size <= len(charsmap) or size % 4:
        wanted = f"the length of an array among {len(charsmap)} bytes"
        raise ModelError(f"{where}: precompiled_charsmap: expected {wanted}, got {size}")
    return charsmap


def check_normalizer(normalizer: Any, where: str) -> None:
    """Look into every map of texts of a `normalizer` of tokenizer.json; ModelError as above."""
    stack = [normalizer]
    while stack:
        step = stack.pop()
        if not isinstance(step, dict):
            continue
        inner = step.get("normalizers")
        stack.extend(inner if isinstance(inner, list) else [])
        given = step.get("precompiled_charsmap")
        if isinstance(given, str):
            from base64 import b64decode

            try:
                charsmap = b64decode(given)
            except ValueError:
                raise ModelError(f"{where}: precompiled_charsmap: expected base64") from None
            check_charsmap(charsmap, where)


class HFModel:
    """A `tokenizers.Tokenizer` without special tokens, seen as a `Model`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """The ids of plain `text`."""
        with refusals("tokenizer"):
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def build(vocab: Vocab) -> Model:
    """The engine of a vocabulary's algorithm.

    Raises:
        MissingExtraError: `tokenizers` is not installed.
        ModelError: it refuses the vocabulary, or has no form for it.
    """
    library = import_tokenizers()
    if vocab.algorithm not in _BUILDERS:
        wanted = f"a vocabulary of {', '.join(_BUILDERS)} for the package tokenizers"
        raise ModelError(f"engine hf: expected {wanted}, got {vocab.algorithm}")
    with refusals(f"tokenizer: {vocab.algorithm} vocabulary refused"):
        return HFModel(_BUILDERS[vocab.algorithm](library, vocab))


def _build_bpe(library: Any, vocab: Vocab) -> Any:
    pre = vocab.pre
    ids = vocab.plain_ids if pre.byte_level else _with_bytes(vocab)
    pairs = _pairs(vocab.merges)

    def model(merges: list[tuple[str, str]]) -> Any:
        return library.models.BPE(
            ids, merges, ignore_merges=pre.ignore_merges, byte_fallback=not pre.byte_level
        )

    try:
        tokenizer = library.Tokenizer(model(pairs))
    except Exception:  # a merge of or into a token that the vocabulary has not, or not for text
        known = [(a, b) for a, b in pairs if a in ids and b in ids and a + b in ids]
        tokenizer = library.Tokenizer(model(known))
    split = library.pre_tokenizers.Split
    steps = [split(library.Regex(pattern), "isolated") for pattern in pre.patterns]
    if pre.byte_level:
        steps.append(library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
        missing = "".join(re.escape(char) for char in byte_chars() if char not in ids)
        if missing:  # a byte without a token is dropped, and nothing is merged across it
            steps.append(split(library.Regex(f"[{missing}]"), "removed"))
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence(steps)
    return tokenizer


def _pairs(texts: Iterable[str]) -> list[tuple[str, str]]:
    """`"left right"` → `(left, right)`."""
    merges = tuple(texts)
    flat = " ".join(merges).split(" ")
    if len(flat) == 2 * len(merges):
        return list(zip(flat[::2], flat[1::2], strict=True))
    pairs = []
    for text in merges:
        at = text.find(" ", 1)
        if at > 0:
            pairs.append((text[:at], text[at + 1 :]))
    return pairs


def _build_spm(library: Any, vocab: Vocab) -> Any:
    merges = _merges_of_scores(vocab.plain_ids, vocab.scores)
    ids = _with_bytes(vocab)
    unk = vocab.find_special("unk")
    if unk is not None:
        ids[vocab.tokens[unk]] = unk
    return library.Tokenizer(
        library.models.BPE(
            ids,
            merges,
            unk_token=None if unk is None else vocab.tokens[unk],
            byte_fallback=True,
        )
    )


def _with_bytes(vocab: Vocab) -> dict[str, int]:
    """The tokens for text, and those for the bytes of characters that have none."""
    found = (index for index in vocab.byte_ids if index is not None)
    return {**vocab.plain_ids, **{vocab.tokens[index]: index for index in found}}


def _merges_of_scores(ids: dict[str, int], scores: Sequence[float]) -> list[tuple[str, str]]:
    """Every way to join two pieces into a third, the third of best score first."""
    found: list[tuple[float, int, int, str, str]] = []
    for text, index in ids.items():
        for at in range(1, len(text)):
            left, right = text[:at], text[at:]
            a, b = ids.get(left), ids.get(right)
            if a is not None and b is not None:
                found.append((-scores[index], a, b, left, right))
    found.sort()
    return [(left, right) for _, _, _, left, right in found]


def _build_wordpiece(library: Any, vocab: Vocab) -> Any:
    # transformers is followed where llama.cpp differs: that keeps one jamo of a Korean syllable,
    # drops spacing marks, takes \v, \f and U+0085 for spaces, and words of more than 100 letters.
    ids = wordpiece_ids(vocab)
    unk = unknown_of(vocab)
    unk_text = vocab.tokens[unk]
    tokenizer = library.Tokenizer(
        library.models.WordPiece({**ids, unk_text: unk}, unk_token=unk_text)
    )
    normalizer = vocab.normalizer
    tokenizer.normalizer = library.normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=True,
        strip_accents=normalizer.strip_accents,
        lowercase=normalizer.lowercase,
    )
    tokenizer.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    return tokenizer


def wordpiece_ids(vocab: Vocab) -> dict[str, int]:
    """The tokens for text, spelled as BERT does."""
    if not vocab.phantom_space:
        return vocab.plain_ids
    return {_wordpiece(text): index for text, index in reversed(vocab.plain_ids.items())}


def unknown_of(vocab: Vocab) -> int:
    """The id of the unknown token; ModelError where there is none."""
    unk = vocab.find_special("unk")
    if unk is None:
        raise ModelError("tokenizer.ggml.unknown_token_id: expected an id of the vocabulary")
    return unk


def _wordpiece(text: str) -> str:
    """llama.cpp marks a word's first piece, `▁piece`; BERT marks the others, `##piece`."""
    if text.startswith(SPACE_MARK):
        return text[1:]
    return text if text.startswith("[") and text.endswith("]") else f"##{text}"


def unigram_pieces(vocab: Vocab) -> list[tuple[str, float]]:
    """The pieces with their scores, those that text cannot become out of its reach."""
    pieces = list(zip(vocab.tokens, map(float, vocab.scores), strict=False))
    plain = vocab.plain_ids
    for index, (text, score) in enumerate(pieces):
        if plain.get(text) != index:  # no text has a space when the model sees it, so none matches
            pieces[index] = (f" {index}", score)
    return pieces


def _build_unigram(library: Any, vocab: Vocab) -> Any:
    pieces = unigram_pieces(vocab)
    tokenizer = library.Tokenizer(
        library.models.Unigram(pieces, unk_id=unknown_of(vocab), byte_fallback=False)
    )
    norm, cut = library.normalizers, library.pre_tokenizers
    prefix = vocab.add_space_prefix or vocab.remove_extra_whitespaces
    spaces = cut.Metaspace(replacement=SPACE_MARK, prepend_scheme="always" if prefix else "never")
    if vocab.normalizer.charsmap:
        # As transformers builds T5, XLM-RoBERTa and their kin. Precompiled maps grapheme by
        # grapheme, so a mark after a character that it replaces is lost, and U+0085 is a space;
        # llama.cpp maps character by character, as SentencePiece does. The models that come with
        # such a map were trained and are run with transformers, so that is followed.
        charsmap = check_charsmap(vocab.normalizer.charsmap, "tokenizer.ggml")
        tokenizer.normalizer = norm.Precompiled(charsmap)
        if vocab.remove_extra_whitespaces:
            spaces = cut.Sequence([cut.WhitespaceSplit(), spaces])
    elif vocab.remove_extra_whitespaces:
        tokenizer.normalizer = norm.Sequence(
            [norm.Strip(), norm.Replace(library.Regex(" {2,}"), " ")]
        )
    tokenizer.pre_tokenizer = spaces
    return tokenizer


_BUILDERS = {
    "bpe": _build_bpe,
    "spm": _build_spm,
    "wordpiece": _build_wordpiece,
    "unigram": _build_unigram,
}
