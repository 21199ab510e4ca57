"""What only Litestar has: layered dependencies, headers and hooks, controllers, DTOs."""

import warnings
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import pytest

import zoocache
from support import run
from web_client import Answer, Asked, ask_asgi

pytest.importorskip("litestar")

from litestar import Controller, Litestar, Request, Response, get
from litestar.di import Provide
from litestar.dto import DataclassDTO, DTOConfig
from litestar.exceptions import NotFoundException
from litestar.response import Stream

from zoocache.contrib.litestar import cache_endpoint

try:
    from litestar.di import NamedDependency
except ImportError:  # in older versions
    from litestar.params import Dependency

    NamedDependency = Annotated[TypeVar("T"), Dependency()]


@dataclass
class Item:
    name: str
    price: int


class Hidden(DataclassDTO[Item]):
    config = DTOConfig(exclude={"price"})


def app_of(*handlers: Any, **options: Any) -> Any:
    return Litestar(handlers, openapi_config=None, logging_config=None, **options)


def ask(app: Any, path: str, **headers: str) -> Answer:
    return run(ask_asgi(app, Asked(path, headers=tuple(headers.items()))))


async def who(request: Request) -> str:
    return request.headers.get("x-user", "")


def test_what_is_evidently_injected_must_be_named() -> None:
    def of_mark(user: NamedDependency[str]) -> str: ...
    def of_type(user: Item) -> str: ...
    def of_headers(headers: dict[str, str]) -> str: ...
    def of_body(data: Item) -> str: ...
    def stream() -> Stream: ...

    for endpoint in (of_mark, of_type, of_headers):
        with pytest.raises(zoocache.InvalidOption, match="ignore="):
            cache_endpoint(endpoint)
    with pytest.raises(zoocache.InvalidOption, match="is the body"):
        cache_endpoint(of_body)
    with pytest.raises(zoocache.InvalidOption, match="sent in pieces"):
        cache_endpoint(stream)


def test_a_dependency_that_only_a_layer_knows_is_an_error_before_it_leaks() -> None:
    @get("/me", dependencies={"user": Provide(who)})
    @cache_endpoint
    async def me(user: str) -> str:
        return user

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = ask(app_of(me, debug=True), "/me", **{"x-user": "a"})
    assert answer.status == 500
    assert "'user' of" in answer.text
    assert "is a dependency" in answer.text


def test_a_named_dependency_tells_users_apart() -> None:
    runs: list[str] = []

    @get("/me", dependencies={"user": Provide(who)})
    @cache_endpoint(key="user")
    async def me(user: NamedDependency[str]) -> dict[str, str]:
        runs.append(user)
        return {"me": user}

    app = app_of(me)
    assert [ask(app, "/me", **{"x-user": one}).json()["me"] for one in "abab"] == list("abab")
    assert runs == ["a", "b"]


def test_layers_speak_for_every_request() -> None:
    runs: list[int] = []

    async def after(response: Any) -> Any:
        runs.append(1)
        response.headers["X-Run"] = str(len(runs))
        return response

    @get("/page", response_headers={"X-Layer": "one", "Cache-Control": "max-age=60"})
    @cache_endpoint(deps="page")
    async def page() -> Item:
        return Item("tea", 3)

    app = app_of(page, after_request=after)
    first, second = ask(app, "/page"), ask(app, "/page")
    assert first.json() == second.json() == {"name": "tea", "price": 3}
    assert second.is_hit
    assert [first.all("x-run"), second.all("x-run")] == [["1"], ["2"]]
    for name, value in (("x-layer", "one"), ("cache-control", "max-age=60")):
        assert first.all(name) == second.all(name) == [value]


def test_controllers_errors_and_cookies() -> None:
    runs: list[str] = []

    class Items(Controller):
        path = "/items"

        @get("/missing")
        @cache_endpoint(cache_status=[404], deps="items")
        async def missing(self) -> str:
            runs.append("missing")
            raise NotFoundException("no such item")

        @get("/cookie")
        @cache_endpoint
        async def cookie(self) -> Response[str]:
            runs.append("cookie")
            made = Response("x")
            made.set_cookie("n", str(len(runs)))
            return made

    app = app_of(Items)
    for _ in range(2):
        answer = ask(app, "/items/missing")
        assert (answer.status, answer.json()["detail"]) == (404, "no such item")
    assert runs == ["missing"]
    assert not [ask(app, "/items/cookie") for _ in range(2)][1].is_hit


def test_a_return_dto_still_hides_what_it_hides() -> None:
    @get("/item", return_dto=Hidden)
    @cache_endpoint
    async def item() -> Item:
        return Item("tea", 3)

    app = app_of(item)
    for _ in range(2):
        assert ask(app, "/item").json() == {"name": "tea"}
