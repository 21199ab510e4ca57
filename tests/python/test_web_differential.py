"""Random requests with random identities: a cached app answers as an uncached one, always.

The endpoint shows everything that it may look at. Writes invalidate. A difference is somebody
else's answer, or an old one.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import web_apps
import zoocache
from web_apps import Reply, Request, Site
from web_client import Asked

pytestmark = pytest.mark.slow

PATHS = ("/items/a", "/items/a", "/items/b", "/items/%C3%A4", "/items/a%2Fb")
QUERIES = ("", "", "", "x=1", "x=1&y=2", "y=2&x=1", "x=2&x=1")
METHODS = ("GET", "GET", "GET", "HEAD", "POST")
HEADERS = {
    "cookie": ("user=ann", "user=bob", "theme=dark"),
    "authorization": ("ann", "bob"),
    "accept-language": ("de", "en"),
    "cache-control": ("no-cache", "no-store"),
    "if-none-match": ("*", '"never"'),
}
WHAT_THE_CACHE_ADDS = ("age", "etag", "cache-control", "vary", "date")

requests = st.builds(
    Asked,
    path=st.sampled_from(PATHS),
    query=st.sampled_from(QUERIES),
    method=st.sampled_from(METHODS),
    host=st.sampled_from(("shop.test", "shop.test", "other.test")),
    scheme=st.sampled_from(("http", "http", "https")),
    headers=st.dictionaries(st.sampled_from([*HEADERS]), st.integers(0, 5), max_size=2).map(
        lambda some: tuple(
            (name, HEADERS[name][at % len(HEADERS[name])]) for name, at in some.items()
        )
    ),
)
steps = st.lists(
    st.one_of(requests, requests, requests, requests, st.sampled_from(["a", "b"])),
    min_size=20,
    max_size=60,
)


def who(request: Any) -> str | None:
    return request.headers.get("authorization")


def show(versions: dict[str, int]) -> Any:
    """A handler that shows what it saw; some paths answer with a cookie or an error."""

    def handler(request: Request) -> Reply:
        version = versions.get(request.item, 0)
        seen = [request.headers.get(name) for name in ("cookie", "authorization")]
        language = request.headers.get("accept-language")
        text = f"{request.host} {request.item} {request.query} {version} {seen} {language}"
        if version % 5 == 4:
            return Reply(text, 404)
        if version % 5 == 3:
            return Reply(text, cookie=str(seen[1]))
        return Reply(text)

    return handler


@pytest.mark.parametrize("has_user", [False, True])
@pytest.mark.parametrize("kind", web_apps.THERE)
def test_no_request_can_tell_the_difference(kind: str, has_user: bool) -> None:
    methods = ["GET", "POST"] if kind.startswith("litestar") else ["GET", "HEAD", "POST"]
    versions: dict[str, int] = {}
    options: dict[str, Any] = {"user": who} if has_user else {}
    tag = "{request.path_params[item]}" if kind.startswith("starlette") else "{item}"
    cached, plain = Site(kind), Site(kind, cached=False)
    for site in (cached, plain):
        site.add(
            "/items/{item}",
            show(versions),
            methods=methods,
            deps=[f"item:{tag}"],
            vary="accept-language",
            **options,
        )
    hits = 0

    @settings(
        max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(steps)
    def run(taken: list[Any]) -> None:
        nonlocal hits
        for one in taken:
            if isinstance(one, str):
                versions[one] = versions.get(one, 0) + 1
                zoocache.invalidate(f"item:{one}")
                continue
            if has_user and any(name == "cookie" for name, _ in one.headers):
                continue  # the endpoint shows cookies, and user= says that they do not matter
            found, expected = cached.ask_all([one])[0], plain.ask_all([one])[0]
            hits += found.is_hit
            if found.status == 304:
                assert expected.status == 200
                assert ("if-none-match", "*") in one.headers
                continue
            assert (found.status, found.body) == (expected.status, expected.body)
            assert tidied(found.headers) == tidied(expected.headers)

    run()
    assert hits > 20, "it compared too little"


def tidied(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(
        (name.lower(), value) for name, value in headers if name.lower() not in WHAT_THE_CACHE_ADDS
    )
