"""Tokens back to text as the decoder of a tokenizer.json says, for vocabularies that join words.

Source: the decoders of Hugging Face's `tokenizers`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tallow.errors import ModelError
from tallow.text.vocab import spelled_bytes

Step = Callable[[list[str]], list[str]]

# What is put together again, in this order.
_JOINED: Final = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
    (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


def clean_up(text: str) -> str:
    """`text` without the spaces before punctuation and shortened words, as in transformers."""
    for apart, joined in _JOINED:
        text = text.replace(apart, joined)
    return text


def _clean_token(text: str) -> str:
    # The engine joins one thing more, between the others.
    for apart, joined in (*_JOINED[:7], (" do not", " don't"), *_JOINED[7:]):
        text = text.replace(apart, joined)
    return text


class TokenDecoder:
    """The steps of a decoder, called with the tokens of a text."""

    def __init__(self, steps: Sequence[Mapping[str, Any]], suffix: str = "") -> None:
        """`suffix` ends each word of a CLIP vocabulary; transformers makes it a space.

        Raises:
            ModelError: a step that is not known here, or has fields of other types.
        """
        try:
            self._steps = [_STEPS[step["type"]](step) for step in steps]
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"tokenizer.json: decoder: a step of the wrong form: {error}"
            ) from None
        self._suffix = suffix

    def __call__(self, tokens: list[str]) -> str:
        """The text."""
        for step in self._steps:
            tokens = step(tokens)
        text = ("" if self._steps else " ").join(tokens)
        return text.replace(self._suffix, " ").strip() if self._suffix else text


def _wordpiece(step: Mapping[str, Any]) -> Step:
    prefix, cleanup = str(step.get("prefix", "##")), step.get("cleanup", True)

    def run(tokens: list[str]) -> list[str]:
        words = tokens[:1]
        words += [t[len(prefix) :] if t.startswith(prefix) else f" {t}" for t in tokens[1:]]
        return list(map(_clean_token, words)) if cleanup else words

    return run


def _metaspace(step: Mapping[str, Any]) -> Step:
    mark, scheme = str(step.get("replacement", "▁")), step.get("prepend_scheme", "always")
    drops = scheme != "never" and step.get("add_prefix_space", True) is not False

    def run(tokens: list[str]) -> list[str]:
        first = [token.replace(mark, "" if drops else " ") for token in tokens[:1]]
        return first + [token.replace(mark, " ") for token in tokens[1:]]

    return run


def _bpe(step: Mapping[str, Any]) -> Step:
    suffix = str(step.get("suffix", "</w>"))

    def run(tokens: list[str]) -> list[str]:
        words = [token.replace(suffix, " ") for token in tokens[:-1]]
        return words + [token.replace(suffix, "") for token in tokens[-1:]]

    return run


def _byte_level(step: Mapping[str, Any]) -> Step:
    return lambda tokens: [b"".join(map(spelled_bytes, tokens)).decode("utf-8", "replace")]


def _byte_fallback(step: Mapping[str, Any]) -> Step:
    def run(tokens: list[str]) -> list[str]:
        found: list[str] = []
        raw = bytearray()
        for token in [*tokens, ""]:
            byte = re.fullmatch("<0x([0-9A-Fa-f]{2})>", token)
            if byte:
                raw.append(int(byte[1], 16))
                continue
            if raw:
                try:
                    found.append(raw.decode())
                except UnicodeDecodeError:
                    found += ["\ufffd"] * len(raw)
                raw.clear()
            found.append(token)
        return found[:-1]

    return run


def _fuse(step: Mapping[str, Any]) -> Step:
    return lambda tokens: ["".join(tokens)]


def _replace(step: Mapping[str, Any]) -> Step:
    pattern, content = step["pattern"], str(step["content"])
    if "String" in pattern:
        return lambda tokens: [token.replace(str(pattern["String"]), content) for token in tokens]
    from tallow.text.unicode_regex import compile_pattern

    found = compile_pattern(str(pattern["Regex"]))
    return lambda tokens: [found.sub(lambda _: content, token) for token in tokens]


def _strip(step: Mapping[str, Any]) -> Step:
    char, start, stop = str(step["content"]), int(step["start"]), int(step["stop"])

    def one(token: str) -> str:
        first = min(len(token) - len(token.lstrip(char)), start)
        rest = token[first:]
        last = min(len(rest) - len(rest.rstrip(char)), stop)
        return rest[: len(rest) - last]

    return lambda tokens: list(map(one, tokens))


_STEPS: Final[Mapping[Any, Callable[[Mapping[str, Any]], Step]]] = {
    "WordPiece": _wordpiece,
    "Metaspace": _metaspace,
    "BPEDecoder": _bpe,
    "ByteLevel": _byte_level,
    "ByteFallback": _byte_fallback,
    "Fuse": _fuse,
    "Replace": _replace,
    "Strip": _strip,
}
