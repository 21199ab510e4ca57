"""What SQLite says of its tables: sqlite_master and PRAGMAs of every attached database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from zoocache.contrib._catalog_tables import Cursor, Draft, Drafts, TableKind

_NO_ACTION = frozenset({"NO ACTION", "RESTRICT"})


def read(cursor: Cursor, drafts: Drafts) -> tuple[tuple[str, ...], frozenset[str]]:
    """Gathers the tables; returns the path of schemas and the names of the database itself.

    An unqualified name is looked for in temp, in main, then in the attached databases in the order
    of their attachment.
    """
    attached = [str(row[1]).lower() for row in _ask(cursor, "PRAGMA database_list")]
    path = ["temp", *(name for name in attached if name != "temp")]
    for schema in path:
        for kind, name, text in _objects(cursor, schema):
            if kind in {"table", "view"}:
                _read_table(cursor, drafts, schema, name, text if kind == "table" else None)
    for schema in path:
        for kind, name, _ in _objects(cursor, schema, "tbl_name"):
            if kind == "trigger":
                # One in temp may stand on a table of any database.
                drafts.trigger(path if schema == "temp" else [schema], name)
    return tuple(path), frozenset()


def _ask(cursor: Cursor, text: str) -> Iterable[Sequence[Any]]:
    cursor.execute(text)
    return list(cursor.fetchall())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _objects(cursor: Cursor, schema: str, name: str = "name") -> list[tuple[str, str, str]]:
    master = "sqlite_temp_master" if schema == "temp" else "sqlite_master"
    rows = _ask(cursor, f"SELECT type, {name}, sql FROM {_quoted(schema)}.{master}")  # noqa: S608
    return [
        (str(kind), str(one), str(text or ""))
        for kind, one, text in rows
        if not str(one).lower().startswith("sqlite_")
    ]


def _read_table(cursor: Cursor, drafts: Drafts, schema: str, name: str, text: str | None) -> None:
    """One table; a view has no text here."""
    where = f"{_quoted(schema)}."
    kind: TableKind = "table" if text is not None else "view"
    if text is not None and text.split(None, 2)[1:2] and text.split()[1].upper() == "VIRTUAL":
        kind = "other"
    key: dict[int, str] = {}
    columns: list[str] = []
    try:
        described = _ask(cursor, f"PRAGMA {where}table_info({_quoted(name)})")
        foreign = _ask(cursor, f"PRAGMA {where}foreign_key_list({_quoted(name)})")
    except Exception:  # noqa: BLE001  a view on what is gone, a module that is not loaded
        described, foreign, kind = [], [], "other"
    for row in described:
        columns.append(str(row[1]))
        if row[5]:
            key[int(row[5])] = str(row[1])
    drafts.add(schema, name, Draft(kind, tuple(key[at] for at in sorted(key)), columns))
    for row in foreign:
        if not {str(row[5]).upper(), str(row[6]).upper()} <= _NO_ACTION:
            acting: list[str] | None = []
            if str(row[5]).upper() not in _NO_ACTION:
                acting = None if row[4] is None else [str(row[4])]  # None: the primary key
            drafts.act((schema, str(row[2])), (schema, name), acting)
