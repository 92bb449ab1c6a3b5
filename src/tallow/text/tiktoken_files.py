"""Reads folders whose vocabulary is a file of tiktoken: bytes in base64, each with its rank.

Source: https://github.com/openai/tiktoken (`load.py`), and the tokenizers beside the checkpoints of
Qwen and GLM-4.
"""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, overload

from tallow.errors import FormatError, ModelError
from tallow.lazy_dataclasses import dataclass
from tallow.text import hf
from tallow.text.bpe_python import PythonBPE
from tallow.text.encoder import Encoder, VocabEncoder
from tallow.text.end_ids import configured_ends
from tallow.text.folder_batches import batch_settings
from tallow.text.folder_files import chat_template_of
from tallow.text.folder_tokens import MAX_VOCAB, MOST_UNUSED, decoder_rows, special_roles
from tallow.text.merging import merge
from tallow.text.pretokenizers import by_name
from tallow.text.vocab import CONTROL, NORMAL, UNUSED, Model, Vocab, byte_chars, end_ids
from tallow.text.vocab_files import class_of

_MOST: Final = 1 << 28  # bytes of a file


@dataclass(frozen=True)
class _Kind:
    """A class: its file, how llama.cpp calls its patterns, and its special tokens.

    `behind` stand behind the ranks, besides those that the configs list; `before` goes before a
    text.
    """

    file: str
    pre: str
    nfc: bool = False
    behind: Sequence[str] = ()
    before: Sequence[str] = ()
    roles: tuple[tuple[str, str], ...] = ()


_QWEN: Final = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{i}|>" for i in range(205)),
)  # fmt: skip
_KINDS: Final[Mapping[str, _Kind]] = {
    "QWen": _Kind("qwen.tiktoken", "qwen2", True, _QWEN, roles=(("eos", "<|endoftext|>"),)),
    "ChatGLM4": _Kind("tokenizer.model", "glm4", before=("[gMASK]", "<sop>")),
}


class RankMerges(Sequence[str]):
    """The merges that make the tokens of a vocabulary, made when they are first asked for.

    A token is made of the two pieces that all lower ranks leave of its bytes.
    """

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = ids

    @functools.cached_property
    def _all(self) -> list[str]:
        found = []
        for text, rank in sorted(self._ids.items(), key=lambda pair: pair[1]):
            parts = merge(list(text), functools.partial(self._below, rank))
            if len(parts) == 2:
                found.append(" ".join(parts))
        return found

    def _below(self, limit: int, left: str, right: str) -> int | None:
        rank = self._ids.get(left + right)
        return rank if rank is not None and rank < limit else None

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._all[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


class RankBPE(PythonBPE):
    """Byte-pair encoding by the ranks of the tokens themselves, without merges."""

    def _settle(self) -> None:
        self._ids = self._vocab.plain_ids
        self._id = self._ids.get

    def _rank(self, left: str, right: str) -> int | None:
        return self._ids.get(left + right)


def read(path: Path, config: Mapping[str, Any], engine: str) -> tuple[Vocab, Encoder]:
    """The tokenizer of a folder whose configs name one of these classes.

    Raises:
        ModelError: the folder has no such file.
        FormatError: it is damaged, or a token of the configs is one of its ranks.
        MissingExtraError: `engine` is `hf`, and `tokenizers` is not installed.
    """
    kind = _KINDS[class_of(path, config) or ""]
    ranks = _ranks(path / kind.file)
    count = max(ranks.values()) + 1
    added = _added(path, config, kind, count)
    size = max(added.values(), default=count - 1) + 1
    tokens, kinds = [""] * size, [UNUSED] * size
    for ids, each in ((ranks, NORMAL), (added, CONTROL)):
        for text, index in ids.items():
            tokens[index], kinds[index] = text, each
    every = {**ranks, **added}
    special = {role: added[text] for role, text in kind.roles} | special_roles(config, added)
    ends = [index for index in configured_ends(path) if index < size]
    ends += [special["eos"]] if "eos" in special else []
    eos_ids, final = end_ids(added, kinds, ends)
    vocab = Vocab(
        algorithm="bpe",
        tokens=tokens,
        kinds=final,
        ids=every,
        merges=RankMerges(ranks),
        pre=by_name(kind.pre),
        special=special,
        eos_ids=eos_ids,
        prefix_ids=tuple(added[text] for text in kind.before),
        nfc=kind.nfc,
        settings=batch_settings(path, config, {}),
        chat_prefix=False,
        chat_template=chat_template_of(config, path),
    )
    model: Model = hf.build(vocab) if engine == "hf" else RankBPE(vocab)
    return vocab, VocabEncoder(vocab, model)


def _added(path: Path, config: Mapping[str, Any], kind: _Kind, count: int) -> dict[str, int]:
    """The ids of control tokens, behind `count` ranks."""
    where = path / "tokenizer_config.json"
    added = {text: count + place for place, text in enumerate(kind.behind)}
    for index, row in decoder_rows(path, config):
        if not count <= index < min(MAX_VOCAB, count + MOST_UNUSED):
            wanted = f"ids from {count} on"
            raise FormatError(where, "added_tokens_decoder", wanted, index)
        added[row["content"]] = index
    absent = next((text for text in kind.before if text not in added), None)
    if absent is not None:
        raise FormatError(where, "added_tokens_decoder", f"a token {absent!r}", "none")
    return added


def _ranks(file: Path) -> dict[str, int]:
    """The ids of tokens, spelled in characters that stand for bytes."""
    if not file.is_file():
        raise ModelError(f"{file.parent}: expected a {file.name} of tiktoken, found no such file")
    size = file.stat().st_size
    if size > _MOST:
        raise FormatError(file, "size", f"at most {_MOST} bytes", size)
    lines = file.read_bytes().splitlines()
    most = min(MAX_VOCAB, len(lines) + MOST_UNUSED)
    chars, found, taken = byte_chars(), dict[str, int](), set[int]()
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        text, _, rank = line.partition(b" ")
        try:
            raw, index = base64.b64decode(text, validate=True), int(rank[:10])
        except (binascii.Error, ValueError):
            raw, index = b"", -1
        spelled = "".join([chars[byte] for byte in raw])
        if not raw or not 0 <= index < most or index in taken or spelled in found:
            wanted = f"bytes in base64 and their rank below {most}, neither of a line before"
            raise FormatError(file, f"line {number}", wanted, ascii(line[:40].decode("latin-1")))
        found[spelled] = index
        taken.add(index)
    if not found:
        raise FormatError(file, "lines", "at least one token", "none")
    return found
