"""The Django of `web_apps`."""

from __future__ import annotations

import asyncio
import io
import types
from collections.abc import AsyncIterator
from typing import Any

import django_support  # noqa: F401  settings

# isort: split
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, StreamingHttpResponse
from django.urls import path as route
from django.views.decorators.http import require_http_methods

import web_apps
from zoocache.contrib.django import cache_endpoint


def asked(request: HttpRequest, item: str) -> web_apps.Request:
    return web_apps.Request(
        request.method or "",
        request.path,
        request.META["QUERY_STRING"],
        request.headers,
        item,
        request.get_host().partition(":")[0],
    )


async def pieces(body: str) -> AsyncIterator[str]:
    yield body


def native(reply: web_apps.Reply, is_async: bool = False) -> Any:
    make: Any = StreamingHttpResponse if reply.streams else HttpResponse
    body: Any = reply.body
    if reply.streams:
        body = pieces(body) if is_async else iter([body])
    made = make(body, status=reply.status, headers={"Content-Type": "text/plain", **reply.headers})
    if reply.after is not None:
        made._resource_closers.append(reply.after)
    if reply.cookie is not None:
        made.set_cookie("session", reply.cookie)
    return made


def allow(methods: list[str], view: Any, is_async: bool) -> Any:
    """As require_http_methods, which knows async views in newer versions alone."""
    if not is_async:
        return require_http_methods(methods)(view)

    async def allowed(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method not in methods:
            return HttpResponseNotAllowed(methods)
        return await view(request, *args, **kwargs)

    return allowed


class Adapter:
    cache_endpoint = staticmethod(cache_endpoint)

    def __init__(self, is_async: bool) -> None:
        self._is_async = is_async
        self._urls: Any = types.ModuleType("urls")
        self._urls.urlpatterns = []

    def add(self, path: str, handler: Any, decorate: Any, delay_s: float, methods: Any) -> None:
        if self._is_async:

            async def endpoint(request: HttpRequest, item: str = "") -> Any:
                if delay_s:
                    await asyncio.sleep(delay_s)
                return native(handler(asked(request, item)), is_async=True)
        else:

            def endpoint(request: HttpRequest, item: str = "") -> Any:
                web_apps.pause(delay_s)
                return native(handler(asked(request, item)))

        view = allow([*methods, "HEAD", "OPTIONS"], decorate(endpoint), self._is_async)
        place = path.removeprefix("/").replace("{item}", "<str:item>")
        self._urls.urlpatterns.append(route(place, view))

    def app(self) -> Any:
        urls = self._urls

        class Asgi(ASGIHandler):
            async def read_body(self, receive: Any) -> Any:
                await receive()
                return io.BytesIO()  # not a file, which is left open when a view raises

            async def get_response_async(self, request: HttpRequest) -> Any:
                request.urlconf = urls
                return await super().get_response_async(request)

        class Wsgi(WSGIHandler):
            def get_response(self, request: HttpRequest) -> Any:
                request.urlconf = urls
                return super().get_response(request)

        return Asgi() if self._is_async else Wsgi()
