"""The outbox of Django's databases: `ZOOCACHE_DATABASES[...]["outbox"]`, see `contrib._outbox`.

    def forwards(apps, schema_editor):
        create_outbox(schema_editor.connection.alias)

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]

Thread-safety: everything from any thread.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from zoocache.contrib._database import Database
from zoocache.contrib._outbox import DEFAULT_TABLE, Drainer, create_table

__all__ = ["create_outbox", "start_draining"]

_lock = threading.Lock()
_drainers: weakref.WeakKeyDictionary[Database, Drainer] = weakref.WeakKeyDictionary()


def create_outbox(using: str = "default", table: str = DEFAULT_TABLE) -> None:
    """Makes the table of the option `outbox`, if it is not there, in the transaction of the caller.

    Args:
        using: the connection's name in DATABASES.
        table: its name, as "zoocache_outbox" or "schema.zoocache_outbox".

    Raises:
        InvalidOption: the name is none.
        DatabaseError: the database refuses.
    """
    wrapper = connections[using]
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors:
        create_table(wrapper.connection.cursor, table)


def start_draining(database: Database, wrapper: BaseDatabaseWrapper) -> None:
    """Drains the database's outbox from now on, if it has one. Called any number of times."""
    outbox = database.outbox
    in_memory = getattr(wrapper, "is_in_memory_db", None)
    if outbox is None or (in_memory is not None and in_memory()):
        return
    with _lock:
        if database in _drainers:
            return
        alias = wrapper.alias
        connect = functools.partial(_with_connection, alias)
        _drainers[database] = Drainer(outbox, database.core, database, connect, alias)


def _with_connection(alias: str, _: Any, work: Callable[[Any], None]) -> None:
    """Calls `work` with a DBAPI connection that nobody else has."""
    wrapper = connections.create_connection(alias)
    try:
        wrapper.connect()
        work(wrapper.connection)
    finally:
        wrapper.close()
