"""Loopback servers that misbehave on demand, a hub among them; wheels; a cache for each test."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from loopback import Loopback
from tallow.hub import huggingface, web

SOURCE = str(Path(web.__file__).parents[2])
CHILD = (
    "import sys; sys.path[:0] = [sys.argv[1]]; from tallow.hub import resolve; "
    "print(resolve(sys.argv[2]))"
)

ABSENT = (
    *("TALLOW_OFFLINE", "TALLOW_ALLOW_HTTP", "TALLOW_HTTP_TIMEOUT", "XDG_CACHE_HOME"),
    *("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
)


@dataclass
class Reply:
    """What the server answers to one path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = '"one"'
    ranges: bool = True
    length: bool = True
    cuts: list[int] = field(default_factory=list)  # successive GETs end after so many bytes
    statuses: list[int] = field(default_factory=list)  # successive requests get these first
    pause: float = 0.0  # before each tenth of the body
    gate: threading.Event | None = None  # the second half of the body waits for it
    authorization: str | None = None
    denial: tuple[int, dict[str, str]] = (401, {})


class Site(Loopback):
    """A loopback HTTP server; `log` holds (method, path, headers) of every request."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.log: list[tuple[str, str, dict[str, str]]] = []
        super().__init__()

    def add(self, path: str, body: bytes = b"", **how: object) -> Reply:
        self.replies[path] = Reply(body, **how)
        return self.replies[path]

    def gets(self, path: str) -> list[dict[str, str]]:
        return [headers for method, at, headers in self.log if (method, at) == ("GET", path)]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        self.log.append((request.command, path, dict(request.headers)))
        reply = self.replies.get(path) or Reply(b"nothing", 404, {"X-Error-Code": "EntryNotFound"})
        status, headers, body = reply.status, dict(reply.headers), reply.body
        if reply.authorization and request.headers["Authorization"] != reply.authorization:
            (status, headers), body = reply.denial, b"denied"
        elif reply.statuses:
            status, body = reply.statuses.pop(0), b"not now"
        start = 0
        asked = request.headers["Range"]
        same = request.headers["If-Range"] in (None, reply.etag)
        if status == 200 and asked and reply.ranges and same:
            start, status = int(asked.removeprefix("bytes=").partition("-")[0]), 206
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        if start and start >= len(body):
            status, headers["Content-Range"] = 416, f"bytes */{len(body)}"
        if reply.etag and status in (200, 206):
            headers.setdefault("ETag", reply.etag)
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        if reply.length or request.command == "HEAD" or status >= 300:
            request.send_header("Content-Length", str(len(body) - start))
        else:
            request.close_connection = True
        request.end_headers()
        if request.command == "GET":
            self.send(request, reply, body[start:])

    def send(self, request: BaseHTTPRequestHandler, reply: Reply, body: bytes) -> None:
        if reply.cuts:
            body = body[: reply.cuts.pop(0)]
            request.close_connection = True
        parts = 10 if reply.pause else 2 if reply.gate else 1
        step = max(1, -(-len(body) // parts))
        for at in range(0, len(body), step):
            time.sleep(reply.pause)
            if reply.gate and at:
                reply.gate.wait(300)  # so that a test that failed does not hang
            request.wfile.write(body[at : at + step])


class Hub(Site):
    """What huggingface_hub asks of a hub: a repository's file list, and its files by revision."""

    def repo(
        self,
        name: str,
        files: dict[str, bytes],
        *,
        revision: str = "main",
        token: str | None = None,
        denial: tuple[int, dict[str, str]] = (401, {"X-Error-Code": "RepoNotFound"}),
        large: int = 1000,
    ) -> str:
        """Serve a repository; files of `large` bytes and more are LFS files. Gives the commit."""
        commit = hashlib.sha1(json.dumps([name, revision, sorted(files)]).encode()).hexdigest()
        guard = {"authorization": f"Bearer {token}" if token else None, "denial": denial}
        siblings = []
        for path, body in files.items():
            row: dict[str, object] = {"rfilename": path, "size": len(body)}
            sha256 = hashlib.sha256(body).hexdigest()
            headers = {"X-Repo-Commit": commit}
            if len(body) >= large:
                row["lfs"] = {"sha256": sha256, "size": len(body), "pointerSize": 100}
                headers |= {"X-Linked-Size": str(len(body)), "X-Linked-Etag": f'"{sha256}"'}
            siblings.append(row)
            reply = Reply(body, headers=headers, etag=f'"{sha256}"', **guard)
            for at in (revision, commit):
                self.replies[f"/{name}/resolve/{at}/{path}"] = reply
        listing = {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []}
        body = json.dumps(listing).encode()
        for at in (revision, commit):
            self.add(f"/api/models/{name}/revision/{at}", body, **guard)
        return commit


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache folder of the test's own, no user settings, and short waits."""
    for variable in ABSENT:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TALLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(web, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(huggingface, "BACKOFF_SECONDS", 0.01)
    return tmp_path / "cache"


@pytest.fixture
def site():
    server = Site()
    yield server
    server.close()


@pytest.fixture
def hub(monkeypatch):
    pytest.importorskip("huggingface_hub")
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.close()


@pytest.fixture
def closed_port(site) -> str:
    """A URL at which nobody listens."""
    other = Site()
    other.close()
    return other.url


class Recorder:
    """A Progress that remembers; `trip` is raised once so many bytes are done."""

    def __init__(self, trip_at: int | None = None, trip: type[BaseException] = KeyboardInterrupt):
        self.calls: list[tuple[object, ...]] = []
        self.done, self.trip_at, self.trip = 0, trip_at, trip
        self.finished = 0

    def start(self, description: str, total_bytes: int | None) -> None:
        self.calls.append((description, total_bytes))
        self.done = 0

    def advance(self, n: int) -> None:
        self.done += n
        if self.trip_at is not None and self.done >= self.trip_at:
            raise self.trip

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def recorder():
    return Recorder


@pytest.fixture
def wheelhouse(tmp_path, monkeypatch):
    """`make(name, members)` puts a wheel where pip, cut off from every index, finds it."""
    if find_spec("pip") is None:
        pytest.skip("needs pip in the interpreter")
    folder = tmp_path / "wheels"
    folder.mkdir()
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def make(name: str, members: dict[str, bytes], version: str = "1.0") -> Path:
        stem = name.replace("-", "_")
        info = f"{stem}-{version}.dist-info"
        wheel = folder / f"{stem}-{version}-py3-none-any.whl"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        tag = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        everything = {**members, f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": tag}
        record = "".join(
            f"{path},{digest(body)},{len(body)}\n" for path, body in everything.items()
        )
        everything[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, body in everything.items():
                archive.writestr(path, body)
        return wheel

    return make


def digest(body: bytes) -> str:
    """A file's hash as a wheel's RECORD writes it."""
    raw = base64.urlsafe_b64encode(hashlib.sha256(body).digest())
    return "sha256=" + raw.decode().rstrip("=")


def leftovers(cache: Path) -> list[str]:
    """The files below the cache that are neither records nor locks."""
    files = (p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file())
    return sorted(p for p in files if not p.startswith(("records/", "locks/")))


@pytest.fixture
def remains(cache):
    return lambda: leftovers(cache)


@pytest.fixture
def child():
    """`child(ref)` resolves a reference in another process, which has a session of its own."""

    def start(ref: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, SOURCE, ref]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, start_new_session=True, **pipes)

    return start
