"""Parts of PyTorch files, byte by byte, for tests that need what no writer writes."""

import io
import pickle
import struct
import zipfile

MAGIC = 0x1950A86A20F9469CFC6C


def archive(pickled, storages=(), byteorder=b"little", more=(), folder="archive"):
    """A zip archive of `torch.save` around a pickle; `storages` are key → bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        members = {"data.pkl": pickled, "byteorder": byteorder, "version": b"3\n"}
        members |= {f"data/{key}": raw for key, raw in dict(storages).items()}
        for name, raw in {**members, **dict(more)}.items():
            info = zipfile.ZipInfo(f"{folder}/{name}", (1980, 1, 1, 0, 0, 0))
            file.writestr(info, raw)
    return target.getvalue()


def legacy(pickled, storages=(), keys=None, magic=MAGIC, protocol=1001):
    """The layout before PyTorch 1.6; `storages` are key → (count of elements, bytes)."""
    head = b"".join(pickle.dumps(part, 2) for part in (magic, protocol, {"little_endian": True}))
    storages = dict(storages)
    tail = pickle.dumps([*storages] if keys is None else keys, 2)
    for count, raw in storages.values():
        tail += struct.pack("<q", count) + raw
    return head + pickled + tail


def text(value):
    raw = value.encode() if isinstance(value, str) else value
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    if 0 <= value < 256:
        return bytes((ord("K"), value))
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return bytes((0x8A, len(raw))) + raw


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key="0", count=4, kind="FloatStorage", place="cpu", view=b""):
    """The persistent id of a storage; `view` is b"N" in the old layout."""
    name = f"ctorch\n{kind}\n".encode()
    return b"(" + text("storage") + name + text(key) + text(place) + number(count) + view + b"tQ"


def tensor(stored=None, offset=0, shape=(4,), strides=(1,)):
    stored = storage() if stored is None else stored
    hooks = b"ccollections\nOrderedDict\n)R"
    layout = number(offset) + numbers(shape) + numbers(strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + stored + layout + b"\x89" + hooks + b"tR"


def pickled(value):
    return b"\x80\x02" + value + b"."


def one(value=None):
    """A dict of one tensor, `x`."""
    return pickled(b"}" + text("x") + (tensor() if value is None else value) + b"s")
