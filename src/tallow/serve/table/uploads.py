"""Uploads: a multipart body streamed into a private folder, refused as soon as it is too large."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING

from tallow.lazy_dataclasses import dataclass, field
from tallow.serve.table.limits import Limits, megabytes
from tallow.serve.table.refusals import RefusalError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

_OPTIONS_BYTES = 10_000
_NAME_LENGTH = 120
# Sent after a refusal, a body is read on for so much, so that a browser gets to see the answer.
_DRAINED_BYTES = 20_000_000
_DRAIN_SECONDS = 20.0


@dataclass
class Upload:
    """What was uploaded: (name, file, bytes) of each file, and the text of the options."""

    files: list[tuple[str, Path, int]] = field(default_factory=list)
    options: str = ""


def clean_name(name: str) -> str:
    """The last part of a file's name without what could deceive: control characters, paths.

    Files lie under numbers on the disk; this is for people, and for the names of downloads.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip(" .")
    if len(kept) > _NAME_LENGTH:
        stem, dot, suffix = kept.rpartition(".")
        keeps = dot and len(suffix) <= 10
        end = f"….{suffix}" if keeps else "…"
        kept = (stem if keeps else kept)[: _NAME_LENGTH - len(end)] + end
    return kept or "file"


async def receive(request: Request, folder: Path, limits: Limits) -> Upload:
    """Stream the files of a multipart request into `folder`.

    Raises:
        RefusalError: too large (413), too many files, malformed, or too slow (408).
        OSError: the disk is full.
        starlette.requests.ClientDisconnect: the client left.
    """
    import asyncio

    too_large = RefusalError(
        413, f"The files are too large: at most {megabytes(limits.upload_bytes)} in one upload."
    )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.upload_bytes:
        if int(length) <= _DRAINED_BYTES:
            await _drain(request, limits.upload_seconds)
        raise too_large
    with ExitStack() as opened:
        reader = _Reader(request, folder, limits, opened)
        try:
            async with asyncio.timeout(limits.upload_seconds):
                count = 0
                async for chunk in request.stream():
                    count += len(chunk)
                    if count > limits.upload_bytes:
                        raise too_large
                    reader.write(chunk)
        except TimeoutError:
            slow = f"The upload took more than {limits.upload_seconds:g} seconds."
            raise RefusalError(408, slow) from None
        return reader.finish()


async def _drain(request: Request, seconds: float) -> None:
    import asyncio
    from contextlib import suppress

    with suppress(TimeoutError):
        async with asyncio.timeout(min(seconds, _DRAIN_SECONDS)):
            async for _ in request.stream():
                pass


class _Reader:
    """A multipart body taken apart chunk by chunk."""

    def __init__(self, request: Request, folder: Path, limits: Limits, opened: ExitStack) -> None:
        from python_multipart.multipart import MultipartParser, parse_options_header

        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise RefusalError(415, "Expected an upload of files as multipart/form-data.")
        self.folder, self.limits, self.opened = folder, limits, opened
        self.upload = Upload()
        self.file: IO[bytes] | None = None
        self.text: bytearray | None = None
        self.ended = False
        self.name = self.value = b""
        self.disposition = b""
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._part_ends,
            "on_end": self._ends,
        }
        self.parser = MultipartParser(options[b"boundary"], callbacks)  # type: ignore[arg-type]

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        from python_multipart.exceptions import MultipartParseError

        try:
            self.parser.write(chunk)
        except MultipartParseError:
            raise RefusalError(400, "The upload is no well-formed multipart/form-data.") from None

    def finish(self) -> Upload:
        """What was uploaded, when the body has ended."""
        if not self.ended:
            raise RefusalError(400, "The upload ended before its end.")
        if not self.upload.files:
            raise RefusalError(400, "The upload holds no file.")
        return self.upload

    def _part_begins(self) -> None:
        self.name = self.value = self.disposition = b""
        self.file = self.text = None

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self.name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def _header_ends(self) -> None:
        if self.name.lower() == b"content-disposition":
            self.disposition = self.value
        self.name = self.value = b""

    def _headers_end(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self.disposition)
        if b"filename" not in options:
            if options.get(b"name") == b"options":
                self.text = bytearray()
            return
        number = len(self.upload.files)
        if number >= self.limits.files:
            raise RefusalError(413, f"Too many files: at most {self.limits.files} in one upload.")
        path = self.folder / f"input-{number}"
        self.file = open(path, "xb", opener=_private)  # noqa: SIM115 closed with `opened`
        self.opened.enter_context(self.file)
        name = clean_name(options[b"filename"].decode("utf-8", "replace"))
        self.upload.files.append((name, path, 0))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self.file is not None:
            self.file.write(data[start:end])
        elif self.text is not None:
            self.text += data[start:end]
            if len(self.text) > _OPTIONS_BYTES:
                raise RefusalError(413, "The options of the upload are too long.")

    def _part_ends(self) -> None:
        if self.file is not None:
            self.file.close()
            name, path, _ = self.upload.files[-1]
            self.upload.files[-1] = (name, path, path.stat().st_size)
        elif self.text is not None:
            self.upload.options = self.text.decode("utf-8", "replace")
        self.file = self.text = None

    def _ends(self) -> None:
        self.ended = True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
