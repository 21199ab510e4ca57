"""What is handed out: the object itself, copies, and the watch over changed values."""

from __future__ import annotations

import sys
import threading
import warnings
from typing import Any

import pytest

import zoocache
from support import join_all, run, spawn_many, wait_joined
from zoocache import cacheable


def test_isolate_hands_out_copies() -> None:
    load = cacheable(isolate=True)(lambda: {"list": [1, [2]]})
    first = load()
    first["list"][1].append("changed")
    first["new"] = True
    second = load()
    assert second == {"list": [1, [2]]}
    second["list"].clear()
    assert load() == {"list": [1, [2]]}
    assert load() is not load()
    peeked = load.peek()
    peeked.clear()
    assert load.peek() == {"list": [1, [2]]}


def test_isolate_covers_what_the_loader_keeps() -> None:
    kept: list[Any] = []

    @cacheable(isolate=True)
    def load() -> list[int]:
        kept.append([1])
        return kept[-1]

    load()
    kept[0].append(2)
    assert load() == [1]


def test_isolate_covers_followers() -> None:
    @cacheable(isolate=True)
    def load() -> list[int]:
        wait_joined(4)
        return [1]

    results = join_all(spawn_many(5, load))
    for result in results:
        result.append(id(result))
    assert [result[0] for result in results] == [1] * 5
    assert [len(result) for result in results] == [2] * 5


def test_isolate_async() -> None:
    @cacheable(isolate=True)
    async def load() -> list[int]:
        return [1]

    run(load()).append(2)
    run(load()).append(2)
    assert run(load()) == [1]


def test_isolate_with_values_that_cannot_be_copied_is_a_clear_error() -> None:
    calls = []

    @cacheable(isolate=True)
    def load() -> Any:
        calls.append(1)
        return threading.Lock()

    for attempt in (1, 2):
        with pytest.raises((TypeError, zoocache.ZoocacheError)):
            load()
        assert len(calls) == attempt


def told(call: Any) -> str:
    """What the call says about a changed value: by a warning or by an exception."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
        except zoocache.ZoocacheError as error:
            return str(error)
    return "\n".join(str(w.message) for w in caught)


def test_debug_finds_a_value_that_was_changed_and_says_where_it_was_cached() -> None:
    zoocache.configure(debug=True)

    @cacheable
    def load_rows() -> dict[str, list[int]]:
        return {"rows": [1, 2, 3]}

    rows = load_rows()
    assert told(load_rows) == ""
    rows["rows"].append(4)
    message = told(load_rows)
    assert "load_rows" in message
    assert "test_values.py" in message


def test_debug_is_quiet_about_values_that_nobody_changed() -> None:
    zoocache.configure(debug=True)
    values: list[Any] = [[1], {"a": {1, 2}}, (1, [2]), None, object(), "text", threading.Lock()]
    for value in values:
        load = cacheable(lambda value=value: value)
        load()
        assert told(load) == "", value
        assert load() is value


def test_without_debug_nothing_is_said() -> None:
    load = cacheable(lambda: [1])
    load().append(2)
    assert told(load) == ""
    assert load() == [1, 2]


def test_values_that_no_serialiser_knows_are_ordinary_values() -> None:
    for value in (lambda: 1, threading.Lock(), (i for i in range(3)), type, iter([]), object()):
        load = cacheable(lambda value=value: value)
        assert load() is value
        assert load() is value


def test_a_value_is_kept_alive_once_and_freed_when_dropped() -> None:
    value = object()
    before = sys.getrefcount(value)
    load = cacheable(lambda: value)
    closure = sys.getrefcount(value)
    load()
    load()
    assert sys.getrefcount(value) == closure + 1
    zoocache.clear()
    assert sys.getrefcount(value) == closure
    del load
    assert before <= closure
