"""The FastAPI of `web_apps`."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request, Response

import web_apps
from web_apps import asked
from web_starlette import native
from zoocache.contrib.fastapi import cache_endpoint


class Adapter:
    cache_endpoint = staticmethod(cache_endpoint)

    def __init__(self, is_async: bool) -> None:
        self._is_async = is_async
        self._app = FastAPI()

    def add(self, path: str, handler: Any, decorate: Any, delay_s: float, methods: Any) -> None:
        if self._is_async:

            async def endpoint(request: Request, item: str = "") -> Response:
                if delay_s:
                    await asyncio.sleep(delay_s)
                return native(handler(asked(request, item)))
        else:

            def endpoint(request: Request, item: str = "") -> Response:
                web_apps.pause(delay_s)
                return native(handler(asked(request, item)))

        self._app.add_api_route(path, decorate(endpoint), methods=methods, response_model=None)

    def app(self) -> Any:
        return self._app
