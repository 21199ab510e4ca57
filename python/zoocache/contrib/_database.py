"""Which rows and tables a statement reads or changes, as tags of one database.

A row is `db:<alias>:<table>:<key>`, and whatever looks at more of a table than rows by their keys
depends on `db:<alias>:<table>:~scan`. Who changes a row invalidates both; who changes what cannot
be told in rows invalidates the table, and with it everything below. Nobody depends on a table's or
a database's bare tag: its children would die without it.

What is not understood errs to the safe side, with one line in the log `zoocache.database`: a read
is returned and not stored, a write invalidates the whole database. What is done with the tags, and
when: `_connection`. Thread-safety: everything from any thread.
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

from zoocache._errors import InvalidOption, shown
from zoocache._template import encode_segment
from zoocache.contrib._catalog import Catalog, Table, load
from zoocache.contrib._catalog_postgresql import ask_schemas
from zoocache.contrib._context import add_context
from zoocache.contrib._once import Once
from zoocache.contrib._outbox import DEFAULT_INTERVAL_S, Outbox
from zoocache.contrib._sql import Statement, row_keys
from zoocache.contrib._sql_text import Dialect

if TYPE_CHECKING:
    from zoocache import Cache
    from zoocache._zoocache import Moment

__all__ = ["MAX_ROWS", "Database", "Key", "Where", "Write", "default_cache"]

_log = logging.getLogger("zoocache.database")

_SEGMENT = 72  # characters of a segment; three of them and "db:" fit into the default tag length
_RETRY_S = 60.0  # then a name that the catalog did not have is asked for again
MAX_ROWS = 1000
_SAMPLE_S = 0.05
_HEX = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}(?:\1[0-9a-fA-F]{4}){2}\1[0-9a-fA-F]{12}")
Key = tuple[Any, ...]


def default_cache() -> Cache:
    """The cache of the module's functions."""
    import zoocache  # noqa: PLC0415 - it may be what imports this

    return zoocache._default  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


@dataclass(frozen=True)
class Where:
    """A connection that a statement is executed on.

    Attributes:
        cursor: makes a DBAPI cursor on it, by which the database can be asked now.
        schemas: where it looks for names; None: as every connection does.
        is_common: no table of its own hides another's.
    """

    cursor: Callable[[], Any]
    schemas: tuple[str, ...] | None = None
    is_common: bool = True


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
        key_context: returns what else decides what is read, see `_context`; with it, what is read
            on connections with settings of their own is stored.
        outbox: whether commits keep their tags in the database until they are told, see `_outbox`;
            or the name of its table.
        outbox_interval: seconds from one look for what others have left there to the next.

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
        key_context: Callable[[], object] | None = None,
        outbox: bool | str = False,
        outbox_interval: float = DEFAULT_INTERVAL_S,
    ) -> None:
        if dialect not in ("sqlite", "postgresql"):
            raise InvalidOption(
                f"{shown(dialect)}: dependencies are captured from SQLite and PostgreSQL; for "
                "other databases name them in deps= and call invalidate()"
            )
        if not alias:
            raise InvalidOption(f"alias={shown(alias)}: a name of the database is wanted, a str")
        if replica_lag is not None and not replica_lag >= 0:
            raise InvalidOption(f"replica_lag={shown(replica_lag)}: seconds, 0 or more")
        if cache.options.get("max_tag_length", 256) < 3 * _SEGMENT + 8:
            raise InvalidOption(
                f"max_tag_length={cache.options['max_tag_length']}: tags of rows take up to "
                f"{3 * _SEGMENT + 8} characters"
            )
        self.core = cache.core
        self.has_context = key_context is not None
        self.dialect: Dialect = "sqlite" if dialect == "sqlite" else "postgresql"
        self.alias = alias
        self.once = Once(_log)
        self.max_commit_time = float(cache.options.get("max_commit_time", 60))
        self.outbox = (
            Outbox(outbox, self.dialect, outbox_interval, self.max_commit_time) if outbox else None
        )
        self.tag = f"db:{encode_segment(alias, _SEGMENT)}"
        self.replica_lag = replica_lag
        self._reads = _tables_by_name("reads", reads)
        self._writes = _tables_by_name("writes", writes)
        self._lock = threading.Lock()  # guards what follows
        self._catalog: Catalog | None = None
        # Names that the catalog did not have in these schemas, and since when.
        self._unknown: dict[tuple[str, tuple[str, ...] | None], float] = {}
        self._asks_again = 0.0
        self._samples: deque[tuple[float, Moment]] = deque(maxlen=4096)
        self.schema_version = 0  # grows with every change of the schema that is known of
        if key_context is not None:
            add_context(self.core, alias, key_context)

    def forget_catalog(self) -> None:
        """The schema has changed: what the database says of itself is asked anew when needed."""
        with self._lock:
            self._catalog = None
            self._asks_again = 0.0
            self._unknown.clear()
            self.schema_version += 1

    def table(self, name: str, where: Where) -> Table | None:
        """The table of that name, as a statement writes it; None if it is not known.

        Args:
            name: in lower case, with its schema if the statement says so.
            where: the statement's connection.
        """
        catalog = self._catalog
        found = catalog.resolve(name, where.schemas) if catalog is not None else None
        if found is not None:
            return found
        now = time.monotonic()
        asked_for = (name, where.schemas)
        with self._lock:
            asked = self._unknown.get(asked_for)
        if asked is not None and now - asked < _RETRY_S:
            return None
        catalog = self._load(where.cursor)
        found = catalog.resolve(name, where.schemas) if catalog is not None else None
        with self._lock:
            if catalog is not None:
                self._catalog = catalog
            if found is None and len(self._unknown) < 10_000:
                self._unknown[asked_for] = now
        return found

    def learn(self, cursor: Callable[[], Any]) -> None:
        """Asks the database about its tables, if it was not asked before."""
        if self._catalog is not None:
            return
        now = time.monotonic()
        with self._lock:
            if now < self._asks_again:
                return
            self._asks_again = now + _RETRY_S
        catalog = self._load(cursor)
        if catalog is not None:
            with self._lock:
                self._catalog = catalog

    def known_table(self, name: str, schemas: tuple[str, ...] | None) -> Table | None:
        """As `table`, if the database need not be asked."""
        catalog = self._catalog
        return None if catalog is None else catalog.resolve(name, schemas)

    def is_readable(self, table: Table | None, name: str = "") -> bool:
        """Whether what is read from the table is known by its rows; `name`: as it was declared."""
        if table is None or not self.has_context:
            return table is not None and table.kind == "table"
        is_declared = table.kind == "guarded" and name in self._reads
        return table.kind in {"table", "secured"} or is_declared

    def where(self, cursor: Callable[[], Any]) -> Where | None:
        """Where a connection looks for names now; None if it cannot be asked."""
        if self.dialect == "sqlite":
            return Where(cursor)
        try:
            made = cursor()
            try:
                found, has_own = ask_schemas(made)
            finally:
                made.close()
        except Exception as error:  # noqa: BLE001 - the user's statement will meet it, and say so
            self.once("%s: where names are looked for in %s is not known", error, self.alias)
            return None
        return Where(cursor, found, not has_own)

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
        self, statement: Statement, parameters: Any, where: Where
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
                table = self.table(plain, where)
                if table is None or not self.is_readable(table, name):
                    self._refuse(table, plain)
                    return None
                tags.update(self._read_tags(statement, table, parameters))
        return tuple(tags)

    def _refuse(self, table: Table | None, name: str) -> None:
        if table is not None and table.kind == "secured":
            self.once(
                "%s: %s has row level security: reads of it are not cached without key_context=",
                self.alias,
                name,
            )
            return
        self.once(
            "%s: %s is no table that is known: reads of it are not cached; declare it in reads=",
            self.alias,
            name,
        )

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
        where: Where,
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
            table = self.table(name, where)
            if table is None or table.kind not in {"table", "secured", "guarded"}:
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
                found = self.table(other, where)
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
            if len(tags) > MAX_ROWS:
                return None
        return tags

    def inserted(self, table: Table, keys: Iterable[Key]) -> tuple[str, ...] | None:
        """What rows with these keys change when they come to be; None if that cannot be told."""
        tags = {self.scan_tag(table.name)}
        for key in keys:
            tag = self.row_tag(table.name, key) if len(key) == len(table.key) else None
            if tag is None or len(tags) > MAX_ROWS:
                return None
            tags.add(tag)
        return tuple(tags)


def _tables_by_name(
    option: str, given: Mapping[str, Iterable[str]] | None
) -> dict[str, tuple[str, ...]]:
    made: dict[str, tuple[str, ...]] = {}
    for name, tables in (given or {}).items():
        listed = [tables] if isinstance(tables, str) else list(tables)
        names: list[object] = [name, *listed]
        if not all(isinstance(one, str) for one in names):
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
    return not statement.assigned or statement.upsert or bool(statement.assigned & table.acting)


@dataclass
class Write:
    """What one statement may have changed."""

    tags: tuple[str, ...]
    insert: Table | None = None  # its new keys, once they are known, tell it more precisely
    begun: tuple[int, int] | None = field(default=None, repr=False)
    row: str = ""  # of the outbox
    ends: str = ""  # "commit", "rollback" or "maybe": of a text that ends the transaction
