"""`cache_endpoint` for FastAPI and Starlette: finished responses, until what they show changes.

::

    @app.get("/users/{user_id}")
    @cache_endpoint(deps=["user:{user_id}"])
    async def read_user(user_id: int) -> User: ...

Dependencies, `dependencies=[...]` and middleware run for every request, as without it; the
endpoint, the validation of its response and its serialization run when nothing valid is stored.
Needs FastAPI 0.100 or newer, or Starlette 0.27 or newer alone. See docs/WEB.md.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.websockets import WebSocket

from zoocache._errors import InvalidOption
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


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:  # Starlette alone
        return None


_dependencies: Any = _imported("fastapi.dependencies.utils")
_routing: Any = _imported("fastapi.routing")

_REQUEST, _RESPONSE = "zoocache_request", "zoocache_response"  # parameters that are added
_RESULT = "zoocache.result"  # in a scope: what an endpoint returned
_DIRECT = 1  # the endpoint returned a Response itself, so that those of dependencies do not count

_SETTINGS = (
    "response_model", "status_code", "response_class", "response_model_include",
    "response_model_exclude", "response_model_by_alias", "response_model_exclude_unset",
    "response_model_exclude_defaults", "response_model_exclude_none",
)  # fmt: skip
# What a dependency may not say of a response that others get.
_OF_DEPENDENCIES = frozenset(
    b"cache-control content-type etag expires last-modified set-cookie vary".split()
)

Finish = Callable[[Request], Awaitable[Response]]


def cache_endpoint(func: Any = None, /, **options: Unpack[EndpointOptions]) -> Any:
    """Keeps an endpoint's responses until what they depend on is invalidated.

    Below the route's decorator, on sync and async functions. Only GET is stored and found, and HEAD
    finds what GET stored. With `user=` unset, a request with credentials is not touched.

    Args:
        func: the endpoint, where there are no options.
        **options: those of `EndpointOptions`; `user` may be async here.

    Returns:
        An async function that can take the endpoint's place; it has `cache_info()`,
        `cache_clear()` and `__wrapped__`.

    Raises:
        TypeError: an unknown option, or a generator, which streams.
        InvalidOption: an option is not allowed; an injected parameter is in neither `key` nor
            `ignore`; the endpoint reads a body or a WebSocket, or is annotated to stream.
        InvalidTag: a tag in `deps` breaks a rule.

    Thread-safe. One hundred requests for one cold response run the endpoint once.
    """
    return of_options(func, options, _decorate)


def _decorate(fn: Any, given: dict[str, Any]) -> Any:
    signature = resolved_signature(fn)
    _refuse_streams(fn, signature.return_annotation)
    injected = _injected(fn, signature, given.get("vary", ()))
    endpoint = Endpoint(fn, given, injected, is_async=True)
    plan = _Plan(fn, endpoint, signature)

    async def endpoint_of_request(*args: Any, **kwargs: Any) -> Any:
        call = plan.call(args, kwargs)
        return await endpoint.answer_async(view_of(call.request.scope, call.request), call)

    return stands_for(fn, endpoint_of_request, endpoint, plan.signature)


def _is_class(annotation: object, bases: tuple[type, ...]) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, bases)


def _refuse_streams(fn: Any, returned: object) -> None:
    if _is_class(returned, (StreamingResponse, FileResponse)):
        raise InvalidOption(
            f"cache_endpoint: {fn.__qualname__} is annotated to return a {returned}: a response "
            "that is sent in pieces cannot be kept; leave it undecorated"
        )


def _injected(fn: Any, signature: inspect.Signature, vary: Any) -> dict[str, str]:
    """The parameters that come from neither the URL nor the framework itself."""
    parameters = [one for one in signature.parameters.values() if one.name != "self"]
    if _dependencies is None or (len(parameters) == 1 and _is_request(parameters[0])):
        return {}
    found = _dependencies.get_dependant(path="/", call=fn)
    if found.body_params or found.websocket_param_name:
        name = found.websocket_param_name or found.body_params[0].name
        raise InvalidOption(
            f"cache_endpoint: the parameter {name!r} of {fn.__qualname__} is a body or a "
            "WebSocket; only responses to GET are cached, whose answer is a matter of the URL"
        )
    varied = {vary.lower()} if isinstance(vary, str) else {str(name).lower() for name in vary}
    injected = {str(one.name): "a dependency" for one in found.dependencies}
    for one in found.header_params:
        if one.alias.lower() not in varied or _is_model(signature.parameters[one.name].annotation):
            injected[one.name] = f"the header {one.alias!r} (which vary= may name, too)"
    injected.update({one.name: f"the cookie {one.alias!r}" for one in found.cookie_params})
    return injected


def _is_model(annotation: Any) -> bool:
    """Whether a parameter is a model of several headers."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return hasattr(annotation, "model_fields")


def _is_request(parameter: inspect.Parameter) -> bool:
    return (
        parameter.annotation is inspect.Parameter.empty and parameter.name == "request"
    ) or _is_class(parameter.annotation, (HTTPConnection,))


class _Plan:
    """How the endpoint is called, and how FastAPI is told to call what stands in its place."""

    def __init__(self, fn: Any, endpoint: Endpoint, signature: inspect.Signature) -> None:
        self.fn = fn
        self.endpoint = endpoint
        self.is_async = inspect.iscoroutinefunction(underlying(fn))
        self._finishers: dict[int, tuple[object, Finish]] = {}
        own = {one.name for one in signature.parameters.values()}
        self._names = list(signature.parameters)
        self.request = self._named(signature, Request) or _REQUEST
        self.response = self._named(signature, Response) or _RESPONSE
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
            for name, annotation in ((self.request, Request), (self.response, Response))
            if name not in own
        ]
        self.added = frozenset(one.name for one in added)
        self.signature = _with(signature, added)

    @staticmethod
    def _named(signature: inspect.Signature, base: type) -> str | None:
        for one in signature.parameters.values():
            if _is_class(one.annotation, (base,)) and not _is_class(one.annotation, (WebSocket,)):
                return one.name
        return None

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        """What one request is to the endpoint."""
        request, response = kwargs.get(self.request), kwargs.get(self.response)
        if not isinstance(request, Request):
            request = next((one for one in args if isinstance(one, Request)), None)
        if request is None:
            raise TypeError(
                f"{self.endpoint.name} is called without a request; its responses are cached, so "
                "that FastAPI or Starlette calls it; `__wrapped__` is the function itself"
            )
        own = {name: value for name, value in kwargs.items() if name not in self.added}
        return _Call(self, request, response, args, own)

    def finisher(self, request: Request) -> Finish | None:
        """FastAPI's own end of the route's requests; None under Starlette."""
        route = request.scope.get("route")
        if _routing is None or not isinstance(route, _routing.APIRoute):
            return None
        # Of an included router, newer versions keep what belongs to the inclusion elsewhere.
        settings: Any = request.scope.get("fastapi", {}).get("effective_route_context")
        if getattr(settings, "original_route", None) is not route:
            settings = route
        known = self._finishers.get(id(settings))
        if known is None:
            # Keeps the route alive, so that its id stays its own.
            known = self._finishers[id(settings)] = (settings, _finisher(settings))
        return known[1]


def _with(signature: inspect.Signature, added: list[inspect.Parameter]) -> inspect.Signature:
    parameters = list(signature.parameters.values())
    rest = [one for one in parameters if one.kind is inspect.Parameter.VAR_KEYWORD]
    fixed = [one for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD]
    return signature.replace(parameters=[*fixed, *added, *rest])


def _finisher(settings: Any) -> Finish:
    """A route whose endpoint hands over what the real one returned, with the same settings."""

    async def finish(request: Request, response: Response) -> Any:
        value, status, headers = request.scope[_RESULT]
        if status is not None:
            response.status_code = status
        response.headers.raw.extend(headers)
        return value

    # The annotations of this module are texts.
    finish.__annotations__ = {"request": Request, "response": Response}
    route = _routing.APIRoute("/", finish, **{name: getattr(settings, name) for name in _SETTINGS})
    handler: Finish = route.get_route_handler()
    return handler


class _Call(Call):
    """One request."""

    __slots__ = ("_background", "_before", "_plan", "_response", "_status")

    def __init__(
        self,
        plan: _Plan,
        request: Request,
        response: Response | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        super().__init__(plan.endpoint, request, args, kwargs)
        self._plan = plan
        self._response = response
        self._background: BackgroundTask | None = None
        self._before = list(response.headers.raw) if response is not None else []
        self._status = None if response is None else response.status_code

    async def bypass(self) -> Any:
        """The endpoint as it is."""
        if self._plan.is_async:
            return await self._plan.fn(*self._args, **self._kwargs)
        return await run_in_threadpool(self._plan.fn, *self._args, **self._kwargs)

    async def run(self) -> Made:
        """Runs the endpoint and lets FastAPI make its response."""
        watch = SessionWatch(self.request.scope)
        value = self._own = await self.bypass()
        finish = self._plan.finisher(self.request)
        own = watch.why_own(self._endpoint.policy.has_user)
        if finish is None or isinstance(value, Response):
            return self._made(value, own, _DIRECT)
        headers, status = self._before, self._status
        if self._response is not None:
            headers, status = self._response.headers.raw, self._response.status_code
        told = headers[: len(self._before)]
        if told != self._before:
            return Made(own="the endpoint changes a header that a dependency set", body=b"")
        self.request.scope[_RESULT] = (value, status, headers[len(told) :])
        try:
            response = await finish(self.request)
        finally:
            del self.request.scope[_RESULT]
        if self._status is not None:
            own = own or "a dependency sets the status"
        if any(name.lower() in _OF_DEPENDENCIES for name, _ in told):
            own = own or "a dependency sets a cookie, or a header that says how to cache"
        made = self._made(response, own, 0)
        response.raw_headers = [*response.raw_headers, *told]
        self._own = response
        return made

    def _made(self, response: Any, own: str | None, mark: int) -> Made:
        if not isinstance(response, Response):
            return Made(body=b"", own=own or "the endpoint returned no Response")
        body: Any = getattr(response, "body", None)
        if not _is_whole(response):
            body = None
        self._background = response.background
        return Made(
            response.status_code,
            list(response.raw_headers),
            None if body is None else bytes(body),
            own,
            mark,
        )

    def send(self, reply: Reply, mark: int) -> Response:
        """The response of a reply, with this request's own headers of dependencies."""
        status, headers, body = reply
        response = Response(body, status)
        response.raw_headers = headers if mark == _DIRECT else [*headers, *self._before]
        response.background = self._background
        return response


def _is_whole(response: Response) -> bool:
    """Whether the body is all there is to send: not so for streams, files, own `__call__`s."""
    if isinstance(response, StreamingResponse | FileResponse):
        return False
    sends = type(response).__call__
    return sends is Response.__call__ or sends.__module__ == "starlette.templating"
