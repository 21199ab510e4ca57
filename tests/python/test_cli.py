"""The `zoocache` command on real homes that other processes use: what it prints and exits with."""

from __future__ import annotations

import importlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_support import (
    ROOT,
    Done,
    Worker,
    clean_environment,
    command,
    command_process,
    worker,
)
from redis_server import RedisServer
from support import HANG_S, check_script, wait_until
from zoocache import Cache, Receipt
from zoocache.cli._doctor import doctor
from zoocache.cli._home import Home, Place
from zoocache.cli._survey import Bounds
from zoocache.cli._watch import Watcher


@pytest.fixture(params=["lmdb", "redis"])
def home(request: pytest.FixtureRequest) -> str:
    if request.param == "lmdb":
        return str(request.getfixturevalue("url"))
    return str(request.getfixturevalue("server").url)


@pytest.fixture
def other(home: str) -> Iterator[Worker]:
    with worker(home) as made:
        yield made


def row(done: Done, tag: str) -> dict[str, int]:
    return next(one for one in done.json["tags"] if one["tag"] == tag)


def test_tags_of_other_processes(home: str, other: Worker) -> None:
    other.say("invalidate org:acme:user:1 elsewhere")
    done = command("tags", "--json", "--url", home)
    assert done.code == 0, done.err
    dead, alive = row(done, "org:acme:user:1"), row(done, "org:acme:user:2")
    assert (dead["entries"], dead["would_die"]) == (0, 0)
    assert dead["epoch"] > 0
    assert (alive["entries"], alive["would_die"], alive["epoch"]) == (1, 1, 0)
    assert row(done, "org:acme")["would_die"] == 7, "four users and three orders"
    assert row(done, "stock")["would_die"] == 3
    assert row(done, "elsewhere")["epoch"] == dead["epoch"], "one invalidation, one epoch"
    assert (done.json["entries_seen"], done.json["valid_seen"]) == (8, 7)
    assert done.json["complete"]
    assert (done.json["memory"] is None) == ("cannot be seen" in done.json["cannot_see"])

    below = command("tags", "org:acme:order", "--url", home)
    assert "org:acme:order:2" in below.out
    assert "user" not in below.out
    assert ("as 1 of 1 told" if home.startswith("redis") else "cannot be seen") in below.out

    few = command("tags", "--json", "--limit", "1", "--sort", "epoch", "--url", home)
    assert len(few.json["tags"]) == 1
    assert few.json["tags"][0]["epoch"] == dead["epoch"]


def test_bounds_are_kept_and_told(home: str, other: Worker) -> None:
    done = command("tags", "--most", "3", "--url", home)
    assert "Only 3 stored values were looked at" in done.out
    assert not command("tags", "--most", "3", "--json", "--url", home).json["complete"]


def test_a_dry_run_says_who_would_die_and_kills_nobody(home: str, other: Worker) -> None:
    done = command("invalidate", "--dry-run", "--json", "org:acme:user", "stock", "--url", home)
    assert done.code == 0, done.err
    counts = {one["function"]: one["would_die"] for one in done.json["functions"]}
    assert counts == {"shop.user": 5, "shop.order": 3}
    assert done.json["would_die"] == 8
    again = command("invalidate", "--dry-run", "org:acme:user:1", "--url", home)
    assert "1 stored values of 8 would die" in again.out, "nothing had died"
    assert "nothing was invalidated" in again.out
    none = command("invalidate", "--dry-run", "--json", "org:acme:use", "--url", home)
    assert none.json["would_die"] == 0, "a segment is whole"


def test_invalidate_reaches_other_processes(home: str, other: Worker) -> None:
    done = command("invalidate", "--json", "--wait", "org:acme:user:1", "stock", "--url", home)
    assert done.code == 0, done.err
    receipt = Receipt.parse(done.json["receipt"])
    assert receipt.epoch == done.json["epoch"] > 0
    cache = Cache(bus_url=home, command_timeout=5)
    with cache.at_least(receipt):  # the home has given it
        pass
    after = command("tags", "--json", "--url", home)
    assert (after.json["entries_seen"], after.json["valid_seen"]) == (8, 4)
    other.say("user 1")
    again = command("tags", "--json", "--url", home)
    assert again.json["valid_seen"] == 5, "the other process had heard of it, and loaded anew"
    told = command("invalidate", "org:acme:user:1", "--url", home)
    assert "receipt zoo1." in told.out


def test_explain_says_what_became_of_a_value(home: str, other: Worker) -> None:
    valid = command("explain", "shop.order", "1", "--json", "--url", home)
    assert valid.code == 0, valid.err
    (entry,) = valid.json["entries"]
    assert (entry["state"], entry["arguments"]) == ("valid", ["1", "'plain'"])
    assert 3000 < entry["lives_s"] <= 3600
    assert sorted(entry["tags"]) == ["org:acme:order:1", "stock"]

    other.say("invalidate org:acme")
    dead = command("explain", "shop.order", "1", "--url", home)
    assert "shop.order(1, 'plain'): invalidated by org:acme at epoch" in dead.out
    other.say("clear")
    assert "invalidated by clear()" in command("explain", "shop.order", "2", "--url", home).out

    nothing = command("explain", "shop.order", "77", "--url", home)
    assert nothing.code == 1
    assert "no value of shop.order" in nothing.out
    assert "shop.user" in nothing.out, "it says what there is"


def test_what_was_loaded_before_the_log_was_lost_is_none(server: RedisServer) -> None:
    with worker(server.url):
        pass
    server.ask("DEL", "{zoocache}:log")
    done = command("explain", "shop.order", "1", "--url", server.url)
    assert "of a log that is gone" in done.out
    command("invalidate", "other", "--url", server.url)
    assert command("tags", "--json", "--url", server.url).json["valid_seen"] == 0


def test_what_nobody_would_serve_is_not_valid(url: str) -> None:
    cache = Cache(storage_url=url, max_log_tags=16)
    cache.set("old", 1)
    cache.set("short", 2, ttl=0.01)
    for number in range(100):  # the log forgets
        cache.invalidate(f"tag:{number}")
    cache.set("new", 3)
    assert cache.get("old") == 1, "in memory it is known to hold"

    def states() -> dict[str, str]:
        found = command("explain", "zoocache.raw-keys", "--json", "--url", url).json
        return {one["arguments"][0]: one["state"] for one in found["entries"]}

    expected = {"'old'": "forgotten", "'short'": "expired", "'new'": "valid"}
    wait_until(lambda: states() == expected, "the end of the short one")
    assert command("tags", "--json", "--url", url).json["valid_seen"] == 1


def test_looking_leaves_no_trace_on_a_server(server: RedisServer) -> None:
    with worker(server.url):

        def keys() -> set[bytes]:
            found = server.send(b"ZRANGE {zoocache}:log 0 -1\r\n").split(b"\r\n")
            return {one for one in found if one.startswith((b"\x02applied", b"\x02beat"))}

        before = keys()
        assert before, "the worker is registered"
        home = Home(Place(server.url))
        found = Watcher(home, Bounds()).snapshot()
        assert (found.values.valid, len(found.nodes)) == (8, 1)
        assert list(doctor(home, 0.2, Bounds()))
        assert keys() == before, "while it looks, too"


def test_looking_makes_no_folder(tmp_path: Path) -> None:
    done = command("tags", "--url", f"lmdb://{tmp_path}/typo")
    assert done.code == 3
    assert "there is no home" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_log_without_values_says_so(url: str) -> None:
    cache = Cache(bus_url=url)
    cache.invalidate("a:b")
    done = command("tags", "--url", url)
    assert done.code == 0, done.err
    assert "a:b" in done.out
    assert "There are no values beside this log." in done.out
    assert not list(Path(url.removeprefix("lmdb://")).glob("entries-*.mdb")), "none was made"


def test_prefixes_are_apart(url: str) -> None:
    Cache(bus_url=url, prefix="one").invalidate("a")
    wrong = command("tags", "--url", url)
    assert wrong.code == 3
    assert "it has the prefixes one" in wrong.err
    right = command("tags", "--json", "--url", url, "--prefix", "one")
    assert [one["tag"] for one in right.json["tags"]] == ["a"]


def test_the_log_may_be_elsewhere_than_the_values(server: RedisServer, url: str) -> None:
    cache = Cache(storage_url=url, bus_url=server.url, command_timeout=5)
    cache.set("key", 1, deps="user:1")
    done = command("tags", "--json", "--url", server.url, "--storage-url", url)
    assert row(done, "user:1")["would_die"] == 1
    gone = command("tags", "--url", server.url, "--storage-url", url + "2")
    assert gone.code == 3


HOSTILE = r"evil:\u202ereversed\u200d[bold]red[/bold]"


def test_hostile_tags_are_escaped(home: str, other: Worker) -> None:
    other.say("raw " + HOSTILE)
    done = command("tags", "evil", "--url", home)
    assert done.code == 0, done.err
    assert HOSTILE in done.out
    told = command("tags", "evil", "--json", "--url", home)
    assert told.out.isascii()
    assert "evil:\u202ereversed\u200d[bold]red[/bold]" in [one["tag"] for one in told.json["tags"]]
    refused = command("invalidate", "evil\x1b[31m", "--url", home)
    assert refused.code == 2
    assert r"evil\x1b[31m" in refused.err
    for text in (done.out, told.out, refused.err):
        assert not any(sign in text for sign in ("\x1b", "\u202e", "\u200d"))


def test_what_no_process_would_write_is_escaped_too(server: RedisServer) -> None:
    with worker(server.url) as other:
        other.say("invalidate x")  # a log that names epochs beyond its clock is thrown away
        server.ask("ZADD", "{zoocache}:log", "1", "evil:\x1b[31mred\r\n\x9b")
        server.send(b"*4\r\n$4\r\nZADD\r\n$14\r\n{zoocache}:log\r\n$1\r\n1\r\n$2\r\n\xff\x7f\r\n")
        done = command("tags", "--limit", "0", "--url", server.url)
        assert done.code == 0, done.err
        assert r"evil:\x1b[31mred\r\n\x9b" in done.out
        assert r"\udcff\x7f" in done.out
        assert not any(sign in done.out for sign in ("\x1b", "\x9b", "\r", "\x7f"))
        assert command("tags", "--json", "--limit", "0", "--url", server.url).out.isascii()


def test_bytes_that_are_no_entry_are_counted(server: RedisServer) -> None:
    with worker(server.url):
        server.ask("SET", "{zoocache}:e:0", "ZooE nothing")
        server.ask("SET", "{zoocache}:e:1", "ZooE" + "x" * 5000)
        server.ask("LPUSH", "{zoocache}:e:2", "a list")
        done = command("tags", "--json", "--url", server.url)
        assert (done.json["unreadable"], done.json["valid_seen"]) == (3, 8)
        assert "3 entries cannot be read" in command("tags", "--url", server.url).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tags"], "--url"),
        (["tags", "--url", "memory://"], "--url memory:// is not allowed"),
        (["tags", "--url", "http://me:secret@host"], "--url http://***@host is not allowed"),
        (["tags", "--url", "lmdb://x", "--most", "0"], "--most"),
        (["invalidate", "--url", "lmdb://x", "a::b"], "invalid tag"),
        (["invalidate", "--url", "lmdb://x", "a|b"], "invalid tag"),
        (["nothing"], "nothing"),
    ],
)
def test_usage_is_code_2(words: list[str], said: str) -> None:
    done = command(*words)
    assert done.code == 2, done
    assert said in done.err
    assert "secret" not in done.err + done.out
    assert "Traceback" not in done.err


def test_a_server_that_is_not_there_is_code_3(server: RedisServer) -> None:
    server.kill()
    url = server.url.replace("redis://", "redis://me:pa55word@")
    for words in (["tags"], ["doctor"], ["invalidate", "a"], ["invalidate", "--dry-run", "a"]):
        done = command(*words, "--timeout", "0.2", ZOOCACHE_URL=url)
        assert done.code == 3, done
        assert "pa55word" not in done.out + done.err
        assert "Traceback" not in done.err
    assert "run it once more" in command("invalidate", "a", "--timeout", "0.2", "--url", url).err


def test_a_folder_of_somebody_else_is_code_3(url: str) -> None:
    Cache(bus_url=url).invalidate("a")
    Path(url.removeprefix("lmdb://")).chmod(0o777)
    done = command("tags", "--url", url)
    assert done.code == 3
    assert "chmod 700" in done.err


def test_an_interrupt_is_code_130(server: RedisServer) -> None:
    with worker(server.url):
        process = subprocess.Popen(
            [sys.executable, "-m", "zoocache.cli", "top", "--json", "--interval", "100"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**clean_environment(), "ZOOCACHE_URL": server.url},
        )
        assert process.stdout is not None
        assert '"reachable": true' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=HANG_S)
        assert process.returncode == 130
        assert "Traceback" not in said


def test_without_the_extra_it_says_what_to_install() -> None:
    said = check_script("""
        import contextlib, io, sys
        sys.modules["textual"] = sys.modules["typer"] = None  # as if they were not installed
        from zoocache.cli import main
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            try:
                main()
            except SystemExit as end:
                print(end.code, said.getvalue())
        """)
    assert said.startswith("2 zoocache: the command needs the package 'typer'")
    assert "pip install 'zoocache[cli]'" in said


def test_the_package_has_the_command() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (entry,) = re.findall(r'^zoocache = "([\w.]+):(\w+)"$', text, re.MULTILINE)
    assert callable(getattr(importlib.import_module(entry[0]), entry[1]))


def test_version_and_bench() -> None:
    found = command_process("version", "--json").json
    assert found["zoocache"] == Cache.version()
    assert {"python", "system", "typer", "rich", "textual"} <= set(found)
    assert f"zoocache {Cache.version()}" in command("version").out
    results = command("bench", "--json", "--calls", "1000", "--rounds", "1").json["results"]
    assert results[0] == {**results[0], "what": "lru_cache: hit", "ratio": 1.0}
    assert all(one["seconds"] > 0 for one in results)
    assert "lru_cache" in command("bench", "--calls", "1000", "--rounds", "1").out


def test_completion_is_there_for_shells() -> None:
    script = command_process(_ZOOCACHE_COMPLETE="source_bash").out
    assert "complete " in script
    assert "_ZOOCACHE_COMPLETE=complete_bash" in script
    typed = {"COMP_WORDS": "zoocache do", "COMP_CWORD": "1"}
    assert command_process(_ZOOCACHE_COMPLETE="complete_bash", **typed).out.split() == ["doctor"]


def test_top_prints_lines_of_json_in_a_pipe(home: str, other: Worker) -> None:
    done = command("top", "--json", "--count", "2", "--interval", "0.1", "--url", home)
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 2
    refused = command("top", "--url", home)
    assert refused.code == 2
    assert "--json" in refused.err


def test_many_tags_are_looked_at_in_pages(home: str) -> None:
    options = {} if home.startswith("lmdb") else {"command_timeout": 5}
    cache = Cache(storage_url=home, **options)
    for number in range(1200):
        cache.set(f"key{number}", number, deps=f"some:{number % 10}")
    for start in range(0, 3000, 100):
        cache.invalidate(*(f"many:{number}" for number in range(start, start + 100)))
    done = command("tags", "--json", "--limit", "0", "--url", home, "--rate", "1000000")
    names = [one["tag"] for one in done.json["tags"]]
    assert len(names) == len(set(names)) == 3000 + 10 + 1
    assert row(done, "some")["would_die"] == row(done, "some:3")["would_die"] * 10 == 1200
    assert done.json["entries_seen"] == 1200
    few = command("tags", "many", "--json", "--limit", "0", "--most", "700", "--url", home)
    epochs = [one["epoch"] for one in few.json["tags"]]
    assert len(epochs) == 700
    newest = sorted((one["epoch"] for one in done.json["tags"]), reverse=True)[:700]
    assert sorted(epochs, reverse=True) == newest, "the newest come first"
    assert (done.json["log_complete"], few.json["log_complete"]) == (True, False)
    told = command("tags", "many", "--most", "700", "--url", home)
    assert "Only the newest 700 invalidations were looked at" in told.out


def as_pattern(line: str) -> str:
    """What a line of the document stands for: numbers may differ, and … is anything."""
    pattern = re.escape(line.strip()).replace("…", ".*")
    pattern = re.sub(r"\d(?:\d|\\\.|,)*", r"[\\d.,]+", pattern)
    return re.sub(r"(?:\\ )+", r"\\s+", re.sub("─+", "─+", pattern))


def test_the_documents_examples_are_true(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "COMMAND.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    runs = [run for block in blocks for run in block.split("$ zoocache ")[1:]]
    assert len(runs) >= 6
    script = program + "\nprint('ready', flush=True)\ninput()\n"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for run in runs:
            words, *lines = run.rstrip("\n").split("\n")
            code = 0
            if lines and lines[-1].startswith("[exit code "):
                code = int(lines.pop().removeprefix("[exit code ").removesuffix("]"))
            url = f"lmdb://{tmp_path}/cache"
            done = command(*words.split(), ZOOCACHE_URL=url)
            assert done.code == code, done
            found = [line.strip() for line in done.out.splitlines() if line.strip()]
            assert len(found) == len(lines), done.out
            for line, expected in zip(found, lines, strict=True):
                assert re.fullmatch(as_pattern(expected), line), f"{expected!r} is\n{line!r}"
        process.kill()
