"""Where the dependencies of an entry come from."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import zoocache
from support import Versions, run
from zoocache import add_deps, cacheable, explain, invalidate, tag


def counted(**options: Any) -> Any:
    """A cached function of one argument whose result counts its executions."""
    source = Versions()

    @cacheable(**options)
    def load(x: Any = 1) -> int:
        return source.next()

    return load


@pytest.mark.parametrize(
    "deps",
    [
        ["orders", "users:1"],
        ("orders", "users:1"),
        {"orders", "users:1"},
        "users:1",
        lambda x: ["users:1"],
        lambda x: "users:1",
        lambda x: iter(("users:1", "other")),
        ["users:{x}"],
        "users:{x}",
    ],
    ids=[
        "list",
        "tuple",
        "set",
        "bare str",
        "callable",
        "callable of str",
        "callable of iterator",
        "template",
        "bare template",
    ],
)
def test_every_form_of_deps(deps: Any) -> None:
    load = counted(deps=deps)
    assert [load(1), load(1)] == [1, 1]
    invalidate("users:2")
    assert load(1) == 1
    invalidate("users:1")
    assert [load(1), load(1)] == [2, 2]


def test_bare_str_is_one_tag_and_not_its_letters() -> None:
    for load in (counted(deps="users"), counted(deps=lambda x: "users")):
        assert load(1) == 1
        invalidate("u")
        assert load(1) == 1
        invalidate("users")
        assert load(1) == 2


def test_callable_gets_the_arguments_of_the_call() -> None:
    seen = []

    def deps(*args: Any, **kwargs: Any) -> list[str]:
        seen.append((args, kwargs))
        return [f"t:{args[0]}"]

    source = Versions()

    @cacheable(deps=deps)
    def load(a: int, b: int = 2, *, c: int = 3) -> int:
        return source.next()

    assert load(1, c=4) == 1
    bound = dict(zip("ab", seen[0][0], strict=False)) | seen[0][1]
    assert {"a": 1, "c": 4}.items() <= bound.items() <= {"a": 1, "b": 2, "c": 4}.items()
    assert load(1, c=4) == 1
    assert len(seen) == 1, "a hit does not need the dependencies"
    invalidate("t:1")
    assert load(1, c=4) == 2


def test_list_is_known_before_the_loader_and_a_callable_asked_after_it() -> None:
    order = []

    @cacheable(deps=lambda: order.append("deps") or ["t"])
    def load() -> None:
        order.append("loader")

    load()
    assert order == ["loader", "deps"]


def test_iterators_given_as_deps_are_not_used_up() -> None:
    load = counted(deps=iter(["users:1"]))
    assert [load(1), load(2)] == [1, 2]
    invalidate("users:1")
    assert [load(1), load(2)] == [3, 4]


def test_later_changes_to_the_given_list_mean_nothing() -> None:
    deps = ["users:1"]
    load = counted(deps=deps)
    deps[:] = ["other"]
    assert load(1) == 1
    invalidate("other")
    assert load(1) == 1
    invalidate("users:1")
    assert load(1) == 2


def test_add_deps_takes_a_list_a_str_and_any_iterable() -> None:
    source = Versions()

    @cacheable
    def load() -> int:
        add_deps(["a:1", "a:2"])
        add_deps("b:1")
        add_deps(f"c:{i}" for i in range(2))
        add_deps(())
        return source.next()

    count = load()
    for name in ("a:1", "a:2", "b:1", "c:0", "c:1"):
        invalidate(name)
        count += 1
        assert load() == count, name
    invalidate("b:2")
    assert load() == count


def test_sources_of_dependencies_are_united() -> None:
    source = Versions()

    @cacheable(deps=["list", "template:{x}"])
    def inner(x: int) -> int:
        add_deps(["added"])
        return source.next()

    @cacheable(deps=lambda: ["computed"])
    def outer() -> int:
        return inner(1)

    assert outer() == 1
    assert set(explain(outer).deps) == {"list", "template:1", "added", "computed"}


def test_a_dependency_named_twice_counts_once() -> None:
    load = counted(deps=lambda x: ["t", "t", "t:1"])
    load(1)
    assert sorted(explain(load, 1).deps) == ["t", "t:1"]


def test_no_dependencies_means_valid_until_cleared() -> None:
    for deps in ((), [], None, lambda x: [], lambda x: ()):
        load = counted(deps=deps)
        assert load(1) == 1
        invalidate("anything")
        assert load(1) == 1
        zoocache.clear()
        assert load(1) == 2


def test_threads_with_the_context_register_into_the_load() -> None:
    source = Versions()

    @cacheable
    def load() -> int:
        context = contextvars.copy_context()
        helper = threading.Thread(target=context.run, args=(add_deps, ["helper:1"]))
        helper.start()
        helper.join()
        return source.next()

    assert load() == 1
    invalidate("helper:1")
    assert load() == 2


def test_threads_without_the_context_do_not_register() -> None:
    source = Versions()

    @cacheable
    def load() -> int:
        helper = threading.Thread(target=add_deps, args=(["helper:1"],))
        helper.start()
        helper.join()
        return source.next()

    assert load() == 1
    invalidate("helper:1")
    assert load() == 1


def test_late_registration_after_the_load_does_nothing() -> None:
    contexts = []

    @cacheable
    def load() -> int:
        contexts.append(contextvars.copy_context())
        return 1

    assert load() == 1
    contexts[0].run(add_deps, ["late:1"])
    assert explain(load).deps == ()
    assert load() == 1


def test_templates_see_defaults_keywords_and_attributes() -> None:
    source = Versions()

    @cacheable(
        deps=["order:{order.order_id}", "org:{order.org.name}:{kind}"],
        key=lambda order, kind="full": (order.order_id, kind),
    )
    def load(order: Any, kind: str = "full") -> int:
        return source.next()

    order = SimpleNamespace(order_id=7, org=SimpleNamespace(name="acme"))
    assert load(order) == 1
    assert set(explain(load, order).deps) == {"order:7", "org:acme:full"}
    assert load(order=order, kind="short") == 2
    assert set(explain(load, order, "short").deps) == {"order:7", "org:acme:short"}


@pytest.mark.parametrize("template", ["order:{order}", "o:{order_id}:{typo.name}"])
def test_templates_with_unknown_parameters_fail_at_decoration(template: str) -> None:
    def load(order_id: int) -> int:
        return order_id

    with pytest.raises((TypeError, zoocache.InvalidOption), match="order|typo"):
        cacheable(deps=[template])(load)


def test_template_attribute_that_is_missing_fails_and_stores_nothing() -> None:
    calls = []

    @cacheable(deps=["org:{user.org}"], key=lambda user: 1)
    def load(user: Any) -> int:
        calls.append(user)
        return 1

    with pytest.raises(AttributeError):
        load(object())
    assert load(SimpleNamespace(org="acme")) == 1
    assert calls and explain(load, SimpleNamespace(org="acme")).deps == ("org:acme",)


HOSTILE_VALUES = [
    "a:b",
    ":",
    "::",
    "a|b",
    "a b",
    "%",
    "%3A",
    "",
    " ",
    "\n",
    "\x00",
    "\x7f",
    "\u2028",
    "\ud800",
    "ü",
    "名前",
    "\U0001f600",
    "x" * 5000,
    ":" * 5000,
    "{x}",
    "{",
    "~",
    "%~",
    "a:b:c:d",
    -1,
    1.5,
    None,
    True,
    b"bytes",
    ("a", "b"),
]


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=lambda value: ascii(value)[:20])
def test_substituted_values_never_leave_their_segment(value: Any) -> None:
    source = Versions()

    @cacheable(deps=["user:{x}"])
    def load(x: Any) -> int:
        return source.next()

    assert [load(value), load(value)] == [1, 1]
    (dependency,) = explain(load, value).deps
    assert dependency.count(":") == 1
    invalidate("user:a", "user:b", "a", "b")
    assert load(value) == 1, "the value climbed out of its segment"
    assert dependency == tag("user", value)
    invalidate(tag("user", value))
    assert load(value) == 2


def test_different_substituted_values_are_different_tags() -> None:
    values = [value for value in HOSTILE_VALUES if isinstance(value, str)]
    values += ["x" * 5001, ":" * 5001, "a%3Ab", "%20"]
    assert len({tag("user", value) for value in values}) == len(values)


def test_tag_joins_escaped_segments() -> None:
    assert tag("user", 42) == "user:42"
    assert tag("user", "a:b") == "user:a%3Ab"
    assert tag("user", "50%") == "user:50%25"
    assert tag("user", "") == "user:%"
    assert tag("org", "acme", "user", "x@y.z") == "org:acme:user:x@y.z"
    with pytest.raises((TypeError, zoocache.InvalidTag)):
        tag()


@pytest.mark.parametrize(
    "result", [None, 42, 3.5, [42], [None], [["nested"]], [b"bytes"]], ids=repr
)
def test_deps_of_the_wrong_type_are_a_clear_error(result: Any) -> None:
    calls = []

    @cacheable(deps=lambda x: result)
    def load(x: int) -> int:
        calls.append(x)
        return x

    for attempt in (1, 2):
        with pytest.raises(TypeError, match="deps|tag"):
            load(1)
        assert len(calls) == attempt, "nothing was stored and the flight was released"


@pytest.mark.parametrize(
    "deps", [42, 3.5, [42], [None], object()], ids=["int", "float", "ints", "Nones", "object"]
)
def test_constant_deps_of_the_wrong_type_fail_at_decoration(deps: Any) -> None:
    with pytest.raises((TypeError, zoocache.InvalidOption)):
        cacheable(deps=deps)(lambda: 1)


def test_deps_generator_that_raises_stores_nothing() -> None:
    calls = []

    def deps(x: int) -> Iterator[str]:
        yield "first"
        raise LookupError("in the middle")

    @cacheable(deps=deps)
    def load(x: int) -> int:
        calls.append(x)
        return x

    for attempt in (1, 2):
        with pytest.raises(LookupError, match="in the middle"):
            load(1)
        assert len(calls) == attempt


def test_deps_callable_that_raises_stores_nothing_async() -> None:
    calls = []

    @cacheable(deps=lambda x: 1 / 0)
    async def load(x: int) -> int:
        calls.append(x)
        return x

    async def main() -> None:
        for attempt in (1, 2):
            with pytest.raises(ZeroDivisionError):
                await load(1)
            assert len(calls) == attempt

    run(main())


@pytest.mark.parametrize("bad", ["", "a b", ":a", "a::b", "a|b", "x" * 257])
def test_invalid_tags_in_deps_store_nothing(bad: str) -> None:
    calls = []

    @cacheable(deps=lambda: ["good", bad])
    def computed() -> int:
        calls.append(1)
        return 1

    @cacheable
    def added() -> int:
        calls.append(1)
        add_deps(["good", bad])
        return 1

    for load in (computed, added):
        calls.clear()
        for attempt in (1, 2):
            with pytest.raises(zoocache.InvalidTag):
                load()
            assert len(calls) == attempt


def test_constant_invalid_tags_fail_by_the_first_call_at_the_latest() -> None:
    with pytest.raises(zoocache.InvalidTag):
        cacheable(deps=["bad tag"])(lambda: 1)()


@pytest.mark.parametrize("bad", [None, 42, [42], [None]], ids=repr)
def test_add_deps_of_the_wrong_type_is_a_type_error(bad: Any) -> None:
    @cacheable
    def load() -> int:
        add_deps(bad)
        return 1

    with pytest.raises(TypeError):
        load()


def test_a_caught_add_deps_error_leaves_the_load_usable() -> None:
    source = Versions()

    @cacheable
    def load() -> int:
        with pytest.raises(zoocache.InvalidTag):
            add_deps(["bad tag"])
        add_deps(["good"])
        return source.next()

    assert [load(), load()] == [1, 1]
    assert explain(load).deps == ("good",)
    invalidate("good")
    assert load() == 2


def test_thousands_of_dependencies() -> None:
    load = counted(deps=[f"item:{i}" for i in range(5000)])
    assert [load(1), load(1)] == [1, 1]
    for i in range(300):
        invalidate(f"unrelated:{i}")
    assert load(1) == 1
    invalidate("item:4999")
    assert [load(1), load(1)] == [2, 2]
    for i in range(70_000):
        invalidate(f"unrelated:{i}")
    assert load(1) == 2
    invalidate("item")
    assert load(1) == 3


def test_dependencies_beside_many_other_invalidations() -> None:
    """More invalidations than the log keeps in memory lie between store and read."""
    load = counted(deps=["mine:1"])
    assert load(1) == 1
    for i in range(70_000):
        invalidate(f"other:{i}")
    assert load(1) == 1
    invalidate("mine:1")
    for i in range(70_000):
        invalidate(f"other:{i}")
    assert load(1) == 2
