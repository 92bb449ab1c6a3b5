"""Zip archives of PyTorch, one fault each, in the pickle or in the archive around it."""

import io
import random
import zipfile
from pathlib import Path

from tallow.formats.torch_pickle import open_torch
from torch_bytes import archive, one, pickled, storage, tensor, text

from . import _pickles
from . import touch as touch_each

open_file = open_torch

MEMORY = 1_000_000
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "torch"
SEEDS = [path.read_bytes() for path in sorted(GOLDEN.glob("*.pt")) if zipfile.is_zipfile(path)]


def touch(file):
    """Read each tensor by name, and the whole object."""
    touch_each(file)
    file.load()


DATA = {"0": bytes(range(16))}


def view_faults():
    """The old layout names a part of a storage by a sixth value, which this one must not have."""
    return {"storage-with-a-view": (one(tensor(storage(view=b"N"))), "BINPERSID")}


def deflated(name):
    """A valid archive in which one member is compressed."""
    source, target = io.BytesIO(archive(one(), {"0": bytes(16)})), io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            raw = old.read(member)
            if member.filename.endswith(name):
                member.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(member, raw)
    return target.getvalue()


def without(name):
    source, target = io.BytesIO(archive(one(), DATA)), io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            if not member.filename.endswith(name):
                new.writestr(member, old.read(member))
    return target.getvalue()


WHOLE = archive(one(), DATA)
SCRIPT = pickled(
    b"c__torch__\nNet\n)\x81}(" + text("weight") + tensor() + text("training") + b"\x89ub"
)
VALID = {
    "valid.pt": WHOLE,
    "big-endian.pt": archive(one(), DATA, b"big"),
    "self-containing.pt": archive(_pickles.SELF_CONTAINING, DATA),
    "script.pt": archive(SCRIPT, DATA, more={"constants.pkl": pickled(b")")}),
    "strided.pt": archive(one(tensor(shape=(2, 2), strides=(1, 2))), DATA),
}

FAULTS = {
    name: (archive(pickle, DATA), field)
    for name, (pickle, field) in (_pickles.FAULTS | view_faults()).items()
}
FAULTS |= {
    "empty-archive": (archive(one())[-22:], "zip end record"),
    "not-an-archive": (b"\x89PNG\r\n\x1a\n" + bytes(600), "file"),
    "archive-cut": (WHOLE[:-30], "zip end record"),
    "archive-beginning-only": (WHOLE[:100], "zip end record"),
    "data-pkl-absent": (without("data.pkl"), "member data.pkl"),
    "data-pkl-leads-out": (archive(one(), DATA, more={"../b/data.pkl": b"N."}), "member"),
    "data-pkl-in-two-folders": (
        archive(one(), DATA, more={"x/data.pkl": b"N."}).replace(b"archive/x/", b"another-x/"),
        "member data.pkl",
    ),
    "data-pkl-compressed": (deflated("data.pkl"), "member 'archive/data.pkl'"),
    "data-pkl-empty": (archive(b"", DATA), "data.pkl"),
    "data-pkl-goes-on": (archive(one() + b"N.", DATA), "data.pkl"),
    "storage-compressed": (deflated("data/0"), "member 'archive/data/0'"),
    "storage-missing": (archive(one()), "storage '0'"),
    "storage-empty": (archive(one(), {"0": b""}), "storage '0'"),
    "storage-too-long": (archive(one(), {"0": bytes(17)}), "storage '0'"),
    "member-leads-out": (archive(one(), DATA, more={"../../../etc/passwd": b""}), "member"),
    "member-is-absolute": (archive(one(), DATA, folder="/archive"), "member"),
    "member-leads-out-by-backslash": (archive(one(), DATA, more={"..\\x": b""}), "member"),
    "byteorder-middle": (archive(one(), DATA, b"middle"), "member byteorder"),
    "byteorder-empty": (archive(one(), DATA, b""), "member byteorder"),
    "version-11": (archive(one(), DATA).replace(b"3\n", b"99"), "member"),
    "script-class-in-a-checkpoint": (archive(SCRIPT, DATA), "global '__torch__.Net'"),
    "script-builds-a-tensor": (
        archive(
            pickled(tensor() + b"c__torch__\nNet\nb"), DATA, more={"constants.pkl": pickled(b")")}
        ),
        "BUILD",
    ),
}

CORPUS = {f"{name}.pt": case for name, case in FAULTS.items()}


def swap_opcodes(raw: bytearray, rng: random.Random) -> None:
    """An opcode in the pickle becomes another one."""
    at = raw.find(b"\x80\x02")
    if 0 <= at < len(raw) - 40:
        raw[at + rng.randrange(2, 200) if at + 200 < len(raw) else at + 2] = rng.choice(
            b"(.012)}]ertuabcQRXKNhjqr\x81\x85\x86\x87\x88\x89\x8a\x8f\x90\x93\x94"
        )


MUTATIONS = (swap_opcodes,)
