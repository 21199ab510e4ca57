"""`cache_endpoint` for Flask: finished responses, until what they show changes.

::

    @app.get("/users/<int:user_id>")
    @cache_endpoint(deps=["user:{user_id}"])
    def read_user(user_id): ...

What runs before and after a request runs for every one, as without it; the view and what makes a
response of its result run when nothing valid is stored. Needs Flask 2.3 or newer. See docs/WEB.md.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

import flask
from flask.globals import request_ctx
from flask.sessions import NullSession
from werkzeug.datastructures import Headers

from zoocache.contrib._web import (
    Call,
    Endpoint,
    EndpointOptions,
    Made,
    Reply,
    View,
    of_options,
    place_of,
    stands_for,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["cache_endpoint"]


def cache_endpoint(func: Any = None, /, **options: Unpack[EndpointOptions]) -> Any:
    """Keeps a view's responses until what they depend on is invalidated.

    Below the route's decorator, on sync and async views and on methods of a `MethodView`. Only GET
    is stored and found, and HEAD finds what GET stored. With `user=` unset, a request with
    credentials is not touched.

    Args:
        func: the view, where there are no options.
        **options: those of `EndpointOptions`.

    Returns:
        A function that can take the view's place; it has `cache_info()`, `cache_clear()` and
        `__wrapped__`.

    Raises:
        TypeError: an unknown option, or a generator, which streams.
        InvalidOption: an option is not allowed. Raised by the first request: a decorator above
            passes a parameter that is in neither `key` nor `ignore`.
        InvalidTag: a tag in `deps` breaks a rule.

    Thread-safe. One hundred requests for one cold response run the view once.
    """
    return of_options(func, options, _decorate)


def _decorate(fn: Any, given: dict[str, Any]) -> Any:
    endpoint = Endpoint(fn, given, {}, is_async=False)

    def view(*args: Any, **kwargs: Any) -> Any:
        call = _Call(endpoint, args, kwargs)
        return endpoint.answer(_view_of(call.request), call)

    return stands_for(fn, view, endpoint, inspect.signature(fn))


def _view_of(request: flask.Request) -> View:
    place = place_of(request.environ, request.environ["wsgi.url_scheme"])
    return View(request.method, place, request.headers.getlist, request)


class _Call(Call):
    """One request."""

    __slots__ = ()

    def __init__(self, endpoint: Endpoint, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        proxy = cast("Any", flask.request)
        super().__init__(endpoint, proxy._get_current_object(), args, kwargs)  # noqa: SLF001
        names = (*endpoint.parameters[: len(args)], *kwargs)
        of_url = self.request.view_args or {}
        self.check_given([name for name in names if name != "self"], of_url)

    def bypass(self) -> Any:
        """The view as it is."""
        return flask.current_app.ensure_sync(self._endpoint.fn)(*self._args, **self._kwargs)

    def run(self) -> Made:
        """Runs the view and lets Flask make its response."""
        context: Any = cast("Any", request_ctx)._get_current_object()  # noqa: SLF001
        hooks = list(getattr(context, "_after_request_functions", ()))
        response = self._own = flask.current_app.make_response(self.bypass())
        own = self._why_own(context)
        if list(getattr(context, "_after_request_functions", ())) != hooks:
            own = own or "the view calls after_this_request"
        if getattr(response, "_on_close", None):
            own = own or "the view asks to be called when its response is closed"
        whole = response.is_sequence and not response.direct_passthrough
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers
        ]
        return Made(response.status_code, headers, response.get_data() if whole else None, own)

    def _why_own(self, context: Any) -> str | None:
        # Asking for `context.session` would count as reading it.
        held = vars(context)
        session = held.get("_session", held.get("session"))
        if session is None or isinstance(session, NullSession):
            return None
        if session.modified:
            return "the session is changed"
        if session.accessed and not self._endpoint.policy.has_user:
            return "the session is read, and no user= says whose it is"
        return None

    def send(self, reply: Reply, mark: int) -> flask.Response:
        """The response of a reply."""
        del mark
        status, headers, body = reply
        response = flask.current_app.response_class(body, status)
        response.headers = Headers(
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        )
        return response
