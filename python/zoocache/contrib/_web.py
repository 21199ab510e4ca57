"""What the web integrations share: options, the key of a request, what is stored, what is sent.

A decorated endpoint has one cached function, whose key is made of the request and whose value is a
finished response. Its loader runs the endpoint and lets the framework finish the response:

    request -> key --- none: the endpoint runs as if it were not decorated (a bypass)
                |
                +- found, or made by another caller who may share it: sent, with its Age
                |
                +- made by this caller: sent; stored if it may be
                |
                +- made by another caller and that caller's own (a cookie, say): a bypass

`Made` is what a framework hands over after a load, `Stored` what is kept of it. The rules of what
is whose are in `_web_policy`.

Thread-safety: an `Endpoint` is immutable after construction but for the reasons it has warned of.
"""

from __future__ import annotations

import inspect
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict, cast

from zoocache import _default as _default_cache  # pyright: ignore[reportPrivateUsage]
from zoocache import _zoocache
from zoocache._cache import Cache
from zoocache._errors import InvalidOption, shown
from zoocache._signature import analyse
from zoocache._template import MAX_TAG_LENGTH, as_tags, compile_deps
from zoocache.contrib._once import Once
from zoocache.contrib._web_key import key_of, names_of, user_of
from zoocache.contrib._web_policy import (
    Policy,
    Stored,
    content_of,
    copy_of_error,
    reply_to,
    size_of,
    status_of,
)

if TYPE_CHECKING:
    from zoocache._types import Tags

__all__ = [
    "Call",
    "Endpoint",
    "EndpointOptions",
    "Made",
    "Reply",
    "View",
    "of_options",
    "place_of",
]

_log = logging.getLogger("zoocache.web")

Reply = tuple[int, list[tuple[bytes, bytes]], bytes]


class EndpointOptions(TypedDict, total=False):
    """The options of every `cache_endpoint`.

    Attributes:
        deps: what the response depends on: a tag, an iterable of tags, templates over the
            endpoint's parameters such as "user:{user_id}" among them, or a callable that gets the
            endpoint's arguments and returns tags. What `add_deps` and cached functions name inside
            is added.
        ttl: seconds to live; default `default_ttl` of `configure`. A response with a `max-age`
            lives no longer than that.
        key: what else is in the key, besides method, URL and `vary`: a name or names of parameters,
            with attributes as in "user.tenant_id"; or a callable that gets the parameters it names.
        ignore: a name or names of injected parameters on which no response depends.
        vary: a name or names of request headers that are in the key, and in the Vary of responses.
        user: who asks: a callable of the request, or a parameter as in `key`. It is in the key.
            Without it, and where it is None, a request with an Authorization or a Cookie is a
            bypass.
        cache_status: statuses from 400 on that are stored, too: an iterable, or a mapping to
            seconds.
        cache_control: the Cache-Control of responses that have none; default "private, no-cache".
        max_entries: of this endpoint; default no bound of its own.
        max_bytes: of the stored responses of this endpoint; default 67,108,864, None for no bound.
        max_body_bytes: a longer body is not stored; default 1,048,576, None for no bound.
        flight_timeout: seconds to wait for another request's run, then run beside it; default that
            of `configure`.
        namespace: as that of `cacheable`, for responses that processes share.
        version: as that of `cacheable`.
        storage: as that of `cacheable`.
        cache: the `Cache` whose tags these are; default that of the module's functions.
    """

    deps: Tags | Callable[..., Tags] | None
    ttl: float | None
    key: str | Iterable[str] | Callable[..., object] | None
    ignore: str | Iterable[str]
    vary: str | Iterable[str]
    user: str | Callable[[Any], object] | None
    cache_status: Iterable[int] | Mapping[int, float]
    cache_control: str
    max_entries: int | None
    max_bytes: int | None
    max_body_bytes: int | None
    flight_timeout: float | None
    namespace: str | None
    version: str | None
    storage: Any
    cache: Cache | None


@dataclass(slots=True)
class View:
    """What the key and the reply need of a request.

    Attributes:
        method: upper case.
        place: scheme, host, root path, path, query, as they came.
        values: of a header, by its lower-case name, in order.
        request: the framework's own, for `user`.
    """

    method: str
    place: tuple[object, ...]
    values: Callable[[str], list[str]]
    request: Any


@dataclass(slots=True)
class Made:
    """What a load made.

    Attributes:
        status, headers, body: the finished response; no body: it is sent in pieces.
        own: why it is its caller's alone, as the framework knows it; None if it does not.
        mark: what the framework wants to know of it later.
    """

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    body: bytes | None = None
    own: str | None = None
    mark: int = 0


class Call(ABC):
    """One request to an endpoint: what the framework's module does for it.

    Where the framework awaits, `run` and `bypass` give awaitables.

    Attributes:
        request: the framework's own.
        values: the endpoint's arguments by name.
        error: raised by its own load, to be raised again by it alone.
        ran: whether its own load has run.
    """

    __slots__ = ("_args", "_endpoint", "_kwargs", "_own", "error", "ran", "request", "values")

    def __init__(
        self, endpoint: Endpoint, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._endpoint = endpoint
        self.request = request
        self._args = args
        self._kwargs = kwargs
        self.values = endpoint.arguments(args, kwargs)
        self.error: Exception | None = None
        self.ran = False
        self._own: Any = None

    def check_given(self, names: Iterable[str], of_url: Mapping[str, Any]) -> None:
        """These arguments are of the URL, unless a decorator above the endpoint passes others."""
        for name in names:
            if name not in of_url or of_url[name] is not self.values[name]:
                self._endpoint.check_injected(name, "what a decorator passes")

    @abstractmethod
    def run(self) -> Any:
        """Runs the endpoint and finishes the response, which is a `Made`."""

    @abstractmethod
    def bypass(self) -> Any:
        """Runs the endpoint as if it were not decorated."""

    @abstractmethod
    def send(self, reply: Reply, mark: int) -> Any:
        """Makes the framework's response of a reply."""

    def own(self) -> Any:
        """The response of its own run, untouched."""
        return self._own


def of_options(
    func: Any, options: EndpointOptions, decorate: Callable[[Any, dict[str, Any]], Any]
) -> Any:
    """The ways to write a decorator: with a function, and with options alone.

    Raises:
        TypeError: an option that does not exist, or no function.
    """
    given = cast("dict[str, Any]", options)
    unknown = [name for name in given if name not in EndpointOptions.__annotations__]
    if unknown:
        raise TypeError(
            f"cache_endpoint() has no option {unknown[0]!r}; it has "
            f"{', '.join(EndpointOptions.__annotations__)}"
        )
    if func is None:
        return lambda fn: decorate(fn, given)
    if not callable(func):
        raise TypeError(
            f"cache_endpoint({shown(func)}): an endpoint is wanted; options go by name, as in "
            "cache_endpoint(deps=[...])"
        )
    return decorate(func, given)


def place_of(environ: Mapping[str, Any], scheme: str) -> tuple[object, ...]:
    """The place of a request of WSGI, as its server gave it."""
    host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    names = ("SCRIPT_NAME", "PATH_INFO", "REQUEST_URI", "RAW_URI", "QUERY_STRING")
    return (scheme, host.lower(), *(environ.get(name, "") for name in names))


def stands_for(fn: Any, made: Any, endpoint: Endpoint, signature: inspect.Signature) -> Any:
    """Lets `made` look like the endpoint `fn` to a framework and to people."""
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(made, name, getattr(fn, name, None) or getattr(made, name))
    made.__dict__.update(getattr(fn, "__dict__", {}))
    made.__wrapped__ = fn
    made.__signature__ = signature
    annotations = {one.name: one.annotation for one in signature.parameters.values()}
    annotations["return"] = signature.return_annotation
    made.__annotations__ = {
        name: annotation
        for name, annotation in annotations.items()
        if annotation is not inspect.Parameter.empty
    }
    made.cache_info, made.cache_clear = endpoint.cached.cache_info, endpoint.cached.cache_clear
    return made


class Endpoint:
    """One decorated endpoint: its options, its cached function and what is decided with them.

    Args:
        fn: the endpoint.
        given: its options; a name that is not among `EndpointOptions` was refused before.
        injected: parameters that do not come from the URL, each with what it is.
        is_async: whether its framework awaits it.

    Raises:
        InvalidOption: an option is not allowed, or an injected parameter is named nowhere.
        InvalidTag: a tag in `deps` breaks a rule.
        TypeError: `fn` is a generator, or an option has the wrong type.
    """

    def __init__(
        self, fn: Any, given: dict[str, Any], injected: Mapping[str, str], is_async: bool
    ) -> None:
        take = dict(given).pop
        self.fn = fn
        self.name: str = getattr(fn, "__qualname__", None) or repr(fn)
        cache = given.get("cache")
        if cache is not None and not isinstance(cache, Cache):
            raise InvalidOption(f"cache={shown(cache)} is not allowed: a zoocache.Cache, or None")
        self._cache: Cache = _default_cache if cache is None else cache
        signature = analyse(fn)
        self.parameters = signature[0]
        self._defaults = {
            name: default[0]
            for name, default in zip(signature[0], signature[2], strict=True)
            if default is not None
        }
        self._key = key_of(take("key", None), self.parameters)
        self._user, user_names = user_of(take("user", None), self.parameters)
        self.ignored = frozenset(names_of("ignore", take("ignore", ())))
        self.named = frozenset({*self._key.names, *user_names})
        self._check_names(injected)
        self.policy = Policy(given, has_user=self._user is not None)
        self._kind, self._deps = compile_deps(take("deps", None), signature, self._max_tag_length)
        self._check_tags()
        self._warn = Once(_log)
        self.cached: Any = self._made_function(given, is_async)

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The endpoint's arguments by name, defaults included."""
        return {**self._defaults, **dict(zip(self.parameters, args, strict=False)), **kwargs}

    def _max_tag_length(self) -> int:
        return int(self._cache.options.get("max_tag_length", MAX_TAG_LENGTH))

    def _check_names(self, injected: Mapping[str, str]) -> None:
        for name in sorted(self.ignored):
            if name not in self.parameters:
                raise InvalidOption(
                    f"ignore={name!r}: {self.name} has no such parameter; it has "
                    f"{', '.join(self.parameters) or 'none'}"
                )
            if name in self.named:
                raise InvalidOption(f"ignore={name!r} is in the key, too; name it once")
        for name, what in injected.items():
            self.check_injected(name, what)

    def check_injected(self, name: str, what: str) -> None:
        """Raises InvalidOption if a parameter that is not in the URL is named nowhere."""
        if name not in self.named and name not in self.ignored:
            raise InvalidOption(
                f"cache_endpoint: the parameter {name!r} of {self.name} is {what}, not of the URL, "
                "and a response that depends on it would be sent to others. "
                f"key={name!r}, or an attribute as in key='{name}.id', puts it into the key; "
                f"ignore={name!r} says that no response depends on it"
            )

    def _check_tags(self) -> None:
        samples: Any = ()
        if self._kind == "constant":
            samples = self._deps
        elif self._kind == "template":
            samples = cast("Any", self._deps).samples()
        for tag in samples:
            _zoocache.check_tag(tag, self._max_tag_length())

    def _made_function(self, given: dict[str, Any], is_async: bool) -> Any:
        async def load_async(key: object, call: Call) -> Any:
            del key
            self._begin(call)
            try:
                made = await call.run()
            except Exception as error:  # noqa: BLE001 - raised again by whom it is for
                return self._failed(call, error)
            return self._ended(call, made)

        def load(key: object, call: Call) -> Any:
            del key
            self._begin(call)
            try:
                made = call.run()
            except Exception as error:  # noqa: BLE001 - raised again by whom it is for
                return self._failed(call, error)
            return self._ended(call, made)

        loader: Any = load_async if is_async else load
        loader.__qualname__ = self.name
        loader.__module__ = getattr(self.fn, "__module__", None) or __name__
        options: dict[str, Any] = {
            name: given[name] for name in ("max_entries", "flight_timeout") if name in given
        }
        options |= {
            name: given[name] for name in ("namespace", "version", "storage") if name in given
        }
        max_bytes = given.get("max_bytes", 2**26)
        return self._cache.cacheable(
            ignore="call",
            ttl=self.policy.ttl_of,
            size=size_of,
            max_bytes=max_bytes,
            verify=content_of,
            **options,
        )(loader)

    def _begin(self, call: Call) -> None:
        call.ran = True
        if self._kind == "constant":
            _zoocache.add_deps(cast("tuple[str, ...]", self._deps))
        elif self._kind == "template":
            values = [call.values.get(name) for name in self.parameters]
            _zoocache.add_deps(cast("Any", self._deps)(values))

    def _ended(self, call: Call, made: Made) -> Stored | None:
        if self._kind == "callable":
            _zoocache.add_deps(as_tags(cast("Any", self._deps)(**call.values)))
        why = made.own or self.policy.why_own(made.status, made.headers, made.body)
        if why is not None:
            self.warn(why)
            _zoocache.no_store()
            return None
        if not self.policy.is_stored(made.status):
            _zoocache.no_store()
        body = cast("bytes", made.body)
        return self.policy.finished(made.status, made.headers, body, made.mark)

    def _failed(self, call: Call, error: Exception) -> Any:
        status = status_of(error)
        if self.policy.is_own_error(status, error):
            call.error = error
            _zoocache.no_store()
            return None
        if status in self.policy.cache_status:
            call.error = error
            return copy_of_error(error), status
        raise error

    def warn(self, why: str) -> None:
        """Says once for each reason that responses are not stored."""
        self._warn("responses of %s are not stored: %s", self.name, why)

    def _place(self, view: View, values: Mapping[str, Any], identity: object) -> object:
        """The key; None if the request has credentials of nobody."""
        if identity is None and (view.values("authorization") or view.values("cookie")):
            return None
        varied = tuple([tuple(view.values(name)) for name in self.policy.vary])
        return (*view.place, varied, identity, self._key.of(values))

    def _is_cached_method(self, view: View) -> bool:
        if view.method in ("GET", "HEAD"):
            return True
        if view.method != "OPTIONS":
            self.warn(f"{view.method} is not cached, GET and HEAD are")
        return False

    def _stores(self, view: View) -> bool:
        """Whether the request may store: a HEAD and one that says no-store may only find."""
        if view.method == "HEAD":
            return False
        return not any("no-store" in one.lower() for one in view.values("cache-control"))

    def _outcome(self, view: View, call: Call, outcome: Any) -> Any:
        if call.error is not None:
            raise call.error
        if outcome is None:
            return call.own()
        if len(outcome) == 2:
            raise copy_of_error(outcome[0])
        return call.send(reply_to(outcome, view.values, time.time(), call.ran), outcome[4])

    async def answer_async(self, view: View, call: Call) -> Any:
        """Answers one request; raises what the endpoint raises."""
        if not self._cache.is_enabled or not self._is_cached_method(view):
            return await call.bypass()
        identity = None
        if self._user is not None:
            identity = self._user(view.request, call.values)
            if isinstance(identity, Awaitable):
                identity = await identity
        key = self._place(view, call.values, identity)
        if key is None:
            return await call.bypass()
        if self._stores(view):
            outcome = await self.cached(key, call)
        else:
            outcome = self.cached.peek(key, call)
        if outcome is None and not call.ran:
            return await call.bypass()
        return self._outcome(view, call, outcome)

    def answer(self, view: View, call: Call) -> Any:
        """As `answer_async`, for a framework that does not await."""
        if not self._cache.is_enabled or not self._is_cached_method(view):
            return call.bypass()
        identity = None if self._user is None else self._user(view.request, call.values)
        key = self._place(view, call.values, identity)
        if key is None:
            return call.bypass()
        outcome = self.cached(key, call) if self._stores(view) else self.cached.peek(key, call)
        if outcome is None and not call.ran:
            return call.bypass()
        return self._outcome(view, call, outcome)
