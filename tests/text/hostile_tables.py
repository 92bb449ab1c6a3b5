"""Damaged tokenizer tables given to csrc/text: python hostile_tables.py SEEDS RUNS [SEED]

SEEDS is a folder of tables; each is cut off at every length and changed RUNS times. What opens must
encode and decode, however wrong, in bounded time; nothing may end the process; so with JSON. Prints
how many were refused and how many were read. TALLOW_TEXT_LIBRARY names the library, and what its
sanitizer needs is loaded by LD_PRELOAD ahead of Python.
"""

from __future__ import annotations

import json
import random
import resource
import struct
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hostile.mutations import mutant
from native_text import NativeTokenizer, misread, read_json, read_numbers

TEXTS = (
    "", " ", "Hello  world, don't 123\n", "a\u0301\u0323 ½Ⅷ Ａｂ１ 日本語 한국어 x\u200d\ufeff",
    "ab" * 60, "</s><|im_end|> [MASK] <unk>",
)  # fmt: skip
CHAT = [{"role": role, "content": f" a<|im_end|>{role} "} for role in ("system", "user")]
JSON = (
    b"[[1, -2.5e3], [3, 4], 0.125E+1]",
    b'{"b\\u00e9\\ud83d\\ude00": [{}, [], null, true, "\xc3\xa9"], "input_ids": [[1], [2]]}',
)
SECONDS = 5


def resized(raw: bytes) -> bytes:
    """`raw` with the size that the header must say, so that what lies behind it is read."""
    return raw[:8] + struct.pack("<Q", len(raw)) + raw[16:] if len(raw) >= 16 else raw


def check(error: ValueError, beginning: str | tuple[str, ...]) -> None:
    if not str(error).startswith(beginning):
        raise AssertionError(error) from error


def read(raw: bytes) -> str:
    start = time.monotonic()
    try:
        tokenizer = NativeTokenizer(raw)
    except ValueError as error:
        check(error, "tokenizer tables: expected ")
        return "refused"
    for text in TEXTS:
        for flag in (False, True):
            try:
                ids = tokenizer.encode(text, flag, flag)
            except ValueError as error:
                check(error, "encode: ")
                continue
            tokenizer.decode([*ids[:50], 0, 1, 2**31, 2**32 - 1], flag)
            tokenizer.stream(ids[:50], flag)
    for answer in (False, True):
        try:
            tokenizer.row("a b", "c" if answer else None)
            tokenizer.chat(CHAT, answer)
        except ValueError as error:
            check(error, ("chat: ", "encode: ", "tokenizer tables: "))
    assert time.monotonic() - start < SECONDS, "a file may not hang the reader"
    return "read"


def main(seeds: Path, runs: int, seed: int = 1) -> None:
    found: Counter[str] = Counter()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    last = seeds / "last"  # what was read when the process ended
    for path in sorted(seeds.glob("*.tables")):
        raw, rng = path.read_bytes(), random.Random(f"{path.name} {seed}")
        assert read(raw) == "read", path.name
        cuts = [raw[:size] for size in range(len(raw))]
        cuts += [resized(raw[:size]) for size in range(0, len(raw), 3)]
        for damaged in cuts:
            found[f"cut: {read(damaged)}"] += 1
        for _ in range(runs):
            damaged = mutant(raw, rng)
            damaged = resized(damaged) if rng.random() < 0.9 else damaged
            last.write_bytes(damaged)
            found[f"changed: {read(damaged)}"] += 1
    rng = random.Random(seed)
    for _ in range(10 * runs):
        damaged = mutant(rng.choice(JSON), rng)
        misread(damaged)
        for reader in (read_json, read_numbers):
            try:
                reader(damaged)
            except ValueError as error:
                check(error, "expected ")
                found["json: refused"] += 1
            else:
                found["json: read"] += 1
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
