"""`configure(verify=)`: what changed without an invalidation is found, and nothing else is."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

import zoocache
from support import Gate, run, spawn, wait_until
from zoocache import add_deps, cacheable, configure, findings, invalidate

# Longer than any test here: nothing is judged but by findings(now=True).
NEVER_S = 600.0


class Shop:
    """Data behind cached functions, which count their loads."""

    def __init__(self) -> None:
        self.prices = {1: 10, 2: 20}
        self.loads = 0

    def order(self, key: int) -> dict[str, Any]:
        self.loads += 1
        return {"id": key, "items": [{"price": self.prices[key], "name": "tea"}]}


@pytest.fixture
def shop() -> Shop:
    configure(verify=1.0, lease=NEVER_S)
    return Shop()


def found() -> list[str]:
    return [str(one) for one in findings(now=True)]


def test_a_missing_tag_is_reported_with_all_that_is_known(shop: Shop) -> None:
    @cacheable(deps=["org:acme", "order:{key}"])
    def get_order(key: int, currency: str = "EUR") -> Any:
        return shop.order(key)

    get_order(1, currency="USD")
    shop.prices[1] = 12
    invalidate("user:7", "customer:1")
    get_order(1, currency="USD")
    (one,) = findings(now=True)
    assert one.kind == "missing tag"
    assert one.function.endswith("get_order")
    assert one.arguments == "(1, currency='USD')"
    assert one.parts == ("['items'][0]['price']: 10, now 12",)
    assert one.deps == ("order:1", "org:acme")
    assert __file__ in one.defined_at
    assert __file__ in one.called_at
    assert one.invalidated[0].startswith("'user:7', 'customer:1' at ")
    for part in ("get_order", "order:1", "['price']", "user:7", "test_verify.py"):
        assert part in str(one)


def test_the_caller_gets_the_fresh_value_and_nothing_is_stored(shop: Shop) -> None:
    get_order = cacheable(deps=["order:{key}"])(shop.order)
    get_order(1)
    shop.prices[1] = 12
    assert get_order(1)["items"][0]["price"] == 12
    assert shop.loads == 2
    told = zoocache.stats()
    assert (told.stores, told.hits, told.misses, told.not_stored) == (1, 1, 1, 0)
    configure(verify=0)  # which keeps what is cached
    assert get_order(1)["items"][0]["price"] == 10
    assert shop.loads == 2


def test_what_is_invalidated_is_no_finding(shop: Shop) -> None:
    get_order = cacheable(deps=["order:{key}"])(shop.order)
    get_order(1)
    shop.prices[1] = 12
    invalidate("order:1")
    get_order(1)
    get_order(1)
    assert found() == []


@pytest.mark.parametrize("how", ["tag", "parent", "clear", "own key"])
def test_a_hit_between_a_write_and_its_invalidation_is_a_race(shop: Shop, how: str) -> None:
    get_order = cacheable(deps=["shop:order:{key}"])(shop.order)
    get_order(1)
    shop.prices[1] = 12
    get_order(1)  # differs, and nobody has said so yet
    assert findings() == []
    if how == "own key":
        get_order.invalidate(1)
    elif how == "clear":
        zoocache.clear()
    else:
        invalidate("shop" if how == "parent" else "shop:order:1")
    assert found() == []


def test_a_hit_in_a_block_of_a_writer_is_a_race(shop: Shop) -> None:
    get_order = cacheable(deps=["order:{key}"])(shop.order)
    get_order(1)
    get_order(2)
    with zoocache.invalidating("order:1"):
        shop.prices.update({1: 12, 2: 22})
        get_order(1)
        get_order(2)
        assert [one.arguments for one in findings(now=True)] == ["(2)"]
    assert [one.arguments for one in findings(now=True)] == ["(2)"]


def test_a_finding_comes_by_itself_after_the_lease(caplog: pytest.LogCaptureFixture) -> None:
    told: list[zoocache.Finding] = []

    def fails(finding: zoocache.Finding) -> None:
        told.append(finding)
        raise ValueError("nobody listens")

    configure(verify=1.0, lease=0.05, on_finding=fails)
    shop = Shop()
    get_order = cacheable(deps=["order:{key}"])(shop.order)
    get_order(1)
    shop.prices[1] = 12
    for _ in range(3):
        get_order(1)
    with caplog.at_level(logging.WARNING, "zoocache.verify"):
        wait_until(lambda: any("nobody listens" in str(one.exc_info) for one in caplog.records))
    assert findings()[0].parts == told[0].parts
    assert any("without an invalidation of order:1" in one.message for one in caplog.records)
    name = "zoocache-verify"
    wait_until(lambda: all(one.name != name for one in threading.enumerate()), "the thread's end")


def test_the_same_call_is_one_finding_and_the_list_is_bounded() -> None:
    configure(verify=1.0, lease=NEVER_S, max_findings=3)
    shop = Shop()
    shop.prices = dict.fromkeys(range(5), 1)
    get_order = cacheable(deps=["order:{key}"])(shop.order)
    for key in shop.prices:
        get_order(key)
    shop.prices = dict.fromkeys(range(5), 2)
    for _ in range(2):
        for key in shop.prices:
            get_order(key)
            assert len(findings(now=True)) <= 3
    assert [one.arguments for one in findings()] == ["(2)", "(3)", "(4)"]
    get_order(4)
    assert findings(now=True)[-1].count == 2
    zoocache.reset()
    assert findings() == []


def test_async_functions(shop: Shop) -> None:
    @cacheable(deps=["order:{key}"])
    async def get_order(key: int) -> Any:
        await asyncio.sleep(0)
        return shop.order(key)

    async def main() -> Any:
        await get_order(1)
        shop.prices[1] = 12
        first = await get_order(1)
        return [first, *await asyncio.gather(*(get_order(1) for _ in range(2)))]

    assert [one["items"][0]["price"] for one in run(main())] == [12, 12, 12]
    (one,) = findings(now=True)
    assert one.parts == ("['items'][0]['price']: 10, now 12",)
    assert "test_verify.py" in one.called_at
    assert zoocache.stats().flights_joined == 0


def test_a_cancelled_async_verification_ends_and_spoils_nothing(shop: Shop) -> None:
    started = threading.Event()

    @cacheable(deps=["order:{key}"])
    async def get_order(key: int) -> Any:
        if shop.loads:
            started.set()
            await asyncio.sleep(NEVER_S)
        return shop.order(key)

    async def main() -> None:
        await get_order(1)
        task = asyncio.ensure_future(get_order(1))
        while not started.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert found() == []
    assert zoocache.stats().flights == 0
    assert zoocache.explain(get_order, 1).reason == "hit"


def test_get_many_verifies_each_hit(shop: Shop) -> None:
    get_order = cacheable(deps=["order:{key}"])(shop.order)
    get_order.get_many([1, 2])
    shop.prices[2] = 22
    batches: list[list[int]] = []

    def load(keys: list[int]) -> list[Any]:
        batches.append(keys)
        return [shop.order(key) for key in keys]

    values = get_order.get_many([1, 2, 2], load=load)
    assert [value["items"][0]["price"] for value in values] == [10, 22, 22]
    assert batches == []
    assert [one.arguments for one in findings(now=True)] == ["(2)"]


def test_methods(shop: Shop) -> None:
    class Orders:
        @cacheable(deps=["order:{key}"])
        def get(self, key: int) -> Any:
            return shop.order(key)

    orders = Orders()
    orders.get(1)
    shop.prices[1] = 12
    orders.get(1)
    (one,) = findings(now=True)
    assert one.function.endswith("Orders.get")
    assert one.arguments.endswith(", 1)")


def test_an_exception_leaves_the_caller_the_hit(shop: Shop) -> None:
    get_order = cacheable(deps=["order:{key}"])(shop.order)
    outer = cacheable(deps=["top"])(lambda: get_order(1))
    get_order(1)
    del shop.prices[1]
    assert outer()["items"][0]["price"] == 10
    assert zoocache.explain(outer).deps == ("order:1", "top")
    (one,) = findings(now=True)
    assert one.parts == ("raises KeyError(1)",)


def test_what_ends_the_program_is_raised(shop: Shop) -> None:
    @cacheable(deps=["order:{key}"])
    def get_order(key: int) -> Any:
        if shop.loads:
            raise KeyboardInterrupt
        return shop.order(key)

    get_order(1)
    with pytest.raises(KeyboardInterrupt):
        get_order(1)
    assert found() == []


def test_an_outer_load_depends_on_what_its_caller_got(shop: Shop) -> None:
    extra = ["first"]

    @cacheable(deps=["order:{key}"])
    def get_order(key: int) -> Any:
        add_deps(extra)
        return shop.order(key)

    @cacheable(deps=["page"])
    def page() -> Any:
        return get_order(1)

    get_order(1)
    extra[:] = ["second"]
    page()
    assert zoocache.explain(page).deps == ("order:1", "page", "second")
    invalidate("second")
    assert zoocache.explain(page).reason == "invalidated"


def test_functions_that_call_each_other_often_stay_affordable(shop: Shop) -> None:
    loads = 0

    @cacheable(deps=["numbers"])
    def fib(n: int) -> int:
        nonlocal loads
        loads += 1
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(60) == 1548008755920
    assert fib(60) == 1548008755920
    assert loads < 61 * 61, "and not 2**60"
    assert found() == []


def test_an_inner_missing_tag_is_named_beside_the_outer_one(shop: Shop) -> None:
    inner = cacheable(deps=["order:{key}"])(shop.order)

    @cacheable(deps=["page:{key}"])
    def page(key: int) -> Any:
        return inner(key)["items"]

    page(1)
    shop.prices[1] = 12
    page(1)
    assert {one.function.split(".")[-1] for one in findings(now=True)} == {"order", "page"}


def test_only_the_share_is_loaded_anew() -> None:
    configure(verify=0.25)
    shop = Shop()
    get_order = cacheable(deps=["order:{key}"])(shop.order)
    for _ in range(2001):
        get_order(1)
    assert 350 < shop.loads < 650  # 500 and eight deviations


def test_verifying_goes_beside_other_loads(shop: Shop) -> None:
    """One that waits keeps nobody else waiting, and joins nobody."""
    gate = Gate()

    @cacheable(deps=["order:{key}"])
    def get_order(key: int) -> Any:
        if shop.loads == 1:
            shop.loads += 1
            gate.hold()
        return shop.order(key)

    get_order(1)
    held = spawn(get_order, 1)
    gate.wait_entered()
    assert get_order(1)["id"] == 1
    gate.release()
    assert held.result()["id"] == 1
    assert zoocache.stats().flights_joined == 0


def test_what_cannot_be_compared_is_said_once(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    @cacheable(deps=["order:{key}"])
    def get_order(key: int) -> Any:
        return {"lock": threading.Lock(), **shop.order(key)}

    for _ in range(3):
        get_order(1)
    assert found() == []
    lines = [one.message for one in caplog.records if one.name == "zoocache.verify"]
    assert len(lines) == 1
    assert "['lock'] (a lock" in lines[0]


@pytest.mark.parametrize("options", [{"verify": False}, {"ttl": 60, "deps": None}])
def test_functions_that_are_left_alone(shop: Shop, options: dict[str, Any]) -> None:
    get_order = cacheable(**{"deps": ["order:{key}"], **options})(shop.order)
    get_order(1)
    shop.prices[1] = 12
    assert get_order(1)["items"][0]["price"] == 10
    assert found() == []


def test_a_function_says_what_of_its_value_is_compared(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    compared = cacheable(verify=lambda value: value["id"], deps=["a"])(shop.order)
    wrong = cacheable(verify=lambda value: value.nothing, deps=["a"])(shop.order)
    for function in (compared, wrong):
        function(1)
    shop.prices[1] = 12
    for function in (compared, wrong):
        function(1)
        function(1)
    assert found() == []
    assert len([one for one in caplog.records if "AttributeError" in one.message]) == 1


@pytest.mark.parametrize("value", [-0.1, 1.1, "1", True, None, float("nan")])
def test_a_share_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(zoocache.InvalidOption, match="verify=.* a share of the hits"):
        configure(verify=value)


def test_other_options_are_checked() -> None:
    with pytest.raises(zoocache.InvalidOption, match="verify='all' is not allowed"):
        cacheable(verify="all")(len)  # type: ignore[arg-type]
    with pytest.raises(zoocache.InvalidOption, match="max_findings=0"):
        configure(max_findings=0)
    with pytest.raises(zoocache.InvalidOption, match="on_finding=1"):
        configure(on_finding=1)  # type: ignore[arg-type]


def test_it_can_be_switched_while_the_cache_is_in_use(shop: Shop) -> None:
    get_order = cacheable(deps=["order:{key}"])(shop.order)
    get_order(1)
    configure(verify=0, max_findings=5)
    get_order(1)
    assert shop.loads == 1
    with pytest.raises(RuntimeError, match="in use"):
        configure(max_entries=5)
    configure(verify=1)
    get_order(1)
    assert shop.loads == 2


def test_a_changed_object_is_reported_with_the_call_and_the_part() -> None:
    configure(debug=True, verify=1.0, lease=NEVER_S)
    shop = Shop()
    get_order = cacheable(deps=["order:{key}"])(shop.order)
    get_order(1)["items"][0]["name"] = "coffee"
    with pytest.warns(zoocache.MutatedValueWarning, match=r"order\(1\) in the cache.*'name'"):
        get_order(1)
    one = findings(now=True)[0]
    assert (one.kind, one.arguments) == ("mutated", "(1)")
    assert one.parts == ("['items'][0]['name']: 'tea', now 'coffee'",)
    assert one.loaded_at is not None
    assert "test_verify.py" in one.loaded_at
    assert [two.kind for two in findings(now=True)] == ["mutated"], "that is no missing tag"
