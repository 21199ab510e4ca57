"""`zoocache top` in a real terminal: keys are sent to a pty, and its screen is read."""

from __future__ import annotations

from cli_support import Terminal, worker
from redis_server import RedisServer
from test_cli import HOSTILE
from zoocache import Cache


def test_it_lives(server: RedisServer) -> None:
    url = server.url.replace("redis://", "redis://default:pa55word@")
    server.ask("CONFIG", "SET", "requirepass", "pa55word")
    with worker(url) as other, Terminal("top", "--interval", "0.2", ZOOCACHE_URL=url) as terminal:
        screen = terminal.wait_for("shop.order")
        assert "shop.user" in screen
        assert "8 of 8 stored values are valid" in screen
        assert "redis://***@127.0.0.1" in screen
        assert "1 processes" in screen
        assert "live" in screen

        terminal.press("2")
        terminal.wait_for("first seen")
        other.say("invalidate org:acme:user:3")
        screen = terminal.wait_for("org:acme:user:3")
        assert "ago" in screen, "it was not there when we came"
        terminal.wait_for("7 of 8 stored values are valid")
        other.say("raw " + HOSTILE)
        terminal.wait_for(HOSTILE)
        other.say("clear")
        terminal.wait_for("everything, by clear()")

        terminal.press("1")
        terminal.wait_for("version")
        terminal.press("/")
        terminal.wait_for("only rows with this text")
        terminal.press("user")
        terminal.wait_for("shop.order", gone=True)
        assert "shop.user" in terminal.screen
        terminal.press("\x1b")
        terminal.wait_for("shop.order")

        terminal.press("4")
        terminal.wait_for("applied")
        terminal.press("p")
        terminal.wait_for("paused")
        terminal.press("q")
        assert terminal.code() == 0
        assert b"pa55word" not in terminal.raw
        assert "\u202e".encode() not in terminal.raw
        assert b"\x1b[?1049l" in terminal.raw, "the screen is what it was before"


def test_tags_and_processes_of_a_folder(url: str) -> None:
    with worker(url) as other, Terminal("top", "--url", url, "--interval", "0.2") as terminal:
        terminal.wait_for("shop.order")
        terminal.press("3")
        terminal.wait_for("stock")
        screen = terminal.wait_for("org:acme:user:4")
        assert screen.index("org") < screen.index("stock"), "what kills most comes first"
        terminal.press("4")
        screen = terminal.wait_for("(this command)")
        assert f"{other.process.pid}" in screen
        assert "log and values" in screen
        terminal.press("\x03\x03")  # the framework asks to press q
        terminal.press("q")
        assert terminal.code() == 0


def test_what_is_wrong_hides_nothing_on_a_narrow_terminal(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "100mb")
    with (
        worker(server.url),
        Terminal("top", "--url", server.url, columns=60, rows=20) as terminal,
    ):
        terminal.wait_for("noeviction")
        terminal.wait_for("shop.order")
        screen = terminal.wait_for("8 of 8 stored values are valid")
        assert screen.index("stored values") < screen.index("noeviction")
        terminal.press("q")
        assert terminal.code() == 0


def test_a_server_that_goes_and_comes_back(server: RedisServer) -> None:
    Cache(storage_url=server.url, command_timeout=5).set("key", 1, deps="a")
    words = ("top", "--url", server.url, "--interval", "0.2", "--timeout", "0.2")
    with Terminal(*words) as terminal:
        terminal.wait_for("1 of 1 stored values are valid")
        server.kill()
        terminal.wait_for("UNREACHABLE")
        server.start()
        terminal.wait_for("UNREACHABLE", gone=True)
        terminal.press("q")
        assert terminal.code() == 0


def test_a_dumb_terminal_gets_tables_and_colours_only_where_it_can(url: str) -> None:
    with worker(url):
        with Terminal("doctor", "--url", url, columns=160) as terminal:
            assert terminal.code() == 0
            assert "ok       values: 8, " in terminal.screen
            assert b"\x1b[32m" in terminal.raw
        with Terminal("tags", "--url", url, columns=60, NO_COLOR="1") as terminal:
            assert terminal.code() == 0
            assert "org:acme:user:1" in terminal.screen
