"""External data: files beside an ONNX file that hold the elements of its tensors."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from tallow.errors import FormatError
from tallow.formats.mapping import FileMap, path_text, shown

_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_MOST_USES: Final = 8  # times that tensors may use each byte of a file; where it is odd, they copy


class ExternalData:
    """The files that one model names, each mapped once, when its first tensor is read."""

    def __init__(self, path: str, *, in_memory: bool) -> None:
        self._path, self._in_memory = path, in_memory
        self._files: dict[str, FileMap] = {}
        self._used: dict[str, int] = {}
        self.checksums: dict[str, str] = {}  # SHA-1 by location, of those that state one

    def read(self, entries: Mapping[str, str], nbytes: int, where: str) -> memoryview:
        """The bytes of a tensor of `nbytes`, by the entries of its `external_data`.

        Raises:
            FormatError: the model has no folder, the place leads out of it, the file is missing,
                or too short.
        """
        location = entries.get("location", "")
        if "checksum" in entries:
            self.checksums[location] = entries["checksum"]
        self._check_location(location, where)
        offset = self._number(entries, "offset", 0, where)
        length = self._number(entries, "length", nbytes, where)
        if length != nbytes:
            raise FormatError(self._path, f"{where} length", f"{nbytes} bytes", length)
        if not nbytes:
            return memoryview(b"")
        file = self._files.get(location) or self._open(location, where)
        end = offset + nbytes
        if end > file.size:
            got = f"{file.size} in {shown(location)}"
            raise FormatError(self._path, f"{where} external data", f"{end} bytes", got)
        used = self._used[location] = self._used.get(location, 0) + nbytes
        if used > _MOST_USES * file.size + (1 << 20):
            wanted = f"tensors of at most {_MOST_USES} times the bytes of {shown(location)}"
            raise FormatError(self._path, f"{where} external data", wanted, "more")
        return file.buffer[offset:end]

    def verify(self) -> None:
        """Compare the files with the checksums that the model states; each is read in full.

        Raises:
            FormatError: a file is another than the model was written with.
        """
        import hashlib

        for location, wanted in self.checksums.items():
            file = self._files.get(location) or self._open(location, "checksum")
            got = hashlib.sha1(file.buffer, usedforsecurity=False).hexdigest()
            if got != wanted.lower():
                field = f"checksum of {shown(location)}"
                raise FormatError(self._path, field, shown(wanted), got)

    def close(self) -> None:
        """Let go of the files; tensors that were taken keep them."""
        for file in self._files.values():
            file.close()

    def _number(self, entries: Mapping[str, str], key: str, absent: int, where: str) -> int:
        text = entries.get(key)
        if text is None:
            return absent
        if not _NUMBER.fullmatch(text):
            raise FormatError(self._path, f"{where} {key}", "a number of bytes", shown(text))
        return int(text)

    def _check_location(self, location: str, where: str) -> None:
        """Refuse a location that is no path below the model's folder."""
        field = f"{where} location"
        if self._in_memory:
            wanted = "data in the model, for bytes have no folder (give a path)"
            raise FormatError(self._path, field, wanted, shown(location))
        parts = location.split("/")
        odd = "\\" in location or "\0" in location or _DRIVE.match(location)
        if odd or not location or location == "." or parts[0] == "" or ".." in parts:
            raise FormatError(self._path, field, "a path below the model's folder", shown(location))

    def _open(self, location: str, where: str) -> FileMap:
        """Map a file of the folder, or of the folder that the model's file really is in.

        The caches of hubs keep a model and its data as links to files of one other folder.
        """
        path = path_text(os.path.join(os.path.dirname(self._path), location))
        folders = {
            os.path.realpath(os.path.dirname(self._path)),
            os.path.dirname(os.path.realpath(self._path)),
        }
        real = os.path.realpath(path)
        if not any(os.path.commonpath((real, folder)) == folder for folder in folders):
            wanted, got = "a file below the model's folder", f"{shown(location)}, a link out of it"
            raise FormatError(self._path, f"{where} location", wanted, got)
        try:
            file = FileMap(path)
        except FormatError as error:
            got = f"{shown(location)} ({error.got})"
            made = type(error)(self._path, f"{where} external data", error.expected, got)
            raise made from error
        self._files[location] = file
        return file
