"""The HTTP application: routes, and what stands around every one of them."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from seawall.errors import LocalError, PeerError, SeawallError
from seawall.ingestion.http.models import Problem
from seawall.ingestion.http.parts import Parts
from seawall.ingestion.http.problems import problem
from seawall.ingestion.http.routes import router

TITLE: Final = "Seawall ingestion"
VERSION: Final = "1"
REFERENCE: Final = "#/components/schemas/{model}"

Handler: TypeAlias = Callable[[Request, Exception], Awaitable[Response]]


def make_app(parts: Parts) -> ASGIApp:
    """Return the application of one site."""
    app = _routed()
    app.state.parts = parts
    app.add_exception_handler(SeawallError, _refused)
    app.add_exception_handler(RequestValidationError, _misaddressed)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(Exception, _failing(parts))
    return Counted(app, parts)


def describe() -> dict[str, Any]:
    """Return the OpenAPI document of the application."""
    return _routed().openapi()


class Described(FastAPI):
    """An application whose description tells of problems, not of the framework's own answers."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        document = super().openapi()
        schemas = document["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema(by_alias=True, ref_template=REFERENCE)
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for path in document["paths"].values():
            for operation in path.values():
                # Bad parameters are answered with a problem of status 400.
                content = operation["responses"].get("422", {}).get("content", {})
                if "application/json" in content:
                    del operation["responses"]["422"]
        return document


class Counted:
    """Lets only as many requests in as there may be streams, in all and by address."""

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        """Stand before `app`."""
        self._app = app
        self._shared = parts.shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it with QUOTA_STREAMS."""
        host, port = scope["client"] or ("", 0)
        family = "ipv6" if ":" in host else "ipv4"
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._shared.stream(f"{family}:{host}:{port}"))
            except SeawallError as refused:
                await problem(refused)(scope, receive, send)
                return
            await self._app(scope, receive, send)


def _routed() -> FastAPI:
    """Return the routes without anything behind them."""
    app = Described(
        title=TITLE,
        version=VERSION,
        description="One site's way in over HTTP; the codes are those of docs/errors.md.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(router)
    return app


async def _refused(_request: Request, failure: Exception) -> Response:
    assert isinstance(failure, SeawallError), "registered for these"
    return problem(failure)


async def _misaddressed(_request: Request, failure: Exception) -> Response:
    """Answer to a path or a query that has not the right form."""
    assert isinstance(failure, RequestValidationError), "registered for these"
    first = failure.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    return problem(PeerError("HTTP_PARAMETER", first["msg"], field=field or None))


async def _not_routed(_request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException), "registered for these"
    if failure.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (failure.headers or {}).get("Allow", "another")
        answer = problem(PeerError("HTTP_METHOD", f"use {allowed} here", field="method"))
        answer.headers["allow"] = allowed
        return answer
    return problem(PeerError("HTTP_PATH", "see /openapi.json for what is served", field="path"))


def _failing(parts: Parts) -> Handler:
    """Return what answers to a bug of ours, and logs it."""

    async def fail(_request: Request, failure: Exception) -> Response:
        parts.events.error("http_failed", exc_info=failure)
        return problem(LocalError("HTTP_FAILED", "this is our mistake: try another site"))

    return fail
