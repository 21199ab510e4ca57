"""What the command sees of the memory of other processes: they are asked through the server."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from cli_support import Done, Worker, command
from redis_server import RedisServer
from support import HANG_S
from test_docs import DOCS
from zoocache import Cache, InvalidOption
from zoocache.cli._home import Home, Place
from zoocache.cli._inspect import Memory, parse
from zoocache.cli._words import CANNOT_SEE, memory_note

Found = TypeVar("Found")

# Values in its memory alone.
LOCAL = """
import sys
import zoocache

cache = zoocache.Cache(bus_url=sys.argv[1], **eval(sys.argv[2]))

@cache.cacheable(deps=["org:acme:user:{x}"])
def user(x):
    return x

@cache.cacheable(deps=["stock"])
def stock(x):
    raise ValueError(x)

for number in range(4):
    user(number)
    user(number)
try:
    stock(1)
except ValueError:
    pass
print("stored", flush=True)
for line in sys.stdin:
    user(int(line))
    print("done", flush=True)
"""


def start(server: RedisServer, options: str = "{'inspect_interval': 0.01}") -> Worker:
    process = subprocess.Popen(
        [sys.executable, "-c", LOCAL, server.url, options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "stored\n"
    return Worker(process)


def end(*workers: Worker) -> None:
    for worker in workers:
        _, _ = worker.process.communicate(timeout=HANG_S)
        assert worker.process.returncode == 0


@pytest.fixture
def two(server: RedisServer) -> Iterator[list[Worker]]:
    """Two processes that keep their values for themselves."""
    workers = [start(server), start(server)]
    yield workers
    end(*workers)


@pytest.fixture
def home(server: RedisServer) -> Home:
    return Home(Place(server.url))


def until(found: Callable[[], Found | None]) -> Found:
    """What it returns at last: who was asked a moment ago does not answer."""
    end_s = time.monotonic() + HANG_S
    while (value := found()) is None:
        assert time.monotonic() < end_s
        time.sleep(0.02)
    return value


def asked(home: Home, tag: str = "", processes: int | None = None) -> Memory:
    """When all have answered, and so many were asked."""

    def look() -> Memory | None:
        memory = home.inspect(tag)
        is_all = len(memory.processes) == memory.asked > 0
        return memory if is_all and processes in (None, memory.asked) else None

    return until(look)


def test_processes_tell_what_is_in_their_memory(home: Home, two: list[Worker]) -> None:
    memory = asked(home, "org:acme")
    assert memory.asked == 2
    assert memory.is_complete
    assert {one.pid for one in memory.processes} == {one.process.pid for one in two}
    assert {one.language for one in memory.processes} == {"Python"}
    assert {one.node for one in memory.processes} == {one.name for one in home.nodes()}
    user = memory.functions["__main__.user"]
    assert (user.entries, user.hits, user.misses, user.loads, user.load_errors) == (8, 8, 8, 8, 0)
    assert 0 < user.load_s < HANG_S
    assert memory.functions["__main__.stock"].load_errors == 2
    assert memory.tags == {f"org:acme:user:{number}": 2 for number in range(4)}
    assert memory.dying == {"__main__.user": 8}
    assert memory.counts["hits"] == 8
    assert memory.counts["misses"] == 10


def test_every_cache_of_a_process_answers(server: RedisServer, home: Home) -> None:
    caches = [Cache(bus_url=server.url, inspect_interval=0.01) for _ in range(4)]
    functions = [cache.cacheable(lambda: 1) for cache in caches]
    assert [one() for one in functions] == [1] * 4
    memory = asked(home, processes=4)
    assert {one.pid for one in memory.processes} == {os.getpid()}
    assert sum(one.entries for one in memory.processes) == 4


def test_a_process_that_ends_is_not_waited_for(server: RedisServer, home: Home) -> None:
    workers = [start(server), start(server)]
    workers[0].process.kill()
    workers[0].process.communicate(timeout=HANG_S)
    memory = asked(home, processes=1)
    assert [one.pid for one in memory.processes] == [workers[1].process.pid]
    end(workers[1])


def test_too_often_is_not_answered(server: RedisServer, home: Home) -> None:
    worker = start(server, "{'inspect_interval': 3600}")
    assert len(asked(home).processes) == 1
    again = home.inspect(wait=0.1)
    assert (again.asked, again.processes) == (1, ())
    assert memory_note(again).startswith("None of 1 processes told what is in their memory")
    end(worker)


def test_a_process_may_keep_it_to_itself(server: RedisServer, home: Home) -> None:
    worker = start(server, "{'inspect_interval': 0}")
    assert home.inspect(wait=0.2) == Memory()
    assert memory_note(Memory()) == CANNOT_SEE
    end(worker)
    with pytest.raises(InvalidOption, match="inspect_interval"):
        Cache(inspect_interval=-1)


def test_an_answer_has_a_bound(server: RedisServer, home: Home) -> None:
    cache = Cache(bus_url=server.url, inspect_interval=0.01)
    functions: list[Any] = []

    def add(number: int) -> None:
        def function() -> int:
            return number

        function.__qualname__ = f"function_{number // 2}"  # two of each name are told together
        functions.append(cache.cacheable(function, deps=[f"tag:{number}"]))
        functions[-1]()

    for number in range(2000):
        add(number)
    process = asked(home).processes[0]
    assert process.functions_total == 2000
    assert sorted(one.entries for one in process.functions.values())[1] == 2
    assert process.tags_total == 2000
    assert 100 < len(process.functions) < 1000
    assert 100 < len(process.tags) < 2000
    assert "They have more functions or tags" in memory_note(asked(home))


def told_by_two(*words: str) -> Done:
    """When both have answered."""

    def look() -> Done | None:
        done = command(*words)
        return done if "as 2 of 2 told" in done.err + done.out else None

    return until(look)


def test_tags_and_dry_runs_tell_of_memory(server: RedisServer, two: list[Worker]) -> None:
    url = ("--url", server.url)
    assert "in memory" in told_by_two("tags", *url).out
    told = command("tags", *url, "--json").json
    rows = {row["tag"]: row for row in told["tags"]}
    assert rows["org:acme:user:3"]["in_memory"] == 2
    assert told["memory"]["asked"] == 2
    assert told["cannot_see"] == ""
    for worker in two:
        worker.say("7")
    told_now = told_by_two("invalidate", *url, "--dry-run", "org")
    assert "10 entries in the memory of processes would die with it" in told_now.out
    assert "__main__.user" in told_now.out
    assert "nothing was invalidated" in told_now.out
    assert command("invalidate", *url, "--dry-run", "org", "--json").json["in_memory"] == {
        "__main__.user": 10
    }
    two_tags = command("invalidate", *url, "--dry-run", "org", "stock")
    assert "Of several tags at once" in two_tags.out + two_tags.err


@pytest.mark.parametrize("seed", range(3))
def test_answers_that_make_no_sense_are_none(seed: int) -> None:
    good: dict[str, Any] = {"format": 1, "language": "C++", "host": "a", "pid": 1, "entries": 1}
    good |= {"bytes": 2, "counts": {"hits": 1}, "dying": [["f", 1]], "functions_total": 1}
    good |= {"functions": [["f", 1, 2, 3, 4, 5, 0.5]], "tags_total": 1, "tags": [["t", 1]]}
    assert parse(b"node", json.dumps(good).encode()) is not None
    chance = random.Random(seed)
    bad: list[Any] = [None, -1, 1.5, "x", [], {}, [["f"]], [["f", -1]], [[1, 1]], True, 2**63]
    bad += [[["f", 1, 2, 3, 4, 5, float("nan")]], [["f", 1, 2, 3, 4, 5, -1]], "x" * 20_000]
    for name in good:
        refused = 0
        for value in bad:
            raw = json.dumps({**good, name: value}).encode()
            refused += parse(b"node", raw) is None
            broken = bytearray(raw)
            broken[chance.randrange(len(raw))] = chance.randrange(256)
            parse(b"node", bytes(broken))  # whatever it is, nothing is raised
        assert refused >= 5, name
        without = {one: value for one, value in good.items() if one != name}
        assert parse(b"node", json.dumps(without).encode()) is None
    assert parse(b"node", b"[" * 100_000) is None


def test_hostile_messages_do_no_harm(server: RedisServer, home: Home) -> None:
    worker = start(server)
    channel = "{zoocache}:log:0:ask"
    node = "a" * 16
    for text in ["", "1", "1 x", f"1 {node}", f"2 {node} 1 9 1\n", f"1 {node} 1 9 0\n"]:
        server.ask("PUBLISH", channel, text)
    for text in [f"1 {node} 1 9 1\n:", f"1 {node} 1 99999999999999999 1\nx", f"1 {node} 1 9 1\n\1"]:
        server.ask("PUBLISH", channel, text)
    answers = "{zoocache}:log:0:told:"
    assert len(asked(home).processes) == 1
    server.ask("PUBLISH", answers + home.nodes()[0].name, "x")
    assert len(asked(home).processes) == 1
    end(worker)


def test_a_child_of_fork_answers_for_itself(server: RedisServer, home: Home) -> None:
    cache = Cache(bus_url=server.url, inspect_interval=0.01)

    @cache.cacheable(namespace="shop.user")
    def user(x: int) -> int:
        return x

    user(1)
    assert [one.pid for one in asked(home).processes] == [os.getpid()]
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        user(2)
        os.read(here, 1)
        os._exit(0)
    memory = asked(home, processes=2)
    assert {one.pid for one in memory.processes} == {os.getpid(), child}
    os.write(there, b"x")
    os.waitpid(child, 0)


def test_the_users_of_the_documents_may_ask_and_answer(server: RedisServer) -> None:
    for document in ("REDIS.md", "COMMAND.md"):
        text = (DOCS / document).read_text("utf-8")
        for line in re.findall(r"^ACL SETUSER .*", text, re.MULTILINE):
            assert server.ask(*line.split()) == b"+OK"
    assert server.ask("ACL", "SETUSER", "default", "off") == b"+OK"
    url = server.url.replace("//", "//zoocache:password@")
    cache = Cache(bus_url=url, prefix="shop", inspect_interval=0.01)
    cache.cacheable(lambda: 1)()
    looker = Home(Place(server.url.replace("//", "//looker:password@"), prefix="shop"))
    assert asked(looker).processes[0].pid == os.getpid()
