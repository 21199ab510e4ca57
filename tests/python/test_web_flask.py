"""What only Flask has: sessions, decorators that pass arguments, class-based views, hooks."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import zoocache
from web_client import Answer, Asked, ask_wsgi

flask = pytest.importorskip("flask")

from flask.views import MethodView  # noqa: E402

from zoocache.contrib.flask import cache_endpoint  # noqa: E402


@pytest.fixture
def app() -> Any:
    made = flask.Flask("shop", static_folder=None)
    made.config.update(SECRET_KEY="no secret", PROPAGATE_EXCEPTIONS=True)
    return made


def ask(app: Any, path: str, **headers: str) -> Answer:
    return ask_wsgi(app, Asked(path, headers=tuple(headers.items())))


def test_a_session_is_its_callers_own(app: Any) -> None:
    runs: list[int] = []

    @app.get("/write")
    @cache_endpoint
    def write() -> str:
        runs.append(1)
        flask.session["visit"] = len(runs)
        return str(len(runs))

    @app.get("/read")
    @cache_endpoint
    def read() -> str:
        runs.append(1)
        return str(flask.session.get("visit"))

    for path in ("/write", "/read"):
        assert not [ask(app, path).is_hit for _ in range(2)][1]
    assert len(runs) == 4


def test_with_a_user_a_session_may_be_read(app: Any) -> None:
    @app.get("/read")
    @cache_endpoint(user=lambda request: request.headers.get("x-user"))
    def read() -> str:
        return f"{flask.session.get('visit')} {flask.request.headers.get('x-user')}"

    answers = [ask(app, "/read", **{"x-user": one}) for one in "abab"]
    assert [one.text for one in answers] == ["None a", "None b", "None a", "None b"]
    assert answers[3].is_hit


def test_what_a_decorator_passes_must_be_named(app: Any) -> None:
    def with_user(view: Any) -> Any:
        @functools.wraps(view)
        def wrapped(**arguments: Any) -> Any:
            return view(user=flask.request.headers["x-user"], **arguments)

        return wrapped

    def view(user: str, item: str) -> str:
        return f"{user} {item}"

    app.get("/bad/<item>")(with_user(cache_endpoint(view)))
    named = cache_endpoint(key="user")(view)
    app.add_url_rule("/good/<item>", "good", with_user(named))
    with pytest.raises(zoocache.InvalidOption, match="'user' of .* is what a decorator passes"):
        ask(app, "/bad/1", **{"x-user": "a"})
    texts = [ask(app, "/good/1", **{"x-user": one}).text for one in "aba"]
    assert texts == ["a 1", "b 1", "a 1"]


def test_results_become_responses_as_ever(app: Any) -> None:
    @app.get("/json")
    @cache_endpoint(deps="json")
    def as_json() -> Any:
        return {"b": 1, "a": [2]}, 203, {"X-Shop": "one"}

    @app.get("/nothing")
    @cache_endpoint
    def nothing() -> Any:
        return None

    for _ in range(2):
        answer = ask(app, "/json")
        assert (answer.status, answer.json()) == (203, {"a": [2], "b": 1})
        assert (answer.all("x-shop"), answer.all("content-type")) == (["one"], ["application/json"])
        with pytest.raises(TypeError, match="did not return a valid response"):
            ask(app, "/nothing")


def test_hooks_of_one_response_keep_it_to_its_caller(app: Any) -> None:
    @app.get("/page")
    @cache_endpoint
    def page() -> str:
        @flask.after_this_request
        def add(response: Any) -> Any:
            response.headers["X-Hook"] = "ran"
            return response

        return "page"

    answers = [ask(app, "/page") for _ in range(2)]
    assert [one.header("x-hook") for one in answers] == ["ran", "ran"]
    assert not answers[1].is_hit


def test_hooks_of_the_app_run_for_every_request(app: Any) -> None:
    runs: list[str] = []
    app.before_request(lambda: runs.append("before"))

    @app.after_request
    def after(response: Any) -> Any:
        response.headers["X-Run"] = str(len(runs))
        return response

    app.get("/page")(cache_endpoint(lambda: "page"))
    assert [ask(app, "/page").all("x-run") for _ in range(2)] == [["1"], ["2"]]


def test_class_based_views_and_raised_errors(app: Any) -> None:
    runs: list[str] = []

    class Items(MethodView):
        @cache_endpoint(deps=["item:{item}"], cache_status=[404])
        def get(self, item: str) -> str:
            runs.append(item)
            flask.abort(404, f"no {item}")

    app.add_url_rule("/items/<item>", view_func=Items.as_view("items"))
    for _ in range(2):
        answer = ask(app, "/items/a")
        assert answer.status == 404
        assert "no a" in answer.text
    assert runs == ["a"]
    zoocache.invalidate("item:a")
    ask(app, "/items/a")
    assert runs == ["a", "a"]
