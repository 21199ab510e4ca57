"""Which load a context is in: the context's copies, its other variables, tasks that wander.

The extension changes what the context variable holds in place where nobody can tell the difference.
"""

from __future__ import annotations

import contextvars
from typing import Any

import pytest

from zoocache import add_deps, cacheable, explain, invalidate


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("variables", [0, 3, 40])
def test_a_copy_of_a_context_is_in_no_load_that_began_later(variables: int, apart: bool) -> None:
    context = contextvars.Context()
    for index in range(variables):
        context.run(contextvars.ContextVar(f"v{index}").set, index)
    before = cacheable(lambda x: x)
    context.run(before, 1)
    copy = context.copy()
    if apart:
        copy.run(contextvars.ContextVar("own").set, 1)

    @cacheable
    def load() -> int:
        copy.run(add_deps, "from:copy")
        add_deps("from:load")
        return 1

    assert context.run(load) == 1
    assert explain(load).deps == ("from:load",)


def test_a_copy_made_inside_a_load_stays_in_that_load_only() -> None:
    copies: list[contextvars.Context] = []

    @cacheable
    def first() -> int:
        copies.append(contextvars.copy_context())
        return 1

    @cacheable
    def second() -> int:
        copies[0].run(add_deps, "from:copy")
        add_deps("from:load")
        return 1

    def both() -> None:
        first()
        second()

    for _ in range(2):
        both()
    assert explain(first).deps == ()
    assert explain(second).deps == ("from:load",)


def test_a_copy_made_between_two_loads_of_one_load_belongs_to_the_outer_one() -> None:
    copies: list[contextvars.Context] = []
    inner = cacheable(lambda x: x)

    @cacheable
    def outer() -> int:
        inner(1)
        copies.append(contextvars.copy_context())
        late(2)
        return 1

    @cacheable
    def late(x: int) -> int:
        copies[0].run(add_deps, "from:copy")
        return x

    assert outer() == 1
    assert explain(late, 2).deps == ()
    assert explain(outer).deps == ("from:copy",)


@pytest.mark.parametrize("shared", [False, True])
def test_a_variable_that_the_loader_sets_changes_nothing(shared: bool) -> None:
    own: contextvars.ContextVar[int] = contextvars.ContextVar("own")
    kept: list[contextvars.Context] = []
    inner = cacheable(deps=["inner"])(lambda x: x)

    @cacheable
    def outer() -> int:
        own.set(1)
        if shared:
            kept.append(contextvars.copy_context())
        inner(1)
        own.set(2)
        add_deps("outer")
        return 1

    for _ in range(2):
        assert outer() == 1
        add_deps("nobody:s")
        assert explain(outer).deps == ("inner", "outer")
        invalidate("outer")


def test_an_async_load_that_ends_in_another_context_leaves_that_ones_load() -> None:
    @cacheable
    async def wandering() -> int:
        await Suspended()
        return 1

    class Suspended:
        def __await__(self) -> Any:
            yield

    steps: list[Any] = []

    @cacheable
    def begins() -> int:
        steps.append(wandering())
        steps[0].send(None)
        add_deps("first")
        return 1

    @cacheable
    def ends() -> int:
        with pytest.raises(StopIteration):
            steps[0].send(None)
        add_deps("second")
        return 1

    assert [begins(), ends()] == [1, 1]
    assert explain(begins).deps == ("first",)
    assert explain(ends).deps == ("second",)
