"""CANINE's tokenizer: the ids of a text are the code points of its characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, overload

from tallow.text.encoder import VocabEncoder
from tallow.text.folder_batches import batch_settings
from tallow.text.rows import Template, TemplateSlot
from tallow.text.vocab import CONTROL, NORMAL, Vocab

_COUNT: Final = 0x110000
# Private characters that stand for special tokens; only padding is an ordinary one.
_SPECIAL: Final = {"pad": 0, "cls": 0xE000, "bos": 0xE000, "sep": 0xE001, "eos": 0xE001,
                   "mask": 0xE003}  # fmt: skip
_NAMES: Final = {0xE002: "[BOS]", 0xE004: "[RESERVED]"}
_MASK: Final = chr(0xE003)


class _Characters(Sequence[str]):
    """Every character by its code point."""

    def __len__(self) -> int:
        return _COUNT

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(_COUNT))]
        return _NAMES.get(index) or chr(index)


class _Codes(Mapping[str, int]):
    """The code point of every character."""

    def __len__(self) -> int:
        return _COUNT

    def __iter__(self) -> Iterator[str]:
        return map(chr, range(_COUNT))

    def __getitem__(self, text: str) -> int:
        if len(text) != 1:
            raise KeyError(text)
        return ord(text)


class _Model:
    def encode(self, text: str) -> list[int]:
        """The code points; the white space before a mask is lost, as in transformers."""
        first, *rest = text.split(_MASK)
        for part in rest:
            first = f"{first.rstrip()}{_MASK}{part}"
        return list(map(ord, first))


def read(path: Path, config: Mapping[str, Any], engine: str) -> tuple[Vocab, VocabEncoder]:
    """The tokenizer of a folder whose configs name CANINE; it needs no file of its own."""
    kinds = bytearray([NORMAL]) * _COUNT
    for index in _SPECIAL.values():
        kinds[index] = CONTROL
    cls, sep = TemplateSlot(None, (_SPECIAL["cls"],), 0), TemplateSlot(None, (_SPECIAL["sep"],), 0)
    single = (cls, TemplateSlot(0, (), 0), sep)
    template = Template(single, (*single, TemplateSlot(1, (), 0), sep), slow=True)
    vocab = Vocab(
        algorithm="word",
        tokens=_Characters(),
        kinds=kinds,
        ids=_Codes(),
        special=_SPECIAL,
        prefix_ids=cls.ids,
        suffix_ids=sep.ids,
        eos_ids=frozenset(sep.ids),
        settings=batch_settings(path, {"model_max_length": 2048, **config}, {}),
        decoder="".join,
        chat_prefix=False,
    )
    return vocab, VocabEncoder(vocab, _Model(), template)
