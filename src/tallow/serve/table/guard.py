"""What stands before every request: whose pages may ask, how much at once, and safe headers.

A server on the loopback interface is reached by every page that its user's browser shows. Names of
hosts are checked against DNS rebinding, `Origin` and `Sec-Fetch-Site` against requests that other
sites forge; see OWASP's "Cross-Site Request Forgery Prevention" and the Fetch Metadata
specification (W3C).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tallow.serve.table.refusals import RefusalError, answer

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE_METHODS = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}


class Hosts:
    """The names under which the server may be asked for.

    Numbers are always among them where the server listens beyond loopback: DNS rebinding needs a
    name. The port may be any, as of tunnels.
    """

    def __init__(self, bound: str = "127.0.0.1", allowed: Iterable[str] = ()) -> None:
        self.names = {"localhost", "127.0.0.1", "::1", *(name.lower() for name in allowed)}
        self.numbers = not is_loopback(bound)
        if not _is_number(bound):
            self.names.add(bound.lower())

    def takes(self, host: str) -> bool:
        """Whether a `Host` header names this server."""
        name = _without_port(host.lower())
        return name in self.names or (self.numbers and _is_number(name))


def is_loopback(host: str) -> bool:
    """Whether an address to listen at is reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    return _is_number(host) and ipaddress.ip_address(host).is_loopback


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


class Guard:
    """The middleware: refuses what is not asked by the server's own page or a program."""

    def __init__(self, app: ASGIApp, hosts: Hosts, connections: int) -> None:
        self.app, self.hosts, self.connections = app, hosts, connections
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        guarded = _Guarded(send)
        if (refusal := self._refusal(scope)) is not None:
            await answer(refusal)(scope, receive, guarded)
            return
        self.open += 1
        try:
            await self.app(scope, receive, guarded)
        except Exception:
            if not guarded.started:
                mistake = "The server failed in this request; its log says where."
                await answer(RefusalError(500, mistake))(scope, receive, guarded)
            raise  # to the log
        finally:
            self.open -= 1

    def _refusal(self, scope: Scope) -> RefusalError | None:
        from starlette.datastructures import Headers

        headers = Headers(scope=scope)
        if len(headers.getlist("host")) != 1 or not self.hosts.takes(headers["host"]):
            return RefusalError(421, "This server is not known by that name; see --allow-host.")
        if not _same_origin(scope["method"], scope["path"], headers):
            return RefusalError(403, "Pages of other sites may not use this server.")
        if self.open >= self.connections:
            return RefusalError(503, "Too many connections at once; try again soon.", 5)
        return None


def _same_origin(method: str, path: str, headers: Headers) -> bool:
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and origin.partition("://")[2].lower() != headers["host"].lower():
        return False
    if site in (None, "same-origin", "none"):
        return True
    # A link on another site may lead to the page; nothing else of it may be asked for from there.
    by_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in (
        "document",
        None,
    )
    return method in _SAFE_METHODS and path == "/" and by_link


class _Guarded:
    """`send` that adds `HEADERS` to a response, where it has none of the same name."""

    def __init__(self, send: Send) -> None:
        self.send, self.started = send, False

    async def __call__(self, message: Message) -> None:
        from starlette.datastructures import MutableHeaders

        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self.send(message)
