"""One small app in every framework, so that the same hostile requests go to all of them.

A handler is a plain function of a `Request` that returns a `Reply`; a `Site` puts it into an
endpoint of its framework, decorated or not. What only one framework has is tested beside it.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from support import join_all, run, spawn
from web_client import Answer, Asked, ask_asgi, ask_wsgi

KINDS = (
    "starlette", "starlette-sync", "fastapi", "fastapi-sync", "litestar", "litestar-sync",
    "flask", "flask-async", "django", "django-async",
)  # fmt: skip
SYNC = ("flask", "django")  # unless their flavour says otherwise
THERE = tuple(kind for kind in KINDS if find_spec(kind.split("-")[0]) is not None)


@dataclass
class Request:
    method: str
    path: str
    query: str
    headers: Any  # has get()
    item: str
    host: str


@dataclass
class Reply:
    """What a handler answers."""

    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cookie: str | None = None
    streams: bool = False
    after: Callable[[], None] | None = None


Handler = Callable[[Request], Reply]


class Site:
    """An app of one framework. `item` is the endpoint's parameter, from the path or absent."""

    def __init__(self, kind: str, cached: bool = True) -> None:
        self.kind = kind
        self.framework, _, self.flavour = kind.partition("-")
        self._cached = cached
        self._adapter: Any = importlib.import_module(f"web_{self.framework}").Adapter(
            is_async=self.flavour == "async" or (self.framework not in SYNC and not self.flavour)
        )

    def add(
        self,
        path: str,
        handler: Handler,
        *,
        delay_s: float = 0,
        methods: Any = None,
        **options: Any,
    ) -> None:
        """Serves the handler; `{item}` in the path is its parameter."""
        decorate = (
            self._adapter.cache_endpoint(**options) if self._cached else lambda endpoint: endpoint
        )
        self._adapter.add(path, handler, decorate, delay_s, methods or ["GET"])

    def ask(self, path: str = "/", query: str = "", **more: Any) -> Answer:
        headers = more.pop("headers", ())
        pairs = tuple(headers.items() if isinstance(headers, dict) else headers)
        return self.ask_all([Asked(path, query, pairs, **more)])[0]

    def ask_all(self, requests: list[Asked]) -> list[Answer]:
        """All at once."""
        app = self._adapter.app()
        if self.framework == "flask" or self.kind == "django":
            if len(requests) == 1:
                return [ask_wsgi(app, requests[0])]
            return join_all([spawn(ask_wsgi, app, one) for one in requests])

        async def together() -> list[Answer]:
            return list(await asyncio.gather(*(ask_asgi(app, one) for one in requests)))

        return run(together())


def asked(request: Any, item: str) -> Request:
    """A request of Starlette, FastAPI or Litestar."""
    return Request(
        request.method,
        request.scope["path"],
        request.scope["query_string"].decode(),
        request.headers,
        item,
        request.url.hostname or "",
    )


def pause(delay_s: float) -> None:
    if delay_s:
        time.sleep(delay_s)
