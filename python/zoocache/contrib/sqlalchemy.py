"""SQLAlchemy 2: cached functions depend on what they read through it, and commits invalidate.

    from zoocache.contrib.sqlalchemy import install

    engine = create_engine("postgresql+psycopg://localhost/shop")
    install(engine)

    @cacheable
    def prices(product_id):
        with Session(engine) as session:
            return session.scalars(select(Price.amount).where(Price.product_id == product_id)).all()

No tag is written: whatever changes a price through the engine, in this process or in another that
shares the home, kills the entry when it is committed. How, and what is not stored: see `_database`.
Thread-safety: as the engine.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

try:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    from sqlalchemy.exc import InvalidRequestError
    from sqlalchemy.util import await_only, greenlet_spawn
except ImportError as error:  # pragma: no cover
    raise ImportError(
        "zoocache.contrib.sqlalchemy needs SQLAlchemy 2, which is not installed; install "
        "zoocache[sqlalchemy]"
    ) from error

from zoocache._errors import InvalidOption, shown
from zoocache.contrib._connection import Connection, nothing_was_committed, run_here
from zoocache.contrib._database import Database, Write, default_cache
from zoocache.contrib._outbox import DEFAULT_INTERVAL_S, DEFAULT_TABLE, Drainer, create_table
from zoocache.contrib._sqlalchemy_objects import follow_sessions, schema_map_of

if TYPE_CHECKING:
    from zoocache import Cache

__all__ = ["create_outbox", "install"]

_INFO = "zoocache"
# Each statement sees what was committed before it began, not only before its transaction did.
_BY_STATEMENT = frozenset({"READ COMMITTED", "READ UNCOMMITTED", "AUTOCOMMIT"})
_lock = threading.Lock()
_databases: weakref.WeakKeyDictionary[Any, Database] = weakref.WeakKeyDictionary()  # by dialect


def install(
    target: Any,
    *,
    alias: str | None = None,
    cache: Cache | None = None,
    reads: Mapping[str, Iterable[str]] | None = None,
    writes: Mapping[str, Iterable[str]] | None = None,
    is_replica: bool = False,
    replica_lag: float | None = None,
    key_context: Callable[[], object] | None = None,
    outbox: bool | str = False,
    outbox_interval: float = DEFAULT_INTERVAL_S,
) -> Database:
    """Lets cached functions depend on what they read through an engine, and its commits kill them.

    Call it once for each engine, before it is used.

    Args:
        target: an Engine, an AsyncEngine, or a sessionmaker or async_sessionmaker that is bound to
            one.
        alias: the database's name in tags, `db:<alias>:<table>:<key>`: the same in every program
            that uses this database. Default: the name of the database in the engine's URL.
        cache: the cache whose functions are meant. Default: that of the module's functions.
        reads: views and functions by name, and the tables that each reads; none for a function
            whose result depends on its arguments alone. What reads others is not stored.
        writes: tables with triggers, and the tables that those change. A write to one that is not
            named invalidates the whole database.
        is_replica: what the engine reads may be older than what was committed; without
            `replica_lag` nothing of it is stored.
        replica_lag: how many seconds older at the most.
        key_context: returns what decides beside the arguments what is read here (a tenant, a role,
            a schema), hashable: a part of the key of every call of the cache. With it, what is
            read on connections that changed such settings is stored.
        outbox: True, or the name of a table that `create_outbox` made: what a commit changes is
            kept there until it is invalidated, by any process that uses the database.
        outbox_interval: seconds from one look for what others have left there to the next.

    Returns:
        The database, whose `forget_catalog()` is to be called when the schema was changed by
        other means than this engine.

    Raises:
        InvalidOption: a value that is not allowed, or the engine has this already.
        TypeError: `target` is none of those.

    Thread-safe.
    """
    engine = _engine_of(target)
    alias = _default_alias(engine) if alias is None else alias
    with _lock:
        if engine.dialect in _databases:
            raise InvalidOption(f"install({shown(target)}): this engine has it already")
        database = Database(
            default_cache() if cache is None else cache,
            alias,
            engine.dialect.name,
            reads=reads,
            writes=writes,
            replica_lag=replica_lag,
            key_context=key_context,
            outbox=outbox,
            outbox_interval=outbox_interval,
        )
        _databases[engine.dialect] = database
    _Follower(database, engine, is_replica).listen()
    if database.outbox is not None and not is_replica:
        _refuse_memory(engine)
        Drainer(database.outbox, database.core, engine, _with_connection, alias)
    follow_sessions(_connection_of)
    return database


def _default_alias(engine: Engine) -> str:
    name = (engine.url.database or "").rpartition("/")[2]
    return name.removesuffix(".db").removesuffix(".sqlite3") or "main"


def create_outbox(target: Any, table: str = DEFAULT_TABLE) -> None:
    """Makes the table of `install(..., outbox=True)`, if it is not there. Once for a database.

    Args:
        target: as for `install`.
        table: its name, as "zoocache_outbox" or "schema.zoocache_outbox".

    Raises:
        InvalidOption: the name is none, or the database is in memory.
        TypeError: `target` is no engine.

    Blocks; for an async engine not to be called where an event loop runs. Thread-safe.
    """
    engine = _engine_of(target)
    _refuse_memory(engine)

    def make(connection: Any) -> None:
        create_table(connection.cursor, table)
        connection.commit()

    _with_connection(engine, make)


def _refuse_memory(engine: Engine) -> None:
    database = engine.url.database or ""
    if engine.dialect.name == "sqlite" and (
        database in {"", ":memory:"} or "mode=memory" in str(engine.url)
    ):
        raise InvalidOption(
            f"outbox: {shown(str(engine.url))} is a database in memory, which ends with its "
            "process; leave out outbox="
        )


def _with_connection(engine: Any, work: Callable[[Any], None]) -> None:
    """Calls `work` with a DBAPI connection that nobody else has."""

    def run() -> None:
        pool = engine.pool.recreate()  # connections of an event loop stay there
        try:
            connection = pool.connect()
            try:
                work(connection)
            finally:
                connection.close()
        finally:
            pool.dispose()

    if engine.dialect.is_async:
        asyncio.run(greenlet_spawn(run))
    else:
        run()


def _engine_of(target: Any) -> Engine:
    bound = target
    options = getattr(target, "kw", None)  # of a sessionmaker
    if isinstance(options, dict) and options.get("bind") is not None:
        bound = options["bind"]
    bound = getattr(bound, "sync_engine", bound)
    if isinstance(bound, Engine):
        return bound
    raise TypeError(
        f"install({shown(target)}): an Engine, an AsyncEngine or a sessionmaker with bind= is "
        "wanted"
    )


def _connection_of(connection: Any) -> Connection | None:
    try:
        found = connection.info.get(_INFO)
    except (NotImplementedError, InvalidRequestError):  # outside of the pool, or closed
        return None
    return found if isinstance(found, Connection) else None


class _Follower:
    """Tells what one engine's connections do."""

    def __init__(self, database: Database, engine: Engine, is_replica: bool) -> None:
        self.database = database
        self.engine = engine
        self.is_replica = is_replica

    def listen(self) -> None:
        """Begins. Commits are wrapped where the DBAPI does them: events come earlier."""
        for name in ("begin", "before_cursor_execute", "after_cursor_execute", "after_execute"):
            event.listen(self.engine, name, getattr(self, name))
        event.listen(self.engine, "handle_error", self.handle_error)
        event.listen(self.engine, "invalidate", self._is_lost)
        event.listen(self.engine, "close", self._is_lost)
        dialect: Any = self.engine.dialect
        plain = {
            name: getattr(dialect, name)
            for name in (
                "do_commit",
                "do_rollback",
                "do_prepare_twophase",
                "do_commit_twophase",
                "do_rollback_twophase",
            )
        }

        def do_commit(dbapi_connection: Any) -> None:
            link = _connection_of(dbapi_connection)
            if link is None:
                plain["do_commit"](dbapi_connection)
            else:
                link.commit(lambda: plain["do_commit"](dbapi_connection), self._is_certain)

        def do_rollback(dbapi_connection: Any) -> None:
            try:
                plain["do_rollback"](dbapi_connection)
            finally:
                link = _connection_of(dbapi_connection)
                if link is not None:
                    link.ended()

        def do_prepare_twophase(connection: Any, xid: Any) -> None:
            self._link(connection).declare()
            plain["do_prepare_twophase"](connection, xid)

        def do_commit_twophase(
            connection: Any, xid: Any, is_prepared: bool = True, recover: bool = False
        ) -> None:
            link = self._link(connection)
            if recover:  # what another connection, or process, has prepared
                link.wrote_anything()
            link.commit(
                lambda: plain["do_commit_twophase"](connection, xid, is_prepared, recover),
                self._is_certain,
            )

        def do_rollback_twophase(
            connection: Any, xid: Any, is_prepared: bool = True, recover: bool = False
        ) -> None:
            try:
                plain["do_rollback_twophase"](connection, xid, is_prepared, recover)
            finally:
                self._link(connection).ended()

        dialect.do_commit = do_commit
        dialect.do_rollback = do_rollback
        dialect.do_prepare_twophase = do_prepare_twophase
        dialect.do_commit_twophase = do_commit_twophase
        dialect.do_rollback_twophase = do_rollback_twophase

    def _link(self, connection: Any) -> Connection:
        link = _connection_of(connection)
        if link is None:
            dbapi_connection = connection.connection.dbapi_connection
            link = connection.info[_INFO] = Connection(
                self.database,
                dbapi_connection,
                run=self._run if self.engine.dialect.is_async else run_here,
                in_transaction=_asks_for_transaction(dbapi_connection)
                if self.database.dialect == "sqlite"
                else None,
                is_replica=self.is_replica,
            )
        return link

    def _run(self, call: Callable[[], Any]) -> Any:
        if not self.database.core.has_home():
            return call()
        from zoocache._aio import in_thread  # noqa: PLC0415 - for async programs alone

        return await_only(in_thread(call))

    def begin(self, connection: Any) -> None:
        """Event: before the DBAPI's transaction begins."""
        link = self._link(connection)
        link.is_snapshot = self._level(connection) not in _BY_STATEMENT
        link.begin()

    def _level(self, connection: Any) -> str | None:
        dialect = self.engine.dialect
        level = connection.get_execution_options().get("isolation_level")
        level = level or getattr(dialect, "_on_connect_isolation_level", None)
        level = level or dialect.default_isolation_level
        return level if level is None else str(level).replace("_", " ").upper()

    def _is_autocommit(self, connection: Any) -> bool:
        if self._level(connection) == "AUTOCOMMIT":
            return True
        plain = connection.connection.driver_connection
        if self.database.dialect != "sqlite":
            return False
        # The driver's own setting: then it commits what is not between texts of BEGIN and COMMIT.
        plain = getattr(plain, "_conn", plain)
        return getattr(plain, "isolation_level", "") is None and not plain.in_transaction

    def before_cursor_execute(
        self,
        conn: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> None:
        """Event: a statement is about to be executed."""
        del cursor
        link = self._link(conn)
        link.schema_map = schema_map_of(
            conn.get_execution_options() if context is None else context.execution_options
        )
        link.pending = link.before(
            statement, parameters, many=executemany, autocommit=self._is_autocommit(conn)
        )

    def after_cursor_execute(
        self,
        conn: Any,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> None:
        """Event: it was executed."""
        del cursor, statement, parameters, executemany
        link = self._link(conn)
        write, link.pending = link.pending, None
        link.after(write)
        if write is not None and write.insert is not None and context is not None:
            context.__dict__.setdefault(_INFO, []).append(write)

    def after_execute(self, conn: Any, clause: Any, *rest: Any) -> None:
        """Event: a construct was executed, and the keys of new rows may be known."""
        result = rest[-1]
        context = result.context
        writes: list[Write] | None = getattr(context, "__dict__", {}).get(_INFO)
        if not writes or not getattr(context, "isinsert", False):
            return
        keys = _new_keys(context, clause, writes[0])
        if keys is None:
            return
        link = self._link(conn)
        for write in writes:
            link.after(write, keys)

    def handle_error(self, exception_context: Any) -> None:
        """Event: a statement raised."""
        connection = exception_context.connection
        link = None
        if connection is not None and not connection.invalidated and not connection.closed:
            link = _connection_of(connection)
        if link is not None and link.pending is not None:
            write, link.pending = link.pending, None
            link.after(write, failed=True)

    def _is_lost(self, dbapi_connection: Any, record: Any, *rest: Any) -> None:
        """Event: a DBAPI connection is closed, or is no good any more."""
        del dbapi_connection, rest
        link = record.info.get(_INFO)
        if isinstance(link, Connection):
            link.lost()

    def _is_certain(self, error: BaseException) -> bool:
        """Whether nothing was committed when a commit raised this."""
        original = getattr(error, "orig", error)
        dbapi: Any = self.engine.dialect.loaded_dbapi
        if isinstance(original, dbapi.IntegrityError):
            return True
        return nothing_was_committed(original)


def _asks_for_transaction(dbapi_connection: Any) -> Callable[[], bool]:
    plain = getattr(dbapi_connection, "_connection", dbapi_connection)  # of the async adapter
    return lambda: bool(plain.in_transaction)


def _new_keys(context: Any, clause: Any, write: Write) -> list[tuple[Any, ...]] | None:
    """The primary keys of inserted rows in the order of the table's key columns."""
    table = getattr(clause, "table", None)
    primary = getattr(table, "primary_key", None)
    if primary is None or write.insert is None:
        return None
    names = [column.name.lower() for column in primary.columns]
    if set(names) != set(write.insert.key):
        return None
    try:
        rows = context.inserted_primary_key_rows
    except Exception:  # noqa: BLE001 - not known then, as after an INSERT of a SELECT
        return None
    if not rows or (context.compiled is not None and context.compiled.statement.select is not None):
        return None
    order = [names.index(column) for column in write.insert.key]
    return [tuple(row[at] for at in order) for row in rows]
