"""What only Django's requests have: sessions, tokens, messages, users, languages, URLs."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("django")

import web_django  # noqa: F401  settings

# isort: split
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory, override_settings
from django.urls import ResolverMatch
from django.utils import timezone, translation
from django.utils.decorators import method_decorator
from django.views import View

import zoocache
from zoocache.contrib.django import cache_endpoint

runs: list[Any] = []


@pytest.fixture(autouse=True)
def no_runs() -> Iterator[None]:
    runs.clear()
    yield


def get(path: str = "/", **more: Any) -> Any:
    request = RequestFactory().get(path, **more.pop("meta", {}))
    request.COOKIES.clear()
    request.META.pop("HTTP_COOKIE", None)
    request.session = more.pop("session", None) or SessionStore()
    request.session.accessed = False
    for name, value in more.items():
        setattr(request, name, value)
    return request


class User:
    is_authenticated = True
    pk = 7


class Lazy:
    """Reads the session, as that of AuthenticationMiddleware does."""

    def __init__(self, session: Any) -> None:
        self._session = session

    @property
    def is_authenticated(self) -> bool:
        return bool(self._session.get("user"))


def test_sessions() -> None:
    @cache_endpoint
    def view(request: HttpRequest, do: str) -> HttpResponse:
        runs.append(do)
        if do == "read":
            return HttpResponse(str(request.session.get("n")))
        if do == "write":
            request.session["n"] = len(runs)
        return HttpResponse(do)

    def ask(do: str, session: Any = None) -> bool:
        request = get(f"/{do}", session=session)
        request.user = Lazy(request.session)
        found = view(request, do)
        touched = (request.session.accessed, request.session.modified)
        assert touched == {"read": (True, False), "write": (True, True)}.get(do, (False, False))
        return "Age" in found

    for do, hits in (("read", False), ("write", False), ("nothing", True)):
        assert [ask(do), ask(do)] == [False, hits]
    for _ in range(2):
        request = get("/early")
        request.session["n"] = 1  # by a middleware
        found = view(request, "early")
        assert (request.session.accessed, request.session.modified) == (True, True)
    assert "Age" in found
    known = SessionStore()
    known["user"] = 7
    known.modified = False
    assert not ask("nothing", known)
    assert runs == ["read", "read", "write", "write", "nothing", "early", "nothing"]


def test_tokens_messages_and_users() -> None:
    @cache_endpoint
    def view(request: HttpRequest, do: str) -> HttpResponse:
        runs.append(do)
        if do == "token":
            return HttpResponse(get_token(request))
        if do == "messages":
            return HttpResponse("".join(map(str, request._messages)))
        if do == "add":
            request._messages.add(20, "hello")
        response = HttpResponse(do)
        if do == "cookie":
            response.set_cookie("a", "b")
        if do == "close":
            response._resource_closers.append(lambda: None)
        return response

    for do in ("token", "messages", "add", "cookie", "close"):
        for _ in range(2):
            request = get(f"/{do}")
            request._messages = CookieStorage(request)
            view(request, do)
    assert len(runs) == 10
    for user in (User(), None, User()):
        view(get("/plain", user=user), "plain")
    view(get("/plain"), "plain")
    assert runs[10:] == ["plain"] * 3


def test_languages_zones_and_origins() -> None:
    @cache_endpoint
    def view(request: HttpRequest) -> HttpResponse:
        runs.append(1)
        text = f"{translation.get_language()} {timezone.get_current_timezone_name()}"
        return HttpResponse(f"{text} {request.build_absolute_uri()}")

    for _ in range(2):
        assert view(get()).content == b"en-us America/Chicago http://testserver/"
        with translation.override("de"):
            assert view(get()).content.startswith(b"de")
        with timezone.override("Asia/Tokyo"):
            assert view(get()).content.startswith(b"en-us Asia/Tokyo")
        with override_settings(USE_X_FORWARDED_HOST=True):
            for name in ("a.test", "b.test"):
                found = view(get(meta={"HTTP_X_FORWARDED_HOST": name}))
                assert found.content.endswith(f"http://{name}/".encode())
    assert len(runs) == 5


def test_errors() -> None:
    @cache_endpoint(deps=["item:{item}"], cache_status=[404])
    def view(request: HttpRequest, item: int) -> HttpResponse:
        runs.append(item)
        raise Http404(item) if item else PermissionDenied

    for _ in range(2):
        with pytest.raises(Http404, match="1"):
            view(get("/1"), 1)
        with pytest.raises(PermissionDenied):
            view(get("/0"), 0)
    assert runs == [1, 0, 0]
    zoocache.invalidate("item:1")
    with pytest.raises(Http404):
        view(get("/1"), 1)
    assert runs == [1, 0, 0, 1]


def test_methods_of_views() -> None:
    class Base(View):
        @cache_endpoint
        def get(self, request: HttpRequest, item: str = "") -> HttpResponse:
            runs.append(type(self).__name__)
            return HttpResponse(type(self).__name__ + item)

    class First(Base): ...

    class Second(Base): ...

    for _ in range(2):
        for one in (First, Second):
            assert one.as_view()(get()).content == one.__name__.encode()
            assert one.as_view()(get("/x"), item="x").content == f"{one.__name__}x".encode()
    assert runs == ["First", "First", "Second", "Second"]


def test_async_views() -> None:
    @cache_endpoint(cache_status=[404])
    async def view(request: HttpRequest, item: str) -> HttpResponse:
        runs.append(item)
        if item == "none":
            raise Http404
        return HttpResponse(item)

    async def ask(item: str, **more: Any) -> Any:
        return await view(get(f"/{item}", **more), item)

    assert [asyncio.run(ask("a")).content for _ in range(2)] == [b"a", b"a"]
    asyncio.run(ask("a", user=User()))
    for _ in range(2):
        with pytest.raises(Http404):
            asyncio.run(ask("none"))
    assert runs == ["a", "a", "none"]


def test_templates_are_rendered() -> None:
    template = engines["django"].from_string("{{ n }}")

    @cache_endpoint
    def view(request: HttpRequest) -> HttpResponse:
        runs.append(1)
        return TemplateResponse(request, template, {"n": len(runs)})

    assert [view(get()).content for _ in range(2)] == [b"1", b"1"]


def test_what_decorators_pass_is_named() -> None:
    def with_shop(view: Any) -> Any:
        return functools.wraps(view)(lambda request, **more: view(request, shop="s", **more))

    def view(request: HttpRequest, item: str, shop: str) -> HttpResponse:
        return HttpResponse(shop + item)

    def request() -> Any:
        made = get("/a")
        made.resolver_match = ResolverMatch(view, (), {"item": "a"})
        return made

    def ask(decorated: Any) -> Any:
        asked = request()
        return with_shop(decorated)(asked, **asked.resolver_match.kwargs)

    with pytest.raises(zoocache.InvalidOption, match="'shop' of .*what a decorator passes"):
        ask(cache_endpoint(view))
    assert ask(cache_endpoint(key="shop")(view)).content == b"sa"
    assert ask(cache_endpoint(ignore="shop")(view)).content == b"sa"


def test_bad_input() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with pytest.raises(TypeError, match="neither a class nor"):
        cache_endpoint(View)
    with pytest.raises(TypeError, match="no option 'dep'"):
        cache_endpoint(dep=1)
    with pytest.raises(TypeError, match="no request"):
        cache_endpoint(view)("text")

    class Views(View):
        get = method_decorator(cache_endpoint)(lambda self, request: view(request))

    with pytest.raises(TypeError, match="method_decorator makes for each request"):
        Views.as_view()(get())
