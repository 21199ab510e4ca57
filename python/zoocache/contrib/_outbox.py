"""What commits change, kept in the database itself until it is told: for deaths that nobody sees.

    transaction ─── before COMMIT ──> its tags are a row of the outbox, of the same transaction
                ─── COMMIT ─────────> the row is there if, and only if, the change is
                ─── invalidated ────> the row is deleted
    any process ─── now and then ───> what is still there is invalidated, and deleted then

So whatever happens to the writer and to what was told of it elsewhere, a row says what is to be
invalidated, and every process that uses the database invalidates it: at its start, and every
`outbox_interval` seconds. A row goes when the home has acknowledged its tags, not before.

A statement that commits itself has no transaction to put a row into. Its row comes before it, in
doubt: it is invalidated by whoever finds it, and deleted by others only once it is older than
max_commit_time, since the change may come after it. Interleavings, with C the commit:
    (1) the writer dies before C: no row. A row in doubt: what is invalidated is loaded again.
    (2) it dies after C: the row is found, and what was loaded before C dies.
    (3) two find it: it is invalidated twice, which harms nobody.
    (4) the finder dies before it deletes the row, or the home does not answer: it is found again.
    (5) C is in doubt (a broken connection): the row is there if it came to pass, and stays.
    (6) a prepared transaction is committed by another program: the row appears with it.
Statements hold no parameters, so that the drivers' styles do not matter: an id is hexadecimal, a
tag holds no whitespace. They pass below what follows statements, and count as no writes.
Thread-safety: everything from any thread, a connection by one at a time.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from zoocache._errors import InvalidOption, shown

if TYPE_CHECKING:
    from zoocache._zoocache import Core
    from zoocache.contrib._sql_text import Dialect

__all__ = ["DEFAULT_TABLE", "Drainer", "Outbox", "create_table"]

_log = logging.getLogger("zoocache.database")

DEFAULT_TABLE = "zoocache_outbox"
DEFAULT_INTERVAL_S = 5.0
_AT_ONCE = 1000  # rows
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", re.ASCII)
_NOW = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch FROM clock_timestamp())",
}
_IS_MISSING = frozenset({"42P01", "42501", "3F000"})  # no such table, no right to it, no schema
_ABORTED = "25P02"  # nothing will be committed


def _table_name(given: bool | str) -> str:
    name = DEFAULT_TABLE if given is True else given
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidOption(
            f"outbox={shown(given)}: True or the table's name is wanted, as in "
            "outbox='shop.zoocache_outbox'"
        )
    return name


def create_table(cursor: Callable[[], Any], table: bool | str) -> None:
    """Makes the table, if it is not there, on a DBAPI connection; the caller commits.

    Raises:
        InvalidOption: the name is none.
    """
    _execute(
        cursor,
        f"CREATE TABLE IF NOT EXISTS {_table_name(table)} (id VARCHAR(32) NOT NULL PRIMARY KEY, "
        "tags TEXT NOT NULL, in_doubt INTEGER NOT NULL, created DOUBLE PRECISION NOT NULL)",
    )


class Outbox:
    """The outbox of one database.

    Args:
        table: its name, or True for the default.
        dialect: "sqlite" or "postgresql".
        interval_s: seconds from one look to the next.
        max_commit_time_s: seconds that a statement which commits itself takes at the most.

    Raises:
        InvalidOption: a value that is not allowed.
    """

    def __init__(
        self, table: bool | str, dialect: Dialect, interval_s: float, max_commit_time_s: float
    ) -> None:
        self._table = _table_name(table)
        if not interval_s > 0:
            raise InvalidOption(f"outbox_interval={shown(interval_s)}: seconds, more than 0")
        self.interval_s = float(interval_s)
        self._now = _NOW[dialect]
        self._max_commit_time_s = max_commit_time_s

    def put(self, cursor: Callable[[], Any], tags: tuple[str, ...], *, in_doubt: bool) -> str:
        """Makes a row of the tags in the transaction that is open; returns its id.

        Raises:
            InvalidOption: there is no such table, or no right to it.
        """
        made = uuid.uuid4().hex
        text = " ".join(tags).replace("'", "''")
        try:
            _execute(
                cursor,
                f"INSERT INTO {self._table} (id, tags, in_doubt, created) "  # noqa: S608 - names
                f"VALUES ('{made}', '{text}', {int(in_doubt)}, {self._now})",
            )
        except Exception as error:
            if _state(error) == _ABORTED:
                return ""
            if _state(error) in _IS_MISSING or "no such table" in str(error):
                raise InvalidOption(
                    f"outbox: {self._table} cannot be written ({shown(str(error))}), so that "
                    "nothing is committed: make the table with create_outbox(), and allow "
                    "INSERT, SELECT and DELETE"
                ) from error
            raise
        return made

    def take(self, connection: Any, ids: Iterable[str]) -> None:
        """Deletes rows that are told, on a DBAPI connection without an open transaction.

        What fails stays: it will be found, and told again.
        """
        listed = ", ".join(f"'{one}'" for one in ids if one)
        if not listed:
            return
        try:
            self._delete(connection, listed)
        except Exception as error:  # noqa: BLE001 - the commit has come to pass
            _log.debug("%s: a row stays: %s", self._table, error)
            _quietly(connection.rollback)

    def _delete(self, connection: Any, listed: str) -> None:
        statement = f"DELETE FROM {self._table} WHERE id IN ({listed})"  # noqa: S608 - ids
        _execute(connection.cursor, statement)
        connection.commit()

    def drain(self, connection: Any, core: Core) -> int:
        """Invalidates what is there and deletes it; returns the number of rows.

        Args:
            connection: of the DBAPI, without an open transaction.
            core: of the cache that is told.

        Raises whatever the connection raises, and HomeUnreachable; what is left is found again.
        """
        found = 0
        while True:
            rows = _execute(
                connection.cursor,
                f"SELECT id, tags, in_doubt, {self._now} - created "  # noqa: S608
                f"FROM {self._table} ORDER BY id LIMIT {_AT_ONCE} OFFSET {found}",
                fetch=True,
            )
            connection.rollback()  # no transaction is held while the home is told
            tags = sorted({tag for row in rows for tag in str(row[1]).split()})
            if not tags or core.invalidate_from(0, tuple(tags), False) == 0:
                return found
            old = [
                str(row[0]) for row in rows if not row[2] or float(row[3]) > self._max_commit_time_s
            ]
            if old:
                self._delete(connection, ", ".join(f"'{one}'" for one in old))
            found += len(rows) - len(old)
            if len(rows) < _AT_ONCE:
                return found + len(old)


class Drainer:
    """Drains an outbox from a thread of its own, for as long as its owner lives.

    Args:
        outbox: which.
        core: of the cache that is told.
        owner: whose end ends the thread.
        connect: (owner, work) -> None; calls `work` with a DBAPI connection of its own.
        name: for messages.
    """

    def __init__(
        self,
        outbox: Outbox,
        core: Core,
        owner: Any,
        connect: Callable[[Any, Callable[[Any], None]], None],
        name: str,
    ) -> None:
        self._outbox = outbox
        self._core = core
        self._owner = weakref.ref(owner, lambda _: self.stop())
        self._connect = connect
        self._name = name
        self._said = ""
        self.start()
        _drainers.add(self)

    def start(self) -> None:
        """Begins, at once; also in the child after a fork."""
        self._ended = threading.Event()
        threading.Thread(
            target=self._run, args=(self._ended,), name="zoocache-outbox", daemon=True
        ).start()

    def stop(self) -> None:
        """Ends the thread, after the look that it is at."""
        _drainers.discard(self)
        self._ended.set()

    def _run(self, ended: threading.Event) -> None:
        while not ended.is_set():
            owner = self._owner()
            if owner is None:
                return
            try:
                self._connect(owner, self._drain)
                self._said = ""
            except Exception as error:  # noqa: BLE001 - it is tried again
                if str(error) != self._said:
                    _log.warning("%s: the outbox cannot be drained: %s", self._name, error)
                self._said = str(error)
            del owner
            ended.wait(self._outbox.interval_s)

    def _drain(self, connection: Any) -> None:
        drained = self._outbox.drain(connection, self._core)
        if drained:
            _log.info("%s: %d rows of the outbox were invalidated", self._name, drained)


_drainers: weakref.WeakSet[Drainer] = weakref.WeakSet()


def _after_fork() -> None:
    for drainer in list(_drainers):
        drainer.start()


os.register_at_fork(after_in_child=_after_fork)


def _execute(cursor: Callable[[], Any], statement: str, *, fetch: bool = False) -> list[Any]:
    made = cursor()
    try:
        made.execute(statement)
        return list(made.fetchall()) if fetch else []
    finally:
        made.close()


def _state(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")


def _quietly(call: Callable[[], Any]) -> None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - it is lost already
        _log.debug("%s", error)
