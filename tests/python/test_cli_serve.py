"""`zoocache serve` on real homes that other processes use: what its page and its JSON tell."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli_support import command, served, worker
from dashboard_support import TOKEN, code_of
from redis_server import RedisServer
from support import HANG_S, Gate, wait_until
from test_docs import DOCS
from zoocache import Cache
from zoocache.cli._home import Home, Place, Stored
from zoocache.cli._home_view import HomeView
from zoocache.cli._survey import Bounds
from zoocache.cli._words import CANNOT_SEE


def get(http: httpx.Client, path: str, **query: str) -> Any:
    answer = http.get(f"api/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def tags(http: httpx.Client, below: str = "") -> dict[str, tuple[int, int]]:
    """Of each tag the valid values that depend on it or below, and its epoch."""
    rows = get(http, "tags", below=below)["rows"]
    return {row["tag"]: (row["entries"], row["version"]) for row in rows}


@pytest.mark.parametrize("kind", ["lmdb", "redis"])
def test_it_tells_and_invalidates(kind: str, request: pytest.FixtureRequest) -> None:
    home = request.getfixturevalue("url" if kind == "lmdb" else "server")
    url = home if kind == "lmdb" else home.url
    with worker(url) as other, served(url, token=TOKEN) as http:
        told = get(http, "overview")
        assert told["pid"] is None
        if kind == "lmdb":
            assert set(told["stats"].values()) == {None}, "no zero stands for what is not known"
            assert (told["cannot_see"], told["processes"]) == (CANNOT_SEE, None)
            assert told["history"] == []
        assert told["where"].startswith(f"{kind}://")
        assert (told["values"]["entries"], told["values"]["valid"]) == (8, 8)
        functions = {one["name"]: one for one in told["functions"]}
        assert (functions["shop.user"]["valid"], functions["shop.order"]["valid"]) == (5, 3)
        assert functions["shop.user"]["bytes"] > 500
        if kind == "lmdb":
            assert functions["shop.user"]["hits"] is functions["shop.user"]["load_mean_s"] is None
        if kind == "redis":
            wait_until(lambda: get(http, "overview")["processes"] is not None, "its answer")
            told = get(http, "overview")
            assert (told["stats"]["misses"], told["stats"]["flights"]) == (8, None)
            assert told["cannot_see"].endswith("as 1 of 1 told.")
            assert [row["pid"] for row in told["processes"]["rows"]] == [other.process.pid]
            memory = next(one for one in told["functions"] if one["name"] == "shop.user")
            assert (memory["in_memory"], memory["misses"], memory["valid"]) == (5, 5, 5)
            assert told["history"][-1][1:] == [0, 8]
        assert told["home"]["reachable"] and told["storage"]["reachable"]
        nodes = [one for one in told["home"]["nodes"] if not one["is_self"]]
        assert len(nodes) == 1
        assert (kind == "lmdb") == (nodes[0]["name"] == str(other.process.pid))
        assert told["home"].get("lease_s") == (None if kind == "lmdb" else 2.0)
        assert tags(http) == {"org": (8, 0), "stock": (3, 0)}

        preview = get(http, "preview", tag="org:acme:user")
        assert (preview["would_die"], preview["functions"]) == (5, {"shop.user": 5})
        both = get(http, "preview", tag="org")
        assert both["functions"] == {"shop.user": 5, "shop.order": 3}
        assert get(http, "preview", tag="org:acme:use")["would_die"] == 0, "a segment is whole"
        assert abs(both["as_of"] - told["values"]["as_of"]) < HANG_S
        assert code_of(http.get("api/preview", params={"tag": "a::b"})) == (400, "invalid_tag")

        answer = http.post("api/invalidate", json={"tag": "org:acme:user:1"}).json()
        epoch = answer["epoch"]
        assert answer == {"tag": "org:acme:user:1", "epoch": epoch}
        assert get(http, "preview", tag="org:acme:user")["would_die"] == 4, "at once"
        assert tags(http, "org:acme:user")["org:acme:user:1"] == (0, epoch)
        other.say("user 1")
        wait_until(lambda: tags(http)["org"] == (8, 0), "a picture with what was loaded anew")
        other.say("invalidate stock elsewhere")
        other.say("clear")
        (cleared, last, first) = get_until(http, lambda told: len(told["invalidations"]) == 3)
        assert (cleared["everything"], cleared["epoch"], cleared["died"]) == (True, epoch + 2, None)
        assert sorted(last["tags"]) == ["elsewhere", "stock"], "one invalidation, one epoch"
        assert (first["tags"], first["origin"]) == (["org:acme:user:1"], None)
        assert last["at"] is not None, "it came while we looked"

        stranger = httpx.get(f"{http.base_url}api/overview", trust_env=False)
        assert code_of(stranger) == (401, "token_wanted")


def get_until(http: httpx.Client, holds: Any) -> Any:
    """The invalidations of the first overview of which it holds."""
    wait_until(lambda: holds(get(http, "overview")), "an overview")
    return get(http, "overview")["invalidations"]


def test_a_server_that_goes_and_comes_back(server: RedisServer) -> None:
    cache = Cache(storage_url=server.url, command_timeout=5)
    cache.invalidate("b")
    cache.set("key", 1, deps="a")
    url = server.url.replace("redis://", "redis://default:pa55word@")
    server.ask("CONFIG", "SET", "requirepass", "pa55word")
    with served(url, "--timeout", "0.2") as http:
        first = get(http, "overview")
        assert (first["values"]["valid"], first["writable"]) == (1, False)
        refused = http.post("api/invalidate", json={"tag": "a"})
        assert code_of(refused) == (403, "read_only")
        server.kill()
        wait_until(lambda: not get(http, "overview")["home"]["reachable"], "the end")
        lost = get(http, "overview")
        assert len(lost["home"]["trouble"]) > 10
        assert (lost["home"]["clock"], lost["home"]["nodes"]) == (None, None)
        assert not lost["storage"]["reachable"]
        assert lost["values"]["valid"] == 1, "the last picture stays, with its moment"
        assert lost["invalidations"] == first["invalidations"] != []
        assert get(http, "preview", tag="a")["would_die"] == 1
        server.start()  # empty, without a password: the client is told to go on without
        wait_until(lambda: get(http, "overview")["home"]["reachable"], "the server again")
        wait_until(lambda: get(http, "overview")["values"]["entries"] == 0, "a new picture")
        assert get(http, "overview")["storage"]["reachable"]
        assert "pa55word" not in http.get("api/overview").text + lost["home"]["trouble"]


def test_what_is_refused(url: str) -> None:
    Cache(storage_url=url).set("key", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words, environment, code, said in (
            (["--port", port], {}, 2, f"--port {port} cannot be had: Address already in use"),
            (["--port", "65536"], {}, 2, "65535"),
            (["--interval", "0"], {}, 2, "--interval"),
            (["--host", "0.0.0.0"], {}, 2, "set ZOOCACHE_DASHBOARD_TOKEN"),
            (["--host", "192.0.2.1", "--token", TOKEN], {}, 2, "--host 192.0.2.1 --port 8765"),
            ([], {"ZOOCACHE_DASHBOARD_TOKEN": "hunter2"}, 2, "16 or more printable"),
            (["--url", f"{url}2"], {}, 3, "there is no home"),
        ):
            done = command("serve", *words, **{"ZOOCACHE_URL": url, **environment})
            assert done.code == code, (words, done)
            assert said in done.err.replace("\n", " "), (words, done)
            assert "hunter2" not in done.err + done.out, "a token is not told"


class Counted(Home):
    """Counts the surveys that begin, and holds them if it is told to."""

    surveys = 0
    gate: Gate | None = None

    def stored(self, start: bytes, most: int) -> tuple[list[Stored], bytes, int]:
        self.surveys += start == b""
        found = super().stored(start, most)
        if self.gate is not None:
            self.gate.hold()
        return found


def test_not_every_request_is_a_survey(url: str) -> None:
    Cache(storage_url=url).set("key", 1, deps="a:b")
    home = Counted(Place(url))
    view = HomeView(home, Bounds(), 3600)
    for _ in range(5):
        view.overview(), view.search("", 0, 10), view.preview("a")
        assert view.children("", 0, 10, largest_first=True)["rows"][0]["entries"] == 1
    assert home.surveys == 1
    view.invalidate("a")
    assert view.overview()["values"]["valid"] == 0
    assert view.preview("a")["would_die"] == 0
    assert home.surveys == 2
    view.close()
    view.invalidate("a")
    view.overview()
    assert home.surveys == 2, "it has ended"


def test_a_survey_that_something_overtook_is_followed_by_another(url: str) -> None:
    Cache(storage_url=url).set("key", 1, deps="a")
    home = Counted(Place(url))
    view = HomeView(home, Bounds(), 3600)
    home.gate = Gate()
    assert view.overview()["values"] is None, "a long survey keeps nobody waiting"
    assert view.preview("a")["would_die"] is None
    home.gate.wait_entered()
    view.invalidate("elsewhere")
    home.gate.release()
    home.gate = None
    wait_until(lambda: view.preview("a")["would_die"] == 1, "the picture")
    wait_until(lambda: view.preview("elsewhere")["version"] > 0, "the picture after it")
    assert home.surveys == 2
    view.close()


def test_a_home_that_answers_again_is_surveyed_at_once(server: RedisServer, url: str) -> None:
    Cache(storage_url=server.url, command_timeout=5).set("key", 1, deps="a")
    Cache(storage_url=url, bus_url=server.url, command_timeout=5).set("key", 1)
    view = HomeView(Home(Place(server.url)), Bounds(), 3600)
    beside = HomeView(Home(Place(server.url, url)), Bounds(), 0.1)

    def reachable() -> bool:
        view._overview_until = 0.0
        return bool(view.overview()["home"]["reachable"])

    assert reachable()
    server.kill()
    wait_until(lambda: not reachable(), "the end")
    assert not view.overview()["storage"]["reachable"]
    wait_until(lambda: not beside.overview()["home"]["reachable"], "the end for the other one")
    beside.children("", 0, 9, largest_first=False)  # tries a survey
    storage = beside.overview()["storage"]
    assert (storage["kind"], storage["reachable"], storage["trouble"]) == ("lmdb", True, "")
    beside.close()
    server.start()
    wait_until(lambda: reachable() and view.overview()["values"]["entries"] == 0, "what it has now")
    view.close()


def test_values_that_come_later_are_seen(url: str) -> None:
    Cache(bus_url=url).invalidate("a")
    view = HomeView(Home(Place(url)), Bounds(), 3600)
    assert view.overview()["storage"] is None
    Cache(storage_url=url).set("key", 1, deps="a")
    view.invalidate("b")
    assert view.preview("a")["would_die"] == 1
    assert view.overview()["storage"]["reachable"]
    view.close()


def test_what_nobody_would_write_is_no_part_of_the_tree(server: RedisServer) -> None:
    cache = Cache(storage_url=server.url, command_timeout=5)
    cache.invalidate("x")
    server.ask("ZADD", "{zoocache}:log", "1", "x\0y")
    server.send(b"*4\r\n$4\r\nZADD\r\n$14\r\n{zoocache}:log\r\n$1\r\n1\r\n$2\r\n\xff\x7f\r\n")
    view = HomeView(Home(Place(server.url)), Bounds(), 1)
    rows = view.children("", 0, 10, largest_first=False)["rows"]
    assert [(row["tag"], row["children"]) for row in rows] == [("x", False), ("\udcff\x7f", False)]
    view.close()


def test_processes_without_stored_values(server: RedisServer) -> None:
    cache = Cache(bus_url=server.url, inspect_interval=0.01)

    @cache.cacheable(deps=["org:acme:{x}"])
    def user(x: int) -> int:
        return x

    user(1), user(2), user(2)
    view = HomeView(Home(Place(server.url)), Bounds(), 0.01)

    def look() -> dict[str, Any]:
        time.sleep(0.02)
        return view.overview()

    wait_until(lambda: look()["stats"]["hits"] == 1, "its answer")
    (told,) = (one for one in look()["functions"] if one["name"].endswith("user"))
    assert (told["in_memory"], told["hits"], told["misses"], told["entries"]) == (2, 1, 2, 0)
    wait_until(lambda: rows(view, "org:acme") == {"org:acme:1": 1, "org:acme:2": 1}, "its tags")
    wait_until(lambda: sum(view.preview("org")["in_memory"].values()) == 2, "what would die")
    assert view.preview("org")["would_die"] == 0
    view.close()


def rows(view: HomeView, below: str) -> dict[str, int]:
    time.sleep(0.02)
    page = view.children(below, 0, 10, largest_first=False)
    return {row["tag"]: row["entries"] for row in page["rows"]}


def test_the_document_names_all_that_a_home_is_told_with(url: str) -> None:
    Cache(storage_url=url).set("key", 1)
    view = HomeView(Home(Place(url)), Bounds(), 1)
    told = view.overview()
    view.close()
    document = (DOCS / "DASHBOARD.md").read_text("utf-8")
    names = {*told, *told["values"], *told["functions"][0], *view.preview("a")}
    assert {name for name in names if f"`{name}`" not in document} == set()
    assert CANNOT_SEE in document and CANNOT_SEE in Path(DOCS / "COMMAND.md").read_text("utf-8")
