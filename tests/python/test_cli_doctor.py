"""`zoocache doctor`: what it finds in homes that have something wrong with them."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli_support import ROOT, Done, command, command_process, worker
from redis_server import RedisServer, valkey_server
from support import wait_until
from zoocache import Cache


def checks(done: Done) -> dict[str, dict[str, Any]]:
    assert done.code in (0, 1), done.err
    findings = [one for one in done.json["checks"] if one["state"] in ("warning", "problem")]
    assert done.json["findings"] == len(findings)
    assert done.code == (1 if findings else 0), findings
    return {one["name"]: one for one in done.json["checks"]}


def doctor(url: str, *words: str) -> dict[str, dict[str, Any]]:
    return checks(command("doctor", "--json", "--watch", "0.3", "--url", url, *words))


@contextlib.contextmanager
def started(folder: Path, *options: str, program: str = "redis-server") -> Iterator[RedisServer]:
    server = RedisServer(folder, *options, program=program)
    try:
        yield server
    finally:
        server.kill()


def test_a_sound_server(server: RedisServer) -> None:
    with worker(server.url):
        done = command("doctor", "--json", "--watch", "1.5", "--url", server.url)
        found = checks(done)
        assert done.code == 0, done.json
        assert {one["state"] for one in found.values()} == {"ok"}
        assert "1 registered, 1 heard of" in found["nodes"]["found"]
        assert "about 2 s" in found["lease"]["found"]
        assert "8, " in found["values"]["found"]
        assert "8 valid" in found["values"]["found"]
        wrong = doctor(server.url, "--lease", "20", "--watch", "1.5")
        assert wrong["lease"]["state"] == "warning", "it was told another one"
    text = command("doctor", "--watch", "0.3", "--url", server.url)
    assert "cannot be seen from outside" in text.out


def test_valkey_too(tmp_path: Path) -> None:
    program = valkey_server()
    if program is None:
        pytest.skip("no Valkey server is here")
    with started(tmp_path, program=program) as server, worker(server.url) as other:
        other.say("invalidate org:acme:user:1")
        found = doctor(server.url)
        assert "Valkey" in found["server"]["found"]
        assert "7 valid" in found["values"]["found"]
        rows = command("tags", "--json", "--url", server.url).json["tags"]
        stock = next(row for row in rows if row["tag"] == "stock")
        assert (stock["epoch"], stock["entries"], stock["would_die"]) == (0, 3, 3)
        assert stock["in_memory"] == 3


def test_a_server_that_may_evict_the_log(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    found = doctor(server.url)
    assert found["eviction"]["state"] == "problem"
    assert "allkeys-lru" in found["eviction"]["found"]
    assert "volatile-lru" in found["eviction"]["remedy"]
    server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert doctor(server.url)["eviction"]["state"] == "ok", "it has no bound"
    server.ask("CONFIG", "SET", "maxmemory", "3mb")
    assert doctor(server.url)["eviction"]["state"] == "warning"
    server.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    server.ask("CONFIG", "SET", "maxmemory", "1")
    assert doctor(server.url)["memory"]["state"] == "warning"


def test_replicas_that_a_failover_would_hurt(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with (
        started(tmp_path / "one", "--repl-diskless-sync-delay", "0") as primary,
        started(tmp_path / "two", "--replicaof", "127.0.0.1", str(primary.port)) as replica,
    ):
        wait_until(lambda: b"slave" in replica.send(b"ROLE\r\n"), "the role")
        wait_until(
            lambda: b"connected_slaves:1" in primary.send(b"INFO replication\r\n"), "the replica"
        )
        found = doctor(primary.url)
        assert found["replicas"]["state"] == "warning"
        assert "set min-replicas-to-write 1" in found["replicas"]["remedy"]
        primary.ask("CONFIG", "SET", "min-replicas-to-write", "1")
        assert doctor(primary.url)["replicas"]["state"] == "ok"
        refused = command("doctor", "--json", "--url", replica.url)
        assert refused.code == 3
        assert "replica" in refused.err


def test_a_user_who_may_not_do_everything(server: RedisServer) -> None:
    text = (ROOT / "docs" / "COMMAND.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ACL SETUSER .*", text, re.MULTILINE)
    rule = line.replace("password", "pa55word").replace("{shop}", "{zoocache}").split()
    seeing = {"+scan", "+strlen", "+pttl", "+getrange", "+config|get"}
    assert seeing < set(rule)
    server.ask(*(word for word in rule if word not in seeing))
    url = server.url.replace("redis://", "redis://looker:pa55word@")
    with worker(server.url):
        found = doctor(url)
        assert found["permissions"]["state"] == "unknown"
        assert "config|get" in found["permissions"]["remedy"]
        assert found["values"]["state"] == "unknown"
        assert "+scan" in found["values"]["remedy"]
        assert found["eviction"]["state"] == "ok", "INFO tells it, too"
        server.ask(*rule)
        found = doctor(url)
        assert found["values"]["state"] == "ok"
        assert "permissions" not in found
        assert "pa55word" not in str(found)


def test_a_node_that_stands_still(server: RedisServer) -> None:
    with worker(server.url) as other:
        other.process.send_signal(signal.SIGSTOP)
        found = checks(command("doctor", "--json", "--watch", "1", "--url", server.url))
        assert found["nodes"]["state"] == "warning"
        assert "silent: " in found["nodes"]["found"]
        other.process.send_signal(signal.SIGCONT)


def test_a_log_of_a_newer_library(server: RedisServer) -> None:
    Cache(bus_url=server.url, mode="writer", command_timeout=5).invalidate("a")
    assert doctor(server.url)["server"]["state"] == "ok"
    server.ask("ZADD", "{zoocache}:log", "-2", "\2needs")
    found = doctor(server.url)["server"]
    assert found["state"] == "problem"
    assert "of version 2, which a newer zoocache wrote" in found["found"]


def test_leases_that_differ(server: RedisServer) -> None:
    slow = Cache(bus_url=server.url, lease=4, command_timeout=5)
    fast = Cache(bus_url=server.url, lease=0.3, command_timeout=5)
    slow.invalidate("a")
    fast.invalidate("b")
    found = doctor(server.url, "--watch", "3.2")
    assert found["lease"]["state"] == "problem", found["lease"]


def test_a_folder(url: str) -> None:
    with worker(url) as other:
        found = doctor(url)
        assert {one["state"] for one in found.values()} == {"ok"}
        assert str(other.process.pid) in found["processes"]["found"]
        assert "log and values" in found["processes"]["found"]
        assert "8, " in found["values"]["found"]
        assert "map of 1.0 GiB" in found["room of the log"]["found"]
    found = doctor(url)
    assert found["processes"]["state"] == "note", "they are gone"


def test_a_log_that_is_nearly_full(url: str) -> None:
    cache = Cache(bus_url=url, lmdb_map_size=2**20)
    for start in range(0, 4000, 10):
        cache.invalidate(*(f"tag:{'x' * 100}:{number}" for number in range(start, start + 10)))
    found = checks(command_process("doctor", "--json", "--url", url))
    assert "map of 1.0 MiB" in found["room of the log"]["found"], "it is not made larger"
    assert found["room of the log"]["state"] == "warning"
    assert found["memory of the log"]["state"] == "note"


@pytest.mark.parametrize("kind", ["lmdb", "redis"])
def test_an_empty_home(kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "redis":
        found = doctor(request.getfixturevalue("server").url)
        assert found["home"]["state"] == "note"
        assert "nobody has begun" in found["home"]["found"]
        assert found["nodes"]["state"] == "note"
    else:
        url = request.getfixturevalue("url")
        Cache(storage_url=url).stats()
        assert doctor(url)["values"]["found"] == "0, 0 B"
