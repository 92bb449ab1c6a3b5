"""`tallow serve`: applications in a browser."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

from tallow.cli import options
from tallow.cli.parameters import Option


class App(StrEnum):
    """What can be served."""

    TABLE = "table"


_HOST = Option("Address to listen at; beyond loopback others can use it.", metavar="ADDRESS")
_ALLOW = Option(
    "A name under which browsers may ask for it, of proxies; may be repeated.", metavar="NAME"
)


def serve(
    app: Annotated[App, Option("What to serve.")] = App.TABLE,
    host: Annotated[str, _HOST] = "127.0.0.1",
    port: Annotated[int, Option("Port; 0: any that is free.", min=0, max=65535)] = 8000,
    allow_host: Annotated[list[str] | None, _ALLOW] = None,
    max_upload: Annotated[str, Option("Size of an upload.", metavar="SIZE")] = "100MB",
    max_pages: Annotated[int, Option("Pages of a file.", min=1)] = 100,
    max_pixels: Annotated[int, Option("Pixels of a picture.", min=1)] = 100_000_000,
    max_seconds: Annotated[float, Option("Seconds that a job may run.", min=1)] = 900.0,
    max_waiting: Annotated[int, Option("Jobs that may wait.", min=1)] = 8,
    jobs: Annotated[int, Option("Jobs that run at once.", min=1)] = 1,
    keep: Annotated[float, Option("Minutes that results are kept.", min=0.1)] = 30.0,
    threads: options.Threads = None,
) -> None:
    """Serve a page: --app table makes spreadsheets of pictures and PDFs of tables.

    Only this machine can reach it unless --host says otherwise. Ctrl-C ends it and removes all
    that was uploaded.
    """
    import os

    from tallow.cli.writing import byte_count, note
    from tallow.serve.running import listen, serve_until_interrupted
    from tallow.serve.table.app import make_app
    from tallow.serve.table.guard import Hosts, is_loopback
    from tallow.serve.table.limits import Limits

    limits = Limits(
        upload_bytes=byte_count(max_upload) or 0, pages=max_pages, pixels=max_pixels,
        seconds=max_seconds, waiting=max_waiting, running=jobs, kept_seconds=keep * 60,
    )  # fmt: skip
    if threads is not None:  # each job is a process of its own, which reads it there
        os.environ["TALLOW_NUM_THREADS"] = str(threads)
    made = make_app(limits=limits, hosts=Hosts(host, allow_host or ()))
    listening = listen(host, port)
    if not is_loopback(host):
        note(
            f"everybody who reaches {host} can use this server, without password or encryption; "
            "put a proxy with both before it"
        )
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/"
    print(f"{app.value}: {address} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    serve_until_interrupted(made, listening, made.state.jobs.close)
