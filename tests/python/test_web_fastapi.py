"""What only FastAPI has: injected parameters, response models, dependencies, routers."""

from typing import Annotated, Any

import pytest

import zoocache
from support import run
from web_client import Answer, Asked, ask_asgi

pytest.importorskip("fastapi")

from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Request,
    Response,
)
from fastapi.exceptions import ResponseValidationError
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from zoocache.contrib.fastapi import cache_endpoint


class Item(BaseModel):
    name: str
    price: int


class User:
    def __init__(self, name: str) -> None:
        self.id = name


def current_user(x_user: Annotated[str, Header()] = "nobody") -> User:
    return User(x_user)


WhoAsks = Annotated[User, Depends(current_user)]


def ask(app: Any, path: str, query: str = "", **more: Any) -> Answer:
    headers = tuple(more.pop("headers", {}).items())
    return run(ask_asgi(app, Asked(path, query, headers, **more)))


def test_an_injected_parameter_must_be_named() -> None:
    async def endpoint(user: WhoAsks) -> str:
        return user.id

    with pytest.raises(zoocache.InvalidOption, match=r"'user' of .* is a dependency.*key='user"):
        cache_endpoint(endpoint)
    with pytest.raises(zoocache.InvalidOption, match="ignore='user' is in the key"):
        cache_endpoint(key="user.id", ignore="user")(endpoint)
    for options in ({"key": "user.id"}, {"user": "user.id"}, {"ignore": "user"}):
        cache_endpoint(**options)(endpoint)
    cache_endpoint(key=lambda user: user.id)(endpoint)


@pytest.mark.parametrize("options", [{"key": "user.id"}, {"user": "user.id"}, {"key": ["user.id"]}])
def test_a_dependency_in_the_key_tells_users_apart(options: Any) -> None:
    app = FastAPI()
    runs = []

    @app.get("/me")
    @cache_endpoint(**options)
    async def me(user: WhoAsks) -> dict[str, str]:
        runs.append(user.id)
        return {"me": user.id}

    asked = [ask(app, "/me", headers={"x-user": one}).json()["me"] for one in "abab"]
    assert (asked, runs) == (["a", "b", "a", "b"], ["a", "b"])
    assert ask(app, "/openapi.json").json()["paths"]["/me"]["get"]["parameters"]


def test_headers_and_cookies_are_injected_too() -> None:
    def of_header(x_tenant: Annotated[str, Header()] = "") -> str:
        return x_tenant

    def of_cookie(tenant: Annotated[str, Cookie()] = "") -> str:
        return tenant

    with pytest.raises(zoocache.InvalidOption, match="the header 'x-tenant'"):
        cache_endpoint(of_header)
    with pytest.raises(zoocache.InvalidOption, match="the cookie 'tenant'"):
        cache_endpoint(of_cookie)
    cache_endpoint(vary="X-Tenant")(of_header)
    cache_endpoint(key="x_tenant")(of_header)


def test_bodies_streams_and_generators_are_refused() -> None:
    def of_body(item: Item) -> None: ...
    def of_text(text: Annotated[str, Body()]) -> None: ...
    def stream() -> StreamingResponse: ...

    async def generator():
        yield 1

    for endpoint in (of_body, of_text):
        with pytest.raises(zoocache.InvalidOption, match="is a body"):
            cache_endpoint(endpoint)
    with pytest.raises(zoocache.InvalidOption, match="sent in pieces"):
        cache_endpoint(stream)
    with pytest.raises(TypeError, match="generator"):
        cache_endpoint(generator)


def test_what_the_framework_gives_needs_no_name() -> None:
    def endpoint(request: Request, response: Response, tasks: BackgroundTasks, q: int = 0) -> None:
        pass

    cache_endpoint(endpoint)


def test_the_framework_serializes_and_a_hit_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    app, plain = FastAPI(), FastAPI()
    given = {"name": "tea", "price": "3", "secret": "x"}
    for one, decorate in ((app, cache_endpoint(deps="tea")), (plain, lambda fn: fn)):

        @one.get("/model", response_model=Item, status_code=203)
        @decorate
        def model() -> Any:
            return given

        @one.get("/annotated")
        @decorate
        async def annotated(response: Response) -> list[Item]:
            response.headers["X-Shop"] = "one"
            response.status_code = 202
            return [Item(name="tea", price=3)]

        @one.get("/html", response_class=HTMLResponse)
        @decorate
        async def html() -> str:
            return "<p>tea"

        @one.get("/exclude", response_model=Item, response_model_exclude={"price"})
        @decorate
        async def exclude() -> Any:
            return Item(name="tea", price=3)

        @one.get("/empty", status_code=204)
        @decorate
        async def empty() -> None: ...

        @one.get("/lazy")
        @decorate
        async def lazy(response: Response):
            response.set_cookie("a", "b")
            return (n for n in range(3))

    for path in ("/model", "/annotated", "/html", "/exclude", "/empty", "/lazy"):
        expected = ask(plain, path)
        for _ in range(2):
            found = ask(app, path)
            assert (found.status, found.body) == (expected.status, expected.body), path
            for name, value in expected.headers:
                assert value in found.all(name), (path, name)
        assert found.is_hit == (path != "/lazy")
    given["price"] = "no number"
    assert ask(app, "/model").json() == {"name": "tea", "price": 3}
    zoocache.invalidate("tea")
    with pytest.raises(ResponseValidationError):
        ask(app, "/model")
    given["price"] = "4"
    assert ask(app, "/model").json()["price"] == 4


def test_dependencies_run_for_every_request() -> None:
    app = FastAPI()
    checks: list[str] = []

    def check(response: Response, x_key: Annotated[str, Header()] = "") -> None:
        checks.append(x_key)
        response.headers["X-Checked"] = str(len(checks))
        if x_key != "secret":
            raise HTTPException(403)

    @app.get("/page", dependencies=[Depends(check)])
    @cache_endpoint
    async def page() -> str:
        return "page"

    answers = [ask(app, "/page", headers={"x-key": one}) for one in ("secret", "wrong", "secret")]
    assert [one.status for one in answers] == [200, 403, 200]
    assert [answers[0].all("x-checked"), answers[2].all("x-checked")] == [["1"], ["3"]]
    assert answers[2].is_hit


def test_what_a_dependency_says_of_caching_is_the_callers_own() -> None:
    app = FastAPI()

    def login(response: Response, x_user: Annotated[str, Header()] = "") -> None:
        response.set_cookie("session", x_user)

    @app.get("/page", dependencies=[Depends(login)])
    @cache_endpoint
    async def page() -> str:
        return "page"

    for user in "aba":
        answer = ask(app, "/page", headers={"x-user": user})
        assert f"session={user}" in (answer.header("set-cookie") or "")
        assert not answer.is_hit


def test_background_tasks_of_dependencies_run_for_each() -> None:
    app = FastAPI()
    done: list[str] = []

    def audit(tasks: BackgroundTasks) -> None:
        tasks.add_task(done.append, "dependency")

    @app.get("/page", dependencies=[Depends(audit)])
    @cache_endpoint
    async def page(tasks: BackgroundTasks) -> str:
        tasks.add_task(done.append, "endpoint")
        return "page"

    for _ in range(2):
        ask(app, "/page")
    assert sorted(done) == ["dependency", "dependency", "endpoint"]


def test_routers_and_mounts_keep_their_settings() -> None:
    router = APIRouter(default_response_class=HTMLResponse)
    runs: list[int] = []

    @router.get("/page")
    @cache_endpoint
    async def page(request: Request):
        runs.append(1)
        return f"{request.url.path}"

    app, sub = FastAPI(), FastAPI()
    app.include_router(router, prefix="/a")
    sub.include_router(router, prefix="/b")
    app.mount("/sub", sub)
    for path in ("/a/page", "/sub/b/page", "/a/page", "/sub/b/page"):
        answer = ask(app, path)
        assert (answer.text, answer.header("content-type")) == (path, "text/html; charset=utf-8")
    assert len(runs) == 2


def test_raised_errors_are_kept_when_asked_for() -> None:
    app = FastAPI()
    runs: list[int] = []

    @app.get("/items/{item}")
    @cache_endpoint(cache_status={404: 60}, deps=["item:{item}"])
    async def read(item: int) -> str:
        runs.append(item)
        raise HTTPException(404, detail=f"no item {item}", headers={"X-Shop": "one"})

    for _ in range(3):
        answer = ask(app, "/items/3")
        assert (answer.status, answer.json(), answer.header("x-shop")) == (
            404, {"detail": "no item 3"}, "one"
        )  # fmt: skip
    assert len(runs) == 1
    zoocache.invalidate("item:3")
    ask(app, "/items/3")
    assert len(runs) == 2


class Sessions:
    """As Starlette's middleware, without the signature: a session is a dict in the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = {}
        await self.app(scope, receive, send)


def test_a_session_that_is_written_is_the_callers_own() -> None:
    app = FastAPI(middleware=[Middleware(Sessions)])
    runs: list[int] = []

    @app.get("/visit")
    @cache_endpoint
    async def visit(request: Request) -> int:
        runs.append(1)
        request.session["visit"] = len(runs)
        return len(runs)

    assert [ask(app, "/visit").json() for _ in range(2)] == [1, 2]


def test_the_published_spelling_works() -> None:
    app = FastAPI()

    @app.get("/users/{user_id}")
    @cache_endpoint(namespace="users", deps=["user:{user_id}"], ttl=60)
    async def read_user(user_id: int) -> dict[str, int]:
        return {"id": user_id}

    @app.get("/others")
    @cache_endpoint
    def others() -> int:
        return 1

    assert ask(app, "/users/1").json() == ask(app, "/users/1").json() == {"id": 1}
    assert read_user.cache_info().hits == 1
    read_user.cache_clear()
    assert not ask(app, "/users/1").is_hit
    assert ask(app, "/others").json() == 1
