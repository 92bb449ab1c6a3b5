"""Reads a `Vocab` out of GGUF metadata (`tokenizer.ggml.*`), with llama.cpp's defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallow._native import Texts
from tallow.errors import ModelError
from tallow.formats.gguf_metadata import Metadata
from tallow.lazy_dataclasses import dataclass
from tallow.text.pretokenizers import PreTokenizer, by_name
from tallow.text.vocab import (
    CONTROL,
    NORMAL,
    SPACE_MARK,
    UNKNOWN,
    USER_DEFINED,
    Algorithm,
    Normalizer,
    TextIds,
    Vocab,
    end_ids,
    first_places,
)


@dataclass(frozen=True)
class _Defaults:
    """What a `tokenizer.ggml.model` means when the file leaves a key out."""

    algorithm: Algorithm
    special: Mapping[str, int]
    add_bos: bool = False
    add_eos: bool = False
    add_sep: bool = False
    add_space_prefix: bool = False
    remove_extra_whitespaces: bool = False
    pre: str | None = None


_MODELS: Final[dict[str, _Defaults]] = {
    "gpt2": _Defaults("bpe", {"bos": 11, "eos": 11}),
    "gemma4": _Defaults("bpe", {}, add_bos=True, pre="gemma4"),
    "llama": _Defaults("spm", {"bos": 1, "eos": 2, "unk": 0}, add_bos=True, add_space_prefix=True),
    "bert": _Defaults(
        "wordpiece",
        {"bos": 101, "cls": 101, "unk": 100, "sep": 102, "pad": 0},
        add_bos=True,
        add_sep=True,
    ),
    "t5": _Defaults("unigram", {"eos": 1, "unk": 2, "pad": 0}, add_eos=True),
    "rwkv": _Defaults("trie", {}),
}

_ID_KEYS: Final = {
    "bos": ("bos_token_id", "cls_token_id"),
    "eos": ("eos_token_id",),
    "eot": ("eot_token_id",),
    "eom": ("eom_token_id",),
    "unk": ("unknown_token_id",),
    "sep": ("seperator_token_id", "separator_token_id"),  # the format spells it with an e
    "pad": ("padding_token_id",),
    "cls": ("cls_token_id",),
    "mask": ("mask_token_id",),
    "fim_pad": ("fim_pad_token_id",),
    "fim_rep": ("fim_rep_token_id",),
    "fim_sep": ("fim_sep_token_id",),
}
_ROBERTA: Final = ("roberta-bpe", "jina-v2-de", "jina-v2-es", "jina-v2-code")
_ENDS: Final = ("eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep")


class _Keys:
    """Typed access to `tokenizer.ggml.*`; a value of the wrong type is one clear error."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata = metadata

    def get(self, key: str) -> Any:
        return self.metadata.get(f"tokenizer.ggml.{key}")

    def fail(self, key: str, wanted: str, got: object) -> ModelError:
        return ModelError(f"tokenizer.ggml.{key}: expected {wanted}, got {got}")

    def text(self, key: str, default: str) -> str:
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.fail(key, "a string", type(value).__name__)
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.get(key)
        return default if value is None else bool(value)

    def array(self, key: str, kind: type, length: int | None = None) -> Sequence[Any] | None:
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, str) or not hasattr(value, "__len__"):
            raise self.fail(key, "an array", type(value).__name__)
        items: Sequence[Any] = value if isinstance(value, (list, tuple)) else list(value)
        if length is not None and len(items) < length:
            raise self.fail(key, f"{length} entries, one for each token", len(items))
        if set(map(type, items)) <= {kind}:
            return items
        try:
            return [_text(item) if kind is str else kind(item) for item in items]
        except (TypeError, ValueError, OverflowError):
            raise self.fail(key, f"an array of {kind.__name__}", "other values") from None

    def strings(self, key: str) -> Sequence[str]:
        """An array of strings that must be there."""
        found = self.array(key, str)
        if not found:
            raise self.fail(key, "an array of strings", "none")
        return found

    def texts(self, key: str) -> Sequence[str] | Texts:
        """The same, of a file with an index instead of a Python string each."""
        whole = f"tokenizer.ggml.{key}"
        if isinstance(self.metadata, Metadata) and whole in self.metadata:
            found = self.metadata.texts(whole)
            if found:
                return found
        return self.strings(key)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    raise TypeError(value)


def prepare(metadata: Mapping[str, Any]) -> None:
    """Let threads index what `read_vocab` will ask for; damage is told there."""
    keys = _Keys(metadata)
    defaults = _MODELS.get(str(keys.get("model")))
    if isinstance(metadata, Metadata) and defaults is not None and defaults.algorithm == "bpe":
        metadata.prepare("tokenizer.ggml.tokens", "tokenizer.ggml.merges")


def read_vocab(metadata: Mapping[str, Any]) -> Vocab:
    """The `Vocab` that GGUF metadata describes.

    Raises:
        ModelError: no vocabulary, an unknown `tokenizer.ggml.model` or `tokenizer.ggml.pre`, or
            arrays that do not fit.
    """
    keys = _Keys(metadata)
    name = keys.text("model", "")
    defaults = _MODELS.get(name)
    if defaults is None:
        known = ", ".join(_MODELS)
        raise ModelError(
            f"tokenizer.ggml.model: expected one of {known}, got {name or 'nothing'!r}"
        )
    bpe = defaults.algorithm == "bpe"
    tokens = (keys.texts if bpe else keys.strings)("tokens")
    count = len(tokens)
    ids = TextIds(tokens) if isinstance(tokens, Texts) else first_places(tokens)
    kinds = keys.array("token_type", int, count)
    special = _special(keys, defaults, name, count)
    kinds = _without_types(count, special) if kinds is None else kinds[:count]
    pre = by_name(defaults.pre or keys.text("pre", "")) if bpe else PreTokenizer(())
    merges = keys.texts("merges") if bpe else ()
    scores = _scores(keys, count) if defaults.algorithm in ("spm", "unigram") else ()
    ends = (special[role] for role in _ENDS if role in special)
    eos_ids, kinds = end_ids(ids, kinds, ends)
    lowercase = keys.flag("normalizer.lowercase", True)
    prefix, suffix = _affixes(keys, defaults, pre.add_bos, special)
    return Vocab(
        algorithm=defaults.algorithm,
        tokens=tokens,
        kinds=kinds,
        ids=ids,
        merges=merges,
        scores=scores,
        pre=pre,
        normalizer=Normalizer(
            lowercase=lowercase,
            strip_accents=keys.flag("normalizer.strip_accents", lowercase),
            charsmap=_charsmap(keys),
        ),
        special=special,
        eos_ids=eos_ids,
        strips_before=_strips_before(metadata, ids),
        strips_after=_strips_after(metadata, tokens, kinds),
        prefix_ids=prefix,
        suffix_ids=suffix,
        spelled_ids=_spelled(ids, kinds),
        add_space_prefix=keys.flag("add_space_prefix", defaults.add_space_prefix),
        remove_extra_whitespaces=keys.flag(
            "remove_extra_whitespaces", defaults.remove_extra_whitespaces
        ),
        phantom_space=defaults.algorithm == "wordpiece"
        and any(token.startswith(SPACE_MARK) for token in tokens),
        chat_template=_chat_template(metadata),
    )


def _scores(keys: _Keys, count: int) -> Sequence[float]:
    scores = keys.array("scores", float, count)
    if not scores:
        raise ModelError("tokenizer.ggml.scores: expected an array of floats, got none")
    if not math.isfinite(sum(scores)):
        raise ModelError("tokenizer.ggml.scores: expected finite numbers, got inf or nan")
    return scores


def _special(keys: _Keys, defaults: _Defaults, name: str, count: int) -> dict[str, int]:
    special = {n: i for n, i in defaults.special.items() if i < count}
    for role, spellings in _ID_KEYS.items():
        for spelling in spellings:
            value = keys.get(spelling)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise keys.fail(spelling, "a token id", value)
            special.pop(role, None)
            if 0 <= value < count:  # others mean "none": some converters write -1 or 2**32 - 1
                special[role] = value
            break
    if name == "gpt2" and keys.get("bos_token_id") is None:
        # 11 is GPT-NeoX's and means nothing elsewhere; without the key there is no such token.
        special.pop("bos", None)
    if name == "gpt2" and keys.get("eos_token_id") is None:
        special.pop("eos", None)
    return special


def _without_types(count: int, special: Mapping[str, int]) -> list[int]:
    """Kinds for a file that has none: the ids it names are control tokens, the rest is text."""
    kinds = [NORMAL] * count
    for role, index in special.items():
        kinds[index] = UNKNOWN if role == "unk" else CONTROL
    return kinds


def _strips_before(metadata: Mapping[str, Any], ids: Mapping[str, int]) -> frozenset[int]:
    """The mask token of RoBERTa's and ModernBERT's kin swallows the white space before it.

    GGUF has no key that says so. The names are llama.cpp's, and `roberta-bpe` and `modern-bert`,
    whose tokenizers in transformers do the same.
    """
    pre = str(metadata.get("tokenizer.ggml.pre", ""))
    family = str(metadata.get("general.architecture", ""))
    name = str(metadata.get("general.name", "")).lower()
    masks = []
    if pre in _ROBERTA or any(known in family for known in ("nomic-bert-moe", "jina-bert-v3")):
        masks.append("<mask>")
    if pre == "modern-bert" or "modern-bert" in name:
        masks.append("[MASK]")
    return frozenset(ids[text] for text in masks if text in ids)


def _strips_after(
    metadata: Mapping[str, Any], tokens: Sequence[str] | Texts, kinds: Sequence[int]
) -> frozenset[int]:
    """Phi-3's special tokens swallow the white space behind them; GGUF has no key that says so."""
    name = str(metadata.get("general.name", "")).lower()
    if "phi-3" not in name and "phi3" not in name:
        return frozenset()
    listed = (CONTROL, UNKNOWN, USER_DEFINED)
    added = (i for i, kind in enumerate(kinds) if kind in listed or tokens[i] == "</s>")
    plain = ("<unk>", "<s>", "<|endoftext|>")
    return frozenset(index for index in added if tokens[index] not in plain)


def _spelled(ids: Mapping[str, int], kinds: Sequence[int]) -> tuple[int, ...]:
    """llama.cpp takes `</s>` for a control token whatever the file calls it.

    So it does for an ordinary one, but here that does not end a text: it is an HTML tag too.
    """
    index = ids.get("</s>")
    gemma = "<|tool_response>" in ids
    return () if index is None or gemma or kinds[index] != NORMAL else (index,)


def _affixes(
    keys: _Keys, defaults: _Defaults, pre_adds_bos: bool, special: Mapping[str, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that go before and after a text that is encoded with `add_special`."""
    if defaults.algorithm == "wordpiece":  # [CLS] and [SEP] always, as in llama.cpp
        roles = {"add_bos_token": ("bos", True), "add_sep_token": ("sep", True)}
    else:
        roles = {
            "add_bos_token": ("bos", keys.flag("add_bos_token", defaults.add_bos or pre_adds_bos)),
            "add_eos_token": ("eos", keys.flag("add_eos_token", defaults.add_eos)),
        }
    prefix: list[int] = []
    suffix: list[int] = []
    for key, (role, wanted) in roles.items():
        if not wanted:
            continue
        if role in special:
            (prefix if role == "bos" else suffix).append(special[role])
        elif keys.get(key) is not None or defaults.algorithm == "wordpiece":
            raise ModelError(f"tokenizer.ggml.{key}: expected the id of {role}, got none")
    return tuple(prefix), tuple(suffix)


def _charsmap(keys: _Keys) -> bytes:
    value = keys.get("precompiled_charsmap")
    if value is None:
        return b""
    try:
        return (
            bytes(value)
            if isinstance(value, (bytes, bytearray))
            else bytes(int(item) & 0xFF for item in value)
        )
    except (TypeError, ValueError, OverflowError):
        raise keys.fail("precompiled_charsmap", "an array of bytes", type(value).__name__) from None


def _chat_template(metadata: Mapping[str, Any]) -> str | None:
    value = metadata.get("tokenizer.chat_template")
    return value if isinstance(value, str) and value else None
