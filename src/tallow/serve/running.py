"""Run an application under uvicorn until Ctrl-C, and end its streams before it waits for them."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, MissingExtraError

if TYPE_CHECKING:
    from uvicorn import Server

_LAST_SECONDS = 5  # that open requests are given when the server ends


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at `host` and `port` (0: any that is free).

    Raises:
        ArgumentError: the address is taken, or none of this machine's.
    """
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        why = error.strerror or str(error)
        raise ArgumentError(
            f"tallow serve: expected a free address of this machine, got {host} port {port}: {why}"
        ) from None


def server(app: Any, closing: Callable[[], Awaitable[None]]) -> Server:
    """A uvicorn server of `app`; `closing` is awaited when it is to end, before open requests are.

    Raises:
        MissingExtraError: uvicorn is not installed.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            'tallow serve: expected the package uvicorn; run: pip install "tallow[serve]"'
        ) from error

    class Closing(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await closing()
            await super().shutdown(sockets)

    # What is wrong in an upload is told to who sent it, and must not fill the log.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    # Addresses of jobs are secrets: no log of requests.
    return Closing(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_LAST_SECONDS,
            lifespan="on",
        )
    )


def serve_until_interrupted(
    app: Any, listening: socket.socket, closing: Callable[[], Awaitable[None]]
) -> None:
    """Answer requests until SIGINT or SIGTERM."""
    running = server(app, closing)
    asyncio.run(running.serve([listening]))
