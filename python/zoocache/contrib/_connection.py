"""What one database connection reads and writes, told to the cache.

    load ──── SELECT ────────> note_read: the running load depends on the rows or the scan
    write ─── UPDATE ────────> the transaction has uncommitted writes: calls pass the cache by
              (statements)     (`bypass`), in every context that uses the connection
          ─── before COMMIT ─> begin_write: held here, an intent in a home
          ─── COMMIT
          ─── after COMMIT ──> end_write: invalidated; the bypass is closed
          ─── ROLLBACK ──────> forgotten; the bypass is closed

Interleavings, with C the commit:
    (1) a load that began before C, and reads before or after it: `born` is older than the
        invalidation, so that it is not stored, or dies.
    (2) a load in a transaction whose snapshot is older than C: as (1), its `born` is brought back
        to the moment when the transaction began (note_read's `since`).
    (3) a load of the writer's own, before C: under the bypass, so that it is never stored; nor does
        it hit what was loaded before its writes.
    (4) a load between the statement and C, of others: sees the old rows, is stored, and dies at C.
    (5) the process dies after C: the intent fires (src/core/intent.h); and see `_outbox`.
    (6) C raises, and nobody knows whether it came to pass: invalidated at once, and held until
        max_commit_time is over, when it is invalidated again.

Thread-safety: a `Connection` is used by one thread at a time, as the DBAPI connection is that it
belongs to.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from zoocache import _zoocache
from zoocache.contrib._database import MAX_ROWS, Database, Key, Where, Write
from zoocache.contrib._sql import Statement, analyse

if TYPE_CHECKING:
    from zoocache._zoocache import Moment

__all__ = ["Connection", "nothing_was_committed", "run_here"]

_log = logging.getLogger("zoocache.database")

_COMMAND = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*(?P<word>\w+)", re.DOTALL)
_TO = re.compile(r"\bTO\b", re.IGNORECASE)  # a savepoint


def run_here(call: Callable[[], Any]) -> Any:
    """Runs what may wait for a home in the caller's thread."""
    return call()


def nothing_was_committed(error: BaseException) -> bool:
    """Whether nothing was committed when a commit raised this error of the DBAPI.

    A broken constraint, a serialization failure, a lock of SQLite; what a broken connection means
    nobody knows.
    """
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
    return str(state)[:2] in {"23", "40"} or "database is locked" in str(error)


def _first_word(sql: str) -> str:
    match = _COMMAND.match(sql)
    return match["word"].upper() if match else ""


class Connection:
    """What one DBAPI connection has read and written.

    Args:
        database: whose connection it is.
        dbapi: the DBAPI connection, or what acts as one.
        run: runs what may wait for a home; for an event loop, in another thread.
        in_transaction: asks the DBAPI whether a transaction is open; None: it cannot be asked.
        is_replica: it may be behind the database that is written to.
    """

    def __init__(
        self,
        database: Database,
        dbapi: Any,
        *,
        run: Callable[[Callable[[], Any]], Any] = run_here,
        in_transaction: Callable[[], bool] | None = None,
        is_replica: bool = False,
    ) -> None:
        self.database = database
        self.core = database.core
        self.run = run
        self.is_replica = is_replica
        self.is_snapshot = True  # all reads of a transaction are as old as its beginning
        self.is_tainted = False  # a statement changed how it resolves names or rows
        self.begun: Moment | None = None  # when the transaction began
        self.pending: Write | None = None  # for the integration: of the statement that is executed
        self.schema_map: dict[str | None, str | None] = {}  # as SQLAlchemy renames schemas
        self._dbapi = dbapi
        self._cursor: Callable[[], Any] = dbapi.cursor
        self._rows: list[str] = []  # of the outbox, in the transaction
        self._where: Where | None = None  # None: to be asked
        self._asked_at = -1  # which schema
        self._in_transaction = in_transaction
        self._writes: list[Write] = []
        self._bypass: _zoocache.Bypass | None = None
        self._declared: tuple[tuple[int, int], tuple[str, ...]] | None = None

    @property
    def has_writes(self) -> bool:
        """Whether the transaction has written something."""
        return self._bypass is not None

    def begin(self) -> None:
        """A transaction begins, or may: before its first statement."""
        self.begun = self.moment()
        self._settings_may_differ()

    def moment(self) -> Moment | None:
        """As old as what is read here now can be; None: that is not known."""
        return self.database.moment_of_replica() if self.is_replica else self.database.moment()

    def _settings_may_differ(self) -> None:
        """Where names are looked for is asked again, on connections that may change it."""
        if self.is_tainted or self.database.has_context:
            self._where = None

    @property
    def where(self) -> Where:
        """Where names are looked for now; the database may be asked."""
        if self.known_where is None:
            self._asked_at = self.database.schema_version
            self._where = self.database.where(self._cursor)
        return self._where or Where(self._cursor, (), is_common=False)

    @property
    def known_where(self) -> Where | None:
        """The same, if the database need not be asked."""
        return self._where if self._asked_at == self.database.schema_version else None

    @property
    def is_own(self) -> bool:
        """Whether what is read here is nobody else's to know, as settings or tables are its own."""
        has_context = self.database.has_context
        if self.is_tainted and (not has_context or self.database.dialect == "sqlite"):
            return True
        return (bool(self.schema_map) and not has_context) or not self.where.is_common

    def before(
        self, sql: str, parameters: Any = None, *, many: bool = False, autocommit: bool = False
    ) -> Write | None:
        """A statement is about to be executed.

        Args:
            sql: as the driver gets it.
            parameters: as the driver gets them; with `many` a list of such.
            many: whether it is executed for each of them.
            autocommit: whether it commits itself.

        Returns:
            What is to be told to `after`, if it may change something.

        Raises:
            HomeUnreachable: a statement that commits itself could not be declared; it must not be
                executed.
        """
        statement = analyse(sql, self.database.dialect)
        if self._bypass is not None:
            self._bypass.enter()
        if statement.kind in {"read", "write"}:
            self.database.learn(self._cursor)
            _ = self.where
        if statement.kind in {"read", "other"}:
            if _zoocache.in_load() and (statement.kind == "read" or statement.reads):
                self._note_read(statement, parameters, autocommit)
            return None
        if statement.kind == "session":
            self._changes_settings(statement)
            if not statement.writes:
                return None
        if statement.kind == "transaction":
            return self._before_command(sql)
        if statement.kind == "unknown":
            _zoocache.distrust()
        sets = list(parameters or ()) if many else [parameters]
        is_insert = len(statement.writes) == 1 and _first_word(sql) == "INSERT"
        write = self.database.writes_of(statement, sets, self.where, is_insert=is_insert)
        if statement.kind not in {"write", "session"}:
            self.database.forget_catalog()
        if autocommit:
            _zoocache.distrust()
            write.begun, write.row = self._declare(write.tags, in_doubt=True)
            return write
        self._wrote(write)
        return write

    def _note_read(self, statement: Statement, parameters: Any, autocommit: bool) -> None:
        since: Moment | None = None
        usable = not statement.locks and not self.is_own
        if not autocommit and self.is_snapshot:
            since = self.begun
            usable = usable and since is not None
        elif self.is_replica:
            since = self.moment()
            usable = usable and since is not None
        tags = None
        if usable:
            tags = self.database.reads_of(statement, parameters, self.where)
        if tags is None:
            _zoocache.distrust()
        else:
            self.core.note_read(tags, since)

    def _changes_settings(self, statement: Statement) -> None:
        self.is_tainted = True
        self._where = None
        if self.database.dialect == "sqlite":  # it may attach a database
            self.database.forget_catalog()
        if statement.reads:
            _zoocache.distrust()

    def _before_command(self, sql: str) -> Write | None:
        word = _first_word(sql)
        if word == "RELEASE" and self.database.dialect == "postgresql":
            return None
        if word in {"COMMIT", "END", "RELEASE", "PREPARE"}:  # SQLite may commit by a RELEASE
            ends = "commit" if word in {"COMMIT", "END"} else "maybe"
            if not self._writes:
                return Write((), ends=ends)
            tags = self._all_tags()
            begun, row = self._declare(tags)
            self._rows.append(row)
            return Write(tags, begun=begun, ends=ends)
        if word in {"ROLLBACK", "ABORT"} and not _TO.search(sql):
            return Write((), ends="rollback")
        if word in {"BEGIN", "START"}:
            self.begin()
        self._settings_may_differ()  # back to a savepoint, for one
        return None

    def after(
        self, write: Write | None, keys: Iterable[Key] | None = None, *, failed: bool = False
    ) -> None:
        """The statement was executed, or raised.

        Args:
            write: what `before` returned.
            keys: the primary keys of all rows that an INSERT made, if they are known.
            failed: it raised.

        Raises:
            HomeUnreachable: what changed could not be told to the home; it will be.
        """
        if write is None:
            return
        if write.insert is not None and keys is not None:
            told = self.database.inserted(write.insert, keys)
            if told is not None:
                held, write.tags = write.tags, self._narrowed(write, told)
                self._end(write, held)
                return
        is_told = self._end(write, write.tags)
        if write.ends:
            self._command_ended(write, failed, is_told)

    def _narrowed(self, write: Write, told: tuple[str, ...]) -> tuple[str, ...]:
        assert write.insert is not None  # noqa: S101 - for type checkers
        table = self.database.table_tag(write.insert.name)
        return (*(tag for tag in write.tags if tag != table), *told)

    def _end(self, write: Write, held: tuple[str, ...]) -> bool:
        """Whether what was declared is told."""
        begun, write.begun = write.begun, None
        if begun is None:
            return False
        epoch = self.run(lambda: self.core.end_write(*begun, held, 0, write.tags))
        if epoch:
            self._take([write.row])
        return bool(epoch)

    def _declare(
        self, tags: tuple[str, ...], *, in_doubt: bool = False
    ) -> tuple[tuple[int, int], str]:
        """Tells the home, and the outbox, what is about to be committed."""
        begun: tuple[int, int] = self.run(lambda: self.core.begin_write(tags))
        outbox = self.database.outbox
        if outbox is None:
            return begun, ""
        try:
            return begun, outbox.put(self._cursor, tags, in_doubt=in_doubt)
        except BaseException:
            self.run(lambda: self.core.cancel_write(*begun, tags))
            raise

    def _take(self, rows: list[str]) -> None:
        if self.database.outbox is not None:
            self.database.outbox.take(self._dbapi, rows)

    def _command_ended(self, write: Write, failed: bool, is_told: bool) -> None:
        if failed:
            return
        if self._in_transaction is None:
            has_ended = write.ends != "maybe"
        else:  # SQLite commits when it releases a savepoint that began the transaction
            has_ended = not self._in_transaction()
        if has_ended:
            rows = self._rows
            self.ended()
            if is_told:
                self._take(rows)

    def _all_tags(self) -> tuple[str, ...]:
        tags = {tag for write in self._writes for tag in write.tags}
        if self.database.tag in tags:
            return (self.database.tag,)
        if len(tags) > MAX_ROWS:  # by table then
            depth = self.database.tag.count(":") + 2
            tags = {":".join(tag.split(":")[:depth]) for tag in tags}
        return tuple(sorted(tags))

    def wrote_anything(self) -> None:
        """The transaction has changed what nobody knows."""
        self._wrote(Write((self.database.tag,)))

    def _wrote(self, write: Write) -> None:
        self._writes.append(write)
        if self._bypass is None:
            self._bypass = self.core.bypass(self.database.tag)
        self._bypass.enter()

    def lost(self) -> None:
        """The DBAPI connection is gone, and with it what it had not committed."""
        pending, self.pending = self.pending, None
        try:
            if pending is not None:
                self.after(pending, failed=True)
        finally:
            self.ended()

    def declare(self) -> None:
        """The transaction is about to be committed, or prepared.

        Raises:
            HomeUnreachable: it must not be committed.
        """
        if not self._writes or self._declared is not None:
            return
        tags = self._all_tags()
        begun, row = self._declare(tags)
        self._declared = (begun, tags)
        self._rows.append(row)

    def committed(self) -> None:
        """The transaction was committed.

        Raises:
            HomeUnreachable: what changed could not be told to the home; it will be.
        """
        declared, self._declared = self._declared, None
        rows = self._rows
        self.ended()
        if declared is not None:
            begun, tags = declared
            if self.run(lambda: self.core.end_write(*begun, tags, 0)):
                self._take(rows)

    def commit_failed(self, *, is_certain: bool = False) -> None:
        """Its commit raised. `is_certain`: nothing was committed, and it may be rolled back."""
        declared, self._declared = self._declared, None
        if declared is None:
            return
        begun, tags = declared
        if is_certain:
            self.run(lambda: self.core.cancel_write(*begun, tags))
            return
        self.run(lambda: _invalidate_twice(self.database, begun, tags))

    def commit(
        self, do_commit: Callable[[], None], is_certain: Callable[[BaseException], bool]
    ) -> None:
        """Commits by `do_commit`; `is_certain(error)`: nothing was committed when it raised that.

        Raises:
            HomeUnreachable: before the commit, in whose place all is rolled back; or after it.
        """
        try:
            self.declare()
        except BaseException:
            # Whoever gets the connection next must not commit this: it is no error of the DBAPI,
            # after which the ORMs roll back.
            try:
                self._dbapi.rollback()
            except Exception:  # noqa: BLE001 - as it is, for one, in two phases
                _log.debug("%s: no rollback", self.database.alias, exc_info=True)
            else:
                self.ended()
            raise
        try:
            do_commit()
        except BaseException as error:
            self.commit_failed(is_certain=is_certain(error))
            raise
        self.committed()

    def ended(self) -> None:
        """The transaction was rolled back, or the connection was lost or given back."""
        self._writes = []
        self._rows = []
        self.begun = None
        self._settings_may_differ()
        declared, self._declared = self._declared, None
        bypass, self._bypass = self._bypass, None
        if bypass is not None:
            bypass.close()
        if declared is not None:
            begun, tags = declared
            self.run(lambda: self.core.cancel_write(*begun, tags))


def _invalidate_twice(database: Database, begun: tuple[int, int], tags: tuple[str, ...]) -> None:
    """For a commit that may still come to pass: until it cannot, nothing of it is stored."""
    core = database.core
    again = core.begin_write(tags)
    core.end_write(*begun, tags, 0)

    def end() -> None:
        try:
            core.end_write(*again, tags, 0)
        except Exception:  # noqa: BLE001 - a home that was not told hears of it when it is there
            _log.exception("%s: an uncertain commit could not be declared", database.alias)

    timer = threading.Timer(database.max_commit_time, end)
    timer.daemon = True
    timer.start()
