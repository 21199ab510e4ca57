"""The dashboard's answers: who gets them, what is in them, what they change."""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

import zoocache
from dashboard_support import HERE, TOKEN, ask, code_of, invalidate
from zoocache import FunctionInfo, LoadTimes, cacheable
from zoocache.dashboard import Request, create_app
from zoocache.dashboard._nodes import NodeRow

ROOT = Path(__file__).resolve().parents[2]
API = ["/api/overview", "/api/tags", "/api/search?text=a", "/api/preview?tag=a"]
STATIC = ROOT / "python" / "zoocache" / "dashboard" / "static"


@pytest.mark.parametrize("path", ["/", "/static/app.js", *API])
def test_without_a_token_this_machine_alone_is_answered(path: str) -> None:
    app = create_app()
    for base in (HERE, "http://127.0.0.1", "http://[::1]:9", "http://a.localhost"):
        for peer in ("127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"):
            assert ask(app, path, base=base, peer=peer).status_code == 200, (base, peer)
    for base in (
        *("http://attacker.example", "http://localhost.attacker.example", "http://10.0.0.1"),
        *("http://127.0.0.1.attacker.example", "http://127.0.0.1@attacker.example"),
    ):
        assert code_of(ask(app, path, base=base)) == (403, "not_local"), "DNS rebinding"
    for stranger in ("10.0.0.1", "::2", "128.0.0.1", "::ffff:10.0.0.1", "testclient", "", None):
        assert code_of(ask(app, path, peer=stranger)) == (403, "not_local"), stranger
    for header in ("x-forwarded-for", "forwarded", "x-real-ip", "via"):
        answer = ask(app, path, headers={header: "10.0.0.1"})
        assert code_of(answer) == (403, "not_local"), "a proxy may stand before strangers"


@pytest.mark.parametrize("path", API)
def test_a_token_is_wanted_from_everybody_or_nobody(path: str) -> None:
    app = create_app(token=TOKEN)
    for wrong in (None, "", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "é" * 24):
        headers = {} if wrong is None else {"authorization": b"Bearer " + wrong.encode("latin-1")}
        answer = ask(app, path, headers=headers)
        assert code_of(answer) == (401, "token_wanted")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert ask(app, path, headers={"authorization": f"Basic {TOKEN}"}).status_code == 401
    far = {"peer": "10.0.0.1", "base": "https://cache.example"}
    assert ask(app, path, token=TOKEN, **far).status_code == 200  # type: ignore[arg-type]
    assert ask(app, "/", **far).status_code == 200, "where the token is asked for"  # type: ignore[arg-type]


def test_authorize_decides() -> None:
    seen: list[Request] = []

    def authorize(request: Request) -> Any:
        seen.append(request)
        return {"reader": "read", "writer": "write", "yes": True}.get(request.headers["x-user"])

    app = create_app(authorize=authorize)

    def answer(user: str) -> Any:
        return ask(app, "/api/overview", headers={"x-user": user}, peer="10.0.0.1")

    assert [answer(user).json()["writable"] for user in ("reader", "yes", "writer")] == [
        *(False, False, True)
    ]
    assert code_of(answer("nobody")) == (401, "token_wanted")
    assert (seen[0].method, seen[0].path, seen[0].peer) == ("GET", "/api/overview", "10.0.0.1")
    assert code_of(invalidate(app, "a", headers={"x-user": "reader"})) == (403, "read_only")
    assert invalidate(app, "a", headers={"x-user": "writer"}).status_code == 200
    both = create_app(authorize=authorize, token=TOKEN)
    assert ask(both, "/api/tags", headers={"x-user": "nobody"}, token=TOKEN).status_code == 200


def test_what_authorize_raises_stays_inside(caplog: pytest.LogCaptureFixture) -> None:
    def authorize(request: Request) -> bool:
        raise RuntimeError("the password is hunter2")

    answer = ask(create_app(authorize=authorize), "/api/overview")
    assert code_of(answer) == (500, "failed")
    assert "hunter2" not in answer.text
    assert "hunter2" in caplog.text


def test_an_invalidation() -> None:
    load = cacheable(deps=["user:{x}"])(lambda x: x)
    load(1), load(2)
    app = create_app(token=TOKEN, interval=3600)
    assert ask(app, "/api/overview", token=TOKEN).json()["invalidations"] == []
    preview = ask(app, "/api/preview", params={"tag": "user:1"}, token=TOKEN).json()
    name = f"{load.__module__}.{load.__qualname__}"
    assert (preview["would_die"], preview["functions"]) == (1, {name: 1})
    told = invalidate(app, "user:1", token=TOKEN).json()
    assert told == {"tag": "user:1", "epoch": zoocache.stats().clock}
    assert (load.peek(1), load.peek(2)) == (None, 2)
    newest = ask(app, "/api/overview", token=TOKEN).json()["invalidations"][0]
    assert (newest["tags"], newest["epoch"]) == (["user:1"], told["epoch"])


def test_an_invalidation_that_is_refused_changes_nothing() -> None:
    load = cacheable(deps=["user:1"])(lambda: 1)
    load()
    app = create_app(token=TOKEN)
    refused = [
        (invalidate(create_app(), "user:1"), (403, "read_only")),
        (invalidate(app, "user:1"), (401, "token_wanted")),
        (invalidate(app, "bad tag", token=TOKEN), (400, "invalid_tag")),
        (invalidate(app, "", token=TOKEN), (400, "invalid_tag")),
        (invalidate(app, "x" * 300, token=TOKEN), (400, "invalid_tag")),
        (invalidate(app, 7, token=TOKEN), (400, "bad_body")),
        (invalidate(app, None, token=TOKEN, json=["user:1"]), (400, "not_json")),
        (invalidate(app, "x" * 70_000, token=TOKEN), (413, "too_large")),
        (ask(app, "/api/invalidate", token=TOKEN), (405, "bad_method")),
    ]
    for answer, expected in refused:
        assert code_of(answer) == expected
    assert load.peek() == 1 and zoocache.stats().clock == 0


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-zoocache": None}, "cross_site"),  # what a form of another site can send
        ({"content-type": "text/plain"}, "not_json"),
        ({"origin": "https://attacker.example"}, "cross_site"),
        ({"origin": "null"}, "cross_site"),
        ({"origin": "http://localhost:9999"}, "cross_site"),
        ({"sec-fetch-site": "cross-site"}, "cross_site"),
        ({"sec-fetch-site": "same-site"}, "cross_site"),
    ],
)
def test_other_sites_can_change_nothing(headers: dict[str, Any], code: str) -> None:
    """Even where the program's own cookies would let them: `authorize` sees nothing but these."""
    app = create_app(authorize=lambda request: "write")
    sent = {"x-zoocache": "1", "content-type": "application/json", **headers}
    answer = ask(
        app,
        "/api/invalidate",
        "POST",
        headers={name: value for name, value in sent.items() if value is not None},
        content=json.dumps({"tag": "user:1"}),
    )
    assert code_of(answer)[1] == code
    assert zoocache.stats().clock == 0
    fine = {"origin": HERE, "sec-fetch-site": "same-origin"}
    assert invalidate(app, "user:1", headers=fine).status_code == 200


def test_other_sites_cannot_look_either() -> None:
    for path in API:
        answer = ask(create_app(), path, headers={"sec-fetch-site": "cross-site"})
        assert code_of(answer) == (403, "cross_site")


@pytest.mark.parametrize(
    "path", ["/", "/static/style.css", *API, "/nothing", "/api/tags?limit=x", ""]
)
def test_every_answer_forbids_what_the_page_does_not_need(path: str) -> None:
    answer = ask(create_app(), path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    if path.startswith("/api"):
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


def test_the_page_names_nothing_from_outside() -> None:
    for file in STATIC.iterdir():
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "") or file.suffix == ".js", file
        assert "http:" not in text and "https:" not in text, file
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, file
    page = (STATIC / "page.html").read_text("utf-8")
    assert " style=" not in page and " onclick=" not in page and "<style" not in page


def test_every_part_is_served_and_nothing_else() -> None:
    app = create_app()
    for file in STATIC.iterdir():
        answer = ask(app, "/" if file.suffix == ".html" else f"/static/{file.name}")
        assert answer.content == file.read_bytes()
        again = ask(app, str(answer.url), headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    for path in ("/static/", "/static/page.html", "/static/../_app.py", "/static/%2e%2e/_app.py"):
        assert code_of(ask(app, path)) == (404, "not_found")
    assert code_of(ask(app, "/static//etc/passwd")) == (404, "not_found")
    assert code_of(ask(app, "/api/overview", "DELETE")) == (405, "bad_method")
    head = ask(app, "/", "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 1000


def test_the_overview_stays_the_same_until_something_happens() -> None:
    load = cacheable(lambda x: x)
    load(1)
    zoocache.invalidate("a")
    app = create_app(interval=0.1)
    first = ask(app, "/api/overview")
    time.sleep(0.2)  # what happened stays at its moment
    same = {"if-none-match": first.headers["etag"]}
    again = ask(app, "/api/overview", headers=same)
    assert (again.status_code, again.content) == (304, b"")
    assert float(again.headers["x-zoocache-time"]) > 1e9
    load(1)
    app._source._overview_until = 0.0
    changed = ask(app, "/api/overview", headers=same)
    assert changed.status_code == 200
    assert changed.json()["stats"]["hits"] == 1


def test_the_overview_tells_what_the_cache_tells() -> None:
    @cacheable
    def slow(x: int) -> int:
        if x == 0:
            raise LookupError
        return x

    slow(1), slow(1), slow(2)
    with pytest.raises(LookupError):
        slow(0)
    told = ask(create_app(), "/api/overview").json()
    assert told["stats"] == zoocache.stats().as_dict()
    [info] = zoocache.functions()
    [shown] = told["functions"]
    assert shown["name"] == info.name
    assert (shown["hits"], shown["misses"], shown["loads"], shown["load_errors"]) == (1, 3, 3, 1)
    assert shown["load_mean_s"] == pytest.approx(info.load_times.mean_s, abs=1e-9)
    assert shown["load_p95_s"] in info.load_times.bounds_s
    assert (told["home"], told["storage"], told["writable"]) == (None, None, False)
    assert told["version"] == zoocache.version()
    assert told["history"][-1][1:] == [1, 3]


def test_of_many_functions_the_slowest_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = dict.fromkeys("hits misses loads load_errors".split(), 0)
    infos = [  # the slower a function, the less it loads
        FunctionInfo(f"f{number}", 0, counts, LoadTimes((1.0,), (10 ** (9 - number), 0), sum_s))
        for number, sum_s in enumerate([900.0, 800.0, 700.0, 600.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    ]
    cache = zoocache.Cache()
    monkeypatch.setattr(cache, "functions", lambda: infos, raising=False)
    told = ask(create_app(cache, max_functions=4), "/api/overview").json()
    assert {one["name"] for one in told["functions"]} == {"f0", "f1", "f8", "f7"}
    assert told["functions_total"] == 9


def test_tags_are_had_a_page_at_a_time() -> None:
    load = cacheable(deps=["org:{x}:user:{y}"])(lambda x, y: (x, y))
    for x in range(3):
        for y in range(10 + x):
            load(x, y)
    app = create_app()
    top = ask(app, "/api/tags").json()
    org = {"tag": "org", "segment": "org", "entries": 33, "own": 0, "version": 0, "children": True}
    assert top == {"total": 1, "offset": 0, "rows": [org]}
    page = ask(app, "/api/tags?below=org:2:user&offset=3&limit=4").json()
    assert (page["total"], page["offset"], len(page["rows"])) == (12, 3, 4)
    by_size = ask(app, "/api/tags?below=org&order=entries").json()["rows"]
    assert [(row["tag"], row["entries"]) for row in by_size] == [
        *(("org:2", 12), ("org:1", 11), ("org:0", 10))
    ]
    found = ask(app, "/api/search?text=R:11").json()
    assert [row["tag"] for row in found["rows"]] == ["org:2:user:11"]
    for query in (
        "limit=501",
        "limit=-1",
        "offset=1e3",
        "limit=٣",
        "order=size",
        "limit=" + "9" * 99,
    ):
        assert code_of(ask(app, f"/api/tags?{query}")) == (400, "bad_query")
    assert code_of(ask(app, "/api/search", params={"text": "x" * 4097})) == (400, "bad_query")
    assert code_of(ask(app, "/api/tags?" + "a=1&" * 30)) == (400, "bad_query")
    assert code_of(ask(app, "/api/preview?tag=bad%20tag")) == (400, "invalid_tag")


def test_however_many_look_the_tags_are_listed_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = zoocache.Cache()
    listed = []
    monkeypatch.setattr(
        cache, "tags", lambda: listed.append(1) or iter([("a", 0, 1)]), raising=False
    )
    app = create_app(cache, interval=3600)
    for _ in range(5):
        ask(app, "/api/tags"), ask(app, "/api/search?text=a"), ask(app, "/api/preview?tag=a")
    assert len(listed) == 1


def test_a_home_that_cannot_be_reached() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        cache = zoocache.Cache(bus_url=f"redis://:secret@127.0.0.1:{port}", connect_timeout=0.1)
        app = create_app(cache, token=TOKEN)
        answer = ask(app, "/api/overview", token=TOKEN)
        home = answer.json()["home"]
        assert (home["kind"], home["reachable"], home["lease_s"]) == ("redis", False, 2.0)
        assert home["trouble"] and "secret" not in answer.text
        assert code_of(invalidate(app, "a", token=TOKEN)) == (503, "home_unreachable")


def test_arguments_and_values_are_not_told() -> None:
    load = cacheable(deps=["user:1"])(lambda password: "value-" + password)
    load("hunter2")
    load.invalidate("hunter2")
    load("hunter2")
    zoocache.set("raw-hunter2", "hunter2", deps=["user:2"])
    app = create_app()
    assert all("hunter2" not in ask(app, path).text for path in [*API, "/api/search?text=user"])


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"token": "short"},
            {"token": 5},
            {"token": "é" * 20},
            {"token": "with spaces in it all"},
        ),
        *({"authorize": 5}, {"interval": 0}, {"interval": "2"}, {"history": float("nan")}),
        *({"max_functions": 0}, {"interval": True}),
    ],
)
def test_options_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(zoocache.InvalidOption) as raised:
        create_app(**options)
    assert next(iter(options)) in str(raised.value)
    if options.get("token") not in (None, 5):
        assert str(options["token"]) not in str(raised.value), "a token is not told"


def test_the_document_names_all_that_is_answered(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "DASHBOARD.md").read_text("utf-8")
    cache = zoocache.Cache(storage_url=f"lmdb://{tmp_path}/cache")
    load = cache.cacheable(deps=["a"])(lambda: 1)
    load()
    cache.invalidate("a")
    app = create_app(cache)
    told = ask(app, "/api/overview").json()
    names = {*told, *told["functions"][0], *told["invalidations"][0]}
    names |= {*ask(app, "/api/tags").json()["rows"][0], *ask(app, "/api/preview?tag=a").json()}
    names |= {*NodeRow.__annotations__, "lease_s", "nodes"}
    sources = "".join(file.read_text("utf-8") for file in STATIC.parent.glob("*.py"))
    codes = set(re.findall(r'Problem\(\s*\d+,\s*"(\w+)"', sources))
    assert len(codes) >= 12
    assert {name for name in names | codes if f"`{name}`" not in document} == set()
    for path in app._routes:
        assert path[1:] in document
