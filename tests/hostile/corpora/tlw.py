"""`.tlw` programs, one fault each; mutants whose tables have the right checksum run, too."""

import struct
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import tallow as tl
from tallow import nn
from tallow._native import xxh64
from tallow.errors import TallowError
from tallow.programs import Entry, Size, Traced, load_program, save_program

MULTIPLE = 64  # every plan runs, and lays its temporaries out


@contextmanager
def open_file(path):
    yield load_program(path)


def touch(program) -> None:
    """Run every plan at its smallest and at other sizes, on zeros."""
    _ = program.sections
    program.verify()
    for name, row in program.plans.items():
        for size in (0, 1, 3, 40):
            sizes = {k: min(most, least + size) for k, (least, most) in row["sizes"].items()}
            try:
                run(program, name, sizes)
            except TallowError:
                continue


def run(program, name, sizes) -> None:
    program._native.set(name, list(sizes.values()))
    plan = program._native.plan(name)
    inputs = []
    for value in plan.inputs:
        _, _, dtype, shape, _ = plan.values[value]
        if tl.empty(shape, device="meta").numel() > 1 << 16:
            return
        inputs.append(tl._native.Array.full(shape, 0, dtype))
    program._native.call(name, inputs)


# --- valid files ----------------------------------------------------------------------------------


def chained(sizes):
    def run(x):
        return ((x * x[:1] + x).clamp(-1, 1) - 0.5).gelu() * x

    return Traced(run, {"x": tl.zeros(sizes["n"], 32)}, ["y"])


@cache
def written(kind: str) -> bytes:
    """A small program; the same bytes at each call."""
    tl.manual_seed(0)
    weight = tl.arange(32 * 4).float().reshape(4, 32).sin()
    layers = {
        "weight": weight,
        "packed": weight.to("q8_0"),
        "table": tl.arange(12).float().reshape(4, 3),
    }
    total = tl.zeros(3)

    def dense(sizes):
        def run(x):
            return tl.softmax(
                tl.relu(tl.ops.linear(x, weight)) + tl.ops.linear(x, layers["packed"]), -1
            )

        return Traced(run, {"x": tl.zeros(sizes["n"], 32)}, ["y"])

    def looked_up(sizes):
        def run(ids):
            rows = layers["table"][ids].cumsum(0)
            total.add_(rows.sum(0))
            return tl.cat([rows, rows.flip(0)], 0).sort(0).values, total * 1

        return Traced(run, {"ids": tl.zeros(sizes["n"], dtype="i64")}, ["rows", "total"], [total])

    def attended(sizes):
        n = sizes["n"]

        def run(q, start):
            k = tl.ops.rms_norm(q, tl.ones(8))
            return nn.functional.scaled_dot_product_attention(k, k, k, is_causal=True) * start

        return Traced(run, {"q": tl.zeros(1, 2, n, 8), "start": tl.ones(1)}, ["out"])

    kinds = {"dense": dense, "looked_up": looked_up, "attended": attended, "chained": chained}
    made = kinds[kind]
    passes = ("elementwise_chains",) if kind == "chained" else ()
    return saved(Entry(kind, made, {"n": Size(1, 50, (4, 6, 9), 11)}, passes), layers)


def saved(entry: Entry, weights: dict) -> bytes:
    with tempfile.TemporaryDirectory() as folder, tl.inference_mode():
        path = Path(folder) / "x.tlw"
        save_program(path, [entry], weights, {"note": b"some bytes"})
        return path.read_bytes()


KINDS = ("dense", "looked_up", "attended", "chained")
VALID = {f"{kind}.tlw": written(kind) for kind in KINDS}
GOOD = VALID["dense.tlw"]


def tables(raw: bytes) -> tuple[int, int]:
    """Where the tables begin, behind their head, and end."""
    begin = 8 + struct.unpack_from("<Q", raw)[0] + 32
    return begin, begin + struct.unpack_from("<Q", raw, begin - 16)[0]


def checked(raw: bytes | bytearray) -> bytes:
    """With the checksum that its tables have, as far as it has some."""
    if len(raw) < 8 or struct.unpack_from("<Q", raw)[0] > len(raw) - 40:
        return bytes(raw)
    begin, end = tables(bytes(raw))
    made = bytearray(raw)
    made[begin - 8 : begin] = struct.pack("<Q", xxh64(bytes(raw[begin : min(end, len(raw))])))
    return bytes(made)


def put(at: int, value: bytes, raw: bytes = GOOD) -> bytes:
    """Bytes at a place of the tables."""
    begin, _ = tables(raw)
    return checked(raw[: begin + at] + value + raw[begin + at + len(value) :])


def instead(text: bytes, other: bytes, raw: bytes = GOOD) -> bytes:
    begin, end = tables(raw)
    assert len(text) == len(other) and text in raw[begin:end]
    return checked(raw[:begin] + raw[begin:end].replace(text, other) + raw[end:])


CHAINED = VALID["chained.tlw"]


def step(number: int, word: int) -> bytes:
    """With another step of the chain, counted from 0."""
    begin, _ = tables(CHAINED)
    at = CHAINED.index(struct.pack("<BqBq", 2, 0x10003, 2, 0x701), begin) - begin  # mul, add
    return put(at + 9 * number, struct.pack("<Bq", 2, word), CHAINED)


BEGIN, END = tables(GOOD)
FAULTS = {
    "no-header": (b"\0\0\0", "program"),
    "header-beyond-file": (struct.pack("<Q", 2**63) + GOOD[8:], "program"),
    "header-of-2-to-64": (b"\xff" * 8 + GOOD[8:], "program"),
    "magic": (GOOD[: BEGIN - 32] + b"TALLOWXX" + GOOD[BEGIN - 24 :], "program"),
    "version-0": (GOOD[: BEGIN - 24] + bytes(4) + GOOD[BEGIN - 20 :], "program"),
    "version-99": (GOOD[: BEGIN - 24] + b"\x63\0\0\0" + GOOD[BEGIN - 20 :], "program"),
    "tables-cut-off": (GOOD[: END - 1], "program"),
    "tables-of-2-to-63": (GOOD[: BEGIN - 16] + bytes(7) + b"\x80" + GOOD[BEGIN - 8 :], "program"),
    "checksum": (GOOD[: BEGIN + 5] + b"?" + GOOD[BEGIN + 6 :], "program"),
    "weights-cut-off": (GOOD[:END], "program"),
    "dtypes-without-end": (put(0, b"\xff\xff\xff\xff"), "program"),
    "dtype-unknown": (instead(b"\x03\0f32", b"\x03\0f33"), "program"),
    "kernel-unknown": (instead(b"\x07\0softmax", b"\x07\0softmux"), "program"),
    "kernel-of-other-arguments": (instead(b"log:i", b"lag:i"), "program"),
    "name-beyond-the-tables": (instead(b"\x05\0dense", b"\xff\xffdense"), "program"),
    "step-of-no-op": (step(1, 0xFF), "elementwise_chain"),
    "step-of-an-array-beyond": (step(1, 0x50701), "elementwise_chain"),
    "step-of-a-later-result": (step(1, 0x10901), "elementwise_chain"),
    "step-of-a-result-beyond": (step(1, 0xFF0701), "elementwise_chain"),
    "step-of-constants-beyond": (step(2, 0x07_00_00_08_24), "elementwise_chain"),
    "steps-with-a-gap": (step(1, 0), "elementwise_chain"),
    "trailing-bytes": (
        checked(
            GOOD[: BEGIN - 16] + struct.pack("<Q", END - BEGIN + 1) + GOOD[BEGIN - 8 :]
        ),
        "program",
    ),
}  # fmt: skip

CORPUS = {f"{name}.tlw": case for name, case in FAULTS.items()}


# --- mutations ------------------------------------------------------------------------------------


def change_tables(raw: bytearray, rng) -> None:
    """A number in the tables, which have the right checksum again."""
    if len(raw) < 64 or struct.unpack_from("<Q", raw)[0] > len(raw) - 40:
        return
    begin, end = tables(bytes(raw))
    if end > len(raw) or end - begin < 16:
        return
    for _ in range(rng.choice((1, 1, 2, 5))):
        size = rng.choice((1, 1, 2, 4, 8))
        at = rng.randrange(begin, end - size)
        near = int.from_bytes(raw[at : at + size], "little") + rng.choice((-2, -1, 1, 2, 7, 64))
        value = rng.choice((near, near, 0, 1, 2, 255, 2**31, 2**40, 2**62, 2**63, 2**64 - 1))
        raw[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
    raw[:] = checked(raw)


MUTATIONS = [change_tables] * 12
