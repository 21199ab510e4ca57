"""The app: which request gets what."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache as kept
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import zoocache
from zoocache._aio import in_thread
from zoocache._errors import HomeUnreachable, InvalidOption, InvalidTag, shown
from zoocache.dashboard._access import Access, Authorize
from zoocache.dashboard._http import (
    Problem,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    from_asgi,
    from_wsgi,
)
from zoocache.dashboard._view import View

if TYPE_CHECKING:
    from zoocache._cache import Cache
    from zoocache.dashboard._source import Source

__all__ = ["Dashboard", "create_app"]

_KINDS = {
    "app.js": "text/javascript; charset=utf-8",
    "chart.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "panels.js": "text/javascript; charset=utf-8",
    "server.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "text.js": "text/javascript; charset=utf-8",
    "tree.js": "text/javascript; charset=utf-8",
}
_PAGE = "page.html"
_MAX_ROWS = 500
_MAX_QUERY = 4096  # characters: the longest tag
_log = logging.getLogger("zoocache.dashboard")


def create_app(
    cache: Cache | None = None,
    token: str | None = None,
    authorize: Authorize | None = None,
    *,
    interval: float = 2.0,
    history: float = 3600.0,
    max_functions: int = 100,
) -> Dashboard:
    """A dashboard for any ASGI program; `Dashboard.wsgi` of it is one for WSGI programs.

    Args:
        cache: what is shown; default the cache of the module's functions.
        token: who sends it may look and invalidate, wherever he is: 16 or more characters.
        authorize: gets the Request of everything that tells of the cache, and says "write" for a
            caller who may invalidate, "read" or True for one who may look, and something false
            otherwise. It may be called in any thread.
        interval: seconds between two looks of a page that is open, 0.1 to 3,600; default 2.
        history: seconds for which the hit rate is kept while somebody looks, 1 to 86,400; default
            3,600.
        max_functions: the most functions that are listed, 1 to 10,000; default 100.

    Raises:
        InvalidOption: a value that is not allowed.

    With neither token nor `authorize` it answers loopback peers that ask for a loopback host, and
    nobody may invalidate. Arguments, keys and values are never shown; tags, and names of functions
    and source files are. Thread-safe.
    """
    if cache is None:
        cache = zoocache._default  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    view = View(
        cache,
        _within("interval", interval, 0.1, 3_600),
        _within("history", history, 1, 86_400),
        int(_within("max_functions", max_functions, 1, 10_000)),
    )
    return Dashboard(view, Access(token, authorize))


def _within(name: str, value: Any, least: float, most: float) -> float:
    if type(value) not in (int, float) or not least <= value <= most:
        raise InvalidOption(f"{name}={shown(value)}: a number from {least} to {most} is allowed")
    return float(value)


class Dashboard:
    """An ASGI app; `create_app` makes it. Thread-safe."""

    def __init__(self, source: Source, access: Access) -> None:
        self._access = access
        self._source = source
        self._routes: dict[str, tuple[str, Callable[[Request], Response]]] = {
            "/api/overview": ("GET", self._overview),
            "/api/tags": ("GET", self._tags),
            "/api/search": ("GET", self._search),
            "/api/preview": ("GET", self._preview),
            "/api/invalidate": ("POST", self._invalidate),
        }

    @property
    def is_open(self) -> bool:
        """Whether it has neither token nor `authorize`."""
        return self._access.is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        try:
            request = await from_asgi(scope, receive)
        except Problem as problem:
            response = problem.response()
        else:
            response = await in_thread(lambda: self.respond(request))
        headers = [(name.encode(), value.encode()) for name, value in response.all_headers()]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})

    def wsgi(
        self, environ: Mapping[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """WSGI, PEP 3333."""
        try:
            request = from_wsgi(environ)
        except Problem as problem:
            response = problem.response()
        else:
            response = self.respond(request)
        status = f"{response.status} {HTTPStatus(response.status).phrase}"
        start_response(status, response.all_headers())
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]

    def respond(self, request: Request) -> Response:
        """What a request gets; never raises."""
        try:
            return self._route(request)
        except Problem as problem:
            return problem.response()
        except InvalidTag as error:
            return Problem(400, "invalid_tag", str(error)).response()
        except HomeUnreachable as error:
            return Problem(503, "home_unreachable", str(error)).response()
        except Exception:  # noqa: BLE001 - authorize= may raise anything, and the log has it
            _log.exception("%s %s", request.method, request.path)
            return Problem(500, "failed", "it failed; the program's log says why").response()

    def _route(self, request: Request) -> Response:
        path = request.path
        if path == "":  # what the page names lies beside it, below where the app is mounted
            return Response(308, (("location", _with_slash(request)),))
        allowed, respond = self._routes.get(path, ("", None))
        if respond is not None:
            _check_method(request, allowed)
            return respond(request)
        name = _PAGE if path == "/" else path.removeprefix("/static/")
        if path != "/" and (name == path or name not in _KINDS):
            raise Problem(404, "not_found", "there is nothing at this path")
        _check_method(request, "GET")
        self._access.check_page(request)
        kind = ("content-type", _KINDS.get(name, "text/html; charset=utf-8"))
        response = Response(200, (kind, ("cache-control", "no-cache")), _part(name))
        return response.unless_known(request)

    def _overview(self, request: Request) -> Response:
        writable = self._access.check(request)
        # Not a part of what is compared: it would never be the same.
        now = (("x-zoocache-time", f"{time.time():.1f}"),)
        told = {**self._source.overview(), "writable": writable}
        return Response.of_json(told, headers=now).unless_known(request)

    def _tags(self, request: Request) -> Response:
        self._access.check(request)
        offset, limit = _stretch(request)
        order = request.query.get("order", "name")
        if order not in ("name", "entries"):
            raise Problem(400, "bad_query", f"order={shown(order)}: name or entries")
        page = self._source.children(
            _text(request, "below"), offset, limit, largest_first=order == "entries"
        )
        return Response.of_json(page).unless_known(request)

    def _search(self, request: Request) -> Response:
        self._access.check(request)
        offset, limit = _stretch(request)
        page = self._source.search(_text(request, "text"), offset, limit)
        return Response.of_json(page).unless_known(request)

    def _preview(self, request: Request) -> Response:
        self._access.check(request)
        told = self._source.preview(_text(request, "tag"))
        return Response.of_json(told).unless_known(request)

    def _invalidate(self, request: Request) -> Response:
        self._access.check_write(request)
        tag = request.json().get("tag")
        if not isinstance(tag, str):
            raise Problem(400, "bad_body", f'tag={shown(tag)}: a text is wanted, as "user:42"')
        epoch = self._source.invalidate(tag)
        _log.info("%s was invalidated by %s", shown(tag), request.peer)
        return Response.of_json({"tag": tag, "epoch": epoch})


async def _live(receive: Receive, send: Send) -> None:
    """Where it is not mounted but the server's own app."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


@kept
def _part(name: str) -> bytes:
    return files("zoocache.dashboard").joinpath("static").joinpath(name).read_bytes()


def _with_slash(request: Request) -> str:
    scope = request.scope
    root = str(scope.get("root_path", scope.get("SCRIPT_NAME", ""))).rstrip("/")
    return f"./{root.rpartition('/')[2]}/" if root else "/"


def _check_method(request: Request, allowed: str) -> None:
    if request.method != allowed and not (allowed == "GET" and request.method == "HEAD"):
        raise Problem(405, "bad_method", f"{request.method}: this path takes {allowed}")


def _text(request: Request, name: str) -> str:
    text = request.query.get(name, "")
    if len(text) > _MAX_QUERY:
        raise Problem(400, "bad_query", f"{name} has more than {_MAX_QUERY} characters")
    return text


def _stretch(request: Request) -> tuple[int, int]:
    """Offset and limit."""
    found: list[int] = []
    for name, default, most in (("offset", "0", 10**9), ("limit", "200", _MAX_ROWS)):
        text = request.query.get(name, default)
        if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) > most:
            raise Problem(400, "bad_query", f"{name}={shown(text)}: 0 to {most} is allowed")
        found.append(int(text))
    return found[0], found[1]
