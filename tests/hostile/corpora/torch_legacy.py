"""PyTorch files of the layout before 1.6, one fault each."""

import io
import pickle
import struct
import tarfile

from tallow.formats.torch_pickle import open_torch
from torch_bytes import MAGIC, legacy, number, one, pickled, storage, tensor, text

from . import _pickles, torch_zip

open_file = open_torch
touch = torch_zip.touch

MEMORY = 1_000_000
SEEDS = [path.read_bytes() for path in sorted(torch_zip.GOLDEN.glob("*-legacy.pt"))]

DATA = {"0": (4, bytes(range(16)))}
STORED = storage(view=b"N")


def translated(raw):
    """The pickles of the other layout with the sixth value that a persistent id has here."""
    return raw.replace(b"tQ", b"NtQ")


def part(key="v", offset=0, count=4):
    """A tensor over a part of the storage."""
    view = b"(" + text(key) + number(offset) + number(count) + b"t"
    return one(tensor(storage(view=view), shape=(2,)))


def tar():
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as file:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            file.addfile(tarfile.TarInfo(name))
    return target.getvalue()


def head(*parts):
    return b"".join(pickle.dumps(value, 2) for value in parts)


WHOLE = legacy(one(tensor(STORED)), DATA)
TWO = pickled(
    b"}(" + text("x") + tensor(STORED) + text("y") + tensor(storage("1", view=b"N")) + b"u"
)
VALID = {
    "valid.pt": WHOLE,
    "two-storages.pt": legacy(TWO, {"1": (4, bytes(16)), "0": (4, bytes(range(16)))}),
    "part-of-a-storage.pt": legacy(part(offset=1, count=3), DATA),
    "self-containing.pt": legacy(translated(_pickles.SELF_CONTAINING), DATA),
}

# Faults that the archive has and this layout has not, or that it words otherwise.
_OTHER = {"storage-absent", "storage-key-leads-out"}

FAULTS = {
    name: (legacy(translated(raw), DATA), field)
    for name, (raw, field) in _pickles.FAULTS.items()
    if name not in _OTHER
}
FAULTS |= {
    "tar": (tar(), "file"),
    "text": (b"hello world, this is no checkpoint", "file"),
    "nothing-but-zeros": (bytes(600), "file"),
    "raw-pickle-of-os-system": (b"cos\nsystem\n(S'echo'\ntR.", "global 'os.system'"),
    "raw-pickle-of-a-list": (pickled(b"]"), "magic number"),
    "raw-pickle-of-a-text": (pickled(text("hello")), "magic number"),
    "magic-wrong": (legacy(one(tensor(STORED)), DATA, magic=MAGIC + 1), "magic number"),
    "magic-cut": (WHOLE[:8], "magic number"),
    "protocol-1002": (legacy(one(tensor(STORED)), DATA, protocol=1002), "protocol"),
    "protocol-missing": (head(MAGIC), "protocol"),
    "system-a-list": (head(MAGIC, 1001, []) + WHOLE[60:], "system"),
    "system-with-a-call": (
        head(MAGIC, 1001) + pickled(_pickles.call("os.system", text("echo"))),
        "global 'os.system'",
    ),
    "system-with-a-storage": (head(MAGIC, 1001) + pickled(STORED), "system BINPERSID"),
    "object-missing": (head(MAGIC, 1001, {}), "object"),
    "keys-missing": (head(MAGIC, 1001, {}) + one(tensor(STORED)), "storage keys"),
    "keys-a-dict": (legacy(one(tensor(STORED)), DATA, keys={"0": 1}), "storage keys"),
    "keys-of-numbers": (legacy(one(tensor(STORED)), DATA, keys=[0]), "storage keys"),
    "keys-unknown": (legacy(one(tensor(STORED)), DATA, keys=["7"]), "storage '7'"),
    "keys-twice": (legacy(one(tensor(STORED)), DATA, keys=["0", "0"]), "storage '0'"),
    "keys-too-few": (legacy(one(tensor(STORED)), DATA, keys=[]), "storage '0'"),
    "keys-with-a-call": (
        head(MAGIC, 1001, {})
        + one(tensor(STORED))
        + pickled(_pickles.call("builtins.eval", text("1"))),
        "global 'builtins.eval'",
    ),
    "storage-cut": (WHOLE[:-1], "storage '0'"),
    "storage-count-cut": (WHOLE[:-20], "storage '0'"),
    "storage-count-5": (legacy(one(tensor(STORED)), {"0": (5, bytes(20))}), "storage '0'"),
    "storage-count-minus-4": (legacy(one(tensor(STORED)), {"0": (-4, bytes(16))}), "storage '0'"),
    "storage-count-wraps": (
        legacy(one(tensor(STORED)), {"0": (2**62 + 4, bytes(16))}),
        "storage '0'",
    ),
    "storage-as-large-as-memory": (
        legacy(
            one(tensor(storage(count=2**40, view=b"N"))),
            {"0": (2**40, struct.pack("<4f", 1, 2, 3, 4))},
        ),
        "storage '0'",
    ),
    "part-beyond-storage": (legacy(part(offset=3, count=2), DATA), "BINPERSID"),
    "part-offset-minus-1": (legacy(part(offset=-1), DATA), "BINPERSID"),
    "part-offset-2-to-62": (legacy(part(offset=2**62), DATA), "BINPERSID"),
    "part-shorter-than-tensor": (legacy(part(count=1), DATA), "REDUCE"),
    "part-a-number": (legacy(one(tensor(storage(view=b"K\1"))), DATA), "BINPERSID"),
    "module-of-a-class": (
        legacy(
            pickled(b"(" + text("module") + b"cmodels\nNet\n" + text("a.py") + text("x") + b"tQ"),
            {},
        ),
        "global 'models.Net'",
    ),
}

CORPUS = {f"{name}.pt": case for name, case in FAULTS.items()}
MUTATIONS = torch_zip.MUTATIONS
