"""The off-switch: every call runs its function, by `enabled=False` or by the environment."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

import zoocache
from support import Gate, Versions, check_script, run, run_script, spawn
from zoocache import add_deps, cacheable, configure, invalidate


@pytest.fixture
def versions() -> Versions:
    configure(enabled=False)
    return Versions()


def test_every_call_runs_its_function(versions: Versions) -> None:
    get = cacheable(deps=["a:{key}"])(lambda key: versions.next())
    assert [get(1), get(1), get(key=1)] == [1, 2, 3]
    assert get.refresh(1) == 4
    assert get.peek(1) is None
    assert get.peek(1, default="none") == "none"
    invalidate("a:1")
    get.invalidate(1)
    get.cache_clear()
    zoocache.clear()
    with zoocache.invalidating("a:1"):
        assert get(1) == 5
    assert zoocache.stats().entries == 0


def test_what_is_told_says_so(versions: Versions) -> None:
    get = cacheable(max_entries=10)(lambda key: versions.next())
    get(1)
    assert get.cache_info() == (0, 0, 0, 0)
    told = zoocache.explain(get, 1)
    assert told.reason == "disabled"
    assert "ZOOCACHE_DISABLED" in str(told)


def test_methods_and_class_methods(versions: Versions) -> None:
    class Orders:
        @cacheable
        def get(self, key: int) -> int:
            return key + versions.next()

        @cacheable
        @classmethod
        def make(cls, key: int) -> int:
            return key + versions.next()

    orders = Orders()
    assert [orders.get(10), orders.get(10), Orders.make(10), Orders.make(10)] == [11, 12, 13, 14]


def test_async_functions(versions: Versions) -> None:
    @cacheable
    async def get(key: int) -> int:
        await asyncio.sleep(0)
        return versions.next()

    async def main() -> list[int]:
        return [await get(1), *await asyncio.gather(get(1), get(1)), await get.refresh(1)]

    assert run(main()) == [1, 2, 3, 4]
    assert run(get.get_many([1, 1])) == [5, 6]


def test_get_many(versions: Versions) -> None:
    get = cacheable(lambda key: versions.next())
    assert get.get_many([1, 2]) == [1, 2]
    batches: list[list[int]] = []

    def load(keys: list[int]) -> list[int]:
        batches.append(list(keys))
        return [versions.next() for _ in keys]

    assert get.get_many([1, 2], load=load) == [3, 4]
    assert get.get_many([1, 2], load=load) == [5, 6]
    assert batches == [[1, 2], [1, 2]]


def test_raw_keys_are_absent(versions: Versions) -> None:
    zoocache.set("key", 1, deps=["a"])
    assert zoocache.get("key") is None
    with pytest.raises(TypeError, match="a raw key is a str"):
        zoocache.get(1)  # type: ignore[arg-type]
    configure(enabled=True)
    assert zoocache.get("key") is None


def test_entries_outlast_it_and_what_is_invalidated_meanwhile_does_not() -> None:
    versions = Versions()
    get = cacheable(deps=["a:{key}"])(lambda key: versions.next())
    assert [get(1), get(2)] == [1, 2]
    configure(enabled=False)
    assert get(1) == 3
    invalidate("a:2")
    configure(enabled=True)
    assert get(1) == 1
    assert get(2) == 4


def test_a_load_that_was_running_keeps_its_dependencies() -> None:
    """Switched off in the middle of an outer load: what it then calls is still known to it."""
    gate = Gate()
    inner = cacheable(deps=["inner"])(lambda: "inner")

    @cacheable(deps=["outer"])
    def outer() -> str:
        gate.hold()
        return inner()

    held = spawn(outer)
    gate.wait_entered()
    configure(enabled=False)
    gate.release()
    assert held.result() == "inner"
    configure(enabled=True)
    assert zoocache.explain(outer).reason != "hit" or "inner" in zoocache.explain(outer).deps


def test_a_cache_that_is_on_around_one_that_is_off() -> None:
    on, off = zoocache.Cache(), zoocache.Cache(enabled=False)
    versions = Versions()
    inner = off.cacheable(deps=["inner"])(versions.next)

    @on.cacheable(deps=["outer"])
    def outer() -> int:
        add_deps("more")
        return int(inner())

    assert [outer(), outer()] == [1, 1]
    assert on.explain(outer).deps == ("more", "outer")


def test_key_context_is_left_in_place() -> None:
    tenant = contextvars.ContextVar("tenant", default="a")
    cache = zoocache.Cache(enabled=False)
    cache.core.set_key_context(tenant.get)
    get = cache.cacheable(lambda: tenant.get())
    assert get() == "a"
    cache.configure(enabled=True)
    assert get() == "a"
    tenant.set("b")
    assert get() == "b"
    cache.core.set_key_context(None)


def test_a_bad_call_raises_the_function_s_own_error(versions: Versions) -> None:
    def get(key: int) -> int:
        raise ValueError(key)

    with pytest.raises(ValueError, match="7"):
        cacheable(get)(7)
    with pytest.raises(TypeError, match="missing 1 required"):
        cacheable(get)()


SCRIPT = """
    import zoocache

    loads = []

    @zoocache.cacheable
    def get():
        loads.append(1)

    zoocache.configure(enabled=True, max_entries=5)
    get(), get()
    print(len(loads), zoocache.explain(get).reason)
"""


@pytest.mark.parametrize(
    ("said", "loads"), [("1", "2 disabled"), ("True", "2 disabled"), ("0", "1 hit")]
)
def test_the_environment_wins(said: str, loads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOCACHE_DISABLED", said)
    assert check_script(SCRIPT).strip() == loads


def test_what_the_environment_says_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOCACHE_DISABLED", "maybe")
    done = run_script("import zoocache")
    assert done.returncode == 1
    assert "ZOOCACHE_DISABLED='maybe' is not allowed: 1 switches the cache off" in done.stderr


@pytest.mark.parametrize("value", [0, 1, None, "no"])
def test_the_option_is_checked(value: Any) -> None:
    with pytest.raises(zoocache.InvalidOption, match="enabled=.* True or False"):
        configure(enabled=value)


def test_endpoints_pass_through() -> None:
    flask = pytest.importorskip("flask")

    from zoocache.contrib.flask import cache_endpoint

    versions = Versions()
    app = flask.Flask("app")

    @app.get("/order/<key>")
    @cache_endpoint(deps=["order:{key}"])
    def order(key: str) -> str:
        return str(versions.next())

    client = app.test_client()
    assert [client.get("/order/1").text for _ in range(2)] == ["1", "1"]
    configure(enabled=False)
    answers = [client.get("/order/1") for _ in range(2)]
    assert [answer.text for answer in answers] == ["2", "3"]
    assert not [name for name in ("age", "etag", "cache-control") if name in answers[1].headers]
    configure(enabled=True, verify=1.0)
    assert client.get("/order/1").text == "4"
    (one,) = zoocache.findings(now=True)
    assert "['body']: b'1', now b'4'" in one.parts
    assert one.function.endswith("order")
