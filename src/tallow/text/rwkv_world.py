"""Reads the tokenizer of an RWKV folder: a file with a line for each token."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tallow.errors import FormatError, ModelError
from tallow.text.encoder import Encoder, VocabEncoder
from tallow.text.end_ids import configured_ends
from tallow.text.folder_batches import batch_settings
from tallow.text.folder_files import chat_template_of
from tallow.text.folder_tokens import MAX_VOCAB, MOST_UNUSED, text_of
from tallow.text.recipes import RWKV_FILE
from tallow.text.trie_python import TrieModel, escaped
from tallow.text.vocab import CONTROL, NORMAL, UNUSED, Vocab

_MOST: Final = 1 << 28  # bytes of a file
_LONGEST: Final = 1 << 16  # characters of a line
_LINE: Final = re.compile(r"(\d{1,9}) (b?(?:'.*'|\".*\")) (\d{1,9})", re.DOTALL)
_END: Final = "<s>"  # token 0, which no line has


def read(path: Path, config: Mapping[str, Any], engine: str) -> tuple[Vocab, Encoder]:
    """The tokenizer of a folder whose configs name RWKV's class.

    Raises:
        ModelError: the folder has no such file.
        FormatError: a line is not a number, a text or bytes as Python writes them, and a length;
            or ids stand twice or far from each other.
    """
    file = path / RWKV_FILE
    if not file.is_file():
        raise ModelError(f"{path}: expected {RWKV_FILE} of an RWKV tokenizer, found no such file")
    size = file.stat().st_size
    if size > _MOST:
        raise FormatError(file, "size", f"at most {_MOST} bytes", size)
    rows = _rows(file)
    count = max(rows) + 1
    first = text_of(config.get("eos_token")) or _END
    tokens = [first, *(escaped(rows.get(index, b"")) for index in range(1, count))]
    kinds = [CONTROL, *(NORMAL if index in rows else UNUSED for index in range(1, count))]
    ends = {0, *(index for index in configured_ends(path) if index < count)}
    vocab = Vocab(
        algorithm="trie",
        tokens=tokens,
        kinds=kinds,
        ids={text: index for index, text in enumerate(tokens) if text},
        special={"bos": 0, "eos": 0},
        eos_ids=frozenset(ends),
        settings=batch_settings(path, config, {}),
        chat_prefix=False,
        chat_template=chat_template_of(config, path),
    )
    return vocab, VocabEncoder(vocab, TrieModel(vocab))


def _rows(file: Path) -> dict[int, bytes]:
    """The bytes of each id."""
    try:
        lines = file.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        found = error.object[error.start : error.start + 8]
        raise FormatError(file, f"byte {error.start}", "UTF-8", found) from None
    most = min(MAX_VOCAB, len(lines) + MOST_UNUSED)
    rows: dict[int, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        index, raw = _row(file, line, number)
        if not 0 < index < most or index in rows:
            wanted = f"an id from 1 to {most - 1} that no line before has"
            raise FormatError(file, f"line {number}", wanted, index)
        rows[index] = raw
    if not rows:
        raise FormatError(file, "lines", "at least one token", "none")
    return rows


def _row(file: Path, line: str, number: int) -> tuple[int, bytes]:
    """The id and the bytes of a line."""
    found = _LINE.fullmatch(line.rstrip("\r")) if len(line) <= _LONGEST else None
    wanted = "an id, a text or bytes as Python writes them, and their number"
    if found is None:
        raise FormatError(file, f"line {number}", wanted, ascii(line[:40]))
    index, literal, length = int(found[1]), found[2], int(found[3])
    try:
        plain = "\\" not in literal and literal[0] != "b"
        value = literal[1:-1] if plain else ast.literal_eval(literal)
        raw = value.encode() if isinstance(value, str) else value
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raw = None
    if not isinstance(raw, bytes) or len(raw) != length:
        raise FormatError(file, f"line {number}", wanted, ascii(line[:40]))
    return index, raw
