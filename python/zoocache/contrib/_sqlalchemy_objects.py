"""Objects of SQLAlchemy's sessions as what a load reads, takes and gives.

An object in a Session is as old as the transaction that read it, and is handed out again without
any statement. So every look at one in a load is told to the cache: found in the identity map, or
an attribute read. Its row is what the load depends on, and the load is as old as the object.
Values are kept as the loaded columns and relationships of their objects, of which each caller gets
detached objects of its own.
Thread-safety: what is global is made once, under a lock; the rest belongs to a Session.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Table as SchemaTable
from sqlalchemy import event, inspect
from sqlalchemy.engine import MappingResult, Result, ScalarResult
from sqlalchemy.orm import Mapper, Query, Session, attributes, registry
from sqlalchemy.orm.attributes import InstrumentedAttribute, set_committed_value

from zoocache import _zoocache
from zoocache.contrib._models import Kind, Portable, add_kind, once, own, refuse_type

if TYPE_CHECKING:
    from zoocache.contrib._connection import Connection
    from zoocache.contrib._database import Database

__all__ = ["follow_sessions", "schema_map_of"]

_INFO = "zoocache"
_SchemaMap = dict[str | None, str | None]
_lock = threading.Lock()
_is_following = False
_maps: dict[type, type] = {}  # classes of identity maps -> those that tell
_plain_get: Callable[..., Any] = InstrumentedAttribute.__get__


class _Source:
    """Where the objects of a session's transaction come from; kept in `Session.info`."""

    __slots__ = ("link", "schema_map", "since")

    def __init__(self, link: Connection | None, since: Any, schema_map: _SchemaMap) -> None:
        self.link = link  # None: of several databases
        self.since = since  # the moment when the oldest of its transactions began
        self.schema_map = schema_map

    def origin(self, schema_map: _SchemaMap) -> _Origin | None:
        """Of an object that comes from there now."""
        where = None if self.link is None else self.link.known_where
        if self.link is None or where is None or self.since is None or self.link.is_own:
            return None
        return _Origin(self.link.database, self.since, where.schemas, schema_map)


class _Origin(NamedTuple):
    """Where an object came from; kept in its state."""

    database: Database
    since: Any
    schemas: tuple[str, ...] | None
    schema_map: _SchemaMap


def follow_sessions(connection_of: Callable[[Any], Connection | None]) -> None:
    """Begins to follow the objects of all Sessions. Called any number of times.

    Args:
        connection_of: what is known of an engine's connection, if that is followed.
    """
    global _is_following  # noqa: PLW0603 - once for the process
    with _lock:
        if _is_following:
            return
        _is_following = True

    def after_begin(session: Session, transaction: Any, connection: Any) -> None:
        del transaction
        link = connection_of(connection)
        if link is None:
            return
        schema_map = schema_map_of(connection.get_execution_options())
        source = session.info.get(_INFO)
        if source is None:
            session.info[_INFO] = _Source(link, link.begun, schema_map)
        elif source.link is not link:
            source.link = None
        _tell_of_identities(session)

    def after_end(session: Session, transaction: Any) -> None:
        if transaction.parent is None:
            session.info.pop(_INFO, None)

    event.listen(Session, "after_begin", after_begin)
    event.listen(Session, "after_transaction_end", after_end)
    event.listen(Session, "pending_to_persistent", _became_persistent)
    event.listen(Mapper, "load", _loaded, raw=True)
    event.listen(Mapper, "refresh", _refreshed, raw=True)
    event.listen(Mapper, "instrument_class", _instrumented)
    for known in _all_registries():
        for mapper in known.mappers:
            _watch(mapper.class_)
    InstrumentedAttribute.__get__ = _get  # type: ignore[method-assign]
    for lazy in (Query, Result, ScalarResult, MappingResult):
        refuse_type(lazy, "return what it gives, as list(...) or .all() does")


def schema_map_of(options: Any, source: _Source | None = None) -> _SchemaMap:
    """How SQLAlchemy renames schemas, by the options of a statement, else of its connection."""
    found: _SchemaMap | None = options.get("schema_translate_map")
    if found is None:
        return {} if source is None else source.schema_map
    return dict(found)


def _all_registries() -> list[registry]:
    module = importlib.import_module("sqlalchemy.orm.mapper")  # there is no public list of them
    return list(module._all_registries())  # noqa: SLF001


def _instrumented(mapper: Any, class_: type) -> None:
    del mapper
    _watch(class_)


def _watch(class_: type) -> None:
    add_kind(class_, _KIND)


def _tell_of_identities(session: Session) -> None:
    """From now on the session's identity map tells what is found in it."""
    identity_map = session.identity_map
    kind = type(identity_map)
    if kind in _maps.values():
        return
    with _lock:
        telling = _maps.get(kind)
        if telling is None:
            telling = _maps[kind] = _telling(kind)
    identity_map.__class__ = telling


def _telling(kind: Any) -> type:
    class TellingIdentityMap(kind):  # type: ignore[misc]
        """An identity map that tells the running load what it finds."""

        def get(self, key: Any, default: Any = None) -> Any:
            found = super().get(key, default)
            if found is not None and found is not default:
                load = _zoocache.in_load()
                if load:
                    _note(attributes.instance_state(found), load)
            return found

        def __getitem__(self, key: Any) -> Any:
            found = super().__getitem__(key)
            load = _zoocache.in_load()
            if load:
                _note(attributes.instance_state(found), load)
            return found

    return TellingIdentityMap


def _get(self: Any, instance: Any, owner: Any) -> Any:
    if instance is not None:
        load = _zoocache.in_load()
        if load:
            state = attributes.instance_state(instance)
            _note(state, load)
            if self.key in state.dict and self.key in state.mapper.relationships:
                _note_relationship(state, self.key)
    return _plain_get(self, instance, owner)


def _loaded(state: Any, context: Any) -> None:
    options = {} if context is None else context.execution_options
    session = context.session if context is not None else None
    source = session.info.get(_INFO) if session is not None else None
    if source is not None:
        state.info[_INFO] = source.origin(schema_map_of(options, source))


def _refreshed(state: Any, context: Any, names: Any) -> None:
    # Only what a whole refresh has replaced is as new as that.
    known = state.info.get(_INFO)
    has_more = names is not None or any(one.key in state.dict for one in state.mapper.relationships)
    if known is None or not has_more:
        _loaded(state, context)


def _became_persistent(session: Session, instance: Any) -> None:
    source = session.info.get(_INFO)
    if source is not None:
        attributes.instance_state(instance).info[_INFO] = source.origin(source.schema_map)


def _note(state: Any, load: int) -> None:
    """The running load uses an object."""
    if state.info.get("zoocache_load") == load and not state.modified:
        return
    if state.key is None or state.modified:  # it says what no row says
        _zoocache.distrust()
        return
    origin: _Origin | None = state.info.get(_INFO)
    tags = None if origin is None else _row_tags(origin, state)
    if origin is None or tags is None:
        _zoocache.distrust()
        return
    origin.database.core.note_read(tags, origin.since)
    state.info["zoocache_load"] = load


def _note_relationship(state: Any, name: str) -> None:
    """The running load uses what a relationship had loaded before."""
    origin: _Origin | None = state.info.get(_INFO)
    relationship = state.mapper.relationships[name]
    tables = list(relationship.mapper.tables)
    if relationship.secondary is not None:
        tables.append(relationship.secondary)
    tags = None if origin is None else _scan_tags(origin, tables)
    if origin is None or tags is None:
        _zoocache.distrust()
    else:
        origin.database.core.note_read(tags, origin.since)


def _scan_tags(origin: _Origin, tables: list[Any]) -> tuple[str, ...] | None:
    tags: list[str] = []
    for table in tables:
        known = _known_table(origin, table)
        if known is None:
            return None
        tags.append(origin.database.scan_tag(known.name))
    return tuple(tags)


def _known_table(origin: _Origin, table: Any) -> Any:
    if not isinstance(table, SchemaTable):
        return None
    schema = origin.schema_map.get(table.schema, table.schema)
    name = table.name if schema is None else f"{schema}.{table.name}"
    known = origin.database.known_table(name.lower(), origin.schemas)
    return known if origin.database.is_readable(known) else None


def _row_tags(origin: _Origin, state: Any) -> tuple[str, ...] | None:
    """An object's row; of a class that inherits, the scans of the further tables."""
    database = origin.database
    mapper = state.mapper
    base = mapper.primary_key[0].table
    known = _known_table(origin, base)
    if known is None:
        return None
    identity = dict(
        zip((column.name.lower() for column in mapper.primary_key), state.key[1], strict=True)
    )
    if set(known.key) == set(identity):
        tag = database.row_tag(known.name, tuple(identity[column] for column in known.key))
    else:
        tag = None
    rest = _scan_tags(origin, [table for table in mapper.tables if table is not base])
    if rest is None:
        return None
    return (database.scan_tag(known.name) if tag is None else tag, *rest)


def _tell_of_argument(instance: Any, is_keyed: bool) -> None:
    state = inspect(instance)
    if is_keyed:
        _note(state, _zoocache.in_load())
    else:
        once(
            f"{type(instance).__name__} objects as arguments: such calls are not cached; pass the "
            "primary key, or name it in key="
        )


def _take_apart(instance: Any, portable: Portable) -> Any:
    """The loaded columns and relationships of an object; the load depends on it."""
    state = attributes.instance_state(instance)
    _note(state, _zoocache.in_load())
    if state.key is None:
        return None
    values: dict[str, Any] = {}
    for key in [one.key for one in state.mapper.column_attrs]:
        if key in state.dict:
            values[key] = own(state.dict[key])
    related: dict[str, Any] = {}
    for key in [one.key for one in state.mapper.relationships]:
        if key in state.dict:
            _note_relationship(state, key)
            related[key] = portable.take(state.dict[key])
    return (type(instance), state.key, values, related)


def _put_together(content: Any, portable: Portable) -> tuple[Any, Callable[[], None]]:
    """A detached object, and what fills in its relationships once all objects are made."""
    class_, key, values, related = content
    mapper = inspect(class_)
    instance = mapper.class_manager.new_instance()
    state = attributes.instance_state(instance)
    state.key = key
    for name, value in values.items():
        set_committed_value(instance, name, own(value))

    def relate() -> None:
        for name, value in related.items():
            set_committed_value(instance, name, portable.put(value))

    return instance, relate


_KIND = Kind(_take_apart, _put_together, _tell_of_argument)
