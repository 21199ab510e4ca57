"""Queries as cached calls: what makes two of them the same, and which are never cached.

One cached function holds the results of all queries. What it depends on it learns as every cached
function does: from the statements that its load executes.
Thread-safety: everything from any thread; a queryset belongs to one at a time.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Expression, F, Q
from django.utils.functional import Promise

from zoocache._options import check_seconds, check_text
from zoocache.contrib._database import default_cache
from zoocache.contrib._models import PLAIN_TYPES, once, own
from zoocache.contrib.django._connections import database_of, link_of
from zoocache.contrib.django._start import begin

__all__ = ["Options", "Uncached", "answer", "key_of", "name_of"]


class Uncached(Exception):  # noqa: N818 - it is no error
    """A query that has to be asked of the database."""


@dataclass(frozen=True)
class Options:
    """How a query is cached.

    Attributes:
        ttl: seconds to live; None: `default_ttl` of `configure`.
        prefix: part of the key, for results that are to be apart from others of the same query.

    Raises:
        InvalidOption: a value that is not allowed.
    """

    ttl: float | None = None
    prefix: str | None = None

    def __post_init__(self) -> None:
        check_seconds("ttl", self.ttl)
        check_text("prefix", self.prefix)


def _load(key: object, run: Callable[[], Any]) -> Any:
    """What all queries are loaded by: a time to live, and the result."""
    assert isinstance(key, tuple)  # noqa: S101 - for type checkers
    return key[0], run()


_cached: Any = default_cache().cacheable(
    ignore="run",
    ttl=lambda value: value[0],
    namespace="zoocache.contrib.django.queries",
    version="1",
)(_load)


def answer(
    queryset: Any,
    options: Options,
    what: str,
    run: Callable[[], Any],
    more: Callable[[], object] = tuple,
) -> Any:
    """The result of `run`, from the cache if it is there.

    Args:
        queryset: what is asked.
        options: how it is cached.
        what: what is asked of it, such as "count".
        run: asks the database.
        more: what else is in the key; may raise Uncached.
    """
    begin()
    try:
        key = (options.ttl, options.prefix, what, key_of(queryset), more())
    except Uncached:
        return run()
    return _cached(key, run)[1]


def key_of(queryset: Any) -> tuple[Any, ...]:
    """What every query with this result has in common, as the database would be asked now.

    Raises:
        Uncached: it is for a write, locks rows, has no result, or its database is not followed or
            may answer this connection in another way than others.
    """
    query = queryset.query
    if queryset._for_write or query.select_for_update:  # noqa: SLF001
        raise Uncached
    alias = queryset.db
    place = _place_of(alias)
    if queryset.model._meta.apps is not apps:  # noqa: SLF001  a model of a migration
        raise Uncached
    try:
        sql, parameters = query.get_compiler(using=alias).as_sql()
    except EmptyResultSet:
        raise Uncached from None
    return (
        place,
        queryset.model._meta.label,  # noqa: SLF001
        sql,
        tuple(map(_parameter, parameters)),
        name_of(queryset._iterable_class),  # noqa: SLF001
        tuple(map(str, queryset._fields or ())),
        tuple(map(_prefetch, queryset._prefetch_related_lookups)),  # noqa: SLF001
    )


def _place_of(alias: str) -> tuple[str, ...]:
    database = database_of(alias)
    connection = connections[alias]
    if database is None:
        once(f"queries on the connection {alias} are not cached, since it is not followed")
        raise Uncached
    link = link_of(connection)
    if link is not None and (link.connection.is_tainted or link.connection.has_writes):
        raise Uncached
    where = (connection.settings_dict.get(name) for name in ("NAME", "HOST", "PORT"))
    return (alias, database.alias, *map(str, where))


def name_of(class_: type) -> str:
    """A class's name, of its own if its module does not have it."""
    name = f"{class_.__module__}.{class_.__qualname__}"
    found: Any = sys.modules.get(class_.__module__)
    for part in class_.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is class_:
        return name
    number = class_.__dict__.get("_zoocache_number")
    if number is None:
        number = next(_numbers)
        setattr(class_, "_zoocache_number", number)  # noqa: B010  its type is not told
    return f"{name} {number}"


_numbers = itertools.count()


def _parameter(value: Any) -> Any:
    """A parameter as part of a key, the same whichever way it was written."""
    if type(value) in PLAIN_TYPES:
        return value
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, list | tuple):
        return tuple(map(_parameter, value))
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if type(value).__module__ == "psycopg.types.json":
        return (type(value).__name__, value.obj)
    if getattr(type(value), "__hash__", None) in (None, object.__hash__):
        raise Uncached  # nothing tells it from others
    return value


def _prefetch(lookup: Any) -> object:
    if isinstance(lookup, str):
        return lookup
    querysets = getattr(lookup, "querysets", None) or [lookup.queryset]
    return (
        lookup.prefetch_through,
        lookup.prefetch_to,
        lookup.to_attr,
        tuple([key_of(one) for one in querysets if one is not None]),
    )


def expression_key(value: Any) -> object:
    """An expression as part of a key, apart by type where `==` is not: 1 is not 1.0.

    Raises:
        Uncached: nothing tells it from others.
    """
    if type(value) in PLAIN_TYPES:
        return value
    if isinstance(value, type):
        return name_of(value)
    if isinstance(value, tuple | list):
        return tuple(map(expression_key, value))
    if isinstance(value, Q):
        return (
            name_of(type(value)),
            value.connector,
            value.negated,
            tuple(map(expression_key, value.children)),
        )
    if type(value) is F:
        return ("F", value.name)
    if isinstance(value, Expression):
        return expression_key(value.identity)
    raise Uncached


def owned(queryset: Any, rows: Any) -> list[Any]:
    """Rows of the caller's own; instances are so already."""
    if queryset._fields is None:
        return list(rows)
    return [own(row) for row in rows]
