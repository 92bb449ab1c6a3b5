"""Where the pickle and the storages of a PyTorch file lie: in a zip archive, or one after another.

Sources: torch/serialization.py and caffe2/serialize/inline_container.cc of PyTorch 2.13 (zip),
`_legacy_load` there (files before PyTorch 1.6), torch/csrc/jit/serialization/export_module.cpp
(TorchScript archives).
"""

from __future__ import annotations

import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Any, Final, NoReturn

from tallow.errors import FormatError
from tallow.formats.mapping import FileMap, shown
from tallow.formats.torch_pickle.allowed import names_for, script_class
from tallow.formats.torch_pickle.machine import Machine
from tallow.formats.torch_pickle.opcodes import run
from tallow.formats.torch_pickle.tensors import storage_dtype
from tallow.formats.torch_pickle.values import DTYPES, Storage
from tallow.formats.zip_directory import STORED, ZipMember
from tallow.formats.zip_map import ZipMap, is_zip, release_pages

Make = Callable[[Any], Any]

LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL: Final = 1001
_NEWEST_VERSION: Final = 10  # of the zip layout
_MAX_KEY: Final = 256


class Source(ABC):
    """One opened file: `read` runs its pickle, `big_endian` tells how its numbers are written.

    `pickled` is the length of the pickle, the measure of what its result may cost.
    """

    big_endian = False
    pickled = 0

    def __init__(self, file: FileMap, records: Collection[str]) -> None:
        self.file, self.path = file, file.path
        self.names = dict(names_for(records))
        self.storages: dict[str, Storage] = {}
        self._reading = threading.Lock()  # a run of the pickle keeps its place in this object

    def read(self, tensor: Make | None = None) -> Any:
        """The object of the file; `tensor` makes what stands in it for each tensor.

        Raises:
            FormatError: damaged, or something that is refused.
        """
        with self._reading:
            return self._read(tensor)

    @abstractmethod
    def _read(self, tensor: Make | None) -> Any:
        """The object of the file, by one run of its pickles."""

    def fail(self, field: str, expected: object, got: object) -> NoReturn:
        """Raise the error of this file."""
        raise FormatError(self.path, field, expected, got)

    def storage(self, m: Machine, kind: Any, key: Any, place: Any, numel: Any) -> Storage:
        """The storage of a persistent id, the same one for the same key."""
        dtype = storage_dtype(kind)
        m.check(dtype is not None, "a class of storages", kind)
        assert dtype is not None
        m.check(isinstance(key, str) and len(key) <= _MAX_KEY, "a key", key)
        m.check(isinstance(place, str), "a device", place)
        m.check(type(numel) is int and 0 <= numel < 2**63, "a count of elements", numel)
        nbytes = numel * DTYPES[dtype][1]
        known = self.storages.get(key)
        if known is None:
            m.spend(150)
            known = self.storages[key] = Storage(key, dtype, nbytes, meta=place == "meta")
            self.locate(known)
        elif known.dtype != dtype or known.nbytes != nbytes:
            what = f"{known.nbytes} bytes of {known.dtype}, as before"
            self.fail(f"storage {shown(key)}", what, f"{nbytes} of {dtype}")
        return known

    @abstractmethod
    def locate(self, storage: Storage) -> None:
        """Find the bytes of a storage in the file."""


def open_source(file: FileMap, records: Collection[str] = ()) -> Source:
    """The source for a mapped file, by its first bytes.

    Raises:
        FormatError: not a file of PyTorch, damaged, or of the tar layout before PyTorch 0.1.10.
    """
    if is_zip(file):
        return ZipSource(file, records)
    head = bytes(file.buffer[:512])
    if head[257:262] == b"ustar":
        got = "a tar archive, PyTorch's layout before 0.1.10"
        raise FormatError(file.path, "file", "a zip archive or pickles", got)
    if head[:1] in (b"\x80", b"c", b"(", b"}", b"]"):
        return LegacySource(file, records)
    raise FormatError(file.path, "file", "a zip archive or pickles of PyTorch", shown(head[:8]))


class ZipSource(Source):
    """A zip archive of `torch.save` (since PyTorch 1.6) or `torch.jit.save`.

    Members are a folder of any name with `data.pkl`, one `data/KEY` a storage, and small ones about
    the layout. In a TorchScript archive `constants.pkl` and `code/` stand beside them; the classes
    of its `data.pkl` are records of attributes, and no code is read.
    """

    def __init__(self, file: FileMap, records: Collection[str]) -> None:
        super().__init__(file, records)
        self.zip = ZipMap(file)
        self.folder = self._folder()
        self.script = f"{self.folder}constants.pkl" in self.zip.members
        if self.script:
            self.names["__torch__.*"] = script_class
        order = self._small("byteorder", b"little")
        if order not in (b"little", b"big"):
            self.fail("member byteorder", "little or big", shown(order))
        self.big_endian = order == b"big"
        version = self._small("version", b"3").strip()
        if not version.isdigit() or not 1 <= int(version) <= _NEWEST_VERSION:
            self.fail("member version", f"1 to {_NEWEST_VERSION}", shown(version))
        self.pickled = self._stored(f"{self.folder}data.pkl").size

    def _folder(self) -> str:
        """The folder that all members stand in; a name that leads out of it is refused."""
        found = []
        for name in self.zip.members:
            if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
                wanted = "a name within the archive"
                self.fail(f"member {shown(name)}", wanted, "one that leads out")
            folder = name.removesuffix("data.pkl")
            if folder != name and folder.count("/") <= 1 and folder[-1:] in ("", "/"):
                found.append(folder)
        if len(found) != 1:
            self.fail("member data.pkl", "one", len(found))
        return found[0]

    def _small(self, name: str, default: bytes) -> bytes:
        name = self.folder + name
        if name not in self.zip.members:
            return default
        self._stored(name)
        return bytes(self.zip.view(name)[:64])

    def _stored(self, name: str) -> ZipMember:
        member = self.zip.member(name)
        if member.method != STORED:
            self.fail(f"member {shown(name)}", "stored bytes, as PyTorch writes", "compressed ones")
        return member

    def _read(self, tensor: Make | None) -> Any:
        self.storages.clear()
        data = self.zip.view(f"{self.folder}data.pkl")
        machine = Machine(
            self.path, "data.pkl", data, self.names, persistent=self._persistent, tensor=tensor
        )
        root = run(machine)
        if machine.at != machine.end:
            self.fail("data.pkl", "nothing after the object", f"{machine.end - machine.at} bytes")
        return root

    def _persistent(self, m: Machine, found: Any) -> Storage:
        fits = isinstance(found, tuple) and len(found) == 5 and found[0] == "storage"
        m.check(fits, "('storage', class, key, device, count)", found)
        return self.storage(m, *found[1:])

    def locate(self, storage: Storage) -> None:
        """The member `data/KEY`, which has exactly the bytes of the storage."""
        if storage.meta:
            return
        name, key = f"{self.folder}data/{storage.key}", shown(storage.key)
        if name not in self.zip.members:
            self.fail(f"storage {key}", f"a member {shown(name)}", "none")
        member = self._stored(name)
        if member.size != storage.nbytes:
            self.fail(f"storage {key}", f"{storage.nbytes} bytes, as declared", member.size)
        storage.offset = member.offset


class LegacySource(Source):
    """The layout of `torch.save` before PyTorch 1.6: pickles and storages one after another.

    A magic number, a protocol number, a dict about the system that wrote it, the object, the list
    of storage keys; then each storage as a count of elements (i64) and its bytes. The bytes are
    little-endian whatever the dict says: writers on other systems swap them.
    """

    def __init__(self, file: FileMap, records: Collection[str]) -> None:
        super().__init__(file, records)
        self._at = 0
        for what, wanted in (("magic number", LEGACY_MAGIC), ("protocol", _LEGACY_PROTOCOL)):
            found = self._next(what)
            if type(found) is not int or found != wanted:
                got = found if type(found) is int else f"a {type(found).__name__}"
                self.fail(what, f"{wanted:#x}", got)
        if not isinstance(self._next("system"), dict):
            self.fail("system", "a dict", "another object")
        self._begin = self._at
        self._placed = False
        self._root = self._run(None)
        self.pickled = self._at - self._begin
        self._place(self._next("storage keys"))
        release_pages(file.buffer)
        self._placed = True

    def _next(self, where: str, tensor: Make | None = None) -> Any:
        """The object of the pickle that begins here; step over it."""
        machine = Machine(
            self.path,
            where,
            self.file.check(self.file.size, where),
            self.names,
            start=self._at,
            persistent=self._persistent if where == "object" else None,
            tensor=tensor,
        )
        found = run(machine)
        self._at = machine.at
        return found

    def _run(self, tensor: Make | None) -> Any:
        self._at = self._begin
        return self._next("object", tensor)

    def _place(self, keys: Any) -> None:
        """Step through the storages in the order of their keys, comparing sizes."""
        if not isinstance(keys, list):
            self.fail("storage keys", "a list", f"a {type(keys).__name__}")
        at, size = self._at, self.file.size
        for key in keys:
            storage = self.storages.get(key) if isinstance(key, str) else None
            what = f"storage {shown(key)}" if isinstance(key, str) else "storage keys"
            if storage is None:
                self.fail(what, "a key that a tensor uses", "another")
            if storage.offset is not None:
                self.fail(what, "each key once", "twice")
            if size - at < 8:
                self.fail(what, "a count of 8 bytes", f"{size - at}")
            (count,) = struct.unpack_from("<q", self.file.buffer, at)
            at += 8
            width = DTYPES[storage.dtype][1]
            if count * width != storage.nbytes:
                self.fail(what, f"{storage.nbytes // width} elements, as declared", count)
            if storage.nbytes > size - at:
                self.fail(what, f"{storage.nbytes} bytes", f"{size - at}")
            storage.offset = at
            at += storage.nbytes
        missing = next((s.key for s in self.storages.values() if s.offset is None), None)
        if missing is not None:
            self.fail(f"storage {shown(missing)}", "its bytes", "no such key in the list")

    def _read(self, tensor: Make | None) -> Any:
        # The object is there already; the pickle is run again when tensors are to be made.
        return self._root if tensor is None else self._run(tensor)

    def _persistent(self, m: Machine, found: Any) -> Any:
        if isinstance(found, tuple) and len(found) == 4 and found[0] == "module":
            return found[1]  # a class with its source code, which is nobody's business here
        fits = isinstance(found, tuple) and len(found) == 6 and found[0] == "storage"
        m.check(fits, "('storage', class, key, device, count, view)", found)
        storage = self.storage(m, *found[1:5])
        if found[5] is None:
            return storage
        view = found[5]
        fits = isinstance(view, tuple) and len(view) == 3
        fits = fits and all(type(number) is int and 0 <= number < 2**63 for number in view[1:])
        m.check(fits, "(key, offset, count) of a part", view)
        width = DTYPES[storage.dtype][1]
        start, nbytes = view[1] * width, view[2] * width
        m.check(start + nbytes <= storage.nbytes, "a part within its storage", view[2])
        m.spend(150)
        return Storage(storage.key, storage.dtype, nbytes, root=storage, start=start)

    def locate(self, storage: Storage) -> None:
        """Known only after the object: on the second run the places are found already."""
        if self._placed:
            self.fail(f"storage {shown(storage.key)}", "a key of the first reading", "a new one")
