"""One file over HTTP: resumed where it stopped, retried, checked for length and sha256."""

from __future__ import annotations

import os
import re
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urljoin, urlsplit

from tallow.errors import HubError
from tallow.formats.replacing import PieceWriter
from tallow.hub.cache import discard, install, require_space, sha256_of, write_json
from tallow.hub.progress import Progress
from tallow.hub.refs import WebRef, failure, is_loopback, refuse_plain_http
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from http.client import HTTPResponse

ATTEMPTS = 4
BACKOFF_SECONDS = 0.5  # doubles after each failure
LONGEST_WAIT = 30.0
REDIRECTS = 5
STEADY = 1 << 20  # an attempt that came this much further starts the count of failures anew
BLOCK = 1 << 18


def fetch_file(web: WebRef, target: Path, progress: Progress) -> str:
    """Download `web` to `target` and return its sha256; what is unfinished stays in `target.part`.

    The caller holds the lock of the reference. Raises `HubError`; no file of a wrong sha256 stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part.load(target, web)
    failures = best = 0
    try:
        while True:
            try:
                _attempt(web, part, progress)
                break
            except TransientError as error:
                failures = 1 if part.size() >= best + STEADY else failures + 1
                best = max(best, part.size())
                if failures >= ATTEMPTS:
                    tries = f"{error.got} ({ATTEMPTS} tries)"
                    raise failure(web.label, "download", error.expected, tries) from error
                wait = BACKOFF_SECONDS * 2 ** (failures - 1)
                time.sleep(min(LONGEST_WAIT, max(wait, error.wait)))
    finally:
        progress.finish()
    found = sha256_of(part.file)
    if web.sha256 and found != web.sha256:
        part.clear()
        raise failure(web.label, f"sha256 of {target.name} (removed)", web.sha256, found)
    install(part.file, target)
    discard(part.notes)
    return found


class TransientError(Exception):
    """A failure that another attempt may mend; `wait` is what the server asked for, in seconds."""

    def __init__(
        self, expected: str, got: object, wait: float = 0.0, status: int | None = None
    ) -> None:
        super().__init__(expected, got)
        self.expected, self.got, self.wait, self.status = expected, got, wait, status


@dataclass
class _Part:
    """The unfinished file, and beside it what is needed to go on with it: validator and length."""

    file: Path
    notes: Path
    url: str
    validator: str | None = None
    total: int | None = None

    @classmethod
    def load(cls, target: Path, web: WebRef) -> _Part:
        import json

        file = target.with_name(target.name + ".part")
        part = cls(file, file.with_name(file.name + ".json"), web.url)
        try:
            notes = json.loads(part.notes.read_bytes())
            if notes["url"] == web.url and isinstance(notes["validator"], str):
                part.validator, part.total = notes["validator"], notes["total"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        if not part.validator:
            discard(file)  # nothing tells whether the rest would fit
        return part

    def size(self) -> int:
        try:
            return os.stat(self.file).st_size
        except FileNotFoundError:
            return 0

    def describe(self, validator: str | None, total: int | None) -> None:
        self.validator, self.total = validator, total
        write_json(self.notes, {"url": self.url, "validator": validator, "total": total})

    def clear(self) -> None:
        discard(self.file)
        discard(self.notes)
        self.validator = self.total = None


def _attempt(web: WebRef, part: _Part, progress: Progress) -> None:
    """Ask for what is missing and append it; returns when the file is complete."""
    offset = part.size() if part.validator else 0
    if offset and offset == part.total:  # an earlier process ended just before the last step
        return
    wanted = {"Accept-Encoding": "identity", "User-Agent": "tallow-hub"}
    if offset and part.validator:
        wanted |= {"Range": f"bytes={offset}-", "If-Range": part.validator}
    with _open(web, wanted, part) as response:
        start, total = _agree(web, part, offset, response)
        require_space(part.file.parent, (total or start) - start, web.label)
        progress.start(f"downloading {part.file.name.removesuffix('.part')}", total)
        progress.advance(start)
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
        handle = os.open(part.file, flags | (os.O_APPEND if start else os.O_TRUNC), 0o666)
        writer = PieceWriter(handle, start)
        try:
            done = start
            try:
                while block := read_block(response):
                    writer.write(block)
                    done += len(block)
                    progress.advance(len(block))
            finally:  # what has come need not come again
                writer.flush()
            os.fsync(handle)
        finally:
            os.close(handle)
    if total is not None and done != total:
        raise TransientError(f"{total} bytes", f"{done} before the connection closed")


def read_block(response: HTTPResponse) -> bytes:
    """Some of the body, b"" at its end; `TransientError` when the connection fails."""
    from http.client import HTTPException

    try:
        return response.read1(BLOCK)
    except (OSError, HTTPException, ValueError) as error:
        raise TransientError("the whole body", _reason(error)) from error


def _agree(web: WebRef, part: _Part, offset: int, response: HTTPResponse) -> tuple[int, int | None]:
    """Where the body starts and how long the file is; raises when the answer does not fit."""
    headers = response.headers
    refuse_encoded(web, headers)
    validator = validator_of(headers)
    if response.status == 206:
        start, _, total = content_range(headers.get("Content-Range", ""))
        if start != offset or total != part.total or validator not in (None, part.validator):
            part.clear()
            raise TransientError(f"bytes from {offset}", headers.get("Content-Range"))
        return offset, total
    if response.status != 200:
        raise failure(web.label, "download", "status 200", response.status)
    total = _length(web, headers.get("Content-Length"))
    if total is None and not response.chunked and not web.sha256:
        raise failure(
            web.label, web.url, "a Content-Length, or #sha256=… in the reference", "neither"
        )
    part.describe(validator, total)
    return 0, total


def _length(web: WebRef, text: str | None) -> int | None:
    """What a Content-Length says; None where there is none."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text.strip()):
        shown = text if len(text) <= 40 else f"{text[:40]}… ({len(text)} characters)"
        raise failure(web.label, "Content-Length", "a number of bytes", repr(shown))
    return int(text)


def refuse_encoded(web: WebRef, headers: Any) -> None:
    """Raise `HubError` for a body that is compressed although we asked for it as it is."""
    if headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise failure(web.label, "encoding", "identity", headers["Content-Encoding"])


def validator_of(headers: Any) -> str | None:
    """What If-Range may carry (RFC 9110, 13.1.5): a strong ETag, else the date of last change."""
    tag: str | None = headers.get("ETag")
    if tag and tag.startswith('"'):
        return tag
    changed: str | None = headers.get("Last-Modified")
    return changed


def content_range(text: str) -> tuple[int, int, int | None]:
    """`bytes 5-9/10` → (5, 10, 10): begin, end (past the last) and total; -1 where it is wrong."""
    found = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", text.strip())
    if not found:
        return -1, -1, None
    return int(found[1]), int(found[2]) + 1, None if found[3] == "*" else int(found[3])


def _open(web: WebRef, wanted: dict[str, str], part: _Part) -> HTTPResponse:
    try:
        return send(web, wanted)
    except TransientError as error:
        if error.status == 416:  # the part is as long as the file or longer, or the file changed
            part.clear()
        raise


def send(web: WebRef, wanted: dict[str, str], opener: Any = None) -> HTTPResponse:
    """The open response to a GET; raises `HubError`, or `TransientError` if a retry may help.

    Proxies, certificates, the rules for redirects and the time limit are those of all downloads.
    `opener` is what `make_opener` gave for `web`: it takes a while, so many requests share one.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request

    request = Request(web.url, headers=wanted)
    if web.user is not None:
        request.add_unredirected_header("Authorization", _basic(web.user))
    try:
        response: HTTPResponse = (opener or make_opener(web)).open(request, timeout=_timeout(web))
        return response
    except HTTPError as error:
        with error:
            _refused(web, error)
    except URLError as error:
        import ssl

        if isinstance(error.reason, ssl.SSLCertVerificationError):
            advice = f"{error.reason}; set SSL_CERT_FILE to your certificate authority's file"
            raise failure(web.label, "download", "a trusted certificate", advice) from error
        raise TransientError("an answer", _reason(error.reason)) from error
    except (OSError, HTTPException) as error:
        if isinstance(error, HubError):
            raise
        raise TransientError("an answer", _reason(error)) from error
    except ValueError as error:  # an address that is none, in a redirect or of a proxy
        raise failure(web.label, "download", "an address of a server", _reason(error)) from error


def _refused(web: WebRef, error: Any) -> NoReturn:
    """Raise for an HTTP error status."""
    got = " ".join(f"{error.code} {error.reason}".split())
    if error.code == 416:
        raise TransientError("a range of bytes", got, status=416)
    if error.code in (408, 425, 429) or error.code >= 500:
        wait = retry_after(error.headers.get("Retry-After"))
        raise TransientError("status 200", got, wait, error.code)
    if error.code in (401, 403):
        got += "; it needs a login: https://user:password@host/… is possible"
    raise failure(web.label, "download", "status 200", got)


def _timeout(web: WebRef) -> float:
    text = os.environ.get("TALLOW_HTTP_TIMEOUT") or "30"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise failure(web.label, "TALLOW_HTTP_TIMEOUT", "a number of seconds", repr(text))
    return seconds


def retry_after(text: str | None) -> float:
    """How many seconds a Retry-After asks to wait, by a number or a date; 0 where it says none."""
    if text is None:
        return 0.0
    try:
        if re.fullmatch(r"[0-9]+", text.strip()):
            return float(text)
        return parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _reason(error: object) -> str:
    """A network error in words: its text, or its class where the text is empty.

    What the environment says of users and passwords of proxies is left out, also a part of it.
    """
    from urllib.request import getproxies

    text = str(error) or type(error).__name__
    for proxy in getproxies().values():
        login = proxy.rpartition("//")[2].rpartition("@")[0]
        for secret in sorted({login, *re.split("[:@]", login)}, key=len, reverse=True):
            text = text.replace(secret, "***") if len(secret) > 2 else text
    return text


def _basic(user: str) -> str:
    from base64 import b64encode

    return "Basic " + b64encode(user.encode()).decode("ascii")


def make_opener(web: WebRef) -> Any:
    """A urllib opener with the environment's proxies and certificates, and our redirect rule."""
    import ssl
    from urllib.request import (
        HTTPRedirectHandler,
        HTTPSHandler,
        ProxyHandler,
        Request,
        build_opener,
    )

    class Redirects(HTTPRedirectHandler):
        max_redirections = REDIRECTS

        def redirect_request(
            self, req: Request, fp: Any, code: Any, msg: Any, headers: Any, newurl: str
        ) -> Any:
            old, new = urlsplit(req.full_url), urlsplit(urljoin(req.full_url, newurl))
            try:
                downgrade = (old.scheme, new.scheme) == ("https", "http")
                if new.scheme not in ("http", "https") or downgrade:
                    raise failure(web.label, f"redirect from {web.url}", "https", newurl)
                refuse_plain_http(web.label, newurl)
            except HubError:
                fp.close()
                raise
            following = super().redirect_request(req, fp, code, msg, headers, newurl)
            same = (old.scheme, old.netloc) == (new.scheme, new.netloc)
            if following and same and req.has_header("Authorization"):
                following.add_unredirected_header(
                    "Authorization", req.get_header("Authorization") or ""
                )
            return following

    context = ssl.create_default_context()
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.path.isfile(bundle := os.environ.get(variable, "")):
            context.load_verify_locations(bundle)
    handlers: list[Any] = [Redirects(), HTTPSHandler(context=context)]
    if is_loopback(web.url):
        handlers.append(ProxyHandler({}))
    return build_opener(*handlers)
