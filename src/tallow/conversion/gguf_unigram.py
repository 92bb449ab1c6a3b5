"""Unigram vocabularies (T5) as metadata of GGUF files: `tokenizer.ggml.model` is `t5`.

Source: what llama.cpp's converter of T5 writes, and llama.cpp reads.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tallow.errors import FormatError
from tallow.formats.gguf import Typed
from tallow.text.folder_files import parse_json, read_config, steps_of

_UNUSED_SCORE = -1000.0  # as the converter writes it of tokens that no piece has


def unigram_keys(folder: Path, size: int) -> dict[str, Any]:
    """Model, scores, and how text is changed and cut, for a vocabulary of `size` tokens.

    Raises:
        FormatError: the vocabulary or its map of characters is damaged.
    """
    root = _root(folder)
    rows: Any = (root.get("model") or {}).get("vocab")
    try:
        scores = [float(score) for _, score in rows]
    except (TypeError, ValueError):
        where = folder / "tokenizer.json"
        raise FormatError(where, "vocab", "pairs of a text and a score", "others") from None
    cuts = {step.get("type") for step in steps_of(root.get("pre_tokenizer"), "pretokenizers")}
    keys = {
        "model": Typed("str", "t5"),
        "pre": Typed("str", "default"),
        "scores": Typed("arr[f32]", [*scores, *[_UNUSED_SCORE] * (size - len(scores))]),
        "add_space_prefix": Typed("bool", True),
        "remove_extra_whitespaces": Typed("bool", "WhitespaceSplit" in cuts),
    }
    charsmap = _charsmap(root, folder)
    return keys | ({"precompiled_charsmap": Typed("arr[u8]", list(charsmap))} if charsmap else {})


def _root(folder: Path) -> Mapping[str, Any]:
    """The folder's tokenizer.json, or what one of its vocabulary files would hold."""
    file = folder / "tokenizer.json"
    if file.is_file():
        return parse_json(file, file.read_text(encoding="utf-8", errors="replace"))
    from tallow.text.vocab_files import read_vocab_files

    names = ("special_tokens_map.json", "tokenizer_config.json")
    config = {key: value for name in names for key, value in read_config(folder, name).items()}
    return read_vocab_files(folder, config)[1]


def _charsmap(root: Mapping[str, Any], folder: Path) -> bytes:
    for step in steps_of(root.get("normalizer"), "normalizers"):
        if step.get("type") == "Precompiled":
            text = step.get("precompiled_charsmap") or ""
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, TypeError, ValueError):
                where = folder / "tokenizer.json"
                raise FormatError(where, "precompiled_charsmap", "base64", "others") from None
    return b""
