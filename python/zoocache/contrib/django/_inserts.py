"""The primary keys of new rows, so that an INSERT kills no rows but its own."""

from __future__ import annotations

import functools
from typing import Any

from django.db import connections
from django.db.models.sql.compiler import SQLInsertCompiler

from zoocache.contrib.django._connections import link_of


@functools.cache
def follow() -> None:
    """Begins. Called any number of times."""
    plain = SQLInsertCompiler.execute_sql

    @functools.wraps(plain)
    def execute_sql(self: Any, *args: Any, **kwargs: Any) -> Any:
        wrapper = connections[self.using]
        wrapper.ensure_connection()
        link = link_of(wrapper)
        if link is None or link.awaited is not None:
            return plain(self, *args, **kwargs)
        link.awaited = []
        rows: Any = None
        done = False
        try:
            rows = plain(self, *args, **kwargs)
            done = True
            return rows
        finally:
            awaited, link.awaited = link.awaited, None
            keys = _new_keys(self, rows) if done and len(awaited) == 1 else None
            for write in awaited:
                link.connection.after(write, keys)

    SQLInsertCompiler.execute_sql = execute_sql


def _new_keys(compiler: Any, rows: Any) -> list[tuple[Any, ...]] | None:
    """The keys of all rows that were inserted, None if one of them is not known."""
    query = compiler.query
    key = query.get_meta().pk
    count = len(query.objs)
    returned = list(compiler.returning_fields or ())
    if key in returned and isinstance(rows, list | tuple) and len(rows) == count:
        at = returned.index(key)
        return [(row[at],) for row in rows]
    if key in query.fields and not query.raw:
        keys = [getattr(instance, key.attname) for instance in query.objs]
        if None not in keys:
            return [(one,) for one in keys]
    return None
