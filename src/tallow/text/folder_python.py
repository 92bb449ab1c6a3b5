"""Runs the byte-level tokenizer.json files in plain Python, where `tokenizers` is not installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tallow.errors import MissingExtraError
from tallow.text.bpe_python import PythonBPE
from tallow.text.encoder import VocabEncoder
from tallow.text.pretokenizers import PreTokenizer, by_name
from tallow.text.rows import affixes, read_template
from tallow.text.vocab import Vocab


def steps_of(part: Any, children: str) -> list[dict[str, Any]]:
    """A component of tokenizer.json as the flat list of its steps.

    `children` is the key under which a Sequence keeps its list.
    """
    if not isinstance(part, dict):
        return []
    inner = part.get(children)
    if part.get("type") == "Sequence" and isinstance(inner, list):
        return [step for child in inner for step in steps_of(child, children)]
    return [part]


def stand_in(vocab: Vocab, root: Mapping[str, Any]) -> tuple[Vocab, VocabEncoder]:
    """The vocabulary with what the file says of cutting text, and its encoder.

    Raises:
        MissingExtraError: the file uses a step that the stand-in does not know; it never guesses.
    """
    normalizers = [step.get("type") for step in steps_of(root.get("normalizer"), "normalizers")]
    if not vocab.byte_level or not set(normalizers) <= {"NFC"}:
        raise _missing("its kind")
    patterns: list[str] = []
    for step in steps_of(root.get("pre_tokenizer"), "pretokenizers"):
        patterns += _patterns(step)
    template = read_template(steps_of(root.get("post_processor"), "processors"))
    prefix, suffix = affixes(template)
    model = root.get("model", {})
    if model.get("unk_token") or model.get("dropout") or _odd_added(root):
        raise _missing("its options")
    vocab = replace(
        vocab,
        pre=PreTokenizer(tuple(patterns), ignore_merges=bool(model.get("ignore_merges"))),
        nfc="NFC" in normalizers,
        prefix_ids=prefix,
        suffix_ids=suffix,
    )
    return vocab, VocabEncoder(vocab, PythonBPE(vocab), template)


def _missing(what: str) -> MissingExtraError:
    return MissingExtraError(
        f"tokenizer.json: {what} needs the package tokenizers: pip install 'tallow[text]'"
    )


def _odd_added(root: Mapping[str, Any]) -> bool:
    """Whether an added token takes the spaces beside it or matches whole words only."""
    flags = ("lstrip", "rstrip", "single_word")
    return any(row.get(flag) for row in root.get("added_tokens") or [] for flag in flags)


def _patterns(step: Mapping[str, Any]) -> tuple[str, ...]:
    kind = step.get("type")
    if kind == "ByteLevel" and not step.get("add_prefix_space"):
        return by_name("gpt2").patterns if step.get("use_regex", True) else ()
    if kind == "Digits":
        return (r"\p{N}",) if step.get("individual_digits") else (r"\p{N}+",)
    pattern = step.get("pattern")
    regex = pattern.get("Regex") if isinstance(pattern, dict) else None
    isolated = step.get("behavior") == "Isolated" and not step.get("invert")
    if kind == "Split" and isolated and isinstance(regex, str):
        return (regex,)
    raise _missing(f"the step {kind}")
