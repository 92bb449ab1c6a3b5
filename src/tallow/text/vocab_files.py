"""A folder without tokenizer.json: its vocabulary files made into one, as transformers does it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tallow.errors import FormatError, ModelError
from tallow.formats.sentencepiece import (
    CONTROL,
    USER_DEFINED,
    SentencePieceModel,
    open_sentencepiece,
)
from tallow.text.folder_files import read_config, steps_of
from tallow.text.folder_tokens import text_of
from tallow.text.recipes import CLASS_OF_MODEL, LANGUAGE_FILES, OWN, RECIPES, Part, Recipe

SPIECE_NAMES: Final = (
    "sentencepiece.bpe.model", "spiece.model", "spm.model", "sentencepiece.model",
    "tokenizer.model",
)  # fmt: skip
# What the engine takes for the end of a line.
_WHITE: Final = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


class Read(NamedTuple):
    """What a vocabulary file gives; `added` tokens are found before text is cut."""

    file: Path
    model: Part
    charsmap: bytes = b""
    added: Sequence[Part] = ()


def is_there(path: Path) -> bool:
    """Whether a folder has a tokenizer.json, or vocabulary files of a class that has a recipe."""
    if (path / "tokenizer.json").is_file():
        return True
    name = class_of(path, read_config(path, "tokenizer_config.json")) or ""
    if name in OWN:
        file = OWN[name][2]
        needed = (file,) if file else LANGUAGE_FILES
        return name == "ByT5" or any((path / each).is_file() for each in needed)
    files = ("vocab.txt", "vocab.json", *SPIECE_NAMES)
    return name in RECIPES and any((path / each).is_file() for each in files)


def class_of(path: Path, config: Mapping[str, Any]) -> str | None:
    """The class of a folder's tokenizer without `Tokenizer` and `Fast`; None where none is named.

    By tokenizer_config.json, else by config.json's `tokenizer_class` or `model_type`.
    """
    model = read_config(path, "config.json")
    if model.get("model_type") == "siglip2":  # whose folders name Gemma's, which keeps capitals
        return "Siglip2"
    name = config.get("tokenizer_class") or model.get("tokenizer_class")
    if isinstance(name, str):
        return name.removesuffix("Fast").removesuffix("Tokenizer")
    found = CLASS_OF_MODEL.get(str(model.get("model_type")))
    decoder = model.get("decoder")
    if found is None and isinstance(decoder, dict):
        found = CLASS_OF_MODEL.get(str(decoder.get("model_type")))
    return found


def read_vocab_files(path: Path, config: Mapping[str, Any]) -> tuple[Path, Part, dict[str, Any]]:
    """The vocabulary file, what a tokenizer.json would hold, the configs with their class's tokens.

    Raises:
        ModelError: no vocabulary files, or a class that has no row in `recipes`.
        FormatError: a file is damaged, or has no entry for a token that stands around a text.
    """
    name = class_of(path, config) or _by_files(path)
    recipe = None if name is None else RECIPES.get(name)
    if recipe is None or name is None:
        files = "tokenizer.json, vocab.txt, vocab.json with merges.txt, or a SentencePiece model"
        wanted = f"{files} of one of the classes {', '.join(RECIPES)}"
        raise ModelError(f"{path}: expected a tokenizer: {wanted}; got {name or 'none'}")
    listed = _lists_tokens(config)
    config = _with_defaults(recipe, config, path / "tokenizer_config.json")
    read = _MODELS[recipe.model](path, recipe, config)
    added = [] if listed else list(read.added)
    root = {"version": "1.0", "added_tokens": added, "model": read.model}
    return read.file, root | recipe.parts(config, read.charsmap), config


def with_template(root: Part, path: Path, config: Mapping[str, Any]) -> Part:
    """`root`, which has all its tokens now, with the template of its class."""
    recipe = RECIPES[class_of(path, config) or _by_files(path) or ""]
    ids = ids_of(root)
    texts = {**recipe.roles, **_roles(config), "lang": config.get("src_lang") or "en_XX"}
    known: dict[str, Any] = {}

    def slots(template: str) -> list[Part]:
        found = []
        for word in template.split():
            role, _, kind = word.partition(":")
            type_id = int(kind or 0)
            if role in "AB":
                found.append({"Sequence": {"id": role, "type_id": type_id}})
                continue
            text = texts[role]
            if not isinstance(text, str) or text not in ids:
                where = path / "tokenizer_config.json"
                raise FormatError(where, f"{role}_token", "a token of the vocabulary", text)
            known[text] = {"id": text, "ids": [ids[text]], "tokens": [text]}
            found.append({"SpecialToken": {"id": text, "type_id": type_id}})
        return found

    step: Part = {"type": "TemplateProcessing", "single": slots(recipe.single)}
    step |= {"pair": slots(recipe.pair), "special_tokens": known}
    if recipe.model != "BPE" or recipe.suffix:
        return {**root, "post_processor": step}
    trim = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    trim["add_prefix_space"] = bool(config.get("add_prefix_space", False))
    return {**root, "post_processor": {"type": "Sequence", "processors": [trim, step]}}


_LOWER: Final = {"type": "Lowercase"}
_LANGUAGE_MODELS: Final = ("GPT2",)  # whose files say all, and more than their class


def own_roles(name: str | None) -> dict[str, str]:
    """The special tokens of a class, for a tokenizer.json beside configs that name none."""
    recipe = RECIPES.get(name or "")
    if recipe is None or name in _LANGUAGE_MODELS:
        return {}
    return {f"{role}_token": text for role, text in recipe.roles.items() if text}


def with_flags(root: Part, name: str | None, config: Mapping[str, Any]) -> Part:
    """`root`, read from a tokenizer.json, with what the configs of its class say of letters.

    As in transformers the configs win, and where they are silent the class's defaults: how BERT's
    kin lower letters and take accents off, whether RoBERTa's put a space before a text.
    """
    if name == "Siglip2":
        steps = steps_of(root.get("normalizer"), "normalizers")
        if steps[:1] == [_LOWER]:
            return root
        return {**root, "normalizer": {"type": "Sequence", "normalizers": [_LOWER, *steps]}}
    recipe = RECIPES.get(name or "")
    if recipe is None or name in _LANGUAGE_MODELS:
        return root
    own = recipe.parts({**recipe.defaults, **config}, b"")
    for part, kind in (("normalizer", "BertNormalizer"), ("pre_tokenizer", "ByteLevel")):
        step, wanted = root.get(part), own[part]
        if not isinstance(step, dict) or not isinstance(wanted, dict):
            continue
        if step.get("type") == wanted.get("type") == kind and {**step, **wanted} != step:
            root = {**root, part: {**step, **wanted}}
    return root


def ids_of(root: Part) -> dict[str, int]:
    """The ids of all tokens of a `root` made here."""
    vocab = root["model"]["vocab"]
    ids = {row[0]: i for i, row in enumerate(vocab)} if isinstance(vocab, list) else dict(vocab)
    return ids | {row["content"]: row["id"] for row in root["added_tokens"]}


def _by_files(path: Path) -> str | None:
    names = {"vocab.txt": "Bert", "sentencepiece.bpe.model": "XLMRoberta"}
    return next((name for file, name in names.items() if (path / file).is_file()), None)


def _roles(config: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for key, value in config.items():
        text = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(text, str):
            found[key.removesuffix("_token")] = text
    return found


def _with_defaults(recipe: Recipe, config: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """The configs with the class's own tokens where they name none, and its flags of tokens."""
    found = {**recipe.defaults, **config}
    for role, text in recipe.roles.items():
        key = f"{role}_token"
        value = found.get(key)
        value = text if value is None else value
        if text_of(value) is None:
            raise FormatError(where, key, "a text, or an object with its content", value)
        if not isinstance(value, str) or not value:
            continue
        strips = role == "mask" and recipe.mask_strips
        found[key] = {"content": value, "lstrip": True, "special": True} if strips else value
    more = () if _lists_tokens(config) else recipe.extra(config)
    return {**found, "additional_special_tokens": list(more)} if more else found


def _lists_tokens(config: Mapping[str, Any]) -> bool:
    """Whether the configs list further special tokens: transformers then leaves out its own."""
    return bool(config.get("additional_special_tokens") or config.get("extra_special_tokens"))


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_bytes().decode()
    except OSError as error:
        raise FormatError(file, "file", "a readable file", error.strerror) from None
    except UnicodeDecodeError as error:
        got = f"a byte that is none at {error.start}"
        raise FormatError(file, "content", "UTF-8", got) from None
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _wordpiece(path: Path, recipe: Recipe, config: Mapping[str, Any]) -> Read:
    file = path / "vocab.txt"
    vocab = {line.rstrip(_WHITE): i for i, line in enumerate(_lines(file))}
    unk = _roles(config)["unk"]
    if not vocab:
        raise FormatError(file, "vocab", "at least one token", "none")
    model: Part = {"type": "WordPiece", "unk_token": unk, "continuing_subword_prefix": "##"}
    return Read(file, {**model, "max_input_chars_per_word": 100, "vocab": vocab})


def _vocab(file: Path) -> dict[str, int]:
    if not file.is_file():
        raise ModelError(f"{file.parent}: expected a vocab.json, got none")
    try:
        vocab = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FormatError(file, "content", "JSON", error) from None
    if not isinstance(vocab, dict) or not all(type(index) is int for index in vocab.values()):
        raise FormatError(file, "content", "tokens with their ids", "other values")
    return vocab


def _words(path: Path, recipe: Recipe, config: Mapping[str, Any]) -> Read:
    file = path / "vocab.json"
    unk = _roles(config)["unk"]
    return Read(file, {"type": "WordLevel", "vocab": _vocab(file), "unk_token": unk})


def _bpe(path: Path, recipe: Recipe, config: Mapping[str, Any]) -> Read:
    file = path / "vocab.json"
    vocab = _vocab(file)
    merges_file = path / "merges.txt"
    merges = []
    for number, line in enumerate(_lines(merges_file), 1):
        if line.startswith("#version") or not line.rstrip("\r"):
            continue
        pair = line.rstrip("\r").split(" ")
        if len(pair) != 2 or not {*pair, "".join(pair)} <= vocab.keys():
            wanted = "two tokens of the vocabulary that make a third"
            raise FormatError(merges_file, f"line {number}", wanted, repr(line[:60]))
        merges.append(pair)
    model: Part = {"type": "BPE", "continuing_subword_prefix": "", "vocab": vocab, "merges": merges}
    model["end_of_word_suffix"] = recipe.suffix
    return Read(file, model | ({"unk_token": _roles(config)["unk"]} if recipe.suffix else {}))


def _unigram(path: Path, recipe: Recipe, config: Mapping[str, Any]) -> Read:
    given = config.get("vocab_file")
    names = [*([given] if isinstance(given, str) and "/" not in given else []), *SPIECE_NAMES]
    file = next((path / name for name in names if (path / name).is_file()), None)
    if file is None:
        raise ModelError(f"{path}: expected one of {', '.join(SPIECE_NAMES)}, got none")
    model = open_sentencepiece(file)
    if model.algorithm != "unigram":
        raise FormatError(file, "TrainerSpec.model_type", "unigram", model.algorithm)
    texts = _roles(config)

    def fixed(names: Any) -> list[list[Any]]:
        return [[texts.get(name, name), 0.0] for name in names]

    own = [list(row) for row in zip(model.pieces, model.scores, strict=True)]
    head = [*fixed(recipe.head), *fixed(recipe.after_head(config))]
    vocab = [*head, *own[recipe.skip :], *fixed(recipe.tail(config))]
    moved = model.unk_id - recipe.skip + len(head)
    unk = moved if recipe.unk_id is None else recipe.unk_id
    if unk >= len(vocab):
        raise FormatError(file, "ModelProto.pieces", f"more than {unk} pieces", len(vocab))
    ids = {text: index for index, (text, _) in enumerate(vocab)}
    root = {"type": "Unigram", "unk_id": unk, "vocab": vocab, "byte_fallback": False}
    return Read(file, root, model.normalizer.charsmap, _added(model, ids))


def _added(model: SentencePieceModel, ids: Mapping[str, int]) -> list[Part]:
    """The pieces that are found before text is cut."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return [
        {"id": ids[text], "content": text, **flags, "special": model.kinds[index] == CONTROL}
        for index in model.of_kind(CONTROL, USER_DEFINED)
        if (text := model.pieces[index]) in ids
    ]


_MODELS: Final = {
    "WordPiece": _wordpiece,
    "WordLevel": _words,
    "BPE": _bpe,
    "Unigram": _unigram,
}
