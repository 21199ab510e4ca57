"""`cache_endpoint` for Litestar: finished responses, until what they show changes.

::

    @get("/users/{user_id:int}")
    @cache_endpoint(deps=["user:{user_id}"])
    async def read_user(user_id: int) -> User: ...

Guards, dependencies, middleware and the hooks before and after a request run for every one, as
without it; the handler and the serialization of its result run when nothing valid is stored. Needs
Litestar 2.0 or newer. See docs/WEB.md.
"""

from __future__ import annotations

import enum
import functools
import inspect
import types
import typing
from collections.abc import Collection
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID

from anyio import to_thread
from litestar.connection import Request
from litestar.params import BodyKwarg, ParameterKwarg
from litestar.response import File, Response, ServerSentEvent, Stream
from litestar.response.base import ASGIResponse

from zoocache._errors import InvalidOption, shown
from zoocache._hints import underlying
from zoocache.contrib._web import (
    Call,
    Endpoint,
    EndpointOptions,
    Made,
    Reply,
    of_options,
    stands_for,
)
from zoocache.contrib._web_asgi import SessionWatch, resolved_signature, view_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["cache_endpoint"]

_OF_THE_FRAMEWORK = ("self", "request", "scope", "state", "query")
_IN_A_URL = (
    str, int, float, bool, bytes, UUID, date, time, timedelta, Decimal, PurePath, enum.Enum,
    types.NoneType,
)  # fmt: skip
# From 2.1 on the app that a response is given is the request's, and naming it warns.
_app_is_given = "None" not in str(inspect.signature(Response.to_asgi_response).parameters["app"])


def cache_endpoint(func: Any = None, /, **options: Unpack[EndpointOptions]) -> Any:
    """Keeps a handler's responses until what they depend on is invalidated.

    Below the handler's decorator, on sync and async functions and on methods of controllers. Only
    GET is stored and found. With `user=` unset, a request with credentials is not touched. Sync
    handlers run in a worker thread.

    Args:
        func: the handler, where there are no options.
        **options: those of `EndpointOptions`; `user` may be async here.

    Returns:
        An async function that can take the handler's place; it has `cache_info()`,
        `cache_clear()` and `__wrapped__`.

    Raises:
        TypeError: an unknown option, or a generator, which streams.
        InvalidOption: an option is not allowed; an injected parameter is in neither `key` nor
            `ignore`; the handler reads a body, or is annotated to stream. Which parameters are
            dependencies the layers above may say, too: then the first request raises it.
        InvalidTag: a tag in `deps` breaks a rule.

    Thread-safe. One hundred requests for one cold response run the handler once.
    """
    return of_options(func, options, _decorate)


def _decorate(fn: Any, given: dict[str, Any]) -> Any:
    signature = resolved_signature(fn)
    returned = typing.get_origin(signature.return_annotation) or signature.return_annotation
    if inspect.isclass(returned) and issubclass(returned, (Stream, File, ServerSentEvent)):
        raise InvalidOption(
            f"cache_endpoint: {fn.__qualname__} is annotated to return a {shown(returned)}: a "
            "response that is sent in pieces cannot be kept; leave it undecorated"
        )
    endpoint = Endpoint(fn, given, _injected(fn, signature, given.get("vary", ())), is_async=True)
    has_request = "request" in signature.parameters
    plan = _Plan(endpoint, inspect.iscoroutinefunction(underlying(fn)), has_request)

    async def endpoint_of_request(*args: Any, **kwargs: Any) -> Any:
        call = plan.call(args, kwargs)
        return await endpoint.answer_async(view_of(call.request.scope, call.request), call)

    if not has_request:
        added = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
        signature = signature.replace(parameters=[*signature.parameters.values(), added])
    return stands_for(fn, endpoint_of_request, endpoint, signature)


def _injected(fn: Any, signature: inspect.Signature, vary: Any) -> dict[str, str]:
    """The parameters that evidently come from neither the URL nor the framework itself."""
    found: dict[str, str] = {}
    for one in signature.parameters.values():
        annotation, marks = _parts(one)
        is_body = one.name in ("data", "body") or getattr(annotation, "__name__", "") == "RawBody"
        if is_body or any(isinstance(mark, BodyKwarg) for mark in marks):
            raise InvalidOption(
                f"cache_endpoint: the parameter {one.name!r} of {fn.__qualname__} is the body; "
                "only responses to GET are cached, whose answer is a matter of the URL"
            )
        if one.name not in _OF_THE_FRAMEWORK:
            what = _what(one.name, annotation, marks, vary)
            if what is not None:
                found[one.name] = what
    return found


def _parts(parameter: inspect.Parameter) -> tuple[Any, tuple[Any, ...]]:
    """A parameter's type, and what else is said of it."""
    annotation = parameter.annotation
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *more = typing.get_args(annotation)
        return annotation, (parameter.default, *more)
    return annotation, (parameter.default,)


def _what(name: str, annotation: Any, marks: tuple[Any, ...], vary: Any) -> str | None:
    if name in ("headers", "cookies"):
        return f"all the request's {name}"
    if getattr(annotation, "__name__", "") == "RequestCookies":
        return "all the request's cookies"
    for mark in marks:
        if type(mark).__name__ in ("Dependency", "DependencyKwarg"):  # as the version calls it
            return "a dependency"
        what = _what_parameter(mark, vary)
        if what is not None:
            return what
    return None if _fits_a_url(annotation) else "of a type that no URL has"


def _what_parameter(mark: Any, vary: Any) -> str | None:
    """What a parameter is that says to come from a header or a cookie."""
    if not isinstance(mark, ParameterKwarg):
        return None
    kind = getattr(getattr(mark, "param_type", None), "value", None)  # in newer versions
    header = getattr(mark, "header", None) or (mark.name if kind == "header" else None)
    varied = {vary.lower()} if isinstance(vary, str) else {str(name).lower() for name in vary}
    if kind == "header" and header is None:
        return "a header"
    if header and header.lower() not in varied:
        return f"the header {header!r} (which vary= may name, too)"
    return "a cookie" if kind == "cookie" or getattr(mark, "cookie", None) else None


def _fits_a_url(annotation: Any) -> bool:
    """Whether a path or a query can have it; what is not known can."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType) or origin is typing.Annotated:
        return all(_fits_a_url(one) for one in typing.get_args(annotation))
    if inspect.isclass(origin) and issubclass(origin, Collection):
        return all(_fits_a_url(one) for one in typing.get_args(annotation) if one is not ...)
    if not inspect.isclass(annotation) or annotation is inspect.Parameter.empty:
        return True
    return issubclass(annotation, (*_IN_A_URL, list, tuple, set, frozenset))


class _Plan:
    """How the handler is called, and what the layers above it say of its parameters."""

    def __init__(self, endpoint: Endpoint, is_async: bool, has_request: bool) -> None:
        self.endpoint = endpoint
        self.is_async = is_async
        self._has_request = has_request
        self._checked: dict[int, object] = {}  # handlers, by their ids

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        """What one request is to the handler."""
        own = dict(kwargs)
        request: Request[Any, Any, Any] = (
            own["request"] if self._has_request else own.pop("request", None)
        )
        handler = request.route_handler
        if id(handler) not in self._checked:
            self._check(handler)
            self._checked[id(handler)] = handler
        return _Call(self.endpoint, self.is_async, request, args, own)

    def _check(self, handler: Any) -> None:
        for name in handler.resolve_dependencies():
            if name in self.endpoint.parameters:
                self.endpoint.check_injected(name, "a dependency")
        for name, one in handler.resolve_layered_parameters().items():
            what = _what_parameter(one.kwarg_definition, self.endpoint.policy.vary)
            if name in self.endpoint.parameters and what is not None:
                self.endpoint.check_injected(name, what)


class _Call(Call):
    """One request."""

    __slots__ = ("_background", "_is_async")

    def __init__(
        self,
        endpoint: Endpoint,
        is_async: bool,
        request: Request[Any, Any, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        super().__init__(endpoint, request, args, kwargs)
        self._is_async = is_async
        self._background: Any = None

    async def bypass(self) -> Any:
        """The handler as it is."""
        fn = self._endpoint.fn
        if self._is_async:
            return await fn(*self._args, **self._kwargs)
        return await to_thread.run_sync(functools.partial(fn, *self._args, **self._kwargs))

    async def run(self) -> Made:
        """Runs the handler and lets Litestar make its response."""
        watch = SessionWatch(self.request.scope)
        value = self._own = await self.bypass()
        own = watch.why_own(self._endpoint.policy.has_user)
        handler: Any = self.request.route_handler
        if handler.resolve_return_dto() is not None:
            return Made(own="the handler has a return DTO", body=b"")
        if handler.resolve_response_cookies():
            own = own or "a response sets a cookie"
        response = self._response(handler, value)
        if response is None:
            return Made()  # some ASGI app, which sends what it likes
        made = response.to_asgi_response(
            app=self.request.app if _app_is_given else None,
            request=self.request,
            headers=_layered(handler),
            media_type=handler.media_type,
            status_code=handler.status_code,
            type_encoders=handler.resolve_type_encoders(),
        )
        self._background = response.background
        encode = getattr(made, "encode_headers", None)
        headers = made.encoded_headers if encode is None else encode()
        body = made.body if _is_whole(made) else None
        return Made(made.status_code, list(headers), None if body is None else bytes(body), own)

    @staticmethod
    def _response(handler: Any, value: Any) -> Response[Any] | None:
        if isinstance(value, Response):
            return value
        returned = handler.parsed_fn_signature.return_type.annotation
        if callable(value) and (isinstance(value, ASGIResponse) or callable(returned)):
            return None
        made: Response[Any] = handler.resolve_response_class()(
            content=value,
            media_type=handler.media_type,
            status_code=handler.status_code,
            type_encoders=handler.resolve_type_encoders(),
        )
        return made

    def send(self, reply: Reply, mark: int) -> Response[bytes]:
        """The response of a reply."""
        del mark
        return _Finished(reply, self._background)


def _layered(handler: Any) -> dict[str, str]:
    """The headers that the layers above say, as Litestar adds them to each response."""
    return {
        one.name: one.value
        for one in handler.resolve_response_headers()
        if not one.documentation_only
    }


def _is_whole(made: ASGIResponse) -> bool:
    """Whether the body is all there is to send: not so for streams and files."""
    own: Any = type(made)
    names = ("__call__", "start_response", "send_body")
    return all(getattr(own, name) is getattr(ASGIResponse, name) for name in names)


class _Finished(Response[bytes]):
    """A response whose body is done. Hooks may add to its headers and cookies."""

    def __init__(self, reply: Reply, background: Any) -> None:
        status, headers, body = reply
        texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        media = next((value for name, value in texts if name.lower() == "content-type"), None)
        encoding = "utf-8"
        if media is not None and media.startswith("text/"):  # then Litestar adds the charset
            media, _, charset = media.partition(";")
            encoding = charset.partition("=")[2].strip() or encoding
        joined: dict[str, str] = {}
        for name, value in texts:
            if name.lower() not in ("content-type", "content-length"):
                joined[name] = f"{joined[name]}, {value}" if name in joined else value
        super().__init__(
            body,
            status_code=status,
            headers=joined,
            media_type=media,
            encoding=encoding,
            background=background,
        )

    def to_asgi_response(
        self, app: Any, request: Any, *, headers: Any = None, **more: Any
    ) -> ASGIResponse:
        """As any response, but for headers of the layers that it has already."""
        own = {name.lower() for name in self.headers}
        layered = {
            name: value for name, value in (headers or {}).items() if name.lower() not in own
        }
        return super().to_asgi_response(app, request, headers=layered, **more)
