"""TestCase: what the code under test takes for a transaction is one for the cache, too.

    class block ── test block ─┬─ statement                    as one that commits itself
    (of TestCase)              ├─ outermost block of the code ─ its end invalidates what it wrote
                               └─ end of the test: everything of the database is invalidated

Nothing is committed, and other connections see nothing of it; their loads are not what a TestCase
is about.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.db import connections, transaction

from zoocache.contrib.django._connections import Link, is_of_test, link_of


@functools.cache
def follow() -> None:
    """Begins. Called any number of times."""
    atomic: Any = transaction.Atomic
    atomic.__enter__ = _entering(atomic.__enter__)
    atomic.__exit__ = _exiting(atomic.__exit__)


def _entering(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def enter(self: Any) -> Any:
        link = link_of(connections[_alias_of(self)])
        is_outermost = link is not None and is_of_test(link.blocks)
        entered = plain(self)
        if is_outermost and not self._from_testcase and link is not None:
            link.connection.begin()
        return entered

    return enter


def _exiting(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def exit_(self: Any, exc_type: Any, exc_value: Any, traceback: Any) -> Any:
        wrapper = connections[_alias_of(self)]
        link = link_of(wrapper)
        if link is None or not (self._from_testcase or is_of_test(link.blocks[:-1])):
            return plain(self, exc_type, exc_value, traceback)
        if exc_type is not None or wrapper.needs_rollback:
            link.connection.ended()  # the savepoint is released after its rollback
        try:
            plain(self, exc_type, exc_value, traceback)
            if not self._from_testcase:
                link.connection.commit(lambda: None, lambda _: True)
        finally:
            link.connection.ended()
            if self._from_testcase:
                _forget(link)

    return exit_


def _alias_of(atomic: Any) -> str:
    return atomic.using or "default"


def _forget(link: Link) -> None:
    """Nothing that was read or written in a test is there for the next."""
    database = link.connection.database
    link.connection.run(lambda: database.core.invalidate(database.tag))
