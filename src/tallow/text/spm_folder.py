"""Reads folders of language models that have a SentencePiece model and no tokenizer.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tallow.errors import FormatError, ModelError
from tallow.formats.sentencepiece import USER_DEFINED as OWN_PIECE
from tallow.formats.sentencepiece import SentencePieceModel, open_sentencepiece
from tallow.lazy_dataclasses import dataclass
from tallow.text.added_tokens import AddedTokens
from tallow.text.encoder import Encoder, VocabEncoder
from tallow.text.end_ids import configured_ends
from tallow.text.folder_batches import batch_settings
from tallow.text.folder_files import chat_template_of
from tallow.text.folder_tokens import MAX_VOCAB, MOST_UNUSED, decoder_rows, special_roles
from tallow.text.sentencepiece_python import SentencePieceText
from tallow.text.vocab import CONTROL, UNUSED, USER_DEFINED, Vocab, end_ids
from tallow.text.vocab_files import class_of

_FILE: Final = "tokenizer.model"


@dataclass(frozen=True)
class _Kind:
    """A class: whether it puts bos before a text, what stands behind the pieces, and before all."""

    bos: bool = True
    behind: Sequence[str] = ()
    before: Sequence[str] = ()


_CHATGLM: Final = (
    "[MASK]", "[gMASK]", "[sMASK]", "sop", "eop",
    "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
)  # fmt: skip
_KINDS: Final[Mapping[str, _Kind]] = {
    "Baichuan": _Kind(bos=False),
    "ChatGLM": _Kind(False, _CHATGLM, ("[gMASK]", "sop")),
    "InternLM": _Kind(),
    "InternLM2": _Kind(),
}


class _Model:
    def __init__(self, text: SentencePieceText, ids: Mapping[str, int]) -> None:
        self._text, self._ids = text, ids

    def encode(self, text: str) -> list[int]:
        """The ids of plain `text`."""
        unknown = self._text.model.unk_id
        return [self._ids.get(piece, unknown) for piece in self._text.pieces(text)]


class _Encoder(VocabEncoder):
    """SentencePiece itself finds spaces and the pieces that its model's user defined."""

    def __init__(self, vocab: Vocab, model: _Model, own: frozenset[int]) -> None:
        super().__init__(vocab, model)
        self._own = own

    def _added(self, *kinds: int) -> AddedTokens:
        found = self._vocab.added(*kinds)
        return AddedTokens({text: i for text, i in found.items() if i not in self._own})

    def _spaced(self, text: str, after_token: bool) -> str:
        return text


def read(path: Path, config: Mapping[str, Any], engine: str) -> tuple[Vocab, Encoder]:
    """The tokenizer of a folder with a `tokenizer.model` whose configs name one of these classes.

    Raises:
        ModelError: no such file, or a model of another algorithm.
        FormatError: a file is damaged, or a token of the configs is none of the vocabulary.
    """
    file = path / _FILE
    if not file.is_file():
        raise ModelError(f"{path}: expected a tokenizer.json or a {_FILE}, found neither")
    kind, model = _KINDS[class_of(path, config) or ""], open_sentencepiece(file)
    text = SentencePieceText(model)
    tokens, kinds, own = _tokens(path, config, model, kind)
    ids = {token: index for index, token in enumerate(tokens) if token}
    special = {
        role: index
        for role in ("bos", "eos", "unk", "pad")
        if 0 <= (index := getattr(model, f"{role}_id")) < len(tokens)
    } | special_roles(config, ids)
    ends = [i for i in configured_ends(path) if i < len(tokens)]
    eos_ids, final = end_ids(ids, kinds, [*ends, *([special["eos"]] if "eos" in special else [])])
    prefix, suffix = [ids[token] for token in kind.before], list[int]()
    for role, stands, place in (
        ("bos", config.get("add_bos_token", kind.bos), prefix),
        ("eos", config.get("add_eos_token", False), suffix),
    ):
        if stands and role not in special:
            raise FormatError(path / "tokenizer_config.json", f"{role}_token", "a token", "none")
        place += [special[role]] if stands else []
    vocab = Vocab(
        algorithm="spm",
        tokens=tokens,
        kinds=final,
        ids=ids,
        scores=[*model.scores, *[0.0] * (len(tokens) - len(model.scores))],
        special=special,
        eos_ids=eos_ids,
        prefix_ids=tuple(prefix),
        suffix_ids=tuple(suffix),
        add_space_prefix=model.normalizer.add_dummy_prefix,
        remove_extra_whitespaces=model.normalizer.remove_extra_whitespaces,
        settings=batch_settings(path, config, {}),
        chat_prefix=False,
        chat_template=chat_template_of(config, path),
    )
    return vocab, _Encoder(vocab, _Model(text, text.ids), own)


def _tokens(
    path: Path, config: Mapping[str, Any], model: SentencePieceModel, kind: _Kind
) -> tuple[list[str], list[int], frozenset[int]]:
    """Texts and kinds by id, with what the configs add or call otherwise; and the model's own."""
    tokens, kinds = [*model.pieces, *kind.behind], [*model.kinds, *[CONTROL] * len(kind.behind)]
    own = {index for index, each in enumerate(model.kinds) if each == OWN_PIECE}
    for index, row in decoder_rows(path, config):
        if index >= min(MAX_VOCAB, len(tokens) + MOST_UNUSED):
            wanted = f"an id near the {len(tokens)} of the vocabulary"
            raise FormatError(path / "tokenizer_config.json", "added_tokens_decoder", wanted, index)
        more = index + 1 - len(tokens)
        tokens += [""] * more
        kinds += [UNUSED] * more
        if tokens[index] != row["content"] or row["special"]:
            tokens[index] = row["content"]
            kinds[index] = CONTROL if row["special"] else USER_DEFINED
            own.discard(index)
    return tokens, kinds, frozenset(own)
