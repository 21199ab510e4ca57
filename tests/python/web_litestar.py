"""The Litestar of `web_apps`."""

import asyncio
from typing import Any

from litestar import Litestar, Request, Response, route
from litestar.background_tasks import BackgroundTask
from litestar.response import Stream

import web_apps
from web_apps import asked

try:
    from litestar.params import FromPath
except ImportError:  # older versions infer it
    from typing import Annotated, TypeVar

    FromPath = Annotated[TypeVar("T"), ...]

from zoocache.contrib.litestar import cache_endpoint


def native(reply: web_apps.Reply) -> Response[Any]:
    task = None if reply.after is None else BackgroundTask(reply.after)
    more: Any = {"status_code": reply.status, "headers": reply.headers, "background": task}
    if reply.streams:
        made: Response[Any] = Stream(iter([reply.body]), media_type="text/plain", **more)
    else:
        made = Response(reply.body, media_type="text/plain", **more)
    if reply.cookie is not None:
        made.set_cookie("session", reply.cookie)
    return made


class Adapter:
    cache_endpoint = staticmethod(cache_endpoint)

    def __init__(self, is_async: bool) -> None:
        self._is_async = is_async
        self._handlers: list[Any] = []
        self._app: Any = None

    def add(self, path: str, handler: Any, decorate: Any, delay_s: float, methods: Any) -> None:
        async def of_item(request: Request, item: FromPath[str]) -> Response:
            await asyncio.sleep(delay_s)
            return native(handler(asked(request, item)))

        async def alone(request: Request) -> Response:
            await asyncio.sleep(delay_s)
            return native(handler(asked(request, "")))

        def of_item_sync(request: Request, item: FromPath[str]) -> Response:
            web_apps.pause(delay_s)
            return native(handler(asked(request, item)))

        def alone_sync(request: Request) -> Response:
            web_apps.pause(delay_s)
            return native(handler(asked(request, "")))

        if "{item}" in path:
            endpoint: Any = of_item if self._is_async else of_item_sync
        else:
            endpoint = alone if self._is_async else alone_sync
        more: Any = {}
        if decorate(endpoint) is endpoint and not self._is_async:
            more["sync_to_thread"] = True
        path = path.replace("{item}", "{item:str}")
        self._handlers.append(route(path, http_method=methods, **more)(decorate(endpoint)))
        self._app = None

    def app(self) -> Any:
        if self._app is None:
            self._app = Litestar(self._handlers, openapi_config=None, logging_config=None)
        return self._app
