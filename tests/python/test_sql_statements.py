"""What statements do, as `_sql.analyse` reads it from their text: a table of texts and answers."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from zoocache.contrib._sql import Statement, analyse, row_keys

BOTH = ("sqlite", "postgresql")
PG = ("postgresql",)
LITE = ("sqlite",)


def sets(names: str) -> frozenset[str]:
    return frozenset(names.split())


# dialects, text, kind, reads, writes, further fields
STATEMENTS: list[tuple[tuple[str, ...], str, str, str, str, dict[str, Any]]] = [
    (BOTH, "SELECT a FROM t", "read", "t", "", {}),
    (BOTH, "select 1", "read", "", "", {}),
    (BOTH, 'SELECT "T"."a" FROM "T" AS "x"', "read", "t", "", {}),
    (
        BOTH,
        "SELECT * FROM a, b JOIN c USING (id) LEFT JOIN d ON d.x = a.x",
        "read",
        "a b c d",
        "",
        {},
    ),
    (
        BOTH,
        "SELECT * FROM (SELECT * FROM a) q WHERE EXISTS (SELECT 1 FROM b)",
        "read",
        "a b",
        "",
        {},
    ),
    (BOTH, "SELECT a FROM x UNION SELECT a FROM y EXCEPT SELECT a FROM z", "read", "x y z", "", {}),
    (BOTH, "SELECT (SELECT max(a) FROM y) FROM x", "read", "x y", "", {}),
    (BOTH, "SELECT * FROM main.t", "read", "main.t", "", {}),
    (BOTH, 'SELECT * FROM "Other"."T"', "read", "other.t", "", {}),
    (LITE, "SELECT * FROM [my table], `b`", "read", "my\0table b", "", {}),
    (BOTH, "VALUES (1), (2)", "read", "", "", {}),
    (PG, "TABLE t", "read", "t", "", {}),
    (PG, "SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.x = a.x) q", "read", "a b", "", {}),
    (PG, "SELECT * FROM ONLY t", "read", "t", "", {}),
    (PG, "SELECT * FROM unnest(%s::int[]) WITH ORDINALITY AS u(a, b)", "read", "", "", {}),
    (BOTH, "SELECT * FROM json_each(a) j, generate_series(1, 2)", "read", "", "", {}),
    (PG, "SELECT * FROM t FOR UPDATE OF t SKIP LOCKED", "read", "t", "", {"locks": True}),
    (PG, "SELECT * FROM t x FOR SHARE OF x", "read", "t", "", {"locks": True}),
    # common table expressions and their scopes
    (BOTH, "WITH a AS (SELECT * FROM b) SELECT * FROM a", "read", "b", "", {}),
    (PG, "WITH a AS (SELECT * FROM a) SELECT * FROM a", "read", "a", "", {}),
    (BOTH, "WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b", "read", "", "", {}),
    (BOTH, "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a", "read", "b", "", {}),
    (BOTH, "SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) q, a", "read", "a", "", {}),
    (BOTH, "WITH a AS (SELECT 1) SELECT * FROM main.a", "read", "main.a", "", {}),
    (
        BOTH,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        "read",
        "",
        "",
        {},
    ),
    (PG, 'WITH "A" AS (SELECT 1) SELECT * FROM a', "read", "a", "", {}),
    (PG, 'WITH "A" AS (SELECT 1) SELECT * FROM "A"', "read", "", "", {}),
    (
        BOTH,
        "WITH x AS (SELECT * FROM a) DELETE FROM b WHERE i IN (SELECT i FROM x)",
        "write",
        "a",
        "b",
        {},
    ),
    (PG, "WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", "write", "", "a", {}),
    (
        PG,
        "WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x, c",
        "write",
        "c",
        "a b",
        {},
    ),
    (
        PG,
        "WITH x AS (UPDATE a SET i = 1 RETURNING *) SELECT * FROM x",
        "write",
        "",
        "a",
        {"assigned": "i"},
    ),
    # writes
    (BOTH, "INSERT INTO t (a, b) VALUES (1, 2)", "write", "", "t", {}),
    (BOTH, "INSERT INTO t DEFAULT VALUES", "write", "", "t", {}),
    (BOTH, "INSERT INTO t SELECT * FROM u", "write", "u", "t", {}),
    (BOTH, "INSERT INTO t SELECT * FROM t", "write", "t", "t", {}),
    (BOTH, "INSERT INTO t (a) VALUES (1) RETURNING id", "write", "", "t", {"returning": True}),
    (BOTH, "INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING", "write", "", "t", {}),
    (
        BOTH,
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = excluded.b, c = 1",
        "write",
        "",
        "t",
        {"upsert": True, "assigned": "b c"},
    ),
    (LITE, "INSERT OR REPLACE INTO t VALUES (1)", "write", "", "t", {"upsert": True}),
    (LITE, "INSERT OR IGNORE INTO t VALUES (1)", "write", "", "t", {}),
    (LITE, "REPLACE INTO t SELECT * FROM u", "write", "u", "t", {"upsert": True}),
    (
        LITE,
        "UPDATE OR REPLACE t SET id = 1 WHERE id = 2",
        "write",
        "",
        "t",
        {"upsert": True, "assigned": "id"},
    ),
    (
        BOTH,
        'UPDATE t SET A = 1, "B" = (SELECT max(x) FROM u)',
        "write",
        "u",
        "t",
        {"assigned": "a b"},
    ),
    (BOTH, "UPDATE t SET a = u.a FROM u WHERE t.id = u.id", "write", "u", "t", {"assigned": "a"}),
    (BOTH, "UPDATE t SET (a, b) = (1, 2)", "write", "", "t", {"assigned": "a b"}),
    (PG, "DELETE FROM t USING u WHERE t.id = u.id", "write", "u", "t", {}),
    (BOTH, "DELETE FROM t WHERE id IN (SELECT id FROM u)", "write", "u", "t", {}),
    (
        PG,
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = 1",
        "write",
        "s",
        "t",
        {"upsert": True, "assigned": "a"},
    ),
    (PG, "TRUNCATE a, ONLY b.c RESTART IDENTITY CASCADE", "write", "", "a b.c", {"upsert": True}),
    (PG, "COPY t (a, b) FROM STDIN", "write", "", "t", {"upsert": True}),
    (PG, "COPY t TO STDOUT", "read", "t", "", {}),
    (PG, "COPY (DELETE FROM t RETURNING *) TO STDOUT", "write", "", "t", {"returning": True}),
    (PG, "REFRESH MATERIALIZED VIEW CONCURRENTLY v", "write", "", "v", {"upsert": True}),
    (PG, "DECLARE c CURSOR FOR SELECT * FROM t", "read", "t", "", {}),
    (PG, "EXPLAIN (ANALYZE, BUFFERS) DELETE FROM t", "write", "", "t", {}),
    (PG, "EXPLAIN ANALYZE VERBOSE UPDATE t SET a = 1", "write", "", "t", {"assigned": "a"}),
    (BOTH, "EXPLAIN DELETE FROM t", "other", "", "", {}),
    # the schema, transactions, sessions
    (BOTH, "CREATE TABLE t AS SELECT * FROM u", "ddl", "t u", "t u", {}),
    (BOTH, "SELECT * INTO x FROM y", "ddl", "y", "x", {}),
    (BOTH, "DROP TABLE t", "ddl", "t", "t", {}),
    (BOTH, "ALTER TABLE t ADD COLUMN a int", "ddl", "t", "t", {}),
    (BOTH, "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM u; END", "ddl", "", "", {}),
    (BOTH, "CREATE TEMP TABLE t (a int)", "session", "", "", {}),
    (PG, "SELECT * INTO TEMP x FROM y", "session", "y", "x", {}),
    (BOTH, "BEGIN", "transaction", "", "", {}),
    (BOTH, "COMMIT", "transaction", "", "", {}),
    (BOTH, 'ROLLBACK TO SAVEPOINT "s1"', "transaction", "", "", {}),
    (BOTH, "RELEASE SAVEPOINT s1", "transaction", "", "", {}),
    (PG, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "transaction", "", "", {}),
    (PG, "PREPARE TRANSACTION 'x'", "transaction", "", "", {}),
    (PG, "SET search_path TO a, b", "session", "", "", {}),
    (PG, "SET ROLE x", "session", "", "", {}),
    (PG, "SET TIME ZONE 'UTC'", "session", "", "", {}),
    (PG, "SET CONSTRAINTS ALL IMMEDIATE", "other", "", "", {}),
    (PG, "RESET ALL", "session", "", "", {}),
    (LITE, "ATTACH 'x' AS y", "session", "", "", {}),
    (LITE, "PRAGMA foreign_keys", "other", "", "", {}),
    (LITE, "PRAGMA foreign_keys = ON", "other", "", "", {}),
    (LITE, "PRAGMA case_sensitive_like = 1", "session", "", "", {}),
    (LITE, "PRAGMA main.table_info('t')", "other", "", "", {}),
    (
        PG,
        "SELECT set_config('search_path', 'x', false)",
        "session",
        "",
        "",
        {"functions": "set_config"},
    ),
    (
        PG,
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "session",
        "",
        "",
        {"functions": "set_config"},
    ),
    (PG, "SHOW search_path", "other", "", "", {}),
    (PG, "LOCK TABLE t", "other", "", "", {"locks": True}),
    (BOTH, " ; -- nothing\n ", "other", "", "", {}),
    # several statements
    (BOTH, "SELECT * FROM a; DELETE FROM b", "write", "a", "b", {}),
    (BOTH, "SELECT * FROM a; COMMIT", "unknown", "", "", {}),
    (BOTH, "SELECT * FROM a; gibberish", "unknown", "", "", {}),
    # what is not known
    (BOTH, "", "other", "", "", {}),
    (BOTH, "gibberish", "unknown", "", "", {}),
    (BOTH, "SELECT FROM WHERE", "unknown", "", "", {}),
    (PG, "DO $$ BEGIN DELETE FROM t; END $$", "unknown", "", "", {}),
    (PG, "CALL p()", "unknown", "", "", {}),
    (PG, "EXECUTE p", "unknown", "", "", {}),
    (PG, "FETCH 10 FROM c", "unknown", "", "", {}),
    (LITE, "SELECT * FROM t WHERE a IN u", "unknown", "", "", {}),
    (LITE, "SELECT * FROM 'secret'", "unknown", "", "", {}),
    (BOTH, 'SELECT * FROM "a.b"', "unknown", "", "", {}),
    (BOTH, "SELECT 'open FROM t", "unknown", "", "", {}),
    (BOTH, "SELECT * FROM t WHERE (a = 1", "unknown", "", "", {}),
    (PG, 'SELECT * FROM U&"d\\0061t"', "unknown", "", "", {}),
    (BOTH, "SELECT * FROM t\0", "unknown", "", "", {}),
    # strings, comments and quotes hold nothing
    (BOTH, "SELECT 'DELETE FROM x; -- ' /* DELETE FROM y */ FROM t -- , z", "read", "t", "", {}),
    (BOTH, 'SELECT "DELETE FROM x" FROM t', "read", "t", "", {}),
    (PG, "SELECT $a$ ' ; DELETE FROM x $b$ $a$ FROM t", "read", "t", "", {}),
    (PG, r"SELECT E'\'; DELETE FROM x' FROM t", "read", "t", "", {}),
    (PG, r"SELECT '\' FROM t -- '", "read", "t", "", {}),
    (PG, "SELECT 1 /* /* */ FROM x */ FROM t", "read", "t", "", {}),
    (LITE, "SELECT 1 /* /* */ FROM t", "read", "t", "", {}),
    (LITE, "SELECT 1 -- \r FROM x\n FROM t", "read", "t", "", {}),
    (PG, "SELECT 1 -- \r FROM t -- \n", "read", "t", "", {}),
    # functions
    (
        BOTH,
        "SELECT lower(a), count(*), coalesce(b, 1), cast(c AS varchar(10)) FROM t",
        "read",
        "t",
        "",
        {},
    ),
    (BOTH, "SELECT my_f(a) FROM t", "read", "t", "", {"functions": "my_f"}),
    (BOTH, "SELECT NVL(a, 1) FROM t", "read", "t", "", {"functions": "nvl"}),
    (BOTH, "SELECT random(), a FROM t", "read", "t", "", {"functions": "random"}),
    (BOTH, "SELECT CURRENT_TIMESTAMP", "read", "", "", {"functions": "current_timestamp"}),
    (BOTH, "SELECT * FROM mine(3) AS m(a, b)", "read", "", "", {"functions": "mine"}),
    (BOTH, "SELECT * FROM (SELECT 1) m(a), mine (4) q", "read", "", "", {"functions": "mine"}),
    (
        PG,
        "SELECT now(), nextval('s'), s.f(1), pg_catalog.lower(a) FROM t",
        "read",
        "t",
        "",
        {"functions": "now nextval s.f"},
    ),
    (PG, 'SELECT "Lower"(a), "lower"(b) FROM t', "read", "t", "", {"functions": "lower"}),
    (PG, "SELECT * FROM t WHERE a > 'yesterday'::date", "read", "t", "", {"functions": "now"}),
    (PG, "SELECT user FROM t", "read", "t", "", {"functions": "user"}),
    (LITE, "SELECT user FROM t", "read", "t", "", {}),
    (LITE, "SELECT date(a), strftime('%Y', a) FROM t", "read", "t", "", {}),
    (LITE, "SELECT date(a) FROM t WHERE b > date('now')", "read", "t", "", {"functions": "date"}),
    (LITE, "SELECT datetime()", "read", "", "", {"functions": "datetime"}),
    (LITE, "SELECT julianday(?)", "read", "", "", {"functions": "julianday"}),
    (
        BOTH,
        "SELECT rank() OVER (PARTITION BY a ORDER BY b), count(*) FILTER (WHERE a = 1) FROM t",
        "read",
        "t",
        "",
        {},
    ),
    (
        BOTH,
        "INSERT INTO t (a) VALUES (my_f(1)) ON CONFLICT (a) DO NOTHING",
        "write",
        "",
        "t",
        {"functions": "my_f"},
    ),
    (BOTH, "WITH q(a) AS (SELECT 1), r (b) AS (SELECT 2) SELECT * FROM q, r", "read", "", "", {}),
    (
        BOTH,
        "SELECT a FROM t WHERE b IN (1, 2) AND NOT f(a) OR g(b) BETWEEN h(1) AND i(2)",
        "read",
        "t",
        "",
        {"functions": "f g h i"},
    ),
]
CASES = [(dialect, *rest) for dialects, *rest in STATEMENTS for dialect in dialects]


@pytest.mark.parametrize(("dialect", "text", "kind", "reads", "writes", "more"), CASES)
def test_statement(
    dialect: Any, text: str, kind: str, reads: str, writes: str, more: dict[str, Any]
) -> None:
    found = analyse(text, dialect)
    names = frozenset(name.replace("\0", " ") for name in sets(reads))
    assert (found.kind, found.reads, found.writes) == (kind, names, sets(writes))
    assert found.functions == sets(more.get("functions", ""))
    assert found.assigned == sets(more.get("assigned", ""))
    assert found.locks == more.get("locks", False)
    assert found.upsert == more.get("upsert", False)
    assert found.returning == more.get("returning", False)


KEY = uuid.UUID(int=7)
# dialects, text, key columns, parameters, keys
ROWS: list[tuple[tuple[str, ...], str, str, Any, list[tuple[Any, ...]] | None]] = [
    (BOTH, "SELECT a FROM t WHERE id = 5", "id", None, [(5,)]),
    (BOTH, "SELECT a FROM t WHERE id = -5", "id", None, [(-5,)]),
    (BOTH, "SELECT a FROM t WHERE 5 = T.ID", "id", None, [(5,)]),
    (BOTH, "SELECT a FROM t WHERE id = %s", "id", (5,), [(5,)]),
    (BOTH, "SELECT a FROM t AS x WHERE x.id = %s LIMIT %s", "id", [5, 21], [(5,)]),
    (BOTH, 'SELECT "t"."a" FROM "t" WHERE "t"."id" = %s ORDER BY "t"."a" ASC', "id", (5,), [(5,)]),
    (LITE, "SELECT a FROM t WHERE b = ? AND id = ?", "id", ("x", 5), [(5,)]),
    (LITE, "SELECT a FROM t WHERE b = ?2 AND id = ?1", "id", (5, "x"), [(5,)]),
    (BOTH, "SELECT a FROM t WHERE (b = :b AND (id = :id))", "id", {"b": 1, "id": 5}, [(5,)]),
    (BOTH, "SELECT a FROM t WHERE id = %(id)s", "id", {"id": 5}, [(5,)]),
    (PG, "SELECT a FROM t WHERE b = $2 AND id = $1::INTEGER", "id", (5, 6), [(5,)]),
    (BOTH, "SELECT a FROM t WHERE id = CAST(%s AS BIGINT)", "id", (5,), [(5,)]),
    (BOTH, "SELECT a FROM t WHERE id = CAST(%s AS BIGINT)", "id", ("5",), None),
    (BOTH, "SELECT a FROM t WHERE id = CAST(%s AS VARCHAR(2))", "id", ("555",), None),
    (BOTH, "SELECT a FROM t WHERE id = CAST(%s AS NUMERIC)", "id", (5,), None),
    (PG, "SELECT a FROM t WHERE id = %s::UUID", "id", (KEY,), [(KEY,)]),
    (BOTH, "SELECT a FROM t WHERE id IN (%s, %s) AND b = %s", "id", (5, 6, 7), [(5,), (6,)]),
    (BOTH, "SELECT a FROM t WHERE b = %s AND id IN (%s, %s, %s)", "id", (4, 5, 6, 5), [(5,), (6,)]),
    (
        PG,
        "SELECT a FROM t WHERE id IN ($1::INTEGER, $2::INTEGER, $3::INTEGER)",
        "id",
        (5, 6, 7),
        [(5,), (6,), (7,)],
    ),
    (PG, "SELECT a FROM t WHERE id IN ($1::INTEGER, $2::TEXT, $3::INTEGER)", "id", (5, 6, 7), None),
    (BOTH, "SELECT a FROM t WHERE id IN (1, 2, %s)", "id", (3,), [(1,), (2,), (3,)]),
    (BOTH, "SELECT a FROM t WHERE x = 1 AND y = %s", "y x", (2,), [(2, 1)]),
    (
        BOTH,
        "SELECT a FROM t WHERE x IN (1, 2) AND y IN (3, 4)",
        "x y",
        (),
        [(1, 3), (1, 4), (2, 3), (2, 4)],
    ),
    (
        BOTH,
        "SELECT count(*) FROM t WHERE id = %s GROUP BY a HAVING count(*) > %s",
        "id",
        (5, 1),
        [(5,)],
    ),
    (BOTH, "UPDATE t SET a = %s WHERE id = %s", "id", (4, 5), [(5,)]),
    (BOTH, "DELETE FROM t WHERE id IN (%s)", "id", (5,), [(5,)]),
    (BOTH, "SELECT a FROM t WHERE b = %s -- done", "id", (5,), None),
    (BOTH, "SELECT a FROM t", "id", None, None),
    (BOTH, "SELECT a FROM t WHERE id = %s OR b = 1", "id", (5,), None),
    (BOTH, "SELECT a FROM t WHERE NOT id = %s", "id", (5,), None),
    (BOTH, "SELECT a FROM t WHERE id NOT IN (%s, %s)", "id", (5, 6), None),
    (BOTH, "SELECT a FROM t WHERE id > %s", "id", (5,), None),
    (BOTH, "SELECT a FROM t WHERE id + 1 = %s", "id", (5,), None),
    (BOTH, "SELECT a FROM t WHERE id = b", "id", (), None),
    (BOTH, "SELECT a FROM t WHERE id = 5.0", "id", (), None),
    (BOTH, "SELECT a FROM t WHERE id = %s", "id", (True,), None),
    (BOTH, "SELECT a FROM t WHERE id = %s", "id", (None,), None),
    (BOTH, "SELECT a FROM t WHERE id = %s", "id", (5.0,), None),
    (BOTH, "SELECT a FROM t WHERE id = %s", "id", (5, 6), None),
    (BOTH, "SELECT a FROM t WHERE id = %s", "id", None, None),
    (BOTH, "SELECT a FROM t WHERE id = %s", "id other", (5,), None),
    (BOTH, "SELECT a FROM t WHERE id = %s", "", (5,), None),
    (BOTH, "SELECT a FROM t, u WHERE t.id = %s", "id", (5,), None),
    (BOTH, "SELECT a FROM t WHERE id = %s UNION SELECT a FROM t WHERE id = %s", "id", (5, 6), None),
    (BOTH, "SELECT a FROM t WHERE id = %s AND EXISTS (SELECT 1 FROM t)", "id", (5,), None),
    (BOTH, "SELECT a FROM (SELECT * FROM t) t WHERE id = %s", "id", (5,), None),
    (BOTH, "WITH q AS (SELECT 1) SELECT a FROM t WHERE id = %s", "id", (5,), None),
    (BOTH, "SELECT f(a) FROM t WHERE id = %s", "id", (5,), None),
    (BOTH, "UPDATE t SET a = 1 FROM u WHERE t.id = %s", "id", (5,), None),
    (LITE, "UPDATE OR REPLACE t SET a = 1 WHERE id = 5", "id", (), None),
    (BOTH, "INSERT INTO t (id) VALUES (%s)", "id", (5,), None),
    # look-alikes: who counts otherwise than we do must not get another row
    (BOTH, "SELECT a FROM t WHERE b = '%s' AND id = %s", "id", (5, 6), None),
    (BOTH, "SELECT a FROM t /* %s */ WHERE id = %s", "id", (5, 6), None),
    (LITE, "SELECT a FROM t WHERE b = '?' AND id = ?", "id", (5,), [(5,)]),
    (LITE, "SELECT a FROM t WHERE b = ? AND id = :x", "id", (5, 6), None),
    (BOTH, "SELECT a FROM t WHERE b LIKE '100%%' AND c = 7 %% 4 AND id = %s", "id", (5,), [(5,)]),
    (PG, "SELECT a FROM t WHERE b ? 'x' AND id = %s", "id", (5,), [(5,)]),
]
ROW_CASES = [(dialect, *rest) for dialects, *rest in ROWS for dialect in dialects]


@pytest.mark.parametrize(("dialect", "text", "columns", "parameters", "keys"), ROW_CASES)
def test_rows(dialect: Any, text: str, columns: str, parameters: Any, keys: Any) -> None:
    assert row_keys(analyse(text, dialect), columns.split(), parameters) == keys


@pytest.mark.parametrize("dialect", BOTH)
def test_lists_of_any_length_share_one_shape(dialect: Any) -> None:
    for length in (3, 64, 65, 5000):
        text = f"SELECT a FROM t WHERE b = %s AND id IN ({', '.join(['%s'] * length)})"
        found = analyse(text, dialect)
        assert (found.kind, found.reads, found.positional) == ("read", {"t"}, length + 1)
        expected = [(n,) for n in range(length)] if length <= 64 else None
        assert row_keys(found, ["id"], (0, *range(length))) == expected


@pytest.mark.parametrize("dialect", BOTH)
def test_rows_of_values_share_one_shape(dialect: Any) -> None:
    from zoocache.contrib._sql_text import read_shape

    shapes = set()
    for rows in (2, 300):
        text = f"INSERT INTO t (a, b) VALUES {', '.join(['(%s, NULL)'] * rows)} RETURNING id"
        assert analyse(text, dialect).writes == {"t"}
        shapes.add(read_shape(text, dialect).text)
    assert len(shapes) == 1


def test_a_statement_is_shared() -> None:
    assert analyse("SELECT a FROM t", "sqlite") is analyse("SELECT a FROM t", "sqlite")
    assert analyse("nonsense", "sqlite") == Statement("unknown")


def test_the_parser_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert analyse("SELECT 1 FROM t; VACUUM FULL NOW 1", "postgresql").kind != "write"
    assert analyse("ALTER SYSTEM SET a = 1", "postgresql").kind == "ddl"
    assert not caplog.records
