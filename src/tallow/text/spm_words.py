"""Marian's and M2M-100's tokenizers: SentencePiece's pieces, numbered by a vocab.json.

Source: transformers' `MarianTokenizer` and `M2M100Tokenizer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tallow.errors import FormatError, ModelError
from tallow.formats.sentencepiece import open_sentencepiece
from tallow.text.added_tokens import AddedTokens
from tallow.text.folder_batches import batch_settings
from tallow.text.folder_files import parse_json
from tallow.text.folder_tokens import MAX_VOCAB, text_of
from tallow.text.rows import Template, TemplateSlot, TokenizedText
from tallow.text.sentencepiece_python import SentencePieceText
from tallow.text.vocab import CONTROL, NORMAL, SPACE_MARK, UNKNOWN, Vocab, clean

_CODE: Final = re.compile(r">>(?:(?!<<).)*<<", re.DOTALL)
_M2M100: Final = (
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu "
    "ha he hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr "
    "ms my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk "
    "ur uz vi wo xh yi yo zh zu"
)
LANGUAGES: Final = {
    "m2m100": _M2M100.split(),
    "wmt21": ["en", "ha", "is", "ja", "cs", "ru", "zh", "de"],
}


class _Encoder:
    """Cuts special tokens out, then gives each part between them to the model."""

    def __init__(
        self, text: SentencePieceText, ids: Mapping[str, int], special: Mapping[str, int],
        unknown: int, template: Template, *, codes: bool,
    ) -> None:  # fmt: skip
        self._text, self._ids, self._unknown, self._codes = text, ids, unknown, codes
        self._added = AddedTokens(special)
        self.template = template

    def encode(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        """The ids of `text`; see `Tokenizer.encode`."""
        text = clean(text)
        parts = self._added.split(text) if parse_special else [text]
        ids: list[int] = []
        for part in parts:
            ids += [part] if isinstance(part, int) else self._cut(part)
        if not add_special:
            return ids
        found = [ids if slot.sequence == 0 else list(slot.ids) for slot in self.template.single]
        return [index for part in found for index in part]

    def _cut(self, text: str) -> list[int]:
        pieces: list[str] = []
        code = _CODE.match(text) if self._codes else None
        if code is not None:
            pieces.append(code.group())
            text = text[code.end() :]
        pieces += self._text.pieces(text)
        return [self._ids.get(piece, self._unknown) for piece in pieces]

    def encode_marked(self, text: str, mark: str) -> list[int]:
        """The ids of `text` without `mark`; these models have no chats."""
        return self.encode(text.replace(mark, ""), False, True)

    def pieces(self, texts: Any, *, spans: bool, split: bool) -> list[TokenizedText]:
        """Each text's ids; see `Encoder.pieces`.

        Raises:
            ModelError: spans are asked for, which the reference does not know either.
        """
        if spans:
            wanted = "a tokenizer that knows them, got one of SentencePiece"
            raise ModelError(f"return_offsets: expected {wanted}")
        found = []
        for text in texts:
            words = text if split else [text]
            ids = [index for word in words for index in self.encode(word, False, True)]
            found.append(TokenizedText(ids))
        return found


class _Decoder:
    def __init__(self, text: SentencePieceText, special: Iterable[str], after: str) -> None:
        self._text, self._special, self._after = text, frozenset(special), after

    def __call__(self, tokens: list[str]) -> str:
        """The text: special tokens as they are, what stands between them by the model."""
        found, part = "", list[str]()
        for token in tokens:
            if token in self._special:
                found += self._text.decode(part) + token + self._after
                part = []
            else:
                part.append(token)
        found += self._text.decode(part)
        return (found.replace(SPACE_MARK, " ") if self._after else found).strip()


def is_marian(path: Path) -> bool:
    """Whether the files of a Marian tokenizer stand in a folder."""
    return all((path / name).is_file() for name in ("source.spm", "target.spm", "vocab.json"))


def read_marian(path: Path, config: Mapping[str, Any], engine: str) -> tuple[Vocab, _Encoder]:
    """The tokenizer of a folder with source.spm, target.spm and vocab.json.

    Raises:
        FormatError: a file is damaged, or lacks a token that the configs name.
        ModelError: a file is not there, or source and target have vocabularies of their own.
    """
    if config.get("separate_vocabs"):
        wanted = "one vocabulary of source and target"
        raise ModelError(f"{path}: separate_vocabs: expected {wanted}, got two")
    source = SentencePieceText(open_sentencepiece(_file(path, "source.spm")))
    SentencePieceText(open_sentencepiece(_file(path, "target.spm")))
    ids = _ids(path)
    roles = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
    special = _special(path, config, roles, ids)
    eos = TemplateSlot(None, (ids[roles["eos"]],), 0)
    first, second = TemplateSlot(0, (), 0), TemplateSlot(1, (), 1)
    template = Template((first, eos), (first, second, eos._replace(type_id=1)), slow=True)
    settings = {"model_max_length": 512, **config}
    vocab = _vocab(path, ids, special, roles, settings, suffix=eos.ids, after=" ", text=source)
    return vocab, _Encoder(source, ids, special, ids[roles["unk"]], template, codes=True)


def read_m2m100(path: Path, config: Mapping[str, Any], engine: str) -> tuple[Vocab, _Encoder]:
    """The tokenizer of a folder with sentencepiece.bpe.model and vocab.json.

    Its languages have the ids behind the vocabulary; `src_lang` stands before each text.

    Raises:
        FormatError: a file is damaged, or lacks a token that the configs name.
        ModelError: a file is not there.
    """
    text = SentencePieceText(open_sentencepiece(_file(path, "sentencepiece.bpe.model")))
    ids, where = _ids(path), path / "tokenizer_config.json"
    names = config.get("language_codes") or "m2m100"
    if names not in LANGUAGES:
        raise FormatError(where, "language_codes", " or ".join(LANGUAGES), names)
    first = len(ids)
    if sorted(ids.values()) != list(range(first)):
        raise FormatError(path / "vocab.json", "ids", f"0 to {first - 1}", "others")
    ids |= {f"__{code}__": first + i for i, code in enumerate(LANGUAGES[names])}
    roles = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "unk": "<unk>", "pad": "<pad>"}
    special = _special(path, config, roles, ids)
    language = config.get("src_lang") or "en"
    if f"__{language}__" not in ids:
        raise FormatError(where, "src_lang", "one of " + ", ".join(LANGUAGES[names]), language)
    head = TemplateSlot(None, (ids[f"__{language}__"],), 0)
    eos = TemplateSlot(None, (ids[roles["eos"]],), 0)
    single = (head, TemplateSlot(0, (), 0), eos)
    pair = (*single[:2], TemplateSlot(1, (), 1), eos._replace(type_id=1))
    template = Template(single, pair, slow=True)
    vocab = _vocab(
        path, ids, special, roles, config, prefix=head.ids, suffix=eos.ids, after="", text=text
    )
    return vocab, _Encoder(text, ids, special, ids[roles["unk"]], template, codes=False)


def _file(path: Path, name: str) -> Path:
    if not (path / name).is_file():
        raise ModelError(f"{path}: expected a tokenizer with a {name}, got none")
    return path / name


def _ids(path: Path) -> dict[str, int]:
    file = _file(path, "vocab.json")
    ids = parse_json(file, file.read_text(encoding="utf-8", errors="replace"))
    good = all(type(index) is int and 0 <= index < MAX_VOCAB for index in ids.values())
    if not ids or not good:
        raise FormatError(file, "content", f"tokens with ids below {MAX_VOCAB}", "others or none")
    return ids


def _special(
    path: Path, config: Mapping[str, Any], roles: dict[str, str], ids: dict[str, int]
) -> dict[str, int]:
    """The ids of special tokens; `roles` become those of the configs, `ids` gets new ones."""
    for role, own in roles.items():
        roles[role] = text_of(config.get(f"{role}_token")) or own
    more = config.get("additional_special_tokens") or config.get("extra_special_tokens") or []
    where = path / "tokenizer_config.json"
    if not isinstance(more, list) or None in (listed := [text_of(each) for each in more]):
        raise FormatError(where, "additional_special_tokens", "a list of texts", more)
    for role in ("eos", "unk", "pad"):
        if roles[role] not in ids:
            raise FormatError(path / "vocab.json", "content", f"the token {roles[role]!r}", "none")
    for token in dict.fromkeys([*roles.values(), *map(str, listed)]):
        ids.setdefault(token, max(ids.values()) + 1)
    return {token: ids[token] for token in dict.fromkeys([*roles.values(), *map(str, listed)])}


def _vocab(
    path: Path,
    ids: Mapping[str, int],
    special: Mapping[str, int],
    roles: Mapping[str, str],
    config: Mapping[str, Any],
    *,
    text: SentencePieceText,
    after: str,
    prefix: tuple[int, ...] = (),
    suffix: tuple[int, ...],
) -> Vocab:
    count = max(ids.values()) + 1
    tokens, kinds = [""] * count, [NORMAL] * count
    for token, index in ids.items():
        tokens[index] = token
    for index in special.values():
        kinds[index] = CONTROL
    kinds[ids[roles["unk"]]] = UNKNOWN
    return Vocab(
        algorithm="unigram",
        tokens=tokens,
        kinds=kinds,
        ids=ids,
        special={role: ids[token] for role, token in roles.items()},
        prefix_ids=prefix,
        suffix_ids=suffix,
        eos_ids=frozenset({ids[roles["eos"]]}),
        settings=batch_settings(path, config, {}),
        decoder=_Decoder(text, special, after),
        chat_prefix=False,
    )
