"""What an ORM's integration tells the cache of the statements that its connections execute.

Tags: a row is `db:<alias>:<table>:<key>`, and whatever looks at more of a table than rows by their
keys depends on `db:<alias>:<table>:~scan`. Who changes a row invalidates both; who changes what
cannot be told in rows invalidates the table, and with it everything below. Nobody depends on a
table's or a database's bare tag: its children would die without it.

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
    (5) the process dies after C: the intent fires (src/core/intent.h).
    (6) C raises, and nobody knows whether it came to pass: invalidated at once, and held until
        max_commit_time is over, when it is invalidated again.

What is not understood errs to the safe side, with one line in the log `zoocache.database`: a read
is returned and not stored, a write invalidates the whole database.
Thread-safety: `Database` from any thread; a `Connection` is used by one thread at a time, as the
DBAPI connection is that it belongs to.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zoocache import _zoocache
from zoocache._errors import InvalidOption, shown
from zoocache._template import encode_segment
from zoocache.contrib._catalog import Catalog, Table, load
from zoocache.contrib._sql import Statement, analyse, row_keys

if TYPE_CHECKING:
    from zoocache import Cache
    from zoocache._zoocache import Moment

__all__ = ["Connection", "Database", "Write"]

_log = logging.getLogger("zoocache.database")

_SEGMENT = 72  # characters of a segment; three of them and "db:" fit into the default tag length
_RETRY_S = 60.0  # then a name that the catalog did not have is asked for again
_MAX_ROWS = 1000
_SAMPLE_S = 0.05
_HEX = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}(?:\1[0-9a-fA-F]{4}){2}\1[0-9a-fA-F]{12}")
_COMMAND = re.compile(
    r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*(?P<word>\w+)", re.DOTALL
)
_TO = re.compile(r"\bTO\b", re.IGNORECASE)  # a savepoint

Key = tuple[Any, ...]


def _no_run(call: Callable[[], Any]) -> Any:
    return call()


class Database:
    """One database under its one name, which is the same in every program that uses it.

    Args:
        cache: the cache that is told; functions of others are not kept when they read from here.
        alias: the name.
        dialect: "sqlite" or "postgresql".
        reads: views and functions, and the tables that each of them reads: an empty tuple for
            those that read none and give the same for the same arguments.
        writes: tables with triggers, and what tables those change.
        replica_lag: seconds that replicas are behind at the most; None: nothing that was read
            there is stored.
        has_key_context: keys say who asks, so that sessions which resolve names or rows in their
            own way may store.

    Raises:
        InvalidOption: a value that is not allowed.
    """

    def __init__(
        self,
        cache: Cache,
        alias: str,
        dialect: str,
        *,
        reads: Mapping[str, Iterable[str]] | None = None,
        writes: Mapping[str, Iterable[str]] | None = None,
        replica_lag: float | None = None,
        has_key_context: bool = False,
    ) -> None:
        if dialect not in ("sqlite", "postgresql"):
            raise InvalidOption(
                f"{shown(dialect)}: dependencies are captured from SQLite and PostgreSQL; for "
                "other databases name them in deps= and call invalidate()"
            )
        if not isinstance(alias, str) or not alias:
            raise InvalidOption(f"alias={shown(alias)}: a name of the database is wanted, a str")
        if replica_lag is not None and not replica_lag >= 0:
            raise InvalidOption(f"replica_lag={shown(replica_lag)}: seconds, 0 or more")
        if cache.options.get("max_tag_length", 256) < 3 * _SEGMENT + 8:
            raise InvalidOption(
                f"max_tag_length={cache.options['max_tag_length']}: tags of rows take up to "
                f"{3 * _SEGMENT + 8} characters"
            )
        self.core = cache.core
        self.dialect = dialect
        self.alias = alias
        self.max_commit_time = float(cache.options.get("max_commit_time", 60))
        self.tag = f"db:{encode_segment(alias, _SEGMENT)}"
        self.has_key_context = has_key_context
        self.replica_lag = replica_lag
        self._reads = _tables_by_name("reads", reads)
        self._writes = _tables_by_name("writes", writes)
        self._lock = threading.Lock()  # guards what follows
        self._catalog: Catalog | None = None
        self._unknown: dict[str, float] = {}  # names that the catalog did not have, and since when
        self._told: set[str] = set()
        self._samples: deque[tuple[float, Moment]] = deque(maxlen=4096)

    def once(self, message: str, *args: object) -> None:
        """Logs the same line once."""
        line = message % args
        with self._lock:
            if line in self._told or len(self._told) >= 1000:
                return
            self._told.add(line)
        _log.warning("%s", line)

    def forget_catalog(self) -> None:
        """The schema has changed: what the database says of itself is asked anew when needed."""
        with self._lock:
            self._catalog = None
            self._unknown.clear()

    def table(self, name: str, cursor: Callable[[], Any]) -> Table | None:
        """The table of that name, as a statement writes it; None if it is not known.

        Args:
            name: in lower case, with its schema if the statement says so.
            cursor: makes a DBAPI cursor on whose connection the database can be asked now.
        """
        catalog = self._catalog
        found = catalog.resolve(name) if catalog is not None else None
        if found is not None:
            return found
        now = time.monotonic()
        with self._lock:
            asked = self._unknown.get(name)
        if asked is not None and now - asked < _RETRY_S:
            return None
        catalog = self._load(cursor)
        found = catalog.resolve(name) if catalog is not None else None
        with self._lock:
            if catalog is not None:
                self._catalog = catalog
            if found is None and len(self._unknown) < 10_000:
                self._unknown[name] = now
        return found

    def _load(self, cursor: Callable[[], Any]) -> Catalog | None:
        try:
            made = cursor()
        except Exception as error:  # noqa: BLE001 - the user's statement will meet it, and say so
            self.once("%s: the schema of %s cannot be read", error, self.alias)
            return None
        try:
            return load(made, self.dialect)
        except Exception as error:  # noqa: BLE001 - as above
            self.once("%s: the schema of %s cannot be read", error, self.alias)
            return None
        finally:
            made.close()

    def table_tag(self, table: str) -> str:
        """Kills everything that was read from the table."""
        return f"{self.tag}:{encode_segment(table, _SEGMENT)}"

    def scan_tag(self, table: str) -> str:
        """What every look at a table depends on that is not one at a row by its key."""
        return f"{self.table_tag(table)}:~scan"

    def row_tag(self, table: str, key: Key) -> str | None:
        """A row's tag; None if equal keys need not look equal, as with texts and collations."""
        parts = [_key_text(value) for value in key]
        if None in parts:
            return None
        text = ",".join(part for part in parts if part is not None)
        return f"{self.table_tag(table)}:{encode_segment(text, _SEGMENT)}"

    def moment(self) -> Moment:
        """The moment now, of which one in a while is remembered for replicas."""
        moment = self.core.moment()
        if self.replica_lag is not None:
            now = time.monotonic()
            with self._lock:
                if not self._samples or now - self._samples[-1][0] >= _SAMPLE_S:
                    self._samples.append((now, moment))
        return moment

    def moment_of_replica(self) -> Moment | None:
        """A moment that every replica has come to; None if none is known."""
        if self.replica_lag is None:
            return None
        self.moment()
        oldest = time.monotonic() - self.replica_lag
        found = None
        with self._lock:
            for then, moment in self._samples:
                if then > oldest:
                    break
                found = moment
        return found

    def reads_of(
        self, statement: Statement, parameters: Any, cursor: Callable[[], Any]
    ) -> tuple[str, ...] | None:
        """What a statement that only reads depends on; None: that is not known, it is logged."""
        if statement.kind != "read":
            self.once("%s: a statement that is not understood is not cached", self.alias)
            return None
        tags: set[str] = set()
        names = set(statement.reads)
        for function in statement.functions:
            if function not in self._reads:
                self.once(
                    "%s: what %s() gives may change at any time: reads that use it are not cached; "
                    "declare it in reads= if it reads tables alone",
                    self.alias,
                    function,
                )
                return None
            names.update(self._reads[function])
        for name in sorted(names):
            for plain in self._reads.get(name, (name,)):
                table = self.table(plain, cursor)
                if table is None or table.kind != "table":
                    self.once(
                        "%s: %s is no table that is known: reads of it are not cached; declare it "
                        "in reads=",
                        self.alias,
                        plain,
                    )
                    return None
                tags.update(self._read_tags(statement, table, parameters))
        return tuple(tags)

    def _read_tags(self, statement: Statement, table: Table, parameters: Any) -> list[str]:
        keys = row_keys(statement, table.key, parameters) if table.key else None
        if keys is None or len(statement.reads) != 1:
            return [self.scan_tag(table.name)]
        tags = [self.row_tag(table.name, key) for key in keys]
        if None in tags:
            return [self.scan_tag(table.name)]
        return [tag for tag in tags if tag is not None]

    def writes_of(
        self,
        statement: Statement,
        parameters: list[Any],
        cursor: Callable[[], Any],
        *,
        is_insert: bool,
    ) -> Write:
        """What a statement that is about to be executed may change."""
        if statement.kind != "write" or not statement.writes:
            if statement.kind != "ddl":
                self.once(
                    "%s: a statement that is not understood invalidates everything of it",
                    self.alias,
                )
            return Write((self.tag,))
        tags: set[str] = set()
        insert: Table | None = None
        for name in sorted(statement.writes):
            table = self.table(name, cursor)
            if table is None or table.kind != "table":
                self.once(
                    "%s: a write to %s, which is no table that is known, invalidates everything",
                    self.alias,
                    name,
                )
                return Write((self.tag,))
            declared = self._writes.get(name, self._writes.get(table.name))
            if table.has_triggers and declared is None:
                self.once(
                    "%s: %s has triggers: writes to it invalidate everything; declare in writes= "
                    "what they change",
                    self.alias,
                    table.name,
                )
                return Write((self.tag,))
            for other in declared or ():
                found = self.table(other, cursor)
                tags.add(self.table_tag(other if found is None else found.name))
            tags.update(self.table_tag(other) for other in table.inherits)
            if not (is_insert and not statement.upsert) and _may_act(statement, table):
                tags.update(self.table_tag(other) for other in table.written_with)
            rows = self._changed_rows(statement, table, parameters)
            if rows is not None:
                tags.update(rows)
            else:
                tags.add(self.table_tag(table.name))
                if is_insert and not statement.upsert and not table.inherits:
                    insert = table
        return Write(tuple(tags), insert)

    def _changed_rows(
        self, statement: Statement, table: Table, parameters: list[Any]
    ) -> set[str] | None:
        if len(statement.writes) != 1 or not table.key or table.inherits:
            return None
        if statement.upsert or statement.assigned & set(table.key):
            return None
        tags = {self.scan_tag(table.name)}
        for one in parameters:
            keys = row_keys(statement, table.key, one)
            if keys is None:
                return None
            for key in keys:
                tag = self.row_tag(table.name, key)
                if tag is None:
                    return None
                tags.add(tag)
            if len(tags) > _MAX_ROWS:
                return None
        return tags

    def inserted(self, table: Table, keys: Iterable[Key]) -> tuple[str, ...] | None:
        """What rows with these keys change when they come to be; None if that cannot be told."""
        tags = {self.scan_tag(table.name)}
        for key in keys:
            tag = self.row_tag(table.name, key) if len(key) == len(table.key) else None
            if tag is None or len(tags) > _MAX_ROWS:
                return None
            tags.add(tag)
        return tuple(tags)


def _tables_by_name(
    option: str, given: Mapping[str, Iterable[str]] | None
) -> dict[str, tuple[str, ...]]:
    made: dict[str, tuple[str, ...]] = {}
    for name, tables in (given or {}).items():
        listed = [tables] if isinstance(tables, str) else list(tables)
        if not isinstance(name, str) or not all(isinstance(table, str) for table in listed):
            raise InvalidOption(
                f"{option}={{{shown(name)}: {shown(tables)}}}: names are wanted, as in "
                f"{option}={{'totals': ['orders']}}"
            )
        made[name.lower()] = tuple(table.lower() for table in listed)
    return made


def _key_text(value: Any) -> str | None:
    """Equal keys of a column have equal texts, whichever way they are written."""
    if type(value) is int:
        return str(value)
    if isinstance(value, UUID):
        return value.hex
    if type(value) is str and _HEX.fullmatch(value):
        return value.replace("-", "").lower()
    return None


def _may_act(statement: Statement, table: Table) -> bool:
    """Whether actions of foreign keys may change other tables with this one."""
    return not statement.assigned or statement.upsert or bool(statement.assigned & table.referenced)


def _first_word(sql: str) -> str:
    match = _COMMAND.match(sql)
    return match["word"].upper() if match else ""


@dataclass
class Write:
    """What one statement may have changed."""

    tags: tuple[str, ...]
    insert: Table | None = None  # its new keys, once they are known, tell it more precisely
    begun: tuple[int, int] | None = field(default=None, repr=False)
    ends: str = ""  # "commit", "rollback" or "maybe": of a text that ends the transaction


class Connection:
    """What one DBAPI connection has read and written.

    Args:
        database: whose connection it is.
        cursor: makes a DBAPI cursor on it.
        run: runs what may wait for a home; for an event loop, in another thread.
        in_transaction: asks the DBAPI whether a transaction is open; None: it cannot be asked.
        is_replica: it may be behind the database that is written to.
    """

    def __init__(
        self,
        database: Database,
        cursor: Callable[[], Any],
        *,
        run: Callable[[Callable[[], Any]], Any] = _no_run,
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
        self._cursor = cursor
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
        self.begun = self.database.moment()

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
        if statement.kind in {"read", "other"}:
            if _zoocache.in_load() and (statement.kind == "read" or statement.reads):
                self._note_read(statement, parameters, autocommit)
            return None
        if statement.kind == "session":
            self.is_tainted = True
            self.database.forget_catalog()
            return None
        if statement.kind == "transaction":
            return self._before_command(sql)
        if statement.kind == "unknown" and _zoocache.in_load():
            _zoocache.distrust()
        sets = list(parameters or ()) if many else [parameters]
        is_insert = len(statement.writes) == 1 and _first_word(sql) == "INSERT"
        write = self.database.writes_of(statement, sets, self._cursor, is_insert=is_insert)
        if statement.kind != "write":
            self.database.forget_catalog()
        if autocommit:
            self._distrust_load()
            write.begun = self.run(lambda: self.core.begin_write(write.tags))
            return write
        self._writes.append(write)
        if self._bypass is None:
            self._bypass = self.core.bypass()
        self._bypass.enter()
        return write

    def _distrust_load(self) -> None:
        if _zoocache.in_load():
            _zoocache.distrust()

    def _note_read(self, statement: Statement, parameters: Any, autocommit: bool) -> None:
        since: Moment | None = None
        usable = not statement.locks and (not self.is_tainted or self.database.has_key_context)
        if self.is_replica:
            since = self.database.moment_of_replica()
            usable = usable and since is not None
        elif not autocommit and self.is_snapshot:
            since = self.begun
            usable = usable and since is not None
        tags = None
        if usable:
            tags = self.database.reads_of(statement, parameters, self._cursor)
        if tags is None:
            _zoocache.distrust()
        else:
            self.core.note_read(tags, since)

    def _before_command(self, sql: str) -> Write | None:
        word = _first_word(sql)
        if word in {"COMMIT", "END", "RELEASE", "PREPARE"}:
            ends = "commit" if word in {"COMMIT", "END"} else "maybe"
            if not self._writes:
                return Write((), ends=ends)
            tags = self._all_tags()
            return Write(tags, begun=self.run(lambda: self.core.begin_write(tags)), ends=ends)
        if word in {"ROLLBACK", "ABORT"} and not _TO.search(sql):
            return Write((), ends="rollback")
        if word in {"BEGIN", "START"}:
            self.begin()
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
        self._end(write, write.tags)
        if write.ends:
            self._command_ended(write, failed)

    def _narrowed(self, write: Write, told: tuple[str, ...]) -> tuple[str, ...]:
        assert write.insert is not None  # noqa: S101 - for type checkers
        table = self.database.table_tag(write.insert.name)
        return (*(tag for tag in write.tags if tag != table), *told)

    def _end(self, write: Write, held: tuple[str, ...]) -> None:
        begun, write.begun = write.begun, None
        if begun is None:
            return
        self.run(lambda: self.core.end_write(*begun, held, 0, write.tags))

    def _command_ended(self, write: Write, failed: bool) -> None:
        if failed:
            return
        if self._in_transaction is None:
            has_ended = write.ends != "maybe"
        else:  # SQLite commits when it releases a savepoint that began the transaction
            has_ended = not self._in_transaction()
        if has_ended:
            self.ended()

    def _all_tags(self) -> tuple[str, ...]:
        tags = {tag for write in self._writes for tag in write.tags}
        if self.database.tag in tags:
            return (self.database.tag,)
        if len(tags) > _MAX_ROWS:  # by table then
            depth = self.database.tag.count(":") + 2
            tags = {":".join(tag.split(":")[:depth]) for tag in tags}
        return tuple(sorted(tags))

    def declare(self) -> None:
        """The transaction is about to be committed, or prepared.

        Raises:
            HomeUnreachable: it must not be committed.
        """
        if not self._writes or self._declared is not None:
            return
        tags = self._all_tags()
        self._declared = (self.run(lambda: self.core.begin_write(tags)), tags)

    def committed(self) -> None:
        """The transaction was committed.

        Raises:
            HomeUnreachable: what changed could not be told to the home; it will be.
        """
        declared, self._declared = self._declared, None
        self.ended()
        if declared is not None:
            begun, tags = declared
            self.run(lambda: self.core.end_write(*begun, tags, 0))

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

    def commit(self, do_commit: Callable[[], None], is_certain: Callable[[BaseException], bool]) -> None:
        """Commits by `do_commit`; `is_certain(error)`: nothing was committed when it raised that.

        Raises:
            HomeUnreachable: before the commit, which is not done then; or after it.
        """
        self.declare()
        try:
            do_commit()
        except BaseException as error:
            self.commit_failed(is_certain=is_certain(error))
            raise
        self.committed()

    def ended(self) -> None:
        """The transaction was rolled back, or the connection was lost or given back."""
        self._writes = []
        self.begun = None
        declared, self._declared = self._declared, None
        bypass, self._bypass = self._bypass, None
        if bypass is not None:
            bypass.close()
        if declared is not None:
            begun, tags = declared
            self.run(lambda: self.core.cancel_write(*begun, tags))


def _invalidate_twice(database: Database, begun: tuple[int, int], tags: tuple[str, ...]) -> None:
    """For a commit that may still come to pass: nothing of it is stored until it cannot any more."""
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
