"""The Starlette of `web_apps`."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import web_apps
from web_apps import asked
from zoocache.contrib.fastapi import cache_endpoint


def native(reply: web_apps.Reply) -> Response:
    task = None if reply.after is None else BackgroundTask(reply.after)
    if reply.streams:
        made: Response = StreamingResponse(iter([reply.body]), reply.status, reply.headers)
        made.background = task
    else:
        made = Response(reply.body, reply.status, reply.headers, "text/plain", task)
    if reply.cookie is not None:
        made.set_cookie("session", reply.cookie)
    return made


class Adapter:
    cache_endpoint = staticmethod(cache_endpoint)

    def __init__(self, is_async: bool) -> None:
        self._is_async = is_async
        self._routes: list[Route] = []

    def add(self, path: str, handler: Any, decorate: Any, delay_s: float, methods: Any) -> None:
        if self._is_async:

            async def endpoint(request: Request) -> Response:
                if delay_s:
                    await asyncio.sleep(delay_s)
                return native(handler(asked(request, request.path_params.get("item", ""))))
        else:

            def endpoint(request: Request) -> Response:
                web_apps.pause(delay_s)
                return native(handler(asked(request, request.path_params.get("item", ""))))

        self._routes.append(Route(path, decorate(endpoint), methods=methods))

    def app(self) -> Any:
        return Starlette(routes=self._routes)
