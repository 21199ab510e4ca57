"""Bad input is refused with a clear error and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import zoocache
from support import Versions, plain_id, run
from zoocache import cacheable, invalidate, invalidating

BAD_TAGS = {
    "empty": "",
    "one colon": ":",
    "two colons": "::",
    "leading colon": ":a",
    "trailing colon": "a:",
    "empty segment": "a::b",
    "space": "a b",
    "only a space": " ",
    "leading space": " a",
    "trailing space": "a ",
    "tab": "a\tb",
    "newline": "a\nb",
    "trailing newline": "a\n",
    "carriage return": "a\rb",
    "NUL": "a\x00b",
    "only NUL": "\x00",
    "escape": "a\x1bb",
    "delete": "a\x7f",
    "C1 control": "a\x85b",
    "no-break space": "a\u00a0b",
    "line separator": "a\u2028b",
    "ideographic space": "a\u3000b",
    "pipe": "a|b",
    "lone surrogate": "a\ud800",
    "257 characters": "a" * 257,
    "10,000 bytes": "a" * 10_000,
    "10,000 bytes in segments": "ab:" * 3333 + "a",
    "65 segments": ":".join("a" * 65),
    "1,000 levels": ":".join("a" * 1000),
}

USES: dict[str, Callable[[str], Any]] = {
    "invalidate": lambda tag: invalidate(tag),
    "invalidate among good ones": lambda tag: invalidate("good", tag, "good:child"),
    "invalidate_async": lambda tag: run(zoocache.invalidate_async("good", tag)),
    "invalidating": lambda tag: invalidating("good", tag).__enter__(),
    "set": lambda tag: zoocache.set("key", 1, deps=["good", tag]),
    "set_async": lambda tag: run(zoocache.set_async("key", 1, deps=[tag])),
    "get_tag_version": lambda tag: zoocache.get_tag_version(tag),
    "constant deps": lambda tag: cacheable(deps=["good", tag])(lambda: 1)(),
    "computed deps": lambda tag: cacheable(deps=lambda: ["good", tag])(lambda: 1)(),
    "add_deps": lambda tag: cacheable(lambda: zoocache.add_deps(["good", tag]))(),
    "bare add_deps": lambda tag: cacheable(lambda: zoocache.add_deps(tag))(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", BAD_TAGS)
def test_bad_tags_are_refused_and_nothing_changes(kind: str, use: str) -> None:
    load = cacheable(deps=["good"])(Versions().next)
    assert load() == 1
    clock, entries, tags = zoocache.stats().clock, zoocache.stats().entries, zoocache.stats().tags
    with pytest.raises(zoocache.InvalidTag) as caught:
        USES[use](BAD_TAGS[kind])
    now = zoocache.stats()
    assert (now.clock, now.entries, now.tags) == (clock, entries, tags)
    assert load() == 1
    assert zoocache.get("key") is None
    assert 10 < len(str(caught.value)) < 600, "the offending value is cut"


@pytest.mark.parametrize("thing", [None, 42, 1.5, b"bytes", ["a"], ("a",), {"a"}], ids=repr)
def test_tags_are_str(thing: Any) -> None:
    load = cacheable(deps=["a"])(Versions().next)
    assert load() == 1
    for use in (
        lambda: invalidate(thing),
        lambda: invalidate("a", thing),
        lambda: run(zoocache.invalidate_async(thing)),
        lambda: invalidating("a", thing).__enter__(),
        lambda: zoocache.get_tag_version(thing),
        lambda: zoocache.set("key", 1, deps=[thing]),
    ):
        with pytest.raises(TypeError):
            use()
    assert load() == 1


def test_messages_name_the_offending_tag_and_the_rule() -> None:
    with pytest.raises(zoocache.InvalidTag, match=r"a\|b"):
        invalidate("a|b")
    with pytest.raises(zoocache.InvalidTag, match="(?i)empty"):
        invalidate("a::b")
    with pytest.raises(zoocache.InvalidTag, match="256"):
        invalidate("x" * 300)
    with pytest.raises(zoocache.InvalidTag, match="64"):
        invalidate(":".join("a" * 65))


def test_the_longest_tags_that_are_allowed() -> None:
    for name in ("a" * 256, ":".join("a" * 64), "名" * 256):
        load = cacheable(deps=[name])(Versions().next)
        assert load() == 1
        invalidate(name)
        assert load() == 2


def test_max_tag_length_can_be_raised() -> None:
    zoocache.configure(max_tag_length=4096)
    invalidate("a" * 4096)
    with pytest.raises(zoocache.InvalidTag, match="4096|4,096"):
        invalidate("a" * 4097)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_entries", -1),
        ("max_entries", "many"),
        ("max_entries", 1.5),
        ("max_entries", []),
        ("max_bytes", -1),
        ("max_bytes", "1M?"),
        ("namespace", 5),
        ("namespace", ["x"]),
        ("key", "name"),
        ("key", 5),
        ("store_if", 5),
        ("size", "big"),
        ("ttl", "soon"),
        ("ttl", -1),
        ("isolate", "yes please"),
        ("ignore", 5),
        ("ignore", [5]),
        ("ignore", ["unknown_parameter"]),
        ("storage", "l7"),
        ("storage", 5),
        ("maxsize", "big"),
        ("maxsize", 1.5),
    ],
)
def test_bad_options_of_the_decorator_are_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises((TypeError, zoocache.InvalidOption)) as caught:
        cacheable(**{option: value})(lambda x: x)
    assert option in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_entries", -1),
        ("max_entries", "many"),
        ("max_entries", 1.5),
        ("max_bytes", -1),
        ("max_bytes", "x"),
        ("default_ttl", -1),
        ("default_ttl", "x"),
        ("flight_timeout", -1),
        ("flight_timeout", "x"),
        ("flight_timeout", float("nan")),
        ("prefix", 5),
        ("read_extend_ttl", "maybe"),
        ("debug", "maybe"),
        ("max_tag_length", 0),
        ("max_tag_length", 5000),
        ("max_tag_length", "x"),
        ("storage_url", 5),
        ("bus_url", 5),
    ],
)
def test_bad_options_of_configure_are_refused_by_name(option: str, value: Any) -> None:
    for make in (zoocache.configure, zoocache.Cache):
        with pytest.raises((TypeError, zoocache.InvalidOption)) as caught:
            make(**{option: value})
        assert option in str(caught.value)
    zoocache.configure(default_ttl=5)  # nothing of the refused call has stuck


def test_unknown_options_are_type_errors() -> None:
    for make in (zoocache.configure, zoocache.Cache, lambda **options: cacheable(**options)):
        with pytest.raises(TypeError, match="max_entires"):
            make(max_entires=5)
    with pytest.raises(TypeError):
        invalidate("a", wiat=True)  # type: ignore[call-arg]


def test_urls_of_homes_that_are_not_there_are_refused_and_never_ignored() -> None:
    for option, url in (
        ("storage_url", "ftp://host"),
        ("bus_url", "nonsense"),
        ("storage_url", ""),
        ("storage_url", "redis//typo"),
    ):
        with pytest.raises(zoocache.ZoocacheError, match=option):
            zoocache.configure(**{option: url})


@pytest.mark.parametrize("key", [None, 5, b"bytes", ["list"], ("a",)], ids=repr)
def test_raw_keys_are_str(key: Any) -> None:
    with pytest.raises(TypeError):
        zoocache.set(key, 1)
    with pytest.raises(TypeError):
        zoocache.get(key)


@pytest.mark.parametrize(
    "key",
    ["", " ", "a|b", "\x00", "\ud800", "k" * 100_000, "名前"],
    ids=["empty", "space", "pipe", "NUL", "surrogate", "long", "unicode"],
)
def test_raw_keys_may_be_any_str(key: str) -> None:
    zoocache.set(key, "value")
    assert zoocache.get(key) == "value"
    assert zoocache.get(key + "x") is None


@pytest.mark.parametrize("deps", [None, 5, [5], [None], object()], ids=plain_id)
def test_raw_deps_of_the_wrong_type_store_nothing(deps: Any) -> None:
    with pytest.raises(TypeError):
        zoocache.set("key", 1, deps=deps)
    assert zoocache.get("key") is None


def test_raw_deps_may_be_a_bare_str() -> None:
    zoocache.set("key", 1, deps="users")
    invalidate("u")
    assert zoocache.get("key") == 1
    invalidate("users")
    assert zoocache.get("key") is None


def test_refused_calls_leave_the_function_usable() -> None:
    load = cacheable(lambda x: x)

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]
        __slots__ = ()

    with pytest.raises(TypeError, match="key=|ignore="):
        load(Unhashable())
    with pytest.raises(TypeError):
        load()
    assert [load(1), load(1)] == [1, 1]
    assert zoocache.stats().entries == 1


@pytest.mark.parametrize("option", ["deps", "ttl", "key", "store_if", "size"])
def test_options_that_are_asked_at_once_are_not_async(option: str) -> None:
    async def answer(*_: Any) -> Any:
        return 1

    with pytest.raises(zoocache.InvalidOption, match=rf"{option}=.*async"):
        cacheable(**{option: answer})(lambda x: x)


def test_a_prefix_of_tags_that_no_tag_can_have() -> None:
    with pytest.raises(zoocache.InvalidTag, match="surrogates"):
        zoocache.tags("a\ud800")


def test_invalidating_nothing_is_refused_before_the_block() -> None:
    ran = []
    with pytest.raises(TypeError, match="at least one tag"), invalidating():
        ran.append(1)
    assert not ran
