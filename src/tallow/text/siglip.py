"""SigLIP's tokenizer: small letters without punctuation, cut by SentencePiece itself."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tallow.errors import FormatError, ModelError
from tallow.formats.sentencepiece import open_sentencepiece
from tallow.text.added_tokens import AddedTokens
from tallow.text.folder_batches import batch_settings
from tallow.text.folder_tokens import text_of
from tallow.text.rows import Template, TemplateSlot, TokenizedText
from tallow.text.sentencepiece_python import SentencePieceText
from tallow.text.vocab import CONTROL, SPACE_MARK, Vocab

_ROLES: Final = {"eos": "</s>", "unk": "<unk>", "pad": "</s>"}
_NO_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


class _Encoder:
    """Cuts special tokens out, then gives each part between them to the model."""

    def __init__(
        self, text: SentencePieceText, special: Mapping[str, int], roles: Mapping[str, str],
        lowers: bool,
    ) -> None:  # fmt: skip
        self._text, self._special, self._lowers = text, special, lowers
        self._strips = {special[roles[role]] for role in _ROLES}
        self._added = AddedTokens(special)
        self._eos, self._unk = special[roles["eos"]], roles["unk"]
        self._before = len(text.pieces(self._unk))
        eos = TemplateSlot(None, (self._eos,), 0)
        single = (TemplateSlot(0, (), 0), eos)
        self.template = Template(
            single, (*single, TemplateSlot(1, (), 0), eos), slow=True, absorbs=True
        )

    def encode(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        """The ids of `text`; see `Tokenizer.encode`."""
        text = SPACE_MARK + text.replace(SPACE_MARK, " ")
        parts = list(self._added.split(text)) if parse_special else [text]
        ids: list[int] = []
        pieces: list[str] = []
        for i, part in enumerate(parts):
            if isinstance(part, int):
                ids.append(part)
                pieces.append("")
                continue
            if i and parts[i - 1] in self._strips:
                part = part.lstrip()
            if i + 1 < len(parts) and parts[i + 1] in self._strips:
                part = part.rstrip()
            found = self._cut(part) if part else []
            pieces += found
            ids += [self._id(piece) for piece in found]
        if len(pieces) > 1 and pieces[0] == SPACE_MARK and (
            not pieces[1] or pieces[1] in self._special
        ):  # fmt: skip
            del ids[0]
        return [*ids, self._eos] if add_special and ids[-1:] != [self._eos] else ids

    def _cut(self, text: str) -> list[str]:
        text = text.lower() if self._lowers else text
        text = re.sub(r"\s+", " ", text.translate(_NO_PUNCTUATION)).strip()
        # So that no space is put before the text: the unknown token stands there and goes again.
        pieces = self._text.pieces(self._unk + text)
        return pieces[self._before :] if len(pieces) >= self._before else pieces

    def _id(self, piece: str) -> int:
        index = self._special.get(piece)
        return self._text.ids.get(piece, self._text.model.unk_id) if index is None else index

    def encode_marked(self, text: str, mark: str) -> list[int]:
        """The ids of `text` without `mark`; these models have no chats."""
        return self.encode(text.replace(mark, ""), False, True)

    def pieces(self, texts: Any, *, spans: bool, split: bool) -> list[TokenizedText]:
        """Each text's ids; see `Encoder.pieces`.

        Raises:
            ModelError: spans are asked for, which the reference does not know either.
        """
        if spans:
            raise ModelError("return_offsets: expected a tokenizer that knows them, got SigLIP's")
        found = []
        for text in texts:
            words = text if split else [text]
            ids = [index for word in words for index in self.encode(word, False, True)]
            found.append(TokenizedText(ids))
        return found


class _Decoder:
    def __init__(self, text: SentencePieceText, special: frozenset[str]) -> None:
        self._text, self._special = text, special

    def __call__(self, tokens: list[str]) -> str:
        """The text: special tokens as they are, what stands between them by the model."""
        found, part, after = "", list[str](), False
        for token in tokens:
            if token not in self._special:
                part.append(token)
                after = False
                continue
            found += ("" if after else " ") + self._text.decode(part) + token
            part, after = [], True
        return (found + self._text.decode(part)).strip()


def read(path: Path, config: Mapping[str, Any], engine: str) -> tuple[Vocab, _Encoder]:
    """The tokenizer of a folder with a `spiece.model` whose configs name SigLIP.

    Raises:
        FormatError: the model is damaged, or lacks a token that the configs name.
        ModelError: there is no model, or it is not a Unigram one.
    """
    file = path / "spiece.model"
    if not file.is_file():
        raise ModelError(f"{path}: expected a spiece.model, got none")
    text = SentencePieceText(open_sentencepiece(file))
    tokens, ids = list(text.model.pieces), dict(text.ids)
    kinds = list(text.model.kinds)  # numbered as in GGUF
    roles = {role: text_of(config.get(f"{role}_token")) or own for role, own in _ROLES.items()}
    more = config.get("additional_special_tokens") or config.get("extra_special_tokens") or []
    if not isinstance(more, list) or None in (listed := [text_of(each) for each in more]):
        where = path / "tokenizer_config.json"
        raise FormatError(where, "additional_special_tokens", "a list of texts", more)
    special = {}
    for token in dict.fromkeys([*roles.values(), *map(str, listed)]):
        if token not in ids:
            ids[token] = len(tokens)
            tokens.append(token)
            kinds.append(CONTROL)
        kinds[ids[token]] = CONTROL
        special[token] = ids[token]
    vocab = Vocab(
        algorithm="unigram",
        tokens=tokens,
        kinds=kinds,
        ids=ids,
        scores=text.model.scores,
        special={role: ids[token] for role, token in roles.items()},
        suffix_ids=(ids[roles["eos"]],),
        eos_ids=frozenset({ids[roles["eos"]]}),
        settings=batch_settings(path, {"model_max_length": 64, **config}, {}),
        decoder=_Decoder(text, frozenset(special)),
        chat_prefix=False,
    )
    return vocab, _Encoder(text, special, roles, bool(config.get("do_lower_case", True)))
