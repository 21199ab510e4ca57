"""The pytest plugin of zoocache: the fixture `zoocache` and the marker `zoocache_off`.

It is no part of the package `zoocache`, so that a run in which nobody uses it imports nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from zoocache.testing import Zoocache

_SWITCH = "ZOOCACHE_DISABLED"


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line(
        "markers", "zoocache_off: every cache is off, and cached functions run each time"
    )


@pytest.fixture(name="zoocache")
def zoocache_fixture() -> Iterator[Zoocache]:
    """Fresh caches for this test, whose options come back after it.

    Gives what the module `zoocache` has, and `assert_cached`, `assert_not_cached`,
    `assert_invalidates`, `assert_no_findings`. The test fails if `verify` or `debug` find
    something.
    """
    from zoocache.testing import Zoocache, fresh_caches  # noqa: PLC0415 - see above

    with fresh_caches():
        yield Zoocache()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test with the fixture fails by its findings: in its own part, not in the teardown."""
    __tracebackhide__ = True
    outcome = yield
    if "zoocache" in getattr(item, "fixturenames", ()):
        from zoocache.testing import assert_no_findings  # noqa: PLC0415 - see above

        assert_no_findings()
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """A marked test runs with the caches off, its fixtures and subprocesses included."""
    if item.get_closest_marker("zoocache_off") is None:
        return (yield)
    before = os.environ.get(_SWITCH)
    _switch("1")
    try:
        return (yield)
    finally:
        _switch(before)


def _switch(said: str | None) -> None:
    if said is None:
        os.environ.pop(_SWITCH, None)
    else:
        os.environ[_SWITCH] = said
    loaded = sys.modules.get("zoocache._cache")
    if loaded is not None:
        for cache in loaded.all_caches():
            cache.follow_environment()
