"""What is served at which path.

path                          what
GET  /                        the page
GET  /login, POST /login      where one has to log in; POST /logout
GET  /static/NAME             style, scripts, and plotly's script from its own package
GET  /api/me                  {role, word, ...}: what this browser may do, and the word that its orders carry
GET  /api/events              server-sent events, see `feed`
GET  /api/versions            the model trail, all of it
GET  /api/versions/N.safetensors   one of them
GET  /api/configuration       as run, TOML
GET  /metrics                 the run's figures, for Prometheus
POST /api/order {"verb": ...} pause, resume, stop
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedactors import model_file
from fedactors.dashboard.feed import LIST_TIMEOUT_S, Feed, TooManyBrowsers
from fedactors.dashboard.guard import Guard, Role, Session, is_from_page, is_same_origin
from fedactors.dashboard.trail import trail
from fedactors.errors import ExtraMissing, FederationFailed, StoreError, TransportError
from fedactors.log import get_logger
from fedactors.protocol import Verb

log = get_logger("fedactors.dashboard")

Answer: TypeAlias = Callable[[Request, Session], Awaitable[Response]]

PAGE = Path(str(files("fedactors.dashboard"))) / "page"
STATIC = {
    "style.css": "text/css",
    "page.js": "text/javascript",
    "charts.js": "text/javascript",
    "figures.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
PLOTLY = "plotly.min.js"
COOKIE = "fedactors"
WORD = "x-fedactors-word"
BODY_BYTES_MAX = 4096
WRONG_TOKEN_S = 1.0
"""An answer to a wrong token takes so long."""
NOT_OURS = "this was not asked for by the page"
ORDERS = frozenset({Verb.PAUSE, Verb.RESUME, Verb.STOP})
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",  # plotly sets styles of its elements
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def plotly_script() -> Path:
    """The script in plotly's Python package, which is not imported.

    Raises:
        ExtraMissing: it is not installed.
    """
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise ExtraMissing("the dashboard", "plotly", "dashboard")
    return Path(found.origin).parent / "package_data" / PLOTLY


def dashboard(feed: Feed, guard: Guard, metrics: Callable[[], bytes] | None = None) -> ASGIApp:
    """The application for one run; `metrics` writes its figures out for Prometheus."""
    return _Pages(feed, guard, metrics).app()


class _Pages:
    """The paths of one run's page."""

    def __init__(self, feed: Feed, guard: Guard, metrics: Callable[[], bytes] | None) -> None:
        self._metrics = metrics
        self._feed = feed
        self._guard = guard
        self._plotly = plotly_script()
        self._one_download = asyncio.Lock()  # each takes the memory of a model

    def app(self) -> ASGIApp:
        look, give = Role.OBSERVER, Role.OPERATOR
        routes = [
            Route("/", self._for(look, self._index)),
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/logout", self._for(look, self._logout, changes=True), methods=["POST"]),
            Route("/static/{name}", self._static),
            Route("/api/me", self._for(look, self._me)),
            Route("/api/events", self._for(look, self._events)),
            Route("/api/versions", self._for(look, self._versions)),
            Route("/api/versions/{version:int}.safetensors", self._for(look, self._model)),
            Route("/api/configuration", self._for(look, self._configuration)),
            Route("/metrics", self._for(look, self._figures)),
            Route("/api/order", self._for(give, self._order, changes=True), methods=["POST"]),
        ]
        return Starlette(routes=routes, middleware=[Middleware(_Outside, guard=self._guard)])

    def _for(self, role: Role, answer: Answer, *, changes: bool = False) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for those of a role, and where it changes something, for their own pages only."""

        async def endpoint(request: Request) -> Response:
            session = self._session(request)
            if session is None:
                at_page = request.url.path == "/"
                return RedirectResponse("/login", 303) if at_page else PlainTextResponse("log in first", 401)
            if session.role < role:
                return PlainTextResponse(f"this is for the {role.name.lower()}", 403)
            headers = request.headers
            words = (headers.get("host", ""), headers.get("origin", ""), headers.get(WORD, ""))
            if changes and not is_from_page(session, *words):
                return PlainTextResponse(NOT_OURS, 403)
            return await answer(request, session)

        return endpoint

    def _session(self, request: Request) -> Session | None:
        return self._guard.session(request.cookies.get(COOKIE, ""), request.headers.get("authorization", ""))

    async def _index(self, _request: Request, _session: Session) -> Response:
        return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name == PLOTLY:
            return FileResponse(self._plotly, headers={"cache-control": "max-age=86400"})
        if name not in STATIC:
            return PlainTextResponse("there is no such file", 404)
        return FileResponse(PAGE / name, media_type=STATIC[name], headers={"cache-control": "no-cache"})

    async def _login(self, request: Request) -> Response:
        if not self._guard.asks_for_token:
            return RedirectResponse("/", 303)
        if request.method != "POST":
            return FileResponse(PAGE / "login.html", headers={"cache-control": "no-store"})
        if not is_same_origin(request.headers.get("host", ""), request.headers.get("origin", "")):
            return PlainTextResponse(NOT_OURS, 403)
        form = parse_qs((await _body(request)).decode(errors="replace"))
        cookie = self._guard.log_in(form.get("token", [""])[0])
        if cookie is None:
            await asyncio.sleep(WRONG_TOKEN_S)
            return RedirectResponse("/login#wrong", 303)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return answer

    async def _logout(self, request: Request, _session: Session) -> Response:
        self._guard.log_out(request.cookies.get(COOKIE, ""))
        return Response(status_code=204)

    async def _me(self, _request: Request, session: Session) -> Response:
        may_order = session.role >= Role.OPERATOR and self._feed.source.takes_orders
        said = {"role": session.role.name.lower(), "word": session.word, "may_order": may_order}
        return JSONResponse(said | {"may_log_out": self._guard.asks_for_token}, headers={"cache-control": "no-store"})

    async def _events(self, request: Request, _session: Session) -> Response:
        last = request.headers.get("last-event-id", "0")
        messages = self._feed.messages(int(last) if last.isdecimal() else 0)
        try:
            first = await anext(messages)
        except TooManyBrowsers as error:
            return PlainTextResponse(str(error), 503)

        async def body() -> Any:
            try:
                yield first
                async for message in messages:
                    if self._session(request) is None:
                        return  # logged out, or its token was revoked
                    yield message
            finally:
                await messages.aclose()  # type: ignore[attr-defined]  # an async generator

        return StreamingResponse(body(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def _versions(self, _request: Request, _session: Session) -> Response:
        return JSONResponse(await trail(self._feed.source, None, LIST_TIMEOUT_S))

    async def _model(self, request: Request, _session: Session) -> Response:
        version = request.path_params["version"]
        place = Path(tempfile.mkdtemp(prefix="fedactors-"))
        file = place / f"version-{version}.safetensors"
        try:
            async with self._one_download, self._feed.source.versions() as versions:
                await asyncio.to_thread(model_file.save, await versions.model(version), file)
        except (StoreError, TransportError) as error:
            _remove(place)
            return PlainTextResponse(str(error), 404)
        except BaseException:
            _remove(place)
            raise
        return FileResponse(file, filename=file.name, background=BackgroundTask(_remove, place))

    async def _configuration(self, _request: Request, _session: Session) -> Response:
        return PlainTextResponse(self._feed.source.configuration)

    async def _figures(self, _request: Request, _session: Session) -> Response:
        if self._metrics is None:
            return PlainTextResponse("metrics need another package: pip install 'fedactors[metrics]'", 501)
        return Response(self._metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _order(self, request: Request, session: Session) -> Response:
        try:
            verb = Verb(json.loads(await _body(request))["verb"])
        except (ValueError, KeyError, TypeError):
            verb = Verb.CLOSE
        if verb not in ORDERS:
            return PlainTextResponse(f"an order is one of {', '.join(sorted(ORDERS))}", 400)
        log.info("order", verb=verb, role=session.role.name.lower())
        try:
            await self._feed.source.order(verb, f"{verb} on the dashboard")
        except (FederationFailed, TransportError) as error:
            return PlainTextResponse(str(error), 409)
        self._feed.wake()
        return Response(status_code=204)


class _Outside:
    """Refuses requests under a foreign name, and adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in SECURITY_HEADERS.items())]
            await send(message)

        app = self._app
        if scope["type"] == "http" and not self._guard.is_our_name(Request(scope).headers.get("host", "")):
            app = PlainTextResponse("the dashboard answers to localhost and loopback addresses alone", 421)
        await app(scope, receive, sending)


async def _body(request: Request) -> bytes:
    """A request's body, its first BODY_BYTES_MAX."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) >= BODY_BYTES_MAX:
            break
    return body[:BODY_BYTES_MAX]


def _remove(place: Path) -> None:
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
