"""Odd texts, the same for each seed: every category of Unicode, and what tokenizers trip over.

Characters are those that Unicode 3.2 knows, so that no two versions of its data differ on them.
"""

from __future__ import annotations

import functools
import random
import unicodedata

WORDS = (
    " the", "Hello", "I'll", "don't", "'S", "we'VE", "http://x.y/z?q=1", "foo_bar", "CamelCase",
    "3.14", "1,000,000", "naïve", "Straße", "ΣΊΣΥΦΟΣ", "Привет", "नमस्ते", "ประเทศไทย", "ភាសាខ្មែរ",
    "日本語", "中文，。", "한국어", "العربية",
    "½", "Ⅷ", "²", "٣٤", "९", "Ａｂ１", "ﬁ", "ǆ", "ŉ", "\u212b",
)  # fmt: skip
SPACES = (
    " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\v", "\f", "\x85", "\xa0", "\u1680", "\u2003",
    "\u200a", "\u2028", "\u2029", "\u202f", "\u3000", "\ufeff", "\u200b", "\u200d", "\x1c", "\x1f",
)  # fmt: skip
EMOJI = ("😀", "👩‍👩‍👧", "👨🏽‍🚀", "🏳️‍🌈", "🇩🇪🇫🇷", "1️⃣", "❤️")
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»–—‘’“”…、。「」！？（）"
RUNS = (" ", "\n", "\r\n", "\t", "0", "a", "A", ".", "=", "\xa0", "\u3000", "é", "한", "\u0301")


@functools.cache
def _categories() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code in range(0x110000):
        char = chr(code)
        known = unicodedata.ucd_3_2_0.category(char)
        if known not in ("Cn", "Cs", "Co") or code in (0xE000, 0xF8FF, 0xF0000, 0x10FFFD):
            found.setdefault(unicodedata.category(char), []).append(char)
    return found


def _between(first: int, last: int):
    return lambda draw: "".join(chr(draw.randint(first, last)) for _ in range(draw.randint(1, 4)))


def _any(draw: random.Random) -> str:
    kinds = _categories()
    names = sorted(kinds)
    return "".join(draw.choice(kinds[draw.choice(names)]) for _ in range(draw.randint(1, 4)))


PARTS = (
    _any, _any, _any,
    _between(0x300, 0x34E),  # marks
    lambda draw: draw.choice("aeyAZ½Ⅷ\u3000") + _between(0x300, 0x34E)(draw),
    _between(0x1100, 0x1112), _between(0x1161, 0x1175), _between(0xAC00, 0xD7A3),
    _between(0xE01, 0xE3A), _between(0x1780, 0x17B3), _between(0x915, 0x939),
    _between(0, 0x1F), _between(0x7F, 0x9F), _between(0x202A, 0x202E),
    lambda draw: draw.choice(SPACES), lambda draw: draw.choice(SPACES),
    lambda draw: draw.choice(WORDS), lambda draw: draw.choice(WORDS),
    lambda draw: unicodedata.normalize("NFD", draw.choice(WORDS)),
    lambda draw: draw.choice(EMOJI),
    lambda draw: draw.choice(PUNCTUATION) * draw.choice((1, 1, 2, 8)),
    lambda draw: "".join(draw.choices("0123456789", k=draw.randint(1, 12))),
    lambda draw: "".join(draw.choices("abcXYZ 01", k=draw.randint(1, 6))),
)  # fmt: skip


def odd_texts(count: int, special: tuple[str, ...] = (), seed: int = 5) -> list[str]:
    """`count` texts of up to eight parts, or of one long run; `special` tokens among them."""
    draw = random.Random(seed)
    parts = [*PARTS, *[lambda draw: draw.choice(special)] * (2 if special else 0)]
    found = []
    for i in range(count):
        if i % 50 == 49:
            found.append(draw.choice(RUNS) * draw.choice((17, 65, 129, 500)) + _any(draw))
        else:
            found.append("".join(draw.choice(parts)(draw) for _ in range(draw.randint(1, 8))))
    return found
