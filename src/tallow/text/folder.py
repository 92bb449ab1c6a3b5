"""Reads the tokenizer of a Hugging Face folder: tokenizer.json and the configs beside it."""

from __future__ import annotations

import functools
import importlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tallow.errors import FormatError, MissingExtraError, ModelError, TallowError
from tallow.text.decoding import TokenDecoder
from tallow.text.encoder import Encoder
from tallow.text.end_ids import configured_ends
from tallow.text.folder_batches import batch_settings
from tallow.text.folder_files import chat_template_of, field_of, parse_json, read_config, steps_of
from tallow.text.folder_python import stand_in
from tallow.text.folder_tokens import (
    MAX_VOCAB,
    complete,
    model_pieces,
    special_roles,
    with_control_tokens,
)
from tallow.text.hf import check_normalizer, import_tokenizers, refusals
from tallow.text.pretokenizers import PreTokenizer
from tallow.text.recipes import OWN
from tallow.text.rows import Template, TokenizedText, read_template
from tallow.text.vocab import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    Algorithm,
    Vocab,
    clean,
    end_ids,
)
from tallow.text.vocab_files import class_of, own_roles, read_vocab_files, with_flags, with_template


class FileEncoder:
    """tokenizer.json as Hugging Face's own engine runs it."""

    def __init__(self, root: Mapping[str, Any], source: str | None = None) -> None:
        """`source` is the text of `root`, where there is one already."""
        self._library = import_tokenizers()
        self._root = root
        self._source = source
        check_normalizer(root.get("normalizer"), "tokenizer.json")
        self._with_special = self._load(root)
        self._marked: dict[str, Any] = {}

    @functools.cached_property
    def template(self) -> Template:
        """Which special tokens stand around one text and around a pair."""
        return read_template(steps_of(self._root.get("post_processor"), "processors"))

    def pieces(
        self, texts: Sequence[str | list[str]], *, spans: bool, split: bool
    ) -> list[TokenizedText]:
        """Each text's ids, spans and words; see `Encoder.pieces`."""
        tokenizer = self._untrimmed if spans else self._with_special
        known = spans or split
        run = tokenizer.encode_batch if known else tokenizer.encode_batch_fast
        with refusals("tokenizer.json"):
            found = run(texts, is_pretokenized=split, add_special_tokens=False)
        if not known:
            return [TokenizedText(each.ids) for each in found]
        tokens = spans and self.template.trims
        return [
            TokenizedText(each.ids, each.offsets, each.word_ids, each.tokens if tokens else None)
            for each in found
        ]

    @functools.cached_property
    def _untrimmed(self) -> Any:
        """The engine that leaves the spans as they are: they are trimmed when texts are cut."""
        if not self.template.trims:
            return self._with_special
        return self._load({**self._root, "post_processor": None})

    def _load(self, root: Mapping[str, Any]) -> Any:
        own = root is self._root and self._source is not None
        source = self._source if own else json.dumps(root)
        model = root.get("model") or {}
        with refusals("tokenizer.json"):
            tokenizer = self._library.Tokenizer.from_str(source)
            if model.get("type") == "Unigram":
                # The engine reads numbers of JSON off by their last bit, which decides ties.
                pieces = [(str(text), float(score)) for text, score in model["vocab"]]
                unigram = self._library.models.Unigram
                tokenizer.model = unigram(
                    pieces, model.get("unk_id"), bool(model.get("byte_fallback"))
                )
            tokenizer.no_truncation()
            tokenizer.no_padding()
        return tokenizer

    @functools.cached_property
    def _plain(self) -> Any:
        # Whether special tokens are recognised is a property of the object, so there are two.
        root = _unreachable(self._root)
        plain = self._load(root)
        plain.encode_special_tokens = True
        return plain

    def _without(self, mark: str) -> Any:
        """The engine that drops `mark` when it has found the special tokens."""
        root = _found_as_written(self._root)
        tokenizer = self._load(root)
        steps = self._library.normalizers
        remove, own = steps.Replace(mark, ""), tokenizer.normalizer
        tokenizer.normalizer = remove if own is None else steps.Sequence([remove, own])
        return tokenizer

    def encode(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        """The ids of `text`; see `Tokenizer.encode`."""
        tokenizer = self._with_special if parse_special else self._plain
        with refusals("tokenizer.json"):
            ids: list[int] = tokenizer.encode(clean(text), add_special_tokens=add_special).ids
        return ids

    def encode_marked(self, text: str, mark: str) -> list[int]:
        """The ids of `text` without `mark`; a special token that holds a mark is plain text.

        The mark goes when special tokens have been found, in the normaliser; the text is encoded as
        a whole, for some models put a space before each piece that is encoded by itself.
        """
        if mark not in self._marked:
            self._marked[mark] = self._without(mark)
        with refusals("tokenizer.json"):
            ids: list[int] = self._marked[mark].encode(clean(text), add_special_tokens=False).ids
        return ids


def _unreachable(root: Mapping[str, Any]) -> Mapping[str, Any]:
    """`root` with its special tokens out of reach of a Unigram model, which has them as pieces."""
    model = root.get("model")
    if not isinstance(model, dict) or model.get("type") != "Unigram":
        return root
    vocab = list(model.get("vocab") or [])
    kept = []
    for row in root.get("added_tokens") or []:
        index = row.get("id")
        own = row.get("special") and type(index) is int and index < len(vocab)
        if own and index != model.get("unk_id") and vocab[index][0] == row.get("content"):
            vocab[index] = [
                f" {index}",
                vocab[index][1],
            ]  # no text has a space when a model sees it
        else:
            kept.append(row)
    return {**root, "model": {**model, "vocab": vocab}, "added_tokens": kept}


def _found_as_written(root: Mapping[str, Any]) -> Mapping[str, Any]:
    """`root` with its special tokens looked for before the text is normalised."""
    listed = root.get("added_tokens") or []
    rows = [{**row, "normalized": False} if row.get("special") else row for row in listed]
    return root if rows == listed else {**root, "added_tokens": rows}


def read_folder(path: Path, engine: str) -> tuple[Vocab, Encoder]:
    """The vocabulary and the encoder of a folder with a tokenizer.json, or with vocabulary files.

    The path of a file is that of a tokenizer.json alone, whatever its name.

    Raises:
        ModelError: no tokenizer, or one of an unknown kind.
        FormatError: a file is not JSON or has a field of the wrong type.
        MissingExtraError: `tokenizers` is not installed and the stand-in does not know this
            tokenizer.
    """
    config = {
        **read_config(path, "special_tokens_map.json"),
        **read_config(path, "tokenizer_config.json"),
    }
    name = class_of(path, config)
    own = OWN.get(name or "")
    file = path if path.is_file() else path / "tokenizer.json"
    if own is not None and (not file.is_file() or (own[2] and (path / own[2]).is_file())):
        read = getattr(importlib.import_module(f"tallow.text.{own[0]}"), own[1])
        made: tuple[Vocab, Encoder] = read(path, config, engine)
        return made
    source = None
    if file.is_file():
        source = file.read_text(encoding="utf-8", errors="replace")
        written = parse_json(file, source)
        config = {**own_roles(name), **_roles_of_padding(written), **config}
        root = with_flags(complete(written, file, config), name, config)
        source = source if root is written else None
    else:
        file, written, config = read_vocab_files(path, config)
        root = with_template(complete(written, file, config, append=True), path, config)
    vocab = _vocab(root, file, path, config)
    root = with_control_tokens(root, vocab)
    if engine != "python":
        try:
            return vocab, FileEncoder(root, source if root is written else None)
        except MissingExtraError:
            if engine == "hf":
                raise
    try:
        return stand_in(vocab, root)
    except TallowError:
        raise
    except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError, re.error) as error:
        raise ModelError(f"tokenizer.json: a step of the wrong form: {error}") from error


_KINDS: Final = ("BPE", "WordPiece", "Unigram", "WordLevel")


def _roles_of_padding(root: Mapping[str, Any]) -> dict[str, Any]:
    """The pad token that the file's own padding names, for configs that name none."""
    padding = root.get("padding")
    text = padding.get("pad_token") if isinstance(padding, dict) else None
    return {"pad_token": text} if isinstance(text, str) else {}


def _vocab(root: Mapping[str, Any], file: Path, path: Path, config: Mapping[str, Any]) -> Vocab:
    model = field_of(file, root, "model", dict, {})
    pieces, added = model_pieces(file, root), _added(file, root)
    pieces |= {row["content"]: row.get("id") for row in added}
    ids = list(pieces.values())
    if {*map(type, ids)} != {int} or min(ids) < 0 or max(ids) >= MAX_VOCAB:
        raise FormatError(file, "vocab", f"ids from 0 to {MAX_VOCAB - 1}", "others or none")
    count = max(ids) + 1
    tokens, kinds = [""] * count, [NORMAL] * count
    for text, index in pieces.items():
        tokens[index] = text
    algorithm, byte_level = _algorithm(root, model)
    if not byte_level and model.get("byte_fallback"):
        for byte in range(256):
            index = pieces.get(f"<0x{byte:02X}>")
            if index is not None:
                kinds[index] = BYTE
    for row in added:
        kinds[pieces[row["content"]]] = CONTROL if row.get("special") else USER_DEFINED
    special = special_roles(config, pieces)
    if "unk" in special and kinds[special["unk"]] == NORMAL:
        kinds[special["unk"]] = UNKNOWN
    ends = [index for index in configured_ends(path) if index < count]
    ends += [special[role] for role in ("eos",) if role in special]
    # Of ordinary pieces none ends a text, whatever it spells: Hugging Face's engine knows it not.
    known = {row["content"]: pieces[row["content"]] for row in added}
    eos_ids, final_kinds = end_ids(known, kinds, ends)
    return Vocab(
        algorithm=algorithm,
        tokens=tokens,
        kinds=final_kinds,
        ids=pieces,
        merges=_merges(model),
        pre=PreTokenizer((), byte_level=byte_level),
        special=special,
        eos_ids=eos_ids,
        add_space_prefix=_strips_space(root),
        chat_prefix=False,  # a chat gets no bos but the template's, as in transformers
        chat_template=chat_template_of(config, path),
        settings=batch_settings(path, config, root),
        decoder=_decoder(root, algorithm, model.get("end_of_word_suffix")),
    )


def _added(file: Path, root: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tokens that stand beside the model's own."""
    rows: list[Any] = field_of(file, root, "added_tokens", list, [])
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("content"), str):
            raise FormatError(file, "added_tokens", "objects with content and id", row)
    return rows


def _algorithm(root: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[Algorithm, bool]:
    """How tokens are spelled, judged by the decoder: as bytes, with `▁`, or with `##`."""
    types = {step.get("type") for step in steps_of(root.get("decoder"), "decoders")}
    kind = model.get("type")
    if "ByteLevel" in types:
        return "bpe", True
    if kind == "WordPiece" or "WordPiece" in types:
        return "wordpiece", False
    if kind == "Unigram":
        return "unigram", False
    if kind == "WordLevel":
        return "word", False
    if kind == "BPE" or (kind is None and "merges" in model):
        return "spm", False
    raise ModelError(f"tokenizer.json: model.type: expected one of {', '.join(_KINDS)}, got {kind}")


def _decoder(root: Mapping[str, Any], algorithm: Algorithm, suffix: Any) -> TokenDecoder | None:
    """The decoder of a vocabulary whose tokens do not simply spell its text."""
    suffix = suffix if isinstance(suffix, str) and algorithm == "bpe" else ""
    if algorithm in ("wordpiece", "unigram", "word") or suffix:
        return TokenDecoder(steps_of(root.get("decoder"), "decoders"), suffix)
    return None


def _strips_space(root: Mapping[str, Any]) -> bool:
    for step in steps_of(root.get("decoder"), "decoders"):
        if step.get("type") == "Strip" and step.get("content") == " ":
            return bool(step.get("start"))
        if step.get("type") == "Metaspace":
            return step.get("prepend_scheme", "always") != "never" and (
                step.get("add_prefix_space", True) is not False
            )
    return False


def _merges(model: Mapping[str, Any]) -> list[str]:
    rows = model.get("merges")
    if not isinstance(rows, list):
        return []
    return [" ".join(row) if isinstance(row, list) else str(row) for row in rows]
