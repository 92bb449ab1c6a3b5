"""Changes of a few bytes that hit what readers rely on: lengths, counts, signs, separators."""

import random
import struct

INTERESTING = [0, 1, 2, 4, 7, 8, 9, 12, 13, 31, 32, 2**16, 2**31, 2**32 - 1, 2**40, 2**60, 2**61]
INTERESTING += [2**62, 2**63 - 1, 2**63, 2**64 - 32, 2**64 - 1]


def flip_bit(raw: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(raw))
    raw[at] ^= 1 << rng.randrange(8)


def set_byte(raw: bytearray, rng: random.Random) -> None:
    raw[rng.randrange(len(raw))] = rng.choice((0, 1, 9, 34, 44, 91, 92, 93, 123, 125, 127, 255))


def truncate(raw: bytearray, rng: random.Random) -> None:
    del raw[rng.randrange(len(raw)) :]


def set_integer(raw: bytearray, rng: random.Random) -> None:
    size = rng.choice((2, 4, 8))
    at = rng.randrange(max(len(raw) - size, 1))
    raw[at : at + size] = struct.pack("<Q", rng.choice(INTERESTING))[:size]


def splice(raw: bytearray, rng: random.Random) -> None:
    start, end = sorted(rng.randrange(len(raw)) for _ in range(2))
    at = rng.randrange(len(raw))
    raw[at : at + rng.choice((0, end - start))] = raw[start:end]


def remove(raw: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(raw))
    del raw[at : at + rng.randrange(1, 16)]


MUTATIONS = [flip_bit, set_byte, truncate, set_integer, splice, remove]


def mutant(raw: bytes, rng: random.Random, further=()) -> bytes:
    """`raw` with one to four changes, mostly one: a file of many faults is refused at the first."""
    changed = bytearray(raw)
    choices = [*MUTATIONS, *further]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if changed:
            rng.choice(choices)(changed, rng)
    return bytes(changed)
