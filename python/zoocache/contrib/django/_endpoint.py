"""`cache_endpoint` for Django's views and those of Django REST framework.

What middleware, authentication, permissions and throttles do they do for every request; the view
and what makes a response of its result run when nothing valid is stored. See docs/WEB.md.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.utils import timezone, translation

from zoocache._errors import shown
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
from zoocache.contrib.django._queries import name_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["cache_endpoint", "origin_of"]


def cache_endpoint(func: Any = None, /, **options: Unpack[EndpointOptions]) -> Any:
    """Keeps a view's responses until what they depend on is invalidated.

    For functions, sync and async, methods of class-based views such as `get`, and those of REST
    framework's views and view sets; those that are inherited as
    `list = cache_endpoint(ModelViewSet.list)`. Only GET is stored and found, and HEAD finds what
    GET stored. With `user=` unset, a request with credentials or a user is not touched.

    Args:
        func: the view, where there are no options.
        **options: those of `EndpointOptions`.

    Returns:
        A function that can take the view's place; it has `cache_info()`, `cache_clear()` and
        `__wrapped__`.

    Raises:
        TypeError: an unknown option, a class, or a generator, which streams.
        InvalidOption: an option is not allowed. Raised by the first request: a decorator above
            passes a parameter that is in neither `key` nor `ignore`.
        InvalidTag: a tag in `deps` breaks a rule.

    Thread-safe. One hundred requests for one cold response run the view once.
    """
    return of_options(func, options, _decorate)


def _decorate(fn: Any, given: dict[str, Any]) -> Any:
    if isinstance(fn, type | functools.partial):
        raise TypeError(
            f"cache_endpoint({shown(fn)}): a function is wanted that is there once, and neither a "
            "class nor what method_decorator makes for each request; decorate the method, or write "
            "list = cache_endpoint(ModelViewSet.list) in the class"
        )
    if iscoroutinefunction(fn):
        endpoint = Endpoint(fn, given, {}, is_async=True)

        async def view_async(*args: Any, **kwargs: Any) -> Any:
            call = _AsyncCall(endpoint, args, kwargs)
            if call.is_own():
                return await call.bypass()
            return await endpoint.answer_async(call.view(), call)

        made: Any = view_async
    else:
        endpoint = Endpoint(fn, given, {}, is_async=False)

        def view(*args: Any, **kwargs: Any) -> Any:
            call = _Call(endpoint, args, kwargs)
            return call.bypass() if call.is_own() else endpoint.answer(call.view(), call)

        made = view
    return stands_for(fn, made, endpoint, inspect.signature(fn))


def origin_of(request: Any) -> tuple[object, ...]:
    """What the absolute URLs that are made of a request begin with."""
    scheme, host, script, *_ = place_of(request.META, request.scheme)
    believed = [part for part in ("HOST", "PORT") if getattr(settings, f"USE_X_FORWARDED_{part}")]
    forwarded = [request.META.get(f"HTTP_X_FORWARDED_{part}") for part in believed]
    return (scheme, host, script, *forwarded)


class _Request(Call):
    """One request: what its view sees, and whose the response is."""

    __slots__ = ("_at",)

    def __init__(self, endpoint: Endpoint, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._at = next((at for at, one in enumerate(args[:2]) if hasattr(one, "META")), -1)
        if self._at < 0:
            raise TypeError(f"{endpoint.name}() got no request as its first argument")
        super().__init__(endpoint, args[self._at], args, kwargs)
        self._check()

    def _check(self) -> None:
        match = self.request.resolver_match
        if match is None:
            return  # nobody has looked at its URL
        positional = self._endpoint.parameters[self._at + 1 : len(self._args)]
        of_url = {**dict(zip(positional, match.args, strict=False)), **match.kwargs}
        self.check_given((*positional, *self._kwargs), of_url)

    def view(self) -> View:
        """What the key needs of it."""
        request = self.request
        place: tuple[object, ...] = (
            *place_of(request.META, request.scheme),
            *origin_of(request),
            bytes(getattr(request, "scope", {}).get("raw_path") or b""),
            translation.get_language() if settings.USE_I18N else None,
            timezone.get_current_timezone_name() if settings.USE_TZ else None,
            getattr(request, "accepted_media_type", None),  # of REST framework
            getattr(getattr(request, "accepted_renderer", None), "format", None),
            *map(name_of, map(type, self._args[: self._at])),
            request.headers.get("cookie") == "",
        )

        def values(name: str) -> list[str]:
            value = request.headers.get(name)
            # Django's test client sends a Cookie, if only an empty one, which is nobody's.
            return [] if value is None or (name == "cookie" and not value) else [value]

        return View(request.method, place, values, request)

    def is_own(self) -> bool:
        """Whether the response is its caller's alone, whatever the view does."""
        if self._endpoint.policy.has_user:
            return False
        session = getattr(self.request, "session", None)
        accessed = getattr(session, "accessed", False)
        user = getattr(self.request, "user", None)
        is_known = getattr(user, "is_authenticated", False) is True
        if session is not None:
            session.accessed = accessed  # it was not the view that asked
        return is_known

    def call(self) -> Any:
        """The view as it is."""
        return self._endpoint.fn(*self._args, **self._kwargs)

    def send(self, reply: Reply, mark: int) -> HttpResponse:
        """The response of a reply."""
        del mark
        status, headers, body = reply
        response: Any = HttpResponse(body, status=status)
        del response["Content-Type"]
        for name, value in headers:
            response[name.decode("latin-1")] = value.decode("latin-1")
        return cast("HttpResponse", response)

    def finish(self, response: Any, watch: _Watch) -> Made:
        """The finished response, of which nothing is open any more."""
        if getattr(response, "is_rendered", True) is False:
            _prepare(response, self.request)
            response = response.render()
        self._own = response
        own = watch.why_own(self._endpoint.policy.has_user)
        if getattr(response, "_resource_closers", None):
            own = own or "the view asks to be called when its response is closed"
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()
        ]
        headers += [(b"set-cookie", name.encode()) for name in response.cookies]
        body = None if response.streaming else response.content
        return Made(response.status_code, headers, body, own)


def _prepare(response: Any, request: Any) -> None:
    """What REST framework's view tells a response before it is rendered."""
    if not hasattr(request, "accepted_renderer") or not hasattr(response, "data"):
        return
    response.accepted_renderer = request.accepted_renderer
    response.accepted_media_type = request.accepted_media_type
    response.renderer_context = request.parser_context["view"].get_renderer_context()


class _Call(_Request):
    """One request to a sync view."""

    __slots__ = ()

    def bypass(self) -> Any:
        """The view as it is."""
        return self.call()

    def run(self) -> Made:
        """Runs the view and finishes its response."""
        watch = _Watch(self.request)
        try:
            response = self.call()
        except (Http404, PermissionDenied) as error:
            raise _with_status(error) from error.__cause__
        return self.finish(response, watch)


class _AsyncCall(_Request):
    """One request to an async view."""

    __slots__ = ()

    async def bypass(self) -> Any:
        """The view as it is."""
        return await self.call()

    async def run(self) -> Made:
        """Runs the view and finishes its response."""
        watch = _Watch(self.request)
        try:
            response = await self.call()
        except (Http404, PermissionDenied) as error:
            raise _with_status(error) from error.__cause__
        return self.finish(response, watch)


def _with_status(error: Any) -> Any:
    """Django's own exceptions do not say what status they become."""
    status = 404 if isinstance(error, Http404) else 403
    setattr(error, "status_code", status)  # noqa: B010  it is not typed
    return error


class _Watch:
    """Whether a view touches what its caller's cookies stand for; made before it runs."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._session: Any = getattr(request, "session", None)
        self._accessed = bool(getattr(self._session, "accessed", False))
        self._modified = bool(getattr(self._session, "modified", False))
        if self._session is not None:
            self._session.accessed = self._session.modified = False

    def why_own(self, has_user: bool) -> str | None:
        """Why the response is its caller's alone; None if this does not make it so."""
        session = self._session
        accessed = modified = False
        if session is not None:
            accessed, modified = session.accessed, session.modified
            session.accessed = accessed or self._accessed
            session.modified = modified or self._modified
        if modified:
            return "the view changes the session"
        if accessed and not has_user:
            return "the session is read, and no user= says whose it is"
        if self._request.META.get("CSRF_COOKIE_NEEDS_UPDATE"):
            return "the view uses a CSRF token"
        messages: Any = getattr(self._request, "_messages", None)
        if getattr(messages, "used", False) or getattr(messages, "added_new", False):
            return "the view shows or adds messages"
        return None
