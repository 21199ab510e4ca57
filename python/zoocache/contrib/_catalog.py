"""What a database says of itself: its tables, their keys, and what a write of one does to others.

A catalog is read through a DBAPI cursor, which must see what the statements see that are resolved
with it: the same database, search path and attached databases. It does not follow changes; read it
anew after one. Temporary tables of other connections are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from zoocache.contrib import _catalog_postgresql, _catalog_sqlite
from zoocache.contrib._catalog_tables import Cursor, Drafts, Table
from zoocache.contrib._sql_text import Dialect

__all__ = ["Catalog", "Cursor", "Table", "load"]


@dataclass(frozen=True)
class Catalog:
    """The relations of a database. Immutable; thread-safe.

    Attributes:
        path: the schemas in which an unqualified name is looked for, in this order.
        tables: by schema and name as both are written, lower case.
    """

    path: tuple[str, ...]
    tables: Mapping[tuple[str, str], Table]
    # Names that belong to the database itself and are found first.
    system: frozenset[str] = frozenset()

    def resolve(self, name: str, schemas: tuple[str, ...] | None = None) -> Table | None:
        """Returns the table that "table" or "schema.table" names, in any case; None: unknown.

        `schemas`: in place of `path`, as the connection that names it looks for it.
        """
        schema, _, table = name.lower().rpartition(".")
        if schema:
            return self.tables.get((schema, table))
        if table in self.system:
            return None
        for schema in self.path if schemas is None else schemas:
            found = self.tables.get((schema, table))
            if found is not None:
                return found
        return None


def load(cursor: Cursor, dialect: Dialect) -> Catalog:
    """Returns what the database says of itself now.

    Args:
        cursor: of a DBAPI connection; rows are tuples. Only reads.
        dialect: "sqlite" or "postgresql".

    Raises whatever the cursor raises. Safe to call from several threads with a cursor each.
    """
    read = _catalog_sqlite.read if dialect == "sqlite" else _catalog_postgresql.read
    drafts = Drafts("main" if dialect == "sqlite" else "public")
    path, system = read(cursor, drafts)
    return Catalog(path, MappingProxyType(drafts.tables()), system)
