"""How translators are told languages: tokens around a text, a forced first token, or words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from tallow.errors import ArgumentError
from tallow.lazy_dataclasses import dataclass
from tallow.models.base import Model
from tallow.text import Tokenizer

# Codes of languages that put no space between sentences.
_UNSPACED: Final = frozenset((
    "zh", "zho", "yue", "ja", "jpn", "th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bo",
    "bod", "dzo",
))  # fmt: skip
_PREFIX: Final = re.compile(r"translation_(\w+?)_to_(\w+)")


class Route(NamedTuple):
    """What a translation needs: text before a text, ids around it, and the first id written."""

    before: str = ""
    head: tuple[int, ...] = ()
    tail: tuple[int, ...] | None = None  # None: what the tokenizer puts around a text
    forced: int | None = None
    options: Mapping[str, Any] = {}
    space: str = " "


@dataclass(frozen=True)
class Languages:
    """The languages of a translator by code: `sources`, `targets`, and the route of two of them.

    `sources` is empty where nothing tells the model which language it reads. `source` is the one
    that the checkpoint names.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    make: Callable[[str | None, str | None], Route]
    source: str | None = None

    def route(self, source: str | None, target: str | None) -> Route:
        """What a translation between two languages needs.

        Raises:
            ArgumentError: a language is not one of the model's, or is not named where it has to be.
        """
        if self.sources:
            source = _known("source", source or self.source, self.sources)
        elif source is not None and source != self.source:
            wanted = f"{self.source!r}" if self.source else "none: the model is not told"
            raise ArgumentError(f"source: expected {wanted}, got {source!r}")
        if self.targets:
            only = self.targets[0] if len(self.targets) == 1 else None
            target = _known("target", target or only, self.targets)
        elif target is not None:
            wanted = "none: the model names no languages, and prefix= may say what it is to do"
            raise ArgumentError(f"target: expected {wanted}, got {target!r}")
        return self.make(source, target)._replace(space=_space(target))


def languages_of(model: Model, tokenizer: Tokenizer) -> Languages:
    """How a model is told languages, by its tokenizer's class and what its config says."""
    from tallow.text.folder_files import read_config
    from tallow.text.vocab_files import class_of

    config: Mapping[str, Any] = {}
    kind = None
    if model.folder is not None:
        config = read_config(model.folder, "tokenizer_config.json")
        kind = class_of(model.folder, config)
    made = _KINDS[kind](tokenizer, config) if kind in _KINDS else None
    return made or _by_tasks(model) or _by_tokens(tokenizer) or _none(config)


def _known(what: str, code: str | None, codes: tuple[str, ...]) -> str:
    if code in codes:
        return code
    from difflib import get_close_matches

    given = code or ""
    kin = [each for each in codes if given and each.startswith((f"{given}_", f"{given[:2]}_"))]
    near = list(dict.fromkeys(kin[:3] + get_close_matches(given, codes, n=3, cutoff=0.6)))
    listed = (f"near: {', '.join(near)}; all: " if near else "") + ", ".join(codes)
    raise ArgumentError(f"{what}: expected a language of the model ({listed}), got {code!r}")


def _space(code: str | None) -> str:
    return "" if code is not None and re.split("[_-]", code)[0].lower() in _UNSPACED else " "


def _coded(
    tokenizer: Tokenizer, pattern: str, config: Mapping[str, Any], *, behind: bool
) -> Languages | None:
    """Languages that are tokens: the source's stands at a text, the target's is written first."""
    ids = {}
    for index in sorted(tokenizer.special_ids):
        found = re.fullmatch(pattern, tokenizer.id_to_token(index))
        if found:
            ids[found[1]] = index
    return _of_ids(tokenizer, ids, config, behind=behind)


def _of_ids(
    tokenizer: Tokenizer, ids: Mapping[str, int], config: Mapping[str, Any], *, behind: bool
) -> Languages | None:
    end = tokenizer.eos_id
    if not ids or end is None:
        return None

    def make(source: str | None, target: str | None) -> Route:
        assert source is not None, "it was looked for"
        assert target is not None, "it was looked for"
        own = ids[source]
        head, tail = ((), (end, own)) if behind else ((own,), (end,))
        return Route("", head, tail, ids[target])

    codes = tuple(ids)
    given = config.get("src_lang")
    return Languages(codes, codes, make, given if given in ids else None)


def _mbart(tokenizer: Tokenizer, config: Mapping[str, Any]) -> Languages | None:
    return _coded(tokenizer, r"([a-z]{2}_[A-Z]{2})", config, behind=True)


def _mbart50(tokenizer: Tokenizer, config: Mapping[str, Any]) -> Languages | None:
    return _coded(tokenizer, r"([a-z]{2}_[A-Z]{2})", config, behind=False)


def _nllb(tokenizer: Tokenizer, config: Mapping[str, Any]) -> Languages | None:
    behind = bool(config.get("legacy_behaviour", False))
    return _coded(tokenizer, r"([a-z]{3}_[A-Z][a-z]{3})", config, behind=behind)


def _m2m100(tokenizer: Tokenizer, config: Mapping[str, Any]) -> Languages | None:
    from tallow.text.spm_words import LANGUAGES

    codes = LANGUAGES.get(config.get("language_codes") or "m2m100", ())
    found = {code: tokenizer.token_to_id(f"__{code}__") for code in codes}
    ids = {code: index for code, index in found.items() if index is not None}
    return _of_ids(tokenizer, ids, config, behind=False)


def _marian(tokenizer: Tokenizer, config: Mapping[str, Any]) -> Languages | None:
    """Of several targets a code is written before the text; of one nothing is."""
    targets = []
    for index in range(tokenizer.vocab_size):
        found = re.fullmatch(r">>([^<>]+)<<", tokenizer.id_to_token(index))
        if found:
            targets.append(found[1])
    own = config.get("source_lang"), config.get("target_lang")
    source, target = (each if isinstance(each, str) and each else None for each in own)

    def make(_: str | None, to: str | None) -> Route:
        return Route(f">>{to}<< " if targets else "")

    return Languages((), tuple(targets) or ((target,) if target else ()), make, source)


_KINDS: Final[Mapping[str | None, Callable[..., Languages | None]]] = {
    "MBart": _mbart,
    "MBart50": _mbart50,
    "Nllb": _nllb,
    "M2M100": _m2m100,
    "Marian": _marian,
}


def _by_tasks(model: Model) -> Languages | None:
    """Languages in words, such as `translate English to German: `, as T5's config has them."""
    tasks = model.config_values.get("task_specific_params")
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for name, values in tasks.items() if isinstance(tasks, Mapping) else ():
        pair = _PREFIX.fullmatch(str(name))
        if pair and isinstance(values, Mapping) and isinstance(values.get("prefix"), str):
            found[pair[1], pair[2]] = values
    if not found:
        return None
    sources, targets = (tuple(dict.fromkeys(pair[i] for pair in found)) for i in (0, 1))

    def make(source: str | None, target: str | None) -> Route:
        values = found.get((str(source), str(target)))
        if values is None:
            listed = ", ".join(f"{a} to {b}" for a, b in found)
            raise ArgumentError(f"target: expected one of {listed}, got {source} to {target}")
        return Route(str(values["prefix"]), options=values)

    return Languages(sources, targets, make, sources[0] if len(sources) == 1 else None)


def _by_tokens(tokenizer: Tokenizer) -> Languages | None:
    """Targets as tokens before the text, such as `<2de>` (MADLAD-400, arXiv 2309.04662)."""
    codes = []
    for index in range(min(tokenizer.vocab_size, 4096)):  # they stand at the beginning
        found = re.fullmatch(r"<2([A-Za-z_]+)>", tokenizer.id_to_token(index))
        if found:
            codes.append(found[1])

    def make(_: str | None, target: str | None) -> Route:
        index = tokenizer.token_to_id(f"<2{target}>")
        assert index is not None, "it was looked for"
        end = tokenizer.eos_id
        return Route("", (index,), () if end is None else (end,))

    return Languages((), tuple(codes), make) if codes else None


def _none(config: Mapping[str, Any]) -> Languages:
    return Languages((), (), lambda source, target: Route())
