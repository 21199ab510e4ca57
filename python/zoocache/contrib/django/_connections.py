"""Django's connections: every statement at the cursor, every commit at the connection.

What is wrapped is what everything passes through: `CursorWrapper._execute`, below the wrappers of
users; `BaseDatabaseWrapper._commit` and its like, before the callbacks of `on_commit`.
Thread-safety: Django's connections belong to one thread at a time, and so does what hangs on them.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.utils.module_loading import import_string

from zoocache._errors import shown
from zoocache.contrib._connection import Connection, nothing_was_committed
from zoocache.contrib._context import add_context
from zoocache.contrib._database import Database, Write, default_cache
from zoocache.contrib._outbox import DEFAULT_INTERVAL_S
from zoocache.contrib._sql import analyse
from zoocache.contrib.django.outbox import create_outbox, start_draining

_LINK = "_zoocache_link"
_OPTIONS = frozenset(
    {
        *("alias", "reads", "writes", "replica_of", "replica_lag", "key_context"),
        *("outbox", "outbox_interval", "enabled"),
    }
)
_lock = threading.Lock()
_databases: dict[tuple[str, bool], Database | None] = {}
# Of a pool, connections whose statements resolve names or rows in another way for whoever is next.
_tainted: weakref.WeakSet[Any] = weakref.WeakSet()


class Link:
    """What hangs on one of Django's connections, for as long as its DBAPI connection lives."""

    def __init__(self, wrapper: BaseDatabaseWrapper, database: Database, is_replica: bool) -> None:
        self.dbapi: Any = wrapper.connection
        self.blocks: list[Any] = wrapper.atomic_blocks  # Django's own, innermost last
        self.is_sqlite = database.dialect == "sqlite"
        self.connection = Connection(
            database,
            self.dbapi,
            in_transaction=(lambda: bool(self.dbapi.in_transaction)) if self.is_sqlite else None,
            is_replica=is_replica,
        )
        self.connection.is_tainted = not self.is_sqlite and self.dbapi in _tainted
        # Writes whose new keys the compiler of an INSERT will tell; None: none is awaited.
        self.awaited: list[Write] | None = None
        # SQLite: cursors that may still hold the snapshot of a read, and when they took it.
        self._open: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    def is_idle(self) -> bool:
        """Whether no transaction is open now."""
        if self.is_sqlite:
            return not self.dbapi.in_transaction
        return int(self.dbapi.info.transaction_status) == 0

    def is_autocommit(self) -> bool:
        """Whether a statement that is executed now commits itself."""
        if is_of_test(self.blocks):
            return True  # as far as the code under test can tell
        if self.is_sqlite:
            return self.dbapi.isolation_level is None and self.is_idle()
        return bool(self.dbapi.autocommit) and self.is_idle()

    def before(self, cursor: Any, sql: str, params: Any, many: bool) -> Write | None:
        """A statement is about to be executed."""
        connection = self.connection
        autocommit = self.is_autocommit()
        if not autocommit and self.is_idle():
            connection.begin()
        if autocommit and self.is_sqlite and analyse(sql, "sqlite").kind == "read":
            self._open.pop(cursor, None)
            # A cursor that is not read to its end keeps the connection in its snapshot.
            snapshots = list(self._open.values())
            if snapshots:
                connection.begun = snapshots[0]
                autocommit = False
            self._open[cursor] = snapshots[0] if snapshots else connection.moment()
        return connection.before(sql, params, many=many, autocommit=autocommit)

    def after(self, write: Write | None, *, failed: bool = False) -> None:
        """It was executed."""
        if write is None:
            return
        if self.awaited is not None and write.insert is not None and not failed:
            self.awaited.append(write)
            return
        self.connection.after(write, failed=failed)

    def closed(self) -> None:
        """The DBAPI connection was closed, or given back to its pool."""
        if self.connection.is_tainted and not self.is_sqlite:
            _tainted.add(self.dbapi)
        self.connection.ended()


def check_options() -> None:
    """Looks through `settings.ZOOCACHE_DATABASES`.

    Raises:
        ImproperlyConfigured: it holds something that is no option of a connection.
    """
    given = getattr(settings, "ZOOCACHE_DATABASES", {})
    if not isinstance(given, dict):
        raise ImproperlyConfigured(
            f"ZOOCACHE_DATABASES is {shown(given)}: a dict is wanted that gives options by the "
            "names of DATABASES"
        )
    for alias in given:
        _check_alias(alias, "ZOOCACHE_DATABASES")
        primary = options_of(alias).get("replica_of")
        if primary is not None:
            where = f"ZOOCACHE_DATABASES[{shown(alias)}]['replica_of']"
            _check_alias(primary, where)
            if _primary_of(primary) is not None:
                raise ImproperlyConfigured(
                    f"{where} is {shown(primary)}, which is a replica itself; name its primary"
                )


def _check_alias(alias: object, where: str) -> None:
    known = _all_settings()
    if alias not in known:
        raise ImproperlyConfigured(
            f"{where} names {shown(alias)}, which is not in DATABASES; there are "
            f"{', '.join(sorted(known))}"
        )


def _all_settings() -> dict[str, Any]:
    """DATABASES, with what is not said in it."""
    found: Any = connections.settings
    return cast("dict[str, Any]", found)


def is_of_test(blocks: list[Any]) -> bool:
    """Whether the innermost atomic block is one that TestCase puts around a test or its class."""
    return bool(blocks) and bool(blocks[-1]._from_testcase)  # noqa: SLF001


def database_of(alias: str) -> Database | None:
    """The database that a name of DATABASES stands for; None if it is not followed."""
    wrapper = connections[alias]
    return _database_of(wrapper)[0]


def options_of(alias: str) -> dict[str, Any]:
    """The options for a name of DATABASES.

    Raises:
        ImproperlyConfigured: they are none.
    """
    options = getattr(settings, "ZOOCACHE_DATABASES", {}).get(alias, {})
    if not isinstance(options, dict) or not options.keys() <= _OPTIONS:
        raise ImproperlyConfigured(
            f"ZOOCACHE_DATABASES[{shown(alias)}] is {shown(options)}: a dict is wanted whose keys "
            f"are among {', '.join(sorted(_OPTIONS))}"
        )
    return options


def _primary_of(alias: str) -> str | None:
    """The name of the connection whose replica this one is."""
    test = _all_settings()[alias].get("TEST") or {}
    primary = options_of(alias).get("replica_of") or test.get("MIRROR")
    return None if primary is None else str(primary)


def settled_options(alias: str) -> dict[str, Any]:
    """The options of a connection with those that it has from another one, and its "alias".

    From its primary, or from the first one that leads to the same place.
    """

    def place(one: str) -> tuple[str, ...]:
        return tuple(str(known[one][part]) for part in ("HOST", "PORT", "NAME"))

    known = _all_settings()
    primary = _primary_of(alias)
    same = [one for one in known if place(one) == place(alias)]
    source = primary or next((one for one in same if _primary_of(one) is None), same[0])
    inherited = settled_options(source) if source != alias else {"alias": alias}
    own = options_of(alias)
    return {**inherited, **own, **({} if primary is None else {"replica_of": primary})}


def _database_of(wrapper: BaseDatabaseWrapper) -> tuple[Database | None, bool]:
    """The database of a connection, and whether it is a replica of it."""
    options = settled_options(wrapper.alias)
    is_replica = "replica_of" in options
    with _lock:
        place = (wrapper.alias, is_replica)
        if place not in _databases:
            _databases[place] = _make(wrapper, options)
        return _databases[place], is_replica


def _make(wrapper: BaseDatabaseWrapper, options: dict[str, Any]) -> Database | None:
    if wrapper.vendor not in {"sqlite", "postgresql"} or not options.get("enabled", True):
        return None
    return Database(
        default_cache(),
        str(options["alias"]),
        wrapper.vendor,
        reads=options.get("reads"),
        writes=options.get("writes"),
        replica_lag=options.get("replica_lag"),
        key_context=_key_context(options),
        outbox=options.get("outbox", False),
        outbox_interval=options.get("outbox_interval", DEFAULT_INTERVAL_S),
    )


def _key_context(options: dict[str, Any]) -> Callable[[], object] | None:
    given = options.get("key_context")
    if not isinstance(given, str):
        return given
    try:
        return import_string(given)  # type: ignore[no-any-return]
    except ImportError as error:
        raise ImproperlyConfigured(
            f"ZOOCACHE_DATABASES: key_context={shown(given)} cannot be imported; a dotted path of "
            "a function, or the function, is wanted"
        ) from error


def add_contexts() -> None:
    """Makes the contexts of all databases a part of keys, before the first of them is used."""
    for alias in _all_settings():
        options = settled_options(alias)
        key_context = _key_context(options)
        if key_context is not None and options.get("enabled", True):
            add_context(default_cache().core, str(options["alias"]), key_context)


def before_migrations(using: str, **_: Any) -> None:
    """For Django's signal pre_migrate: makes the table, if the option wants it."""
    database = database_of(using)
    if database is not None and database.outbox is not None:
        create_outbox(using, database.outbox.table)


def link_of(wrapper: Any) -> Link | None:
    """What hangs on a connection; None while it has no DBAPI connection or is not followed."""
    dbapi = getattr(wrapper, "connection", None)
    if dbapi is None:
        return None
    link: Link | None = getattr(wrapper, _LINK, None)
    if link is not None and link.dbapi is dbapi:
        return link
    if link is not None:
        link.closed()
    database, is_replica = _database_of(wrapper)
    if database is None:
        return None
    link = Link(wrapper, database, is_replica)
    setattr(wrapper, _LINK, link)
    if not is_replica:
        start_draining(database, wrapper)
    return link


def _is_certain(error: BaseException) -> bool:
    """Whether nothing was committed when a commit raised this."""
    return isinstance(error, IntegrityError) or nothing_was_committed(error.__cause__ or error)


@contextmanager
def _seen(cursor: CursorWrapper, sql: Any, params: Any, many: bool) -> Generator[None]:
    link = link_of(cursor.db)
    if link is None:
        yield
        return
    write = link.before(cursor, _text(sql, link), params, many)
    try:
        yield
    except BaseException:
        link.after(write, failed=True)
        raise
    link.after(write)


def _text(sql: Any, link: Link) -> str:
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes):
        return sql.decode(errors="replace")
    compose = getattr(sql, "as_string", None)  # psycopg's Composable
    return str(compose(link.dbapi)) if compose is not None else str(sql)


@functools.cache
def follow() -> None:
    """Begins to follow all connections of this process. Called any number of times."""
    _follow_cursors()
    _follow_transactions()


def _wrap(owner: type, name: str, make: Callable[[Any], Any]) -> None:
    plain = getattr(owner, name)
    setattr(owner, name, functools.wraps(plain)(make(plain)))


def _follow_cursors() -> None:
    def execute(plain: Any) -> Any:
        def _execute(self: Any, sql: Any, params: Any, *ignored: Any) -> Any:
            with _seen(self, sql, params, many=False):
                return plain(self, sql, params, *ignored)

        return _execute

    def executemany(plain: Any) -> Any:
        def _executemany(self: Any, sql: Any, param_list: Any, *ignored: Any) -> Any:
            listed = list(param_list)
            with _seen(self, sql, listed, many=True):
                return plain(self, sql, listed, *ignored)

        return _executemany

    def callproc(plain: Any) -> Any:
        def call(self: Any, procname: Any, *args: Any, **kwargs: Any) -> Any:
            with _seen(self, f"CALL {procname}", None, many=False):  # who knows what it does
                return plain(self, procname, *args, **kwargs)

        return call

    _wrap(CursorWrapper, "_execute", execute)
    _wrap(CursorWrapper, "_executemany", executemany)
    _wrap(CursorWrapper, "callproc", callproc)


def _follow_transactions() -> None:
    def commit(plain: Any) -> Any:
        def _commit(self: Any) -> Any:
            link = link_of(self)
            if link is None:
                return plain(self)
            return link.connection.commit(lambda: plain(self), _is_certain)

        return _commit

    def set_autocommit(plain: Any) -> Any:
        def set_autocommit(self: Any, autocommit: bool, *args: Any, **kwargs: Any) -> Any:
            link = link_of(self)
            if link is None or not autocommit or not link.connection.has_writes:
                return plain(self, autocommit, *args, **kwargs)
            # SQLite commits what is open when it goes back to autocommit.
            done = functools.partial(plain, self, autocommit, *args, **kwargs)
            return link.connection.commit(done, _is_certain)

        return set_autocommit

    def rollback(plain: Any) -> Any:
        def _rollback(self: Any) -> Any:
            link = link_of(self)
            try:
                return plain(self)
            finally:
                if link is not None:
                    link.connection.ended()

        return _rollback

    def close(plain: Any) -> Any:  # and not _close, which PostgreSQL has one of its own of
        def close(self: Any) -> Any:
            link = link_of(self)
            try:
                return plain(self)
            finally:  # unless it belongs to another thread
                if link is not None and (self.connection is None or self.closed_in_transaction):
                    link.closed()

        return close

    _wrap(BaseDatabaseWrapper, "_commit", commit)
    _wrap(BaseDatabaseWrapper, "set_autocommit", set_autocommit)
    _wrap(BaseDatabaseWrapper, "_rollback", rollback)
    _wrap(BaseDatabaseWrapper, "close", close)
