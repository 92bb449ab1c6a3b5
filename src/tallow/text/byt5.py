"""ByT5's tokenizer: the ids of a text are its bytes, behind three special tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tallow.errors import FormatError
from tallow.text.added_tokens import AddedTokens
from tallow.text.encoder import Encoder, VocabEncoder
from tallow.text.folder_batches import batch_settings
from tallow.text.folder_tokens import text_of
from tallow.text.rows import Template, TemplateSlot
from tallow.text.vocab import CONTROL, NORMAL, UNKNOWN, Vocab, encode_utf8

_ROLES: Final = {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}
_OFFSET: Final = len(_ROLES)
_MOST: Final = 1 << 16


class _Model:
    def encode(self, text: str) -> list[int]:
        """The bytes, each `_OFFSET` later."""
        return [byte + _OFFSET for byte in encode_utf8(text)]


class _Encoder(VocabEncoder):
    """Special tokens swallow all white space beside them."""

    def _added(self, *kinds: int) -> AddedTokens:
        tokens, edges = self._vocab.added(*kinds), frozenset(range(_OFFSET))
        return AddedTokens(tokens, strips_before=edges, strips_after=edges, spaces=None)


class _Decoder:
    def __init__(self, bytes_: Mapping[str, int]) -> None:
        self._bytes = bytes_

    def __call__(self, tokens: list[str]) -> str:
        """The text; what is no UTF-8 is left out, as in transformers."""
        raw = bytearray()
        for token in tokens:
            byte = self._bytes.get(token)
            raw += encode_utf8(token) if byte is None else bytes([byte])
        return raw.decode("utf-8", "ignore")


def read(path: Path, config: Mapping[str, Any], engine: str) -> tuple[Vocab, Encoder]:
    """The tokenizer of a folder whose configs name ByT5; it needs no file of its own.

    Raises:
        FormatError: `extra_ids` is no number of tokens.
    """
    where = path / "tokenizer_config.json"
    listed = config.get("additional_special_tokens")
    count = config.get("extra_ids", 125)
    if type(count) is not int or not 0 <= count <= _MOST:
        raise FormatError(where, "extra_ids", f"a number up to {_MOST}", count)
    more = [f"<extra_id_{i}>" for i in range(count)] if listed is None else listed
    if not isinstance(more, list) or None in (extra := [text_of(each) for each in more]):
        raise FormatError(where, "additional_special_tokens", "a list of texts", more)
    roles = {role: text_of(config.get(f"{role}_token")) or own for role, own in _ROLES.items()}
    bytes_ = {chr(byte): byte for byte in range(256)}
    tokens = [*roles.values(), *bytes_, *dict.fromkeys(map(str, extra))]
    kinds = [CONTROL, CONTROL, UNKNOWN, *[NORMAL] * 256]
    kinds += [CONTROL] * (len(tokens) - len(kinds))
    eos = TemplateSlot(None, (1,), 0)
    single = (TemplateSlot(0, (), 0), eos)
    template = Template(single, (*single, TemplateSlot(1, (), 0), eos), slow=True, absorbs=True)
    vocab = Vocab(
        algorithm="word",
        tokens=tokens,
        kinds=kinds,
        ids={token: index for index, token in enumerate(tokens)},
        special={role: index for index, role in enumerate(roles)},
        suffix_ids=eos.ids,
        eos_ids=frozenset(eos.ids),
        settings=batch_settings(path, config, {}),
        decoder=_Decoder(bytes_),
        chat_prefix=False,
    )
    return vocab, _Encoder(vocab, _Model(), template)
