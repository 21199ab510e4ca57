"""What is logged is documented, and no message has a password in it."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoocache
from redis_server import RedisServer
from support import wait_until
from zoocache import Cache, InvalidOption
from zoocache._errors import redacted

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "open-sesame"


def test_the_document_has_every_logger() -> None:
    text = (ROOT / "docs" / "METRICS.md").read_text()
    named: set[str] = set()
    for source in (ROOT / "python" / "zoocache").rglob("*.py"):
        code = source.read_text()
        named |= set(re.findall(r'getLogger\("(zoocache[\w.]*)"\)', code))
        assert "getLogger(__name__)" not in code, source
    assert len(named) >= 4
    for name in named:
        assert f"| `{name}` |" in text, f"docs/METRICS.md does not name the logger {name}"


URLS = [
    f"reddis://user:{PASSWORD}@host/0",
    f"redis+sentinal://host?sentinel_password={PASSWORD}",
    f"user:{PASSWORD}@redis://host",
    f"user:{PASSWORD}@host",
    f"redis://user:{PASSWORD}\0@host",
    f"redis://user:{PASSWORD}@host:port",
    f"redis://:{PASSWORD}",
    f"redis://user:{PASSWORD}@host/?no_such_option=1",
    f"redis://host/?{PASSWORD}@other",
    f"redis+unix://:{PASSWORD}@",
]


@pytest.mark.parametrize("option", ["bus_url", "storage_url"])
@pytest.mark.parametrize("url", [*URLS, URLS[0].encode()], ids=range(len(URLS) + 1))
def test_wrong_urls_are_refused_without_their_passwords(option: str, url: Any) -> None:
    cache = Cache()
    with pytest.raises((InvalidOption, TypeError)) as caught:
        cache.configure(**{option: url})
        cache.cacheable(lambda: 1)()
    assert PASSWORD not in "".join(traceback.format_exception_only(caught.value))
    assert option in str(caught.value) or "URL" in str(caught.value)


def test_settings_that_differ_are_shown_without_secrets(server: RedisServer) -> None:
    url = server.url.replace("redis://", f"redis://:{PASSWORD}@")
    cache = Cache(bus_url=url, prefix="shop", secret=PASSWORD * 2)
    cache.cacheable(lambda: 1)()
    with pytest.raises(RuntimeError, match="'shop'") as caught:
        cache.configure(bus_url=url + "1", secret=PASSWORD * 3)
    assert PASSWORD not in str(caught.value)
    assert "redis://***" in str(caught.value)


def test_trouble_with_a_server_tells_no_password(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.url.replace("redis://", f"redis://:{PASSWORD}@")
    told: list[str] = []

    def note(call: Callable[[], Any]) -> None:
        try:
            told.append(str(call()))
        except zoocache.ZoocacheError as error:
            told.extend(traceback.format_exception(error))

    with caplog.at_level(logging.DEBUG):
        server.ask("CONFIG", "SET", "requirepass", "another")
        note(lambda: Cache(storage_url=url))
        assert "WRONGPASS" in told[-1]
        server.kill()
        cache = Cache(storage_url=url)
        load = cache.cacheable(lambda: 1, deps=["t"])
        note(load)
        note(lambda: cache.invalidate("t"))
        wait_until(lambda: (cache.home() or {})["trouble"] != "", "trouble")
        note(cache.home)
        note(cache.storage)
        note(lambda: zoocache.explain(load))
    assert len(told) >= 5
    everything = "\n".join([*told, caplog.text])
    assert PASSWORD not in everything
    assert "another" not in everything


def test_what_is_shown_of_urls() -> None:
    assert redacted("lmdb:///var/cache") == "lmdb:///var/cache"
    assert redacted("redis://host") == "redis://***"
    assert redacted("localhost") == "localhost"
    assert redacted(f"a:{PASSWORD}@b") == "***"
    assert redacted(None) is None
