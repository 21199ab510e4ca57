"""Tests of programs that cache: fresh caches, assertions, a mixin for `unittest`.

For pytest there is a plugin over this module, which needs no import: the fixture `zoocache` and the
marker `zoocache_off`. See docs/TESTING.md.
"""
# ruff: noqa: N802 - unittest names its methods so

from __future__ import annotations

import unittest
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import zoocache
from zoocache import _default as _default_cache  # pyright: ignore[reportPrivateUsage]
from zoocache import _zoocache
from zoocache._cache import Cache, all_caches
from zoocache._verify import name_of, shown_arguments

__all__ = [
    "Zoocache",
    "ZoocacheTestCase",
    "assert_cached",
    "assert_invalidates",
    "assert_no_findings",
    "assert_not_cached",
    "fresh_caches",
]

_MOST_TOLD = 20


@contextmanager
def fresh_caches() -> Generator[None]:
    """Inside the block every cache of the process is empty, with the options that it had before.

    At the end each is empty again and has those options again, whatever was configured inside. What
    other processes keep in a shared home stays there. Not for several threads at once.
    """
    before = {cache: cache.given() for cache in all_caches()}
    for cache, given in before.items():
        cache.begin_anew(given)
    try:
        yield
    finally:
        for cache in all_caches():
            cache.begin_anew(before[cache] if cache in before else cache.given())


def assert_cached(fn: Any, /, *args: Any, **kwargs: Any) -> None:
    """Fails unless the call would be answered from the cache now. Calls and counts nothing.

    Raises:
        AssertionError: it would not; the message says why.
        TypeError: `fn` is not a cached function, or the arguments do not fit it.
    """
    __tracebackhide__ = True
    told = zoocache.explain(fn, *args, **kwargs)
    if told.reason != "hit":
        call = f"{name_of(fn)}{shown_arguments(args, kwargs)}"
        raise AssertionError(f"{call} is not in the cache: {told}")


def assert_not_cached(fn: Any, /, *args: Any, **kwargs: Any) -> None:
    """Fails if the call would be answered from the cache now. Calls and counts nothing.

    Raises:
        AssertionError: it would; the message says on what the value depends.
        TypeError: `fn` is not a cached function, or the arguments do not fit it.
    """
    __tracebackhide__ = True
    told = zoocache.explain(fn, *args, **kwargs)
    if told.reason == "hit":
        call = f"{name_of(fn)}{shown_arguments(args, kwargs)}"
        raise AssertionError(f"{call} is in the cache: {told}")


@contextmanager
def assert_invalidates(*tags: str, cache: Cache | None = None) -> Generator[None]:
    """Fails unless the block invalidates each of the tags, or what is above it.

    Whoever invalidates counts: other threads, and other processes that share the log. A block that
    raises fails with its own exception.

    Args:
        *tags: strs such as "user:42", at least one.
        cache: whose tags they are; default the cache of the module's functions.

    Raises:
        AssertionError: at the end; the message names what was invalidated instead.
        InvalidTag, TypeError: at the beginning, as `invalidate`; also for no tag at all.
    """
    if not tags:
        raise TypeError("assert_invalidates() wants at least one tag, as in 'user:42'")
    watched = _default_cache if cache is None else cache
    before = [watched.get_tag_version(tag) for tag in tags]
    begun = _zoocache.stats(watched.core)["clock"]
    yield
    missing = [
        tag
        for tag, version in zip(tags, before, strict=True)
        if watched.get_tag_version(tag) == version
    ]
    if missing:
        watched.watch().catch_up()  # what another process has invalidated may be on its way
        told = [one.cause() for one in watched.invalidations() if one.epoch > begun]
        instead = f"invalidated was {', '.join(told[:_MOST_TOLD])}" if told else "nothing was"
        raise AssertionError(f"{', '.join(missing)} was not invalidated; {instead}")


def assert_no_findings(*caches: Cache) -> None:
    """Fails if `verify` or `debug` have found something, and forgets it.

    What waits for a lease is decided now: nobody may be between a write and its invalidation.

    Args:
        *caches: default all of the process.

    Raises:
        AssertionError: the message has all findings.
    """
    __tracebackhide__ = True
    found: list[str] = []
    for cache in caches or all_caches():
        told = cache.findings(now=True)
        if told:
            cache.watch().forget()
        found.extend(map(str, told))
    if found:
        raise AssertionError("\n".join(found))


class Zoocache:
    """What the fixture `zoocache` gives: the functions of the module `zoocache` and of this one."""

    assert_cached = staticmethod(assert_cached)
    assert_not_cached = staticmethod(assert_not_cached)
    assert_invalidates = staticmethod(assert_invalidates)
    assert_no_findings = staticmethod(assert_no_findings)

    def __getattr__(self, name: str) -> Any:
        return getattr(zoocache, name)


class ZoocacheTestCase(unittest.TestCase):
    """A TestCase, or a mixin before another one, whose tests begin with fresh caches.

    A test also fails if `verify` or `debug` have found something in it. Goes together with Django's
    test cases and with `IsolatedAsyncioTestCase`.
    """

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Runs the test."""
        with fresh_caches():
            self.addCleanup(assert_no_findings)  # the first to be added is the last to run
            return super().run(result)

    def assertCached(self, fn: Any, /, *args: Any, **kwargs: Any) -> None:
        """As `assert_cached`."""
        assert_cached(fn, *args, **kwargs)

    def assertNotCached(self, fn: Any, /, *args: Any, **kwargs: Any) -> None:
        """As `assert_not_cached`."""
        assert_not_cached(fn, *args, **kwargs)

    def assertInvalidates(
        self, *tags: str, cache: Cache | None = None
    ) -> AbstractContextManager[None]:
        """As `assert_invalidates`."""
        return assert_invalidates(*tags, cache=cache)
