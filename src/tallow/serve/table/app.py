"""make_app: the table app as an ASGI application, its addresses and what they answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tallow.errors import MissingExtraError
from tallow.serve.table.guard import Guard, Hosts
from tallow.serve.table.jobs import Job, Jobs, events_after
from tallow.serve.table.limits import Limits
from tallow.serve.table.options import Factory, Options, read_options
from tallow.serve.table.process import ProcessError, run
from tallow.serve.table.refusals import (
    FULL,
    FULL_SENTENCE,
    RefusalError,
    as_json,
    handle_errors,
)
from tallow.serve.table.results import File
from tallow.serve.table.work import FORMATS, Writing, picture_path

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

T = TypeVar("T")

_STATIC = Path(__file__).parent / "static"
_MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_PING_SECONDS = 10.0
_DOWNLOADS = 2  # that are made at once
_JSON_BYTES = 30_000_000


def read_tables(options: Options) -> Any:
    """The reader of a job: `tallow.documents.TableReader`."""
    from tallow.documents.reader import TableReader

    rest: dict[str, Any] = {"models": options.models} if options.models else {}
    return TableReader(join=options.join, raw=options.raw, **rest)


def make_app(
    factory: Factory = read_tables,
    limits: Limits | None = None,
    hosts: Hosts | None = None,
    temporary: Path | None = None,
) -> FastAPI:
    """The table app, for uvicorn or another server of ASGI.

    `factory` makes the reader in the process of a job and must be a function of a module, `hosts`
    says under which names the app may be asked for (default: those of this machine's loopback
    interface), `temporary` where its folder of temporary files is made. `app.state.jobs` are the
    jobs; they end with the app's lifespan.

    Raises:
        MissingExtraError: fastapi is not installed.
    """
    try:
        from fastapi import FastAPI
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            'tallow serve: expected the package fastapi; run: pip install "tallow[serve]"'
        ) from error
    limits = limits or Limits()
    jobs = Jobs(factory, limits, temporary)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs.start()
        try:
            yield
        finally:
            await jobs.close()

    app = FastAPI(
        title="Tallow: tables", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.jobs = jobs
    app.add_middleware(Guard, hosts=hosts or Hosts(), connections=limits.connections)
    handle_errors(app)
    _Routes(jobs, limits).add_to(app)
    return app


class _Routes:
    """What the addresses of the app answer."""

    def __init__(self, jobs: Jobs, limits: Limits) -> None:
        self.jobs, self.limits = jobs, limits
        self.writing = asyncio.Semaphore(_DOWNLOADS)
        self.static = {path.name: path for path in _STATIC.iterdir() if path.suffix in _MEDIA}

    def add_to(self, app: FastAPI) -> None:
        """Let `app` answer all of them."""
        job = "/api/jobs/{id}"
        table = job + "/files/{file:int}/tables/{table:int}"
        page = job + "/files/{file:int}/pages/{page:int}"
        rows: list[tuple[str, str, Callable[[Request], Any]]] = [
            ("GET", "/", self.page),
            ("GET", "/static/{name}", self.page),
            ("GET", "/api/limits", self.show_limits),
            ("POST", "/api/jobs", self.create),
            ("GET", job, self.show),
            ("DELETE", job, self.cancel),
            ("POST", job + "/keep", self.keep),
            ("GET", job + "/events", self.events),
            ("POST", job + "/files/{file:int}/password", self.password),
            ("PUT", table, self.edit),
            ("PATCH", table, self.edit_cells),
            ("GET", page + ".png", self.picture),
            ("GET", page + "/crop.png", self.crop),
            ("GET", job + "/download.{form}", self.download),
        ]
        for method, path, handler in rows:
            app.add_route(path, handler, methods=[method])

    async def page(self, request: Request) -> Response:
        from starlette.responses import FileResponse

        path = self.static.get(request.path_params.get("name", "page.html"))
        if path is None:
            raise RefusalError(404, "There is no such page here.")
        return FileResponse(path, media_type=f"{_MEDIA[path.suffix]}; charset=utf-8")

    async def show_limits(self, _: Request) -> Response:
        names = ("upload_bytes", "files", "pages", "pixels", "seconds", "kept_seconds")
        return as_json({name: getattr(self.limits, name) for name in names})

    async def create(self, request: Request) -> Response:
        from starlette.requests import ClientDisconnect

        from tallow.serve.table.uploads import receive

        job = self.jobs.reserve()
        try:
            uploaded = await receive(request, job.folder, self.limits)
            job.options = read_options(uploaded.options)
            job.files = [
                File(number, name, path, size)
                for number, (name, path, size) in enumerate(uploaded.files)
            ]
            self.jobs.submit(job)
        except OSError as error:
            await self.jobs.remove(job)
            if error.errno in FULL:
                raise RefusalError(507, FULL_SENTENCE) from None
            raise
        except ClientDisconnect:
            await self.jobs.remove(job)
            raise RefusalError(400, "The upload was broken off.") from None
        except BaseException:
            await asyncio.shield(self.jobs.remove(job))
            raise
        return as_json(self._shown(job), 201)

    async def show(self, request: Request) -> Response:
        return as_json(self._shown(self._job(request)))

    async def cancel(self, request: Request) -> Response:
        await self.jobs.remove(self._job(request))
        return as_json({})

    async def keep(self, request: Request) -> Response:
        self._job(request)
        return as_json({})

    async def events(self, request: Request) -> Response:
        from starlette.responses import StreamingResponse

        last = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        first = int(last) if last.isdecimal() and len(last) < 10 else 0
        stream = self._stream(self._job(request), first)
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _stream(self, job: Job, last: int) -> AsyncIterator[str]:
        """Events until the job is finished; while somebody listens, nobody has left."""
        job.listeners += 1
        try:
            while True:
                changed, open = job.changed, job.open
                lines = events_after(job, last)
                last = len(job.events)
                for line in lines:
                    yield line
                if not open:
                    yield "event: end\ndata: {}\n\n"
                    return
                try:
                    await asyncio.wait_for(changed.wait(), _PING_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            job.listeners -= 1
            job.touch()

    async def password(self, request: Request) -> Response:
        job = self._job(request)
        file = _nth(job.files, request.path_params["file"])
        given = await _json_body(request)
        password = given.get("password") if isinstance(given, dict) else None
        if not isinstance(password, str) or not 1 <= len(password) <= 200:
            raise RefusalError(400, "Expected a password of 1 to 200 characters.")
        if job.open or file.state != "password":
            raise RefusalError(409, "This file does not wait for a password.")
        file.password, file.state, file.error = password, "waiting", ""
        self.jobs.submit(job)
        return as_json(self._shown(job))

    async def edit(self, request: Request) -> Response:
        from tallow.serve.table.tables import checked_table

        made = await self._edited(
            request, lambda before, given: checked_table(given, self.limits.cells)
        )
        return as_json(made)

    async def edit_cells(self, request: Request) -> Response:
        from tallow.serve.table.editing import differing, with_cells

        given: list[dict[str, Any]] = []

        def changed(before: dict[str, Any], asked: Any) -> dict[str, Any]:
            given.append(with_cells(before, asked))
            return given[0]

        made = await self._edited(request, changed)
        cells = await asyncio.to_thread(differing, given[0], made)
        rest = {name: made[name] for name in ("version", "column_types")}
        return as_json(rest | {"cells": cells})

    async def _edited(
        self, request: Request, change: Callable[[dict[str, Any], Any], dict[str, Any]]
    ) -> dict[str, Any]:
        """Edit a table, if it is as the request believes it to be, and make its values again."""
        from tallow.serve.table.editing import check_version
        from tallow.serve.table.typing import retyped

        job = self._job(request)
        tables = _nth(job.files, request.path_params["file"]).tables
        number = request.path_params["table"]
        _nth(tables, number)
        given = await _json_body(request)
        before = _nth(tables, number)
        check_version(before, given)

        def typed() -> dict[str, Any]:
            return retyped(change(before, given), raw=job.options.raw)

        made = await asyncio.to_thread(typed)
        if number >= len(tables) or tables[number] is not before:  # another was faster
            check_version({"version": -1}, given)
        made["version"] = before["version"] + 1
        tables[number] = made
        return made

    async def picture(self, request: Request) -> Response:
        from starlette.responses import FileResponse

        return FileResponse(self._picture(request), media_type="image/png")

    async def crop(self, request: Request) -> Response:
        from starlette.responses import Response

        from tallow.serve.table import pictures

        path = self._picture(request)
        number = request.path_params["page"]
        pages = self._job(request).files[request.path_params["file"]].pages
        page = next(each for each in pages if each["number"] == number)
        try:
            left, top, right, bottom = (
                float(each) for each in request.query_params["box"].split(",")
            )
            w, h = page["width"], page["height"]
            box = (left / w, top / h, right / w, bottom / h)
            made = await asyncio.to_thread(pictures.crop, path, box)
        except (KeyError, ValueError, OverflowError, ZeroDivisionError):
            raise RefusalError(400, "Expected box=left,top,right,bottom in the page.") from None
        return Response(made, media_type="image/png")

    def _picture(self, request: Request) -> Path:
        job = self._job(request)
        file = _nth(job.files, request.path_params["file"])
        path = picture_path(job.folder, file.number, request.path_params["page"])
        if not path.is_file():
            raise RefusalError(404, "There is no picture of this page.")
        return path

    async def download(self, request: Request) -> Response:
        from starlette.responses import Response

        job = self._job(request)
        form = request.path_params["form"]
        if form not in FORMATS:
            raise RefusalError(
                404, f"There is no format {form[:20]!r}; known: {', '.join(FORMATS)}."
            )
        files, tables = self._chosen(job, request)
        name = re.sub(r"\.\w{1,5}$", "", files[0].name) or "tables"
        made = await self._written(job, tables, name, form)
        several_csv = form == "csv" and len(tables) > 1
        headers = {
            "content-disposition": _attachment(name, "zip" if several_csv else form),
            "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
        }
        media = "application/zip" if several_csv else FORMATS[form]
        return Response(made, media_type=media, headers=headers)

    def _chosen(self, job: Job, request: Request) -> tuple[list[File], list[dict[str, Any]]]:
        """What is to be downloaded: all, those of `file`, or the one of `file` and `table`."""
        query = request.query_params
        numbers = [query[name] for name in ("file", "table") if name in query]
        if not all(number.isdecimal() and len(number) < 7 for number in numbers):
            raise RefusalError(400, "Expected the numbers of a file and a table.")
        files = [_nth(job.files, int(query["file"]))] if "file" in query else job.files
        tables = [table for file in files for table in file.tables]
        if "table" in query:
            tables = [_nth(tables, int(query["table"]))]
        if not tables:
            raise RefusalError(409, "There is no table to download.")
        return files, tables

    async def _written(self, job: Job, tables: list[dict[str, Any]], name: str, form: str) -> bytes:
        import secrets

        path = job.folder / f"download-{secrets.token_hex(8)}"
        work = Writing(tables, name, form, job.options.raw, path)
        problems: list[dict[str, Any]] = []
        try:
            async with self.writing:
                await run(work, problems.append, self.limits.download_seconds)
            if problems and problems[0].get("full") is True:
                raise RefusalError(507, "The server's disk is full: the file cannot be written.")
            if problems:
                raise RefusalError(409, str(problems[0].get("error")))
            return await asyncio.to_thread(path.read_bytes)
        except TimeoutError:
            raise RefusalError(503, "Writing the file took too long.") from None
        except ProcessError as error:
            raise RefusalError(500, str(error)) from None
        finally:
            path.unlink(missing_ok=True)
            job.touch()

    def _job(self, request: Request) -> Job:
        return self.jobs.find(request.path_params["id"])

    def _shown(self, job: Job) -> dict[str, Any]:
        return job.as_dict() | {"position": self.jobs.position(job)}


def _nth(items: list[T], number: int) -> T:
    if not 0 <= number < len(items):
        raise RefusalError(404, "There is no such file, page or table in this job.")
    return items[number]


async def _json_body(request: Request) -> Any:
    import json

    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":
        raise RefusalError(415, "Expected JSON.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _JSON_BYTES:
            raise RefusalError(413, "The table is too large to be saved.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RefusalError(400, "Expected JSON.") from None


def _attachment(name: str, suffix: str) -> str:
    """A Content-Disposition header with a name of any characters (RFC 6266)."""
    from urllib.parse import quote

    plain = re.sub(r"[^A-Za-z0-9 ._-]", "_", name)
    return f"attachment; filename=\"{plain}.{suffix}\"; filename*=UTF-8''{quote(name)}.{suffix}"
