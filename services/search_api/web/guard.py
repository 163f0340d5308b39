"""The door: which key a path needs. It stands before the body is read."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.search_api.web import problems
from services.search_api.web.keys import Access, KeyFile
from services.search_api.web.problems import ProblemError

ADMIN_PATHS = frozenset({"/v1/indexes/rollback", "/v1/indexes/unpin"})
KEY_HEADER = "X-API-Key"


class Guard:
    """Asks for a key, everywhere but at the open paths.

    Args:
        open_paths: what needs no key: probes, which have none, and the page, which asks its user for one.
    """

    def __init__(self, app: ASGIApp, keys: KeyFile, open_paths: frozenset[str]) -> None:
        self._app = app
        self._keys = keys
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem.respond(scope["path"])(scope, receive, send)

    def _problem(self, scope: Scope) -> ProblemError | None:
        path = scope["path"]
        if path in self._open_paths:
            return None
        needed = Access.ADMIN if path in ADMIN_PATHS else Access.READ
        access = self._keys.access(presented_key(Headers(scope=scope)))
        if access is Access.NONE:
            detail = f"Send a valid API key as `Authorization: Bearer KEY` or `{KEY_HEADER}: KEY`."
            headers = {"WWW-Authenticate": "Bearer", "Connection": "close"}
            return ProblemError(HTTPStatus.UNAUTHORIZED, problems.UNAUTHORISED, detail, headers)
        if access < needed:
            return ProblemError(HTTPStatus.FORBIDDEN, problems.UNAUTHORISED, "This needs an admin key.")
        return None


def presented_key(headers: Headers) -> str:
    """The key that a client sends, empty if none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get(KEY_HEADER, "")
