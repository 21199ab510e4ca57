"""`cache_endpoint` under requests that try to get what is not theirs, in every framework."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

import web_apps
import zoocache
from support import Gate, spawn, wait_until
from web_apps import Reply, Request, Site
from web_client import Answer, Asked

pytestmark = pytest.mark.slow

SITES = pytest.mark.parametrize("kind", web_apps.THERE)


class Counted:
    """A handler that says how often it has run, and what it saw."""

    def __init__(self, reply: Callable[[Request, int], Reply] | None = None) -> None:
        self.runs = 0
        self._lock = threading.Lock()
        self._reply = reply or (lambda request, run: Reply(f"{request.path}?{request.query} {run}"))

    def __call__(self, request: Request) -> Reply:
        with self._lock:
            self.runs += 1
            run = self.runs
        return self._reply(request, run)


def site_of(kind: str, handler: Any, path: str = "/page", **options: Any) -> Site:
    site = Site(kind)
    site.add(path, handler, **options)
    return site


def tag_of(kind: str, text: str) -> str:
    """A template over the path's parameter; endpoints of Starlette have the request alone."""
    if kind.startswith("starlette"):
        return text.replace("{item}", "{request.path_params[item]}")
    return text


@SITES
def test_a_second_request_finds_what_the_first_made(kind: str) -> None:
    handler = Counted()
    site = site_of(kind, handler)
    first, second = site.ask("/page"), site.ask("/page")
    assert (first.status, first.body) == (200, second.body)
    assert first.header("age") is None
    assert second.header("age") == "0"
    assert handler.runs == 1


@SITES
def test_an_invalidation_kills_one_item_of_many(kind: str) -> None:
    handler = Counted()
    site = site_of(kind, handler, "/items/{item}", deps=["shop", tag_of(kind, "item:{item}")])
    ones = [site.ask(f"/items/{item}").body for item in "abc"]
    zoocache.invalidate("item:b")
    again = [site.ask(f"/items/{item}").body for item in "abc"]
    assert [new == old for new, old in zip(again, ones, strict=True)] == [True, False, True]
    zoocache.invalidate("shop")
    site.ask("/items/a")
    assert handler.runs == 5


@SITES
def test_what_is_named_inside_counts(kind: str) -> None:
    @zoocache.cacheable(deps=["price"])
    def price() -> int:
        return 7

    def reply(request: Request, run: int) -> Reply:
        zoocache.add_deps("stock")
        return Reply(f"{price()} {run}")

    handler = Counted(reply)
    site = site_of(kind, handler)
    for tag in ("price", "stock"):
        before = site.ask("/page").body
        assert site.ask("/page").body == before
        zoocache.invalidate(tag)
        assert site.ask("/page").body != before


@SITES
def test_a_callable_gives_tags(kind: str) -> None:
    handler = Counted()
    given: list[Any] = []

    def deps(**arguments: Any) -> str:
        given.append(arguments)
        return "page"

    site = site_of(kind, handler, deps=deps)
    site.ask("/page")
    zoocache.invalidate("page")
    assert site.ask("/page").header("age") is None
    assert len(given) == handler.runs == 2


@SITES
def test_every_part_of_the_url_tells_requests_apart(kind: str) -> None:
    handler = Counted()
    site = site_of(kind, handler, "/items/{item}")
    different = [
        Asked("/items/a"),
        Asked("/items/a", "x=1"),
        Asked("/items/a", "x=1&y=2"),
        Asked("/items/a", "y=2&x=1"),
        Asked("/items/a", "x=1&x=2"),
        Asked("/items/a", "x=2&x=1"),
        Asked("/items/a", "x="),
        Asked("/items/a", "x"),
        Asked("/items/a", "x=%31"),
        Asked("/items/A"),
        Asked("/items/%C3%A4"),
        Asked("/items/a%CC%88"),
        Asked("/items/a%20b"),
        Asked("/items/a", host="other.test"),
        Asked("/items/a", host="shop.test:8080"),
        Asked("/items/a", scheme="https"),
        Asked("/items/a", root_path="/api"),
    ]
    plain = Site(kind, cached=False)
    plain.add("/items/{item}", Counted())
    first = [site.ask_all([one])[0] for one in different]
    expected = [plain.ask_all([one])[0].status for one in different]
    assert [one.status for one in first] == expected
    found = expected.count(200)  # versions differ in where a root path belongs
    assert found >= len(different) - 1
    assert handler.runs == found
    again = [site.ask_all([one])[0] for one in reversed(different)]
    assert [one.body for one in reversed(again)] == [one.body for one in first]
    assert handler.runs == found
    assert site.ask("/items/a", host="SHOP.test").body == first[0].body


@SITES
def test_a_trailing_slash_is_another_path(kind: str) -> None:
    plain, slashed = Site(kind, cached=False), Site(kind)
    for site in (plain, slashed):
        site.add("/page", Counted())
    for path in ("/page/", "/page", "/page/", "/page"):
        expected, found = plain.ask(path), slashed.ask(path)
        assert (found.status, found.header("location")) == (
            expected.status, expected.header("location")
        )  # fmt: skip


@SITES
@pytest.mark.parametrize("header", ["Cookie", "Authorization", "cookie"])
def test_credentials_are_a_bypass(kind: str, header: str) -> None:
    handler = Counted(lambda request, run: Reply(f"{request.headers.get(header)} {run}"))
    site = site_of(kind, handler)
    alice = site.ask("/page", headers={header: "user=alice"})
    assert alice.text == "user=alice 1"
    assert alice.header("etag") is None, "nothing is added to it, either"
    assert site.ask("/page").text == "None 2"
    assert site.ask("/page", headers={header: "user=bob"}).text == "user=bob 3"
    assert site.ask("/page", headers={header: ""}).text.endswith(" 4")
    assert site.ask("/page").text == "None 2"


def name_of(request: Any) -> str | None:
    return request.headers.get("authorization")


@SITES
def test_users_have_responses_of_their_own(kind: str) -> None:
    handler = Counted(lambda request, run: Reply(f"{request.headers.get('authorization')} {run}"))
    site = site_of(kind, handler, user=name_of)
    texts = [
        site.ask("/page", headers={"Authorization": who} if who else {}).text
        for who in ("alice", "bob", "", "alice", "bob", "")
    ]
    assert texts == ["alice 1", "bob 2", "None 3", "alice 1", "bob 2", "None 3"]


@SITES
def test_credentials_of_nobody_are_a_bypass(kind: str) -> None:
    handler = Counted()
    site = site_of(kind, handler, user=lambda request: None)
    site.ask("/page", headers={"Cookie": "a=1"})
    site.ask("/page", headers={"Cookie": "a=1"})
    assert handler.runs == 2
    site.ask("/page")
    assert site.ask("/page").is_hit


@SITES
def test_headers_of_vary_tell_requests_apart(kind: str) -> None:
    handler = Counted(lambda request, run: Reply(f"{request.headers.get('accept-language')} {run}"))
    site = site_of(kind, handler, vary="Accept-Language")
    answers = [site.ask("/page", headers={"accept-language": one}) for one in ("de", "en", "de")]
    assert [one.text for one in answers] == ["de 1", "en 2", "de 1"]
    assert [one.header("vary") for one in answers] == ["accept-language"] * 3
    assert site.ask("/page").text == "None 3"


def own_replies() -> dict[str, Callable[[Request, int], Reply]]:
    return {
        "a cookie": lambda _, run: Reply(str(run), cookie="secret"),
        "no-store": lambda _, run: Reply(
            str(run), headers={"Cache-Control": "max-age=9, no-store"}
        ),
        "private": lambda _, run: Reply(str(run), headers={"Cache-Control": 'Private="x-name"'}),
        "max-age": lambda _, run: Reply(str(run), headers={"Cache-Control": "public, max-age=0"}),
        "vary": lambda _, run: Reply(str(run), headers={"Vary": "Accept-Encoding, X-Who"}),
        "vary *": lambda _, run: Reply(str(run), headers={"Vary": "*"}),
        "a stream": lambda _, run: Reply(str(run), streams=True),
        "partial": lambda _, run: Reply(str(run), 206),
        "too long": lambda _, run: Reply(str(run) + "x" * 2**20),
    }


@SITES
@pytest.mark.parametrize("name", own_replies())
def test_what_is_one_callers_own_is_not_stored(
    kind: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Counted(own_replies()[name])
    site = site_of(kind, handler, vary="Accept-Encoding")
    plain = Site(kind, cached=False)
    plain.add("/page", Counted(own_replies()[name]))
    with caplog.at_level(logging.WARNING, "zoocache.web"):
        answers = [site.ask("/page") for _ in range(3)]
    expected = [plain.ask("/page") for _ in range(3)]
    assert [(one.status, one.body) for one in answers] == [
        (one.status, one.body) for one in expected
    ]
    assert [sorted(one.headers) for one in answers] == [sorted(one.headers) for one in expected]
    assert len(caplog.records) == 1, "one warning, not one for each request"
    assert caplog.records[0].name == "zoocache.web"


@SITES
def test_nobody_who_waits_gets_what_is_the_leaders_own(kind: str) -> None:
    handler = Counted(lambda _, run: Reply(f"for {run}", cookie=f"session-{run}"))
    site = Site(kind)
    site.add("/page", handler, delay_s=0.05)
    answers = site.ask_all([Asked("/page")] * 20)
    cookies = [one.header("set-cookie") for one in answers]
    assert len(set(cookies)) == handler.runs == 20
    assert len({one.body for one in answers}) == 20


@SITES
def test_a_hundred_requests_run_a_cold_endpoint_once(kind: str) -> None:
    handler = Counted()
    site = Site(kind)
    site.add("/page", handler, delay_s=0.2)
    answers = site.ask_all([Asked("/page")] * 100)
    assert handler.runs == 1
    assert {(one.status, one.body) for one in answers} == {(200, b"/page? 1")}
    assert sum(one.is_hit for one in answers) == 99


@SITES
def test_errors_are_not_stored(kind: str) -> None:
    handler = Counted(lambda _, run: Reply(f"gone {run}", 404 if run < 3 else 200))
    site = site_of(kind, handler)
    assert [site.ask("/page").status for _ in range(4)] == [404, 404, 200, 200]
    assert handler.runs == 3


@SITES
def test_errors_are_stored_when_asked_for(kind: str) -> None:
    handler = Counted(lambda _, run: Reply(f"gone {run}", 404))
    site = site_of(kind, handler, cache_status=[404], deps="page")
    assert [site.ask("/page").text for _ in range(2)] == ["gone 1"] * 2
    zoocache.invalidate("page")
    assert site.ask("/page").text == "gone 2"


@SITES
def test_an_error_that_depends_on_who_asks_is_not_shared(kind: str) -> None:
    handler = Counted(lambda _, run: Reply(f"slow down, {run}", 429))
    site = Site(kind)
    site.add("/page", handler, delay_s=0.05)
    assert len({one.body for one in site.ask_all([Asked("/page")] * 5)}) == 5
    with pytest.raises(zoocache.InvalidOption, match="429"):
        site.add("/other", handler, cache_status=[429])


@SITES
def test_head_finds_and_never_stores(kind: str) -> None:
    if kind.startswith("litestar"):
        pytest.skip("a handler of Litestar answers HEAD or GET")
    handler = Counted(lambda request, run: Reply(f"{request.method} {run}"))
    site = site_of(kind, handler, methods=["GET", "HEAD"])
    assert site.ask("/page", method="HEAD").status == 200
    assert site.ask("/page", method="HEAD").status == 200
    assert handler.runs == 2
    got = site.ask("/page")
    assert got.text == "GET 3"
    head = site.ask("/page", method="HEAD")
    assert (head.body, head.header("etag"), head.header("content-length")) == (
        b"", got.header("etag"), got.header("content-length")
    )  # fmt: skip
    assert handler.runs == 3


@SITES
def test_other_methods_are_a_bypass(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    handler = Counted(lambda request, run: Reply(f"{request.method} {run}"))
    site = site_of(kind, handler, methods=["GET", "POST"])
    for expected in ("POST 1", "POST 2"):
        assert site.ask("/page", method="POST", body=b"x").text == expected
    assert site.ask("/page").text == "GET 3"
    assert site.ask("/page", method="POST").text == "POST 4"
    assert site.ask("/page").text == "GET 3"
    assert len([one for one in caplog.records if one.name == "zoocache.web"]) == 1


@SITES
def test_a_validator_saves_the_body(kind: str) -> None:
    handler = Counted(lambda _, run: Reply("page", headers={"X-Shop": "one"}))
    site = site_of(kind, handler, deps="page")
    full = site.ask("/page")
    etag = full.header("etag")
    assert etag is not None
    assert etag.startswith('W/"')
    assert full.header("cache-control") == "private, no-cache"
    for condition in (etag, etag[2:], f'"a", {etag} ,"b"', "*", 'W/"x", *'[6:]):
        answer = site.ask("/page", headers={"If-None-Match": condition})
        assert (answer.status, answer.body) == (304, b""), condition
        assert answer.header("etag") == etag
        assert answer.header("x-shop") == "one"
        assert answer.header("cache-control") == "private, no-cache"
        assert answer.header("content-length") in (None, "0")
    for condition in ('"other"', etag.replace('"', ""), ""):
        assert site.ask("/page", headers={"If-None-Match": condition}).status == 200
    zoocache.invalidate("page")
    assert site.ask("/page", headers={"If-None-Match": etag}).status == 304, "made anew, but equal"
    assert handler.runs == 2


@SITES
def test_a_conditional_first_request_stores_the_whole(kind: str) -> None:
    handler = Counted()
    site = site_of(kind, handler)
    assert site.ask("/page", headers={"If-None-Match": "*"}).status == 304
    assert site.ask("/page").text == "/page? 1"


@SITES
def test_an_endpoint_that_answers_conditions_itself_is_left_alone(kind: str) -> None:
    def reply(request: Request, run: int) -> Reply:
        if request.headers.get("if-none-match") == '"mine"':
            return Reply("", 304, {"ETag": '"mine"'})
        return Reply(f"whole {run}", headers={"ETag": '"mine"', "Cache-Control": "public"})

    handler = Counted(reply)
    site = site_of(kind, handler)
    assert site.ask("/page", headers={"If-None-Match": '"mine"'}).status == 304
    whole = site.ask("/page")
    assert (whole.status, whole.text) == (200, "whole 2")
    assert (whole.all("etag"), whole.all("cache-control")) == (['"mine"'], ["public"])
    assert site.ask("/page", headers={"If-None-Match": 'W/"mine"'}).status == 304
    assert handler.runs == 2


@SITES
def test_a_request_may_not_store_but_does_find(kind: str) -> None:
    handler = Counted()
    site = site_of(kind, handler)
    for _ in range(2):
        assert not site.ask("/page", headers={"Cache-Control": "no-store"}).is_hit
    site.ask("/page", headers={"Cache-Control": "no-cache"})
    assert site.ask("/page", headers={"Cache-Control": "no-store"}).is_hit
    assert site.ask("/page", headers={"Cache-Control": "no-cache, max-age=0"}).is_hit
    assert handler.runs == 3


@SITES
def test_what_runs_afterwards_does_not_run_on_a_hit(kind: str) -> None:
    after: list[int] = []
    handler = Counted(lambda _, run: Reply(str(run), after=lambda: after.append(run)))
    site = site_of(kind, handler, deps="page")
    site.ask("/page")
    second = site.ask("/page")
    if kind.startswith(
        ("flask", "django")
    ):  # there it belongs to the response, which then is not kept
        assert (after, second.is_hit) == ([1, 2], False)
    else:
        assert (after, second.is_hit) == ([1], True)


@SITES
def test_an_invalidation_during_a_run_wins(kind: str) -> None:
    gate = Gate()

    def reply(request: Request, run: int) -> Reply:
        if run == 1:
            gate.hold()
        return Reply(f"run {run}")

    handler = Counted(reply)
    site = site_of(kind, handler, deps="page")
    early = spawn(site.ask, "/page")
    gate.wait_entered()
    zoocache.invalidate("page")
    gate.release()
    assert early.result().text == "run 1"
    assert site.ask("/page").text == "run 2"
    assert site.ask("/page").text == "run 2"


@SITES
def test_a_failing_endpoint_stores_nothing(kind: str) -> None:
    def reply(request: Request, run: int) -> Reply:
        if run < 3:
            raise ValueError(f"run {run}")
        return Reply("fine")

    site = site_of(kind, Counted(reply))
    answers: list[Answer] = []
    for _ in range(4):
        try:
            answers.append(site.ask("/page"))
        except ValueError as error:
            answers.append(Answer(500, body=str(error).encode()))
    assert [one.status for one in answers] == [500, 500, 200, 200]


@SITES
def test_no_store_keeps_a_response_out(kind: str) -> None:
    def reply(request: Request, run: int) -> Reply:
        zoocache.no_store()
        return Reply(str(run))

    site = site_of(kind, Counted(reply))
    assert [site.ask("/page").text for _ in range(2)] == ["1", "2"]


@SITES
def test_max_age_bounds_how_long_a_response_is_kept(kind: str) -> None:
    cache = zoocache.Cache()
    handler = Counted(lambda _, run: Reply(str(run), headers={"Cache-Control": "max-age=60"}))
    site = site_of(kind, handler, ttl=1000, cache=cache)
    assert [site.ask("/page").text for _ in range(2)] == ["1", "1"]
    cache.core.set_time(1e6)
    cache.core.set_time(1e6 + 59)
    assert site.ask("/page").text in ("1", "2")
    now = 1e6 + 120
    cache.core.set_time(now)
    text = site.ask("/page").text
    cache.core.set_time(now + 59)
    assert site.ask("/page").text == text
    cache.core.set_time(now + 61)
    assert site.ask("/page").text != text


@SITES
def test_another_cache_has_tags_of_its_own(kind: str) -> None:
    cache = zoocache.Cache()
    site = site_of(kind, Counted(), deps="page", cache=cache)
    site.ask("/page")
    zoocache.invalidate("page")
    assert site.ask("/page").is_hit
    cache.invalidate("page")
    assert not site.ask("/page").is_hit


@SITES
def test_responses_outlast_the_process_in_a_storage(kind: str, url: str) -> None:
    answers = []
    handler = Counted()
    for _ in range(2):
        cache = zoocache.Cache(storage_url=url)
        site = site_of(
            kind, handler, deps="page", cache=cache, namespace=f"page-{kind}", version="1"
        )
        answers.append(site.ask("/page"))
        wait_until(lambda cache=cache: cache.stats().flights == 0, "the end of the store")
    assert [one.text for one in answers] == ["/page? 1"] * 2
    assert (answers[0].is_hit, answers[1].is_hit, handler.runs) == (False, True, 1)


@SITES
def test_bounds(kind: str) -> None:
    handler = Counted(lambda request, run: Reply("x" * 1000))
    site = site_of(kind, handler, max_bytes=20_000)
    for number in range(200):
        assert len(site.ask("/page", f"junk={number}").body) == 1000
    assert zoocache.stats().entries < 20
