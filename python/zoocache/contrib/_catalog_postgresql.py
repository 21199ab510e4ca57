"""What PostgreSQL says of its tables: the catalogs of the schema pg_catalog."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from zoocache.contrib._catalog_tables import Cursor, Draft, Drafts, TableKind
from zoocache.contrib._sql import analyse

# No statement here has a parameter, a percent sign or a question mark: every style passes it on.
_PATH = "SELECT name FROM unnest(current_schemas(false)) WITH ORDINALITY AS s(name, n) ORDER BY n"
_SCHEMAS = _PATH.replace("false", "true")
_SYSTEM = """
SELECT relname::text FROM pg_catalog.pg_class
WHERE relnamespace = 'pg_catalog'::regnamespace
"""
_OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
_TABLES = f"""
SELECT n.nspname::text, c.relname::text, c.relkind::text, c.relrowsecurity,
  EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
  OR EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r
             WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_OURS}
"""  # noqa: S608  constants
_COLUMNS = f"""
SELECT n.nspname::text, c.relname::text, a.attname::text
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND {_OURS}
"""  # noqa: S608
_KEYS = f"""
SELECT n.nspname::text, c.relname::text, a.attname::text
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
WHERE i.indisprimary AND k.place <= i.indnkeyatts AND {_OURS}
ORDER BY 1, 2, k.place
"""  # noqa: S608
_FOREIGN_KEYS = """
SELECT pn.nspname::text, p.relname::text, cn.nspname::text, c.relname::text, a.attname::text
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class p ON p.oid = f.confrelid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
JOIN pg_catalog.pg_class c ON c.oid = f.conrelid
JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON f.confupdtype IN ('c', 'n', 'd')
  AND a.attrelid = f.confrelid AND a.attnum = ANY (f.confkey)
WHERE f.contype = 'f' AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))
"""
_HEIRS = """
SELECT pn.nspname::text, p.relname::text, cn.nspname::text, c.relname::text
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
WHERE p.relkind IN ('r', 'p', 'f')
"""
_POLICIES = """
SELECT n.nspname::text, c.relname::text, pg_catalog.pg_get_expr(p.polqual, p.polrelid)
FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.polqual IS NOT NULL
"""
# What these give is set for the connection, and no row of a table.
_SET = frozenset({"current_setting", "current_user", "current_role", "session_user", "user"})
_KINDS: dict[str, TableKind] = {"r": "table", "p": "table", "v": "view"}


def read(cursor: Cursor, drafts: Drafts) -> tuple[tuple[str, ...], frozenset[str]]:
    """Gathers the tables; returns the search path and the names of the database itself."""
    path = tuple(str(row[0]).lower() for row in _ask(cursor, _PATH))
    system = frozenset(str(row[0]).lower() for row in _ask(cursor, _SYSTEM))
    guarded = {
        (schema, table)
        for schema, table, condition in _ask(cursor, _POLICIES)
        if not _is_plain(f"SELECT 1 WHERE {condition}")
    }
    for schema, table, relkind, secured, triggers in _ask(cursor, _TABLES):
        kind = _KINDS.get(str(relkind), "other")
        if secured and kind == "table":  # by row level security
            kind = "guarded" if (schema, table) in guarded else "secured"
        drafts.add(str(schema), str(table), Draft(kind, has_triggers=bool(triggers)))
    columns: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in _ask(cursor, _COLUMNS):
        columns.setdefault((str(schema), str(table)), []).append(str(column))
    for (schema, table), names in columns.items():
        drafts.describe(schema, table, names)
    keys: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in _ask(cursor, _KEYS):
        keys.setdefault((str(schema), str(table)), []).append(str(column))
    for (schema, table), names in keys.items():
        drafts.key(schema, table, names)
    for parent_schema, parent, schema, table, column in _ask(cursor, _FOREIGN_KEYS):
        acting = [] if column is None else [str(column)]
        drafts.act((str(parent_schema), str(parent)), (str(schema), str(table)), acting)
    for parent_schema, parent, schema, table in _ask(cursor, _HEIRS):
        drafts.inherit((str(parent_schema), str(parent)), (str(schema), str(table)))
    return path, system


def _is_plain(condition: str) -> bool:
    """Whether a policy looks at the row and at what is set for the connection alone."""
    statement = analyse(condition, "postgresql")
    return statement.kind == "read" and not statement.reads and statement.functions <= _SET


def ask_schemas(cursor: Cursor) -> tuple[tuple[str, ...], bool]:
    """Where a connection looks for names now, and whether tables of its own may hide others."""
    cursor.execute(_SCHEMAS)
    names = [str(row[0]).lower() for row in cursor.fetchall()]
    ours = tuple(name for name in names if not name.startswith("pg_"))
    return ours, any(name.startswith("pg_temp") for name in names)


def _ask(cursor: Cursor, text: str) -> Iterable[Sequence[Any]]:
    cursor.execute(text)
    return list(cursor.fetchall())
