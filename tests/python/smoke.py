"""Does an installed zoocache work at all? Needs nothing but the package; also run as a script."""

from __future__ import annotations

import asyncio
import re
import threading
import time

import zoocache


def test_a_hit_runs_the_loader_once_and_an_invalidation_again() -> None:
    calls: list[int] = []

    @zoocache.cacheable(deps=["user:{user_id}"])
    def load(user_id: int) -> str:
        calls.append(user_id)
        return f"user {user_id}, load {len(calls)}"

    assert [load(1), load(1), load(2), load(1)] == [
        *("user 1, load 1", "user 1, load 1", "user 2, load 2", "user 1, load 1")
    ]
    zoocache.invalidate("user:1")
    assert (load(1), load(2)) == ("user 1, load 3", "user 2, load 2")
    zoocache.invalidate("user")
    assert (load(1), load(2)) == ("user 1, load 4", "user 2, load 5")
    assert calls == [1, 2, 1, 1, 2]


def test_an_inner_dependency_reaches_the_outer_call() -> None:
    calls: list[str] = []

    @zoocache.cacheable
    def inner() -> int:
        zoocache.add_deps(["price:7"])
        calls.append("inner")
        return len(calls)

    @zoocache.cacheable
    def outer() -> int:
        calls.append("outer")
        return inner() * 100

    assert outer() == outer()
    zoocache.invalidate("price:7")
    outer()
    assert calls == ["outer", "inner", "outer", "inner"]


def test_tasks_share_one_load() -> None:
    calls: list[int] = []

    @zoocache.cacheable(deps=["page"])
    async def load(number: int) -> int:
        calls.append(number)
        await asyncio.sleep(0.01)
        return number * 2

    async def scenario() -> None:
        assert await asyncio.gather(*(load(4) for _ in range(10))) == [8] * 10
        await zoocache.invalidate_async("page")
        assert await load(4) == 8

    asyncio.run(scenario())
    assert calls == [4, 4]


def test_threads_share_one_load() -> None:
    calls: list[int] = []
    results: list[int] = []
    start = threading.Barrier(8)

    @zoocache.cacheable
    def load() -> int:
        calls.append(1)
        time.sleep(0.05)
        return 42

    def call() -> None:
        start.wait()
        results.append(load())

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [42] * 8
    assert calls == [1]


def test_the_page_of_the_dashboard_is_in_the_package() -> None:
    """And every part of it that the page names."""
    from zoocache.dashboard import app  # as a program would that shows it

    def get(path: str) -> tuple[str, str]:
        told: list[str] = []
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "HTTP_HOST": "localhost"}
        environ["REMOTE_ADDR"] = "127.0.0.1"
        body = b"".join(app.wsgi(environ, lambda status, headers: told.append(status)))
        return told[0], body.decode()

    status, page = get("/")
    assert status == "200 OK"
    names = {*re.findall(r'"(static/[\w.]+)"', page), "static/tree.js", "static/text.js"}
    assert len(names) >= 5
    for name in names:
        assert get("/" + name)[0] == "200 OK", name


if __name__ == "__main__":
    checks = [check for name, check in sorted(globals().items()) if name.startswith("test_")]
    for check in checks:
        check()
    print(f"zoocache {zoocache.version()}: {len(checks)} checks passed")
