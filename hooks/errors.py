"""One shape of error: a FHIR OperationOutcome in plain words, for support staff, without any patient value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, g, request
from werkzeug.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask

WORDS: Mapping[int, tuple[str, str]] = {
    400: ("invalid", "The request cannot be read as HTTP or JSON."),
    401: ("login", "A valid bearer token is needed."),
    403: ("forbidden", "This is not allowed."),
    404: ("not-found", "There is nothing at this path. Services are listed at /cds-services."),
    405: ("not-supported", "This method is not supported here; the Allow header names those that are."),
    408: ("timeout", "The request did not arrive in time."),
    412: ("incomplete", "Data that are needed for an answer were not sent."),
    413: ("too-long", "The request body is larger than this server accepts."),
    414: ("too-long", "The request address is too long."),
    415: ("not-supported", "The body must be JSON, sent as application/json without compression."),
    429: ("throttled", "Too many calls. Try again after the time in Retry-After."),
    431: ("too-long", "The request headers are too large."),
    500: ("exception", "The service failed on this request. The request id helps to find it in the log."),
    501: ("not-supported", "This way of sending a request is not supported."),
    503: ("transient", "The service cannot answer now. Try again after the time in Retry-After."),
}


RETRY_SECONDS = "1"
"""When to come again where the machine has no memory to spare."""


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """
    A request that gets no cards: status, FHIR issue code, what was wrong (never a value), which field.

    `cause` is for the log alone, where the answer must not tell.
    """

    def __init__(
        self,
        status: int,
        diagnostics: str | None = None,
        *,
        code: str | None = None,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        cause: str | None = None,
    ) -> None:
        usual_code, usual_words = WORDS.get(status, WORDS[500] if status >= 500 else WORDS[400])
        self.status = status
        self.diagnostics = diagnostics or usual_words
        self.code = code or usual_code
        self.field = field
        self.headers = dict(headers or {})
        self.cause = cause
        super().__init__(self.diagnostics)


def outcome(status: int, diagnostics: str | None = None, code: str | None = None, field: str | None = None) -> Any:  # noqa: ANN401 - JSON
    """Make the OperationOutcome of an answer that is no success."""
    refused = Refused(status, diagnostics, code=code, field=field)
    issue: dict[str, object] = {
        "severity": "fatal" if status >= 500 else "error",
        "code": refused.code,
        "diagnostics": refused.diagnostics,
    }
    if field is not None and re.fullmatch(r"[A-Za-z][A-Za-z.]*", field):
        issue["expression"] = [field]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def register(app: Flask, report: Callable[[BaseException], None]) -> None:
    """
    Answer every error of an app, the framework's own included, as an OperationOutcome.

    `report` is told of the errors that nobody foresaw.
    """

    def unexpected(error: Exception) -> Response:
        report(error)
        return _answer(500, outcome(500), {})

    def no_room(error: MemoryError) -> Response:
        # Not the request is at fault but what else is at hand: the same call may be answered in a moment.
        report(error)
        return _answer(503, outcome(503), {"Retry-After": RETRY_SECONDS})

    app.register_error_handler(MemoryError, no_room)
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(HTTPException, _framework)
    app.register_error_handler(Exception, unexpected)


def _answer(status: int, body: object, headers: Mapping[str, str]) -> Response:
    response = Response(current_app.json.dumps(body), status=status, mimetype="application/json")
    response.headers.update(headers)
    return response


def _refused(refused: Refused) -> Response:
    g.refusal = refused.cause or refused.field or refused.code
    body = outcome(refused.status, refused.diagnostics, refused.code, refused.field)
    return _answer(refused.status, body, refused.headers)


def _framework(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return error.get_response(request.environ)  # type: ignore[return-value] # werkzeug's own response class
    # Werkzeug's text may hold the path or a header as sent; its headers (Allow, Retry-After) are needed.
    headers = {key: value for key, value in error.get_headers(request.environ) if key in {"Allow", "Retry-After"}}
    return _answer(status, outcome(status), headers)
