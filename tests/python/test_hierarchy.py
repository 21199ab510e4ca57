"""Which entries an invalidation reaches, and which it leaves alone."""

from __future__ import annotations

import random
import weakref
from typing import Any

import pytest

import zoocache
from support import Versions, run
from zoocache import add_deps, cacheable, clear, clear_async, invalidate, invalidate_async


def entry(*deps: str) -> Any:
    """A cached function without arguments that counts its executions."""
    return cacheable(deps=list(deps))(Versions().next)


def reached(invalidated: str, dependency: str) -> bool:
    """Whether invalidating the first kills an entry that depends on the second."""
    load = entry(dependency)
    assert load() == 1
    invalidate(invalidated)
    return bool(load() == 2)


@pytest.mark.parametrize(
    "dependency", ["org:acme", "org:acme:user:42", "org:acme:user", "org:acme:x"]
)
def test_parents_kill_everything_below_them(dependency: str) -> None:
    assert reached("org:acme", dependency)
    assert reached("org", dependency)


@pytest.mark.parametrize(
    "dependency",
    [
        "org:acme2",
        "org:acm",
        "org:acme.x",
        "org:acme-x",
        "org:other",
        "org",
        "organ:acme",
        "acme",
        "org:acme2:user",
        "ORG:acme",
        "org:Acme",
        "x:org:acme",
    ],
)
def test_neighbours_with_similar_names_are_left_alone(dependency: str) -> None:
    assert not reached("org:acme", dependency)


def test_children_leave_entries_of_their_parent_alone() -> None:
    assert not reached("org:acme:user:42", "org:acme:user")
    assert not reached("org:acme:user:42", "org:acme")
    assert not reached("org:acme:user:42", "org")


def test_a_child_invalidated_before_the_store_does_not_hide_its_parent_later() -> None:
    load = entry("org:acme:user:42")
    invalidate("org:acme:user:42", "org:acme:user:43")
    assert load() == 1
    invalidate("org:acme:user:43")
    assert load() == 1
    invalidate("org")
    assert load() == 2


def test_invalidation_before_the_load_does_not_count() -> None:
    load = entry("org:acme")
    invalidate("org:acme")
    invalidate("org")
    clear()
    assert [load(), load()] == [1, 1]


def test_depth_of_64_segments() -> None:
    deepest = ":".join(f"s{i}" for i in range(64))
    for cut in (1, 2, 33, 63, 64):
        assert reached(":".join(deepest.split(":")[:cut]), deepest)


def test_clear_is_the_root() -> None:
    loads = [entry("org:acme"), entry("other"), entry(), cacheable(Versions().next)]
    assert [load() for load in loads] == [1] * 4
    clear()
    assert [load() for load in loads] == [2] * 4
    run(clear_async())
    assert [load() for load in loads] == [3] * 4


def test_clear_frees_the_entries_and_their_values() -> None:
    class Value:
        pass

    load = cacheable(deps=lambda x: [f"t:{x}"])(lambda x: Value())
    references = [weakref.ref(load(i)) for i in range(100)]
    assert zoocache.stats().entries == 100
    clear()
    assert zoocache.stats().entries == 0
    assert zoocache.stats().tags == 0
    assert [reference() for reference in references] == [None] * 100
    clear()


def test_several_tags_in_one_call() -> None:
    loads = [entry("a:1"), entry("b:1"), entry("c:1")]
    assert [load() for load in loads] == [1, 1, 1]
    invalidate("a:1", "b")
    assert [load() for load in loads] == [2, 2, 1]
    run(invalidate_async("b:1", "c:1"))
    assert [load() for load in loads] == [2, 3, 2]


def test_several_tags_in_one_call_are_one_epoch() -> None:
    before = zoocache.stats().clock
    invalidate("a:1", "b:1", "c:1", "a:1")
    assert zoocache.stats().clock == before + 1
    assert len({zoocache.get_tag_version(name) for name in ("a:1", "b:1", "c:1")}) == 1
    run(invalidate_async("a:1", "d:1"))
    assert zoocache.stats().clock == before + 2


def test_wait_is_accepted_where_there_is_nobody_to_wait_for() -> None:
    load = entry("a")
    assert load() == 1
    invalidate("a", wait=True)
    assert load() == 2
    run(invalidate_async("a", wait=True))
    assert load() == 3


def test_any_dependency_kills() -> None:
    load = entry("a:1", "b:1", "c:1")
    assert load() == 1
    for count, name in enumerate(["a:1", "b", "c:1", "a"], start=2):
        invalidate(name)
        assert load() == count


def test_case_and_normal_form_are_kept_apart() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    load = entry(composed)
    assert load() == 1
    invalidate(decomposed)
    assert load() == 1
    invalidate(composed)
    assert load() == 2


def test_tags_of_every_allowed_kind() -> None:
    for name in (
        "a-b",
        "x@y.org",
        "a_b",
        "a/b",
        "50%",
        "b3e2f2a4-6d2c-4a57-9d7e-1e6b1a3f0c11",
        "名前:值",
        "a.b",
        ".a",
        "a.",
        "\U0001f600",
        "a" * 256,
        "é" * 100,
    ):
        assert reached(name, name), name
        assert len(name) > 200 or reached(name, name + ":child"), name


class Oracle:
    """Says by looking at every invalidation which entries are alive."""

    def __init__(self) -> None:
        self.deps: dict[int, set[str]] = {}

    def invalidate(self, name: str) -> None:
        dead = [
            key
            for key, deps in self.deps.items()
            if any(dep == name or dep.startswith(name + ":") for dep in deps)
        ]
        for key in dead:
            del self.deps[key]


@pytest.mark.parametrize("seed", range(4))
def test_random_trees_agree_with_an_oracle(seed: int) -> None:
    rng = random.Random(seed)
    calls: list[int] = []
    planned: dict[int, list[str]] = {}

    @cacheable
    def load(key: int) -> int:
        calls.append(key)
        add_deps(planned[key])
        return key

    def random_tag() -> str:
        return ":".join(rng.choice(("a", "aa", "b", "c1", "c")) for _ in range(rng.randint(1, 5)))

    oracle = Oracle()
    for step in range(4000):
        action = rng.random()
        if action < 0.6:
            key = rng.randrange(60)
            planned[key] = [random_tag() for _ in range(rng.randint(0, 12))]
            calls.clear()
            load(key)
            assert (calls == []) == (key in oracle.deps), f"seed {seed}, step {step}"
            if calls:
                oracle.deps[key] = set(planned[key])
        elif action < 0.98:
            name = random_tag()
            invalidate(name)
            oracle.invalidate(name)
        elif action < 0.99:
            load.invalidate(key := rng.randrange(60))
            oracle.deps.pop(key, None)
        else:
            clear()
            oracle.deps.clear()
