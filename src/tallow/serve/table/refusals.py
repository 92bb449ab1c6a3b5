"""How the server says no: an HTTP status and one sentence, as JSON."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, Any

from tallow.errors import TallowError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.responses import Response

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_SENTENCE = "The server's disk is full: nothing of this upload was kept."


class RefusalError(TallowError):
    """A request that is refused, with its HTTP status."""

    def __init__(self, status: int, sentence: str, retry_after: int = 0) -> None:
        super().__init__(sentence)
        self.status, self.retry_after = status, retry_after


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response of JSON in ASCII, which lone surrogates of hostile texts do not break."""
    from starlette.responses import Response

    made = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Response(made, status, headers, media_type="application/json")


def answer(error: RefusalError) -> Response:
    """A refusal as a response."""
    headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
    return as_json({"error": str(error)}, error.status, headers)


def handle_errors(app: FastAPI) -> None:
    """Let refusals by `app` be JSON: `{"error": one sentence}`; `Guard` tells of mistakes."""
    from starlette.exceptions import HTTPException

    sentences = {404: "There is no such page here.", 405: "This address takes no such request."}

    async def refused(_: Request, error: Any) -> Response:
        return answer(error)

    async def http(_: Request, error: Any) -> Response:
        said = sentences.get(error.status_code, str(error.detail))
        return answer(RefusalError(error.status_code, said))

    async def system(_: Request, error: Any) -> Response:
        if error.errno not in FULL:
            raise error
        return answer(RefusalError(507, FULL_SENTENCE))

    app.add_exception_handler(RefusalError, refused)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(OSError, system)
