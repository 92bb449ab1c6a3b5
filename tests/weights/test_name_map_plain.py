"""Names found without a pattern are those that the patterns give."""

from __future__ import annotations

import pytest

from tallow.weights.name_map import NameMap
from tallow.weights.patterns import pattern

TABLES = [
    {"blk.{}.attn_q": "model.layers.{}.q_proj", "token_embd": "model.embed_tokens"},
    {"a.{}.b.{}": "x.{}.{}.y", "a.{}": "z.{}"},
    {"conv1.{}": "first.{}", "conv{}.{}": "other.{}.{}"},  # a digit in a key: in order
    {"conv{}.{}": "other.{}.{}", "conv1.{}": "first.{}"},
    {"*.{}.w": "any.*.{}", "a.{}.w": "one.{}"},
]
NAMES = (
    *("blk.3.attn_q.weight", "blk.12.attn_k.bias", "blk.٣.attn_q.weight", "token_embd.weight"),
    *("a.0.b.17.w", "a.5.w", "a.7.w.x", "conv1.3.weight", "conv2.3.weight", "b.c.7.w.x", "x", ""),
)


def by_patterns(name: str, table: dict[str, str]) -> str:
    stem, dot, last = name.rpartition(".")
    for source, target in table.items():
        found = pattern(source).match(stem)
        if found is not None:
            return f"{pattern(target).fill(found[0])}{dot}{last}"
    return name


@pytest.mark.parametrize("table", TABLES)
def test_plain_tables_translate_as_patterns_do(table: dict[str, str]) -> None:
    names = NameMap(table)
    back = {visible: stored for stored, visible in table.items()}
    assert [names(name) for name in NAMES] == [by_patterns(name, table) for name in NAMES]
    seen = [names(name) for name in NAMES]
    assert [names.stored(name) for name in seen] == [by_patterns(name, back) for name in seen]
