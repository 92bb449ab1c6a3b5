"""Runs tokenizer.json files in plain Python, where `tokenizers` is not installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.errors import MissingExtraError
from tallow.lazy_dataclasses import replace
from tallow.text.bpe_python import PythonBPE
from tallow.text.encoder import Encoder, VocabEncoder
from tallow.text.folder_files import steps_of
from tallow.text.pipeline_python import Pipeline
from tallow.text.pretokenizers import PreTokenizer, by_name
from tallow.text.rows import affixes, read_template
from tallow.text.steps_python import missing
from tallow.text.vocab import Vocab


def stand_in(vocab: Vocab, root: Mapping[str, Any]) -> tuple[Vocab, Encoder]:
    """The vocabulary with what the file says of cutting text, and its encoder.

    Raises:
        MissingExtraError: the file uses a step that the stand-in does not know; it never guesses.
    """
    try:
        return byte_level(vocab, root)
    except MissingExtraError:
        return vocab, Pipeline(root)


def byte_level(vocab: Vocab, root: Mapping[str, Any]) -> tuple[Vocab, VocabEncoder]:
    """The same for byte-level BPE that is cut by patterns alone, as of language models: faster.

    Raises:
        MissingExtraError: the file is of another kind.
    """
    normalizers = [step.get("type") for step in steps_of(root.get("normalizer"), "normalizers")]
    if not vocab.byte_level or not set(normalizers) <= {"NFC"}:
        raise missing("its kind")
    patterns: list[str] = []
    for step in steps_of(root.get("pre_tokenizer"), "pretokenizers"):
        patterns += _patterns(step)
    template = read_template(steps_of(root.get("post_processor"), "processors"))
    prefix, suffix = affixes(template)
    model = root.get("model", {})
    options = ("unk_token", "dropout", "continuing_subword_prefix", "end_of_word_suffix")
    if any(model.get(option) for option in options) or _odd_added(root):
        raise missing("its options")
    vocab = replace(
        vocab,
        pre=PreTokenizer(tuple(patterns), ignore_merges=bool(model.get("ignore_merges"))),
        nfc="NFC" in normalizers,
        prefix_ids=prefix,
        suffix_ids=suffix,
    )
    return vocab, VocabEncoder(vocab, PythonBPE(vocab), template)


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
    raise missing(f"the step {kind}")
