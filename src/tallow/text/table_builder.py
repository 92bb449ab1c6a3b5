"""Fills the sections of tokenizer tables: texts, hash tables, settings, in csrc/text's layout."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tallow.lazy_dataclasses import dataclass, field
from tallow.text.chat_tables import PlainChat
from tallow.text.rows import Template
from tallow.text.table_patterns import is_any_space, members, refused, runs_of
from tallow.text.table_steps import Steps, packed
from tallow.text.unicode_regex import compile_pattern
from tallow.text.vocab import CONTROL, UNKNOWN, Vocab, encode_utf8

_MAGIC: Final = 0x4B4F5454
VERSION: Final = 1
_NONE: Final = 0xFFFFFFFF
_FIRST: Final = 0xFFFFFFFE  # in a row, the place of the first text; the second is next to it
_MASK: Final = 0xFFFFFFFF

_SECTIONS: Final = [
    "settings",
    "piece_ends",
    "pieces",
    "token_ends",
    "tokens",
    "flags",
    "key_ends",
    "keys",
    "key_ids",
    "key_hash",
    "key_order",
    "scores",
    "merges",
    "merge_hash",
    "bytes",
    "added_ends",
    "added",
    "added_rows",
    "class_ends",
    "classes",
    "programs",
    "steps",
    "text_ends",
    "texts",
    "template_ids",
    "slots",
    "map_codes",
    "map_texts",
    "forms",
    "charsmap",
    "chat",
]
_SETTINGS: Final = [
    "model",
    "ids",
    "symbols",
    "unknown",
    "longest_key",
    "flags",
    "most_probes",
    "most_chars",
    "prefix",
    "suffix",
    "steps_before",
    "steps_normalize",
    "steps_cut",
    "steps_decode",
    "tail_keys",
    "space_class",
    "word_class",
    "single_slots",
    "longest_row",
    "pad_type",
    "bos",
    "eos",
    "pad",
]
PAIRS_OF_BYTES, PAIRS_OF_CHARS, SCORES, UNIGRAM, PIECES, WORDS = range(6)
# Flags of a tokenizer, of a piece and of an added token.
(WHOLE_WORDS, STRIPS_SPACE, BYTE_FALLBACK, FUSE_UNKNOWN, SKIPS_EXCLUDED, CLEANS_UP,
 END_OF_WORD, SCAN_BEHIND_SPACE, BYTES_FIRST,
 CHAT_PREFIX, _CUTS_LEFT, _TOKEN_TYPES) = (1 << bit for bit in range(12))  # fmt: skip
_SPECIAL, _END, _HIDDEN = 1, 2, 4
ADDED_CONTROL, TAKES_BEFORE, TAKES_AFTER, WHOLE_WORD, IN_RAW, IN_NORMALIZED = (
    1 << bit for bit in range(6)
)


@dataclass
class Builder:
    """Fills the sections of one tokenizer."""

    vocab: Vocab
    sections: dict[str, bytes] = field(default_factory=dict)
    settings: dict[str, int] = field(default_factory=dict)
    steps: Steps = field(default_factory=Steps)
    flags: int = 0
    probes: int = 0
    hidden: set[int] = field(default_factory=set)

    # --- models -------------------------------------------------------------------------------

    def pairs(self, symbols: Mapping[str, int], rows: Iterable[tuple[str, str]], ids: int) -> None:
        """Merges in order of rank; those that cannot happen are left out."""
        merges, known = array("I"), dict[tuple[int, int], int]()
        for left, right in rows:
            pair = symbols.get(left, _NONE), symbols.get(right, _NONE)
            result = symbols.get(left + right, _NONE)
            if _NONE in pair or result >= ids or pair in known:
                continue
            known[pair] = len(known)
            merges.extend((*pair, result))
        self.sections["merges"] = packed(merges)
        mixed = [(a * 0x9E3779B1 ^ b * 0x85EBCA77) & _MASK for a, b in known]
        self.sections["merge_hash"] = self._hash([value ^ value >> 15 for value in mixed])

    def keys(self, keys: Mapping[bytes, int], tails: Mapping[bytes, int] | None = None) -> None:
        """What the model looks up; `tails` only within a word."""
        both = [*keys.items(), *(tails or {}).items()]
        self.text_section("key_ends", "keys", [text for text, _ in both])
        self.sections["key_ids"] = packed(value for _, value in both)
        hashes = [_hash_bytes(text) ^ (0x55555555 * (i >= len(keys))) for i, (text, _) in
                  enumerate(both)]  # fmt: skip
        self.sections["key_hash"] = self._hash(hashes)
        self.settings["longest_key"] = max((len(text) for text, _ in both), default=0)
        self.settings["tail_keys"] = len(keys)

    def _hash(self, hashes: Sequence[int]) -> bytes:
        size = 1 << (len(hashes) * 8 // 5).bit_length()
        slots, mask = array("I", bytes(4 * size)), size - 1
        for number, value in enumerate(hashes, 1):
            at = value & mask
            while slots[at]:
                at = (at + 1) & mask
            slots[at] = number
            self.probes = max(self.probes, (at - value) & mask)
        return packed(slots)

    def model(self, kind: int, unknown: int | None, symbols: int = 0) -> None:
        """Which model it is, and what becomes of what it does not know."""
        self.settings |= {"model": kind, "unknown": _NONE if unknown is None else unknown}
        self.settings["symbols"] = max(symbols, len(self.vocab.tokens))

    def byte_ids(self, *tables: Sequence[int | None]) -> None:
        """The symbol of each byte, and of each as the last one of a word."""
        flat = [_NONE if value is None else value for table in tables for value in table]
        self.sections["bytes"] = packed(flat)

    # --- the rest -----------------------------------------------------------------------------

    def added(self, rows: Iterable[tuple[str, int, int]], spaces: str) -> None:
        """Tokens that are looked for in a text before it is cut."""
        found = sorted((encode_utf8(text), index, bits) for text, index, bits in rows if text)
        self.text_section("added_ends", "added", [text for text, _, _ in found])
        self.sections["added_rows"] = packed(n for _, index, bits in found for n in (index, bits))
        letters = compile_pattern(r"\w").pattern
        at = self.steps.programs.add(letters, translated=True)
        self.settings["word_class"] = self.steps.programs.code[at + 1]
        self.settings["space_class"] = self.steps.classes.add(runs_of(spaces))

    def around(self, prefix: Sequence[int], suffix: Sequence[int], template: Template) -> None:
        """The ids around a text, and the rows that a template makes of one and of two."""
        if template.slow or template.absorbs:
            raise refused("a template of its own kind")
        self.settings |= {"prefix": len(prefix), "suffix": len(suffix)}
        self.sections["template_ids"] = packed([*prefix, *suffix])
        rows = []
        for slots in (template.single, template.pair):
            row: list[int] = []
            for slot in slots:
                ids = slot.ids if slot.sequence is None else (_FIRST + slot.sequence,)
                row += [number for value in ids for number in (value, slot.type_id)]
            rows.append(row)
        self.sections["slots"] = packed(rows[0] + rows[1])
        self.settings["single_slots"] = len(rows[0]) // 2

    def text_section(self, ends: str, name: str, texts: Sequence[bytes]) -> None:
        """Texts one after the other, by where each ends."""
        at, places = 0, array("I")
        for text in texts:
            at += len(text)
            places.append(at)
        self.sections[ends], self.sections[name] = packed(places), b"".join(texts)

    def _flags_of(self, index: int, kind: int) -> int:
        bits = _SPECIAL * (kind in (CONTROL, UNKNOWN)) | _END * (index in self.vocab.eos_ids)
        return bits | _HIDDEN * (index in self.hidden)

    def finish(self, chat: PlainChat | None) -> bytes:
        """All bytes."""
        vocab, steps, settings = self.vocab, self.steps, self.settings
        count = len(vocab.tokens)
        if chat is not None:
            self.sections["chat"] = chat.pack(steps.classes.add(members(is_any_space)))
        self.text_section("piece_ends", "pieces", [vocab.spell(i) for i in range(count)])
        if steps.decoding:
            self.text_section("token_ends", "tokens", list(map(encode_utf8, vocab.tokens)))
        kinds = enumerate(vocab.kinds[:count])
        self.sections["flags"] = bytes(self._flags_of(index, kind) for index, kind in kinds)
        self.flags |= STRIPS_SPACE * vocab.strips_space
        self.flags |= CHAT_PREFIX * vocab.chat_prefix
        self.flags |= CLEANS_UP * (vocab.settings.clean_up and vocab.algorithm != "bpe")
        lists = steps.before, steps.normal, steps.cuts, steps.decoding
        names = "before", "normalize", "cut", "decode"
        settings |= {f"steps_{n}": len(part) for n, part in zip(names, lists, strict=True)}
        self.sections["steps"] = packed(number for part in lists for number in part)
        self.sections["programs"] = packed(steps.programs.code)
        self.sections["class_ends"] = packed(steps.classes.ends)
        self.sections["classes"] = packed(steps.classes.numbers)
        self.text_section("text_ends", "texts", list(steps.texts))
        self.sections["map_codes"] = packed(steps.map_codes)
        self.sections["map_texts"] = packed(steps.map_texts)
        self.sections |= {"forms": steps.forms, "charsmap": steps.charsmap}
        rules = vocab.settings
        self.flags |= _CUTS_LEFT * (rules.truncation_side == "left")
        self.flags |= _TOKEN_TYPES * rules.token_types
        longest = _NONE if rules.model_max_length is None else min(rules.model_max_length, _NONE)
        settings |= {"longest_row": longest, "pad_type": rules.pad_type_id}
        roles = {role: vocab.find_special(role) for role in ("bos", "eos", "pad")}
        settings |= {role: _NONE if found is None else found for role, found in roles.items()}
        settings |= {"ids": count, "flags": self.flags, "most_probes": self.probes}
        self.sections["settings"] = packed(settings.get(name, 0) for name in _SETTINGS)
        return _joined(self.sections)


def _joined(sections: Mapping[str, bytes]) -> bytes:
    at, rows, parts = 24 + 16 * len(_SECTIONS), [], list[bytes]()
    for name in _SECTIONS:
        part = sections.get(name, b"")
        rows.append(struct.pack("<QQ", at, len(part)))
        parts.append(part + bytes(-len(part) % 8))
        at += len(parts[-1])
    head = struct.pack("<IIQII", _MAGIC, VERSION, at, len(_SECTIONS), 0)
    return b"".join([head, *rows, *parts])


def _hash_bytes(text: bytes) -> int:
    value = 2166136261  # FNV-1a
    for byte in text:
        value = (value ^ byte) * 16777619 & _MASK
    return value ^ value >> 15
