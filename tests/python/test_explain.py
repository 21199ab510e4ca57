"""explain(): what the cache would do with a call, and why."""

from __future__ import annotations

import inspect
import time
from typing import Any

import pytest

import zoocache
from support import Versions, run
from zoocache import add_deps, cacheable, clear, explain, invalidate, invalidating, no_store


def line_above() -> str:
    """`file.py:line` of the statement above the caller's."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return f"test_explain.py:{frame.f_back.f_lineno - 1}"


def load_of(**options: Any) -> Any:
    @cacheable(**options)
    def load(x: int = 1) -> int:
        return x

    return load


def test_never_loaded() -> None:
    load = load_of()
    explanation = explain(load, 1)
    assert explanation.reason == "never loaded"
    assert explanation.deps == ()
    assert explanation.tag is None
    assert "never" in str(explanation)
    assert load.cache_info() == (0, 0, None, 0), "asking loads and counts nothing"


def test_hit() -> None:
    load = load_of(deps=["user:{x}", "list"])
    load(1)
    time.sleep(0.02)
    explanation = explain(load, 1)
    assert explanation.reason == "hit"
    assert sorted(explanation.deps) == ["list", "user:1"]
    assert isinstance(explanation.deps, tuple)
    assert "user:1" in str(explanation)
    assert explain(load, 2).reason == "never loaded"
    assert explain(load, x=1).reason == "hit"
    assert explain(load).reason == "hit", "the default filled in"


def test_invalidated_names_tag_epoch_and_place() -> None:
    load = load_of(deps=["org:acme:user:{x}"])
    load(1)
    invalidate("org:acme")
    place = line_above()
    explanation = explain(load, 1)
    assert explanation.reason == "invalidated"
    assert explanation.tag == "org:acme"
    assert explanation.epoch == zoocache.get_tag_version("org:acme") == zoocache.stats().clock
    assert explanation.origin is not None and explanation.origin.endswith(place)
    text = str(explanation)
    assert "org:acme" in text and place in text


def test_invalidated_is_still_explained_after_other_invalidations() -> None:
    load = load_of(deps=["org:acme"])
    load(1)
    invalidate("org:acme")
    place = line_above()
    for i in range(100):
        invalidate(f"other:{i}")
    explanation = explain(load, 1)
    assert (explanation.reason, explanation.tag) == ("invalidated", "org:acme")
    assert explanation.origin is not None and explanation.origin.endswith(place)


def test_invalidated_by_several_tags_of_one_call() -> None:
    load = load_of(deps=["b:1"])
    load(1)
    invalidate("a", "b", "c")
    assert explain(load, 1).tag == "b"


def test_invalidated_by_clear_by_the_function_and_by_a_block() -> None:
    load = load_of(deps=["t"])
    load(1)
    load.invalidate(1)
    assert explain(load, 1).reason in ("invalidated", "never loaded")
    load(1)
    clear()
    assert explain(load, 1).reason in ("invalidated", "never loaded")
    load(1)
    with invalidating("t"):
        pass
    assert explain(load, 1).reason == "invalidated"
    assert explain(load, 1).tag == "t"


def test_invalidated_asynchronously() -> None:
    load = load_of(deps=["t"])
    load(1)

    async def main() -> str:
        await zoocache.invalidate_async("t")
        return line_above()

    place = run(main())
    explanation = explain(load, 1)
    assert explanation.reason == "invalidated"
    assert explanation.origin is not None and explanation.origin.endswith(place)


def test_hidden_dependencies_stay_hidden() -> None:
    inner = load_of(deps=["inner"])
    outer = cacheable(lambda: inner(1))
    outer()
    assert explain(outer).deps == ("inner",)
    assert "inner" in str(explain(outer))
    inner.invalidate(1)
    explanation = explain(outer)
    assert explanation.reason == "invalidated"
    assert str(explanation)


def test_expired() -> None:
    load = load_of(ttl=0.03)
    load(1)
    time.sleep(0.1)
    explanation = explain(load, 1)
    assert explanation.reason == "expired"
    assert "expired" in str(explanation)


def test_evicted() -> None:
    load = load_of(max_entries=1)
    load(1)
    load(2)
    explanation = explain(load, 1)
    assert explanation.reason == "evicted"
    assert "evicted" in str(explanation)
    assert explain(load, 3).reason == "never loaded"


def test_not_stored() -> None:
    @cacheable
    def load(x: int) -> int:
        no_store()
        return x

    load(1)
    assert explain(load, 1).reason in ("not stored", "never loaded")


def test_loading_again_makes_it_a_hit_again() -> None:
    load = load_of(deps=["t"])
    load(1)
    invalidate("t")
    assert explain(load, 1).reason == "invalidated"
    load(1)
    assert explain(load, 1).reason == "hit"


def test_explaining_changes_nothing() -> None:
    load = load_of(deps=["t"])
    load(1)
    before = zoocache.stats().as_dict()
    for x in (1, 2):
        explain(load, x)
    assert zoocache.stats().as_dict() == before


def test_methods_and_async_functions() -> None:
    class Service:
        @cacheable(deps=["user:{user_id}"])
        async def load(self, user_id: int) -> int:
            return user_id

    service = Service()
    run(service.load(1))
    assert explain(service.load, 1).reason == "hit"
    assert explain(service.load, 1).deps == ("user:1",)
    assert explain(Service.load, service, 1).reason == "hit"
    assert explain(Service().load, 1).reason == "never loaded"


def test_only_cached_functions_are_explained() -> None:
    for thing in (len, lambda: 1, 5, None):
        with pytest.raises(TypeError):
            explain(thing)


def test_arguments_must_fit() -> None:
    load = load_of()
    with pytest.raises(TypeError):
        explain(load, 1, 2, 3)


def test_text_is_one_sentence_for_every_reason() -> None:
    source = Versions()

    @cacheable(max_entries=2, deps=["t:{x}"], ttl=3600)
    def load(x: int) -> int:
        add_deps(["more"])
        return source.next()

    texts = [str(explain(load, 1))]
    load(1)
    texts.append(str(explain(load, 1)))
    invalidate("t:1")
    texts.append(str(explain(load, 1)))
    assert len(set(texts)) == 3
    for text in texts:
        assert "\n" not in text
        assert len(text) > 10


def test_what_the_function_was_told_is_told_apart() -> None:
    load = load_of(deps=["t"])
    load(1)
    load.invalidate(1)
    place = line_above()
    explanation = explain(load, 1)
    assert (explanation.reason, explanation.tag) == ("invalidated", None)
    assert explanation.detail is not None and "invalidate()" in explanation.detail
    assert explanation.origin is not None and explanation.origin.endswith(place)
    load(1)
    load.cache_clear()
    place = line_above()
    explanation = explain(load, 1)
    assert (explanation.reason, explanation.detail) == ("invalidated", "cache_clear()")
    assert explanation.epoch == zoocache.stats().clock
    assert explanation.origin is not None and explanation.origin.endswith(place)
    load(1)
    clear()
    place = line_above()
    explanation = explain(load, 1)
    assert (explanation.reason, explanation.detail) == ("invalidated", "clear()")
    assert explanation.epoch == zoocache.stats().clock
    assert explanation.origin is not None and explanation.origin.endswith(place)


def test_inner_calls_that_were_invalidated_are_told_apart_from_own_ones() -> None:
    inner = load_of()
    outer = cacheable(lambda: inner(1))
    outer()
    inner.invalidate(1)
    assert "inner call" in str(explain(outer))
    outer()  # meets the dead entry and replaces it
    inner.invalidate(1)
    other = cacheable(lambda: inner(2))
    other()  # a store sweeps dead entries away: what is told stays the same
    assert "inner call" in str(explain(outer))


@pytest.mark.parametrize("options", [{"max_bytes": 10}, {"max_entries": 0}], ids=str)
def test_what_finds_no_room_was_not_stored(options: dict[str, int]) -> None:
    load = load_of(**options)
    load(1)
    explanation = explain(load, 1)
    assert explanation.reason == "not stored"
    assert "room" in str(explanation)


def test_a_load_that_failed_was_not_stored() -> None:
    load = cacheable(lambda x: 1 // x)
    with pytest.raises(ZeroDivisionError):
        load(0)
    explanation = explain(load, 0)
    assert explanation.reason == "not stored"
    assert "failed" in str(explanation)
    load(1)
    assert explain(load, 1).reason == "hit"
