"""The Flask of `web_apps`."""

from __future__ import annotations

from typing import Any

import flask

import web_apps
from zoocache.contrib.flask import cache_endpoint


def asked(item: str) -> web_apps.Request:
    request = flask.request
    return web_apps.Request(
        request.method,
        request.path,
        request.environ["QUERY_STRING"],
        request.headers,
        item,
        request.host.partition(":")[0],
    )


def native(reply: web_apps.Reply) -> flask.Response:
    body: Any = iter([reply.body]) if reply.streams else reply.body
    made = flask.Response(body, reply.status, reply.headers, mimetype="text/plain")
    if reply.after is not None:
        made.call_on_close(reply.after)
    if reply.cookie is not None:
        made.set_cookie("session", reply.cookie)
    return made


class Adapter:
    cache_endpoint = staticmethod(cache_endpoint)

    def __init__(self, is_async: bool) -> None:
        self._is_async = is_async
        self._app = flask.Flask("shop", static_folder=None)
        self._app.config["PROPAGATE_EXCEPTIONS"] = True
        self._count = 0

    def add(self, path: str, handler: Any, decorate: Any, delay_s: float, methods: Any) -> None:
        if self._is_async:

            async def endpoint(item: str = "") -> flask.Response:
                web_apps.pause(delay_s)
                return native(handler(asked(item)))
        else:

            def endpoint(item: str = "") -> flask.Response:
                web_apps.pause(delay_s)
                return native(handler(asked(item)))

        self._count += 1
        path = path.replace("{item}", "<item>")
        self._app.add_url_rule(path, f"view{self._count}", decorate(endpoint), methods=methods)

    def app(self) -> Any:
        return self._app
