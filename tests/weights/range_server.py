"""A loopback HTTP server that serves ranges, and whose answers a test may twist."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from loopback import Loopback


@dataclass
class Answer:
    """What is about to be sent; a twist changes it in place."""

    status: int
    headers: dict[str, str]
    body: bytes
    number: int  # of the request, from 0
    asked: dict[str, str]
    cut: int | None = None  # send so many bytes of the body, then close
    gate: threading.Event | None = None  # the body waits for it
    endless: bool = False
    chunked: bool = False


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    sent: int = 0

    @property
    def span(self) -> tuple[int, int]:
        start, stop = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
        return int(start), int(stop) + 1


@dataclass
class RangeServer(Loopback):
    files: dict[str, bytes] = field(default_factory=dict)
    log: list[Request] = field(default_factory=list)
    twist: Callable[[Answer], None] = lambda answer: None

    def __post_init__(self) -> None:
        super().__init__()

    def spans(self) -> list[tuple[int, int]]:
        return [request.span for request in self.log]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = urlsplit(handler.path).path
        request = Request(path, dict(handler.headers))
        self.log.append(request)
        whole = self.files.get(path)
        if whole is None:
            answer = Answer(404, {}, b"nothing here", len(self.log) - 1, request.headers)
        else:
            start, stop = request.span
            stop = min(stop, len(whole))
            headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(whole)}", "ETag": '"one"'}
            body = whole[start:stop]
            answer = Answer(206, headers, body, len(self.log) - 1, request.headers)
            if start >= len(whole):
                answer.status, answer.body = 416, b""
        self.twist(answer)
        self.send(handler, request, answer)

    def send(self, handler: BaseHTTPRequestHandler, request: Request, answer: Answer) -> None:
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        elif "Content-Length" not in answer.headers and not answer.endless:
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.send_header("Connection", "close")
        handler.close_connection = True
        handler.end_headers()
        handler.wfile.flush()
        if answer.gate:
            answer.gate.wait(300)  # so that a test that failed does not hang
        try:
            while answer.endless:
                handler.wfile.write(bytes(1 << 16))
                request.sent += 1 << 16
            body = answer.body[: answer.cut]
            if answer.chunked:
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            handler.wfile.write(body)
            request.sent += len(body)
        except OSError:  # the client has seen enough
            pass
