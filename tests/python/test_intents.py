"""Writers that die between their commit and the end of their block: `invalidating` on a home.

The database is a file with a version in it. A process writes the next one and is killed.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import zoocache
from redis_server import RedisServer
from support import run, spawn, wait_until
from zoocache import Cache, HomeUnreachable, InvalidOption

LEASE_S = 0.6

WRITER = """
import os, sys, time
import zoocache
options = eval(sys.argv[1])
path, version = sys.argv[2:]
cache = zoocache.Cache(**options)
with cache.invalidating("row"):
    with open(path + ".new", "w") as file:
        file.write(version)
    os.replace(path + ".new", path)
    print("committed", flush=True)
    time.sleep(60)
"""

READER = """
import sys
import zoocache
cache = zoocache.Cache(**eval(sys.argv[1]))

@cache.cacheable(deps=["row"], namespace="row", version="1")
def row() -> int:
    return int(open(sys.argv[2]).read())

print(row())
"""


@pytest.fixture(params=["lmdb", "redis"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Of caches that share log and values."""
    if request.param == "lmdb":
        yield {"storage_url": f"lmdb://{tmp_path}/cache"}
        return
    server = RedisServer(tmp_path)
    yield {"storage_url": server.url, "lease": LEASE_S}
    server.kill()


class Database:
    """A file with one number, and processes that write it."""

    def __init__(self, path: Path, options: dict[str, Any]) -> None:
        self.path = path
        self._options = options
        path.write_text("0")

    def read(self) -> int:
        return int(self.path.read_text())

    def commit_and_die(self, version: int) -> None:
        command = [sys.executable, "-c", WRITER, repr(self._options), str(self.path), str(version)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "committed\n"
            writer.send_signal(signal.SIGKILL)


def reader_of(cache: Cache, database: Database) -> Any:
    @cache.cacheable(deps=["row"], namespace="row", version="1")
    def row() -> int:
        return database.read()

    return row


def test_what_a_killed_writer_committed_is_seen_and_never_an_older_value_again(
    options: dict[str, Any], tmp_path: Path
) -> None:
    database = Database(tmp_path / "row", options)
    caches = [Cache(**options), Cache(**options)]
    rows = [reader_of(cache, database) for cache in caches]
    for version in range(1, 4):
        wait_until(lambda expected=version - 1: {row() for row in rows} == {expected})  # type: ignore[misc]
        stop = threading.Event()

        def watch(row: Any) -> list[int]:
            seen: list[int] = []
            while not stop.is_set():
                value = row()
                if not seen or seen[-1] != value:
                    seen.append(value)
            return seen

        watchers = [spawn(watch, row) for row in rows]
        database.commit_and_die(version)
        wait_until(lambda expected=version: {row() for row in rows} == {expected})  # type: ignore[misc]
        stop.set()
        for watcher in watchers:
            assert watcher.result() in ([version - 1], [version - 1, version], [version])


def test_a_process_that_begins_after_the_death_does_not_serve_what_was_stored(
    tmp_path: Path, url: str
) -> None:
    options = {"storage_url": url}
    database = Database(tmp_path / "row", options)
    row = reader_of(Cache(**options), database)
    assert row() == 0
    database.commit_and_die(1)
    command = [sys.executable, "-c", READER, repr(options), str(database.path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    assert told.stdout == "1\n"
    assert row() == 1


def test_a_cancelled_block_invalidates_nothing_elsewhere(
    options: dict[str, Any], tmp_path: Path
) -> None:
    database = Database(tmp_path / "row", options)
    first, second = Cache(**options), Cache(**options)
    row = reader_of(second, database)
    wait_until(lambda: row() == 0 and second.stats().entries > 0)
    with first.invalidating("row") as block:
        block.cancel()
    assert first.get_tag_version("row") == 0
    with first.invalidating("row"):
        pass
    assert first.get_tag_version("row") > 0, "the next block is a new one"


def test_cancel_is_for_one_open_block() -> None:
    block = zoocache.invalidating("row")
    with pytest.raises(RuntimeError, match="0 are"):
        block.cancel()
    with block, block, pytest.raises(RuntimeError, match="2 are"):
        block.cancel()
    with block as same:
        assert same is block
        block.cancel()
        with pytest.raises(RuntimeError, match="not ended"), block:
            pass
    with block:
        pass


def test_a_cancelled_block_invalidates_nothing_and_holds_nothing_afterwards() -> None:
    loads: list[int] = []
    row = zoocache.cacheable(deps=["row"])(lambda: loads.append(1) or len(loads))
    assert row() == 1
    clock = zoocache.stats().clock
    with pytest.raises(LookupError), zoocache.invalidating("row") as block:
        block.cancel()
        raise LookupError
    assert zoocache.stats().clock == clock + 1, "what was loaded meanwhile dies here"
    assert [row(), row()] == [2, 2]


def test_what_cannot_be_declared_is_not_entered(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = Cache(bus_url=f"lmdb://{folder}")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    entered = False
    with pytest.raises(HomeUnreachable, match="must not begin"), cache.invalidating("row"):
        entered = True

    async def main() -> None:
        nonlocal entered
        with pytest.raises(HomeUnreachable, match="must not begin"):
            async with cache.invalidating("row"):
                entered = True

    run(main())
    assert not entered


def test_async_blocks(options: dict[str, Any]) -> None:
    first, second = Cache(**options), Cache(**options)

    async def main() -> None:
        async with first.invalidating("row") as block:
            assert block is not None
        assert first.get_tag_version("row") > 0
        async with first.invalidating("other") as block:
            block.cancel()
        assert first.get_tag_version("other") == 0

    run(main())
    wait_until(lambda: second.get_tag_version("row") > 0)


def test_a_task_that_is_cancelled_at_the_beginning_leaves_nothing_open(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(bus_url=url)
    began, may_end = threading.Event(), threading.Event()
    begin = cache.invalidating("row").__class__.__enter__

    def slow(block: Any) -> Any:
        began.set()
        assert may_end.wait(30)
        return begin(block)

    monkeypatch.setattr(zoocache.Invalidating, "__enter__", slow)

    async def block() -> None:
        async with cache.invalidating("row"):
            raise AssertionError("not entered")

    async def main() -> None:
        task = asyncio.create_task(block())
        while not began.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        may_end.set()

    run(main())
    loads: list[int] = []
    row = cache.cacheable(deps=["row"])(lambda: loads.append(1) or len(loads))
    wait_until(lambda: row() == row(), "the hold's end")
    assert cache.get_tag_version("row") == 0, "its body did not run"
    wait_until(lambda: bool(row()) and cache.core.home()["intents"] == 0)


@pytest.mark.parametrize("bad", [0, -1, float("inf"), "1"])
def test_bad_commit_times_are_named(url: str, bad: Any) -> None:
    with pytest.raises(InvalidOption, match="max_commit_time"):
        Cache(bus_url=url, max_commit_time=bad)
    with pytest.raises(InvalidOption, match="max_commit_time_s=100000"):
        Cache(bus_url=url, max_commit_time=100_000)


def test_a_block_that_is_open_for_too_long_is_carried_out_meanwhile(url: str) -> None:
    first = Cache(bus_url=url, max_commit_time=0.1)
    second = Cache(bus_url=url, max_commit_time=0.1)
    loads: list[int] = []
    row = second.cacheable(deps=["row"])(lambda: loads.append(1) or len(loads))
    assert row() == 1
    with first.invalidating("row"):
        wait_until(lambda: row() >= 3)
    seen = row()
    assert row() == seen
