"""A file behind a URL, read in ranges of bytes: what is not asked for is never sent.

Source: RFC 9110, sections 13 (conditional requests) and 14 (range requests).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tallow.errors import ArgumentError, expect
from tallow.hub import web as http
from tallow.hub.refs import WebRef, failure, is_on, parse, redact
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from http.client import HTTPResponse

FIRST = 1 << 16  # bytes that are asked for when a file is opened


@dataclass(frozen=True, slots=True)
class _Identity:
    """By what a file is known to be the same at every request."""

    size: int
    tag: str | None
    changed: str | None


class RemoteFile:
    """A file behind an `https:` URL (`http:` as for all downloads) whose server serves ranges.

    `path` is the URL without a password, `size` the length of the file, `head` its first bytes,
    which opening asks for. Every answer is checked: that it is the range asked for, of a file of
    the same length, ETag and date of change. Connections that fail are tried again a few times.

    Raises:
        HubError: no such file, no ranges, a server that lies, or a file that has changed; offline
            mode.
    """

    def __init__(self, url: str, first: int = FIRST) -> None:
        found = parse(url)
        expect(isinstance(found, WebRef), "RemoteFile", "an https: URL", url, ArgumentError)
        assert isinstance(found, WebRef)
        self._web = found
        self.path = redact(found.url)
        if found.sha256:
            wanted = "no checksum of a file that is read in parts"
            raise failure(found.label, "URL fragment", wanted, "#sha256=…")
        if is_on("TALLOW_OFFLINE") or is_on("HF_HUB_OFFLINE"):
            raise failure(found.label, "file", "a connection", "offline mode (TALLOW_OFFLINE)")
        self._opener = http.make_opener(found)
        self._identity: _Identity | None = None
        self.head = bytes(self._get(0, first))

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        assert self._identity is not None
        return self._identity.size

    def read(self, start: int, stop: int) -> bytearray:
        """Bytes `start` to `stop` by one request (none for what `head` has, or for no bytes).

        Memory grows with what arrives, not with what a server promises.
        """
        inside = 0 <= start <= stop <= self.size
        expect(inside, "read", f"a range within {self.size}", (start, stop), ArgumentError)
        if stop <= len(self.head):
            return bytearray(self.head[start:stop])
        return self._get(start, stop)

    def beside(self, name: str) -> str:
        """The URL of the file called `name` in the same folder, with the same query and login."""
        from urllib.parse import quote, urlsplit, urlunsplit

        parts = urlsplit(self._web.url)
        folder = parts.path.rpartition("/")[0]
        host = parts.netloc
        if self._web.user is not None:
            host = f"{quote(self._web.user, safe=':')}@{host}"
        path = f"{folder}/{quote(name, safe='')}"
        return urlunsplit((parts.scheme, host, path, parts.query, ""))

    def _get(self, start: int, stop: int) -> bytearray:
        label, failures = self._web.label, 0
        while True:
            try:
                return self._attempt(start, stop)
            except http.TransientError as error:
                failures += 1
                if error.status == 416 and self._identity is None:
                    raise failure(label, "range", "at least one byte", error.got) from error
                if failures >= http.ATTEMPTS:
                    got = f"{error.got} ({http.ATTEMPTS} tries)"
                    raise failure(label, "range", error.expected, got) from error
                wait = http.BACKOFF_SECONDS * 2 ** (failures - 1)
                time.sleep(min(http.LONGEST_WAIT, max(wait, error.wait)))

    def _attempt(self, start: int, stop: int) -> bytearray:
        wanted = {
            "Range": f"bytes={start}-{stop - 1}",
            "Accept-Encoding": "identity",
            "User-Agent": "tallow-hub",
        }
        known = self._identity
        tag = known and (known.tag if known.tag and known.tag.startswith('"') else known.changed)
        if tag:
            wanted["If-Range"] = tag
        with http.send(self._web, wanted, self._opener) as response:
            end = self._agree(response, start, stop)
            body = bytearray()
            while block := http.read_block(response):
                body += block
                if len(body) > end - start:
                    got = "more bytes than that"
                    raise failure(self._web.label, "range", f"{end - start} bytes", got)
        if len(body) != end - start:
            got = f"{len(body)} before the connection closed"
            raise http.TransientError(f"{end - start} bytes", got)
        return body

    def _agree(self, response: HTTPResponse, start: int, stop: int) -> int:
        """Where the body must end; raises `HubError` when the answer is not the range asked for."""
        label, headers, known = self._web.label, response.headers, self._identity
        http.refuse_encoded(self._web, headers)
        if response.status != 206:
            # An answer to If-Range with the whole file says that it is another one now.
            if response.status == 200 and known is not None:
                raise failure(label, "file", "the one that was opened", "a file that has changed")
            advice = "the whole file; tallow.hub.resolve downloads it" * (response.status == 200)
            got = f"status {response.status} {advice}".strip()
            raise failure(label, "range", "a server that serves ranges (status 206)", got)
        stated = headers.get("Content-Range", "")
        begin, end, total = http.content_range(stated)
        if total is None or begin != start or end != min(stop, total):
            wanted = f"bytes {start}-{stop - 1} of a file of stated length"
            raise failure(label, "Content-Range", wanted, repr(stated))
        length = headers.get("Content-Length")
        if length is not None and length != str(end - begin):
            raise failure(label, "Content-Length", end - begin, repr(length))
        found = _Identity(total, headers.get("ETag"), headers.get("Last-Modified"))
        if known is None:
            self._identity = found
        elif found != known:
            raise failure(label, "file", "the one that was opened", "a file that has changed")
        return end
