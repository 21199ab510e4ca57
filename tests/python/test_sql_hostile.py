"""`_sql.analyse` against hostile texts, and against what SQLite itself says that a text touches.

SQLite asks an authorizer about every table that a statement reads or writes and every function that
it calls. Whatever SQLite accepts, the analysis may name more, and never less.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoocache.contrib._sql import analyse, row_keys
from zoocache.contrib._sql_functions import PURE

PIECES = [
    *"SELECT a FROM t WHERE id = %s ? :x $1 %(x)s IN ( ) INSERT INTO VALUES UPDATE SET".split(),
    *"DELETE WITH AS UNION , ; * . ' \" ` [ ] -- /* */ $$ $x$ E' U&\" ::int %% \\ 5 -1".split(),
    *"f( NOT AND OR CASE EXISTS COMMIT '%s' \"?\" FOR UPDATE MERGE COPY TRUNCATE".split(),
    *("\n", "\0", "\ud800", "\u00e9", "\xa0", "/* :x */", "-- %s\n", "SET ROLE"),
]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join)))
@settings(max_examples=400, deadline=None)
def test_no_text_raises(dialect: Any, text: str) -> None:
    found = analyse(text, dialect)
    row_keys(found, ["id"], (1, 2, 3))
    row_keys(found, ["id"], {"x": 1})


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + "(" * 90 + "1" + ")" * 90,
        "SELECT " + "NOT " * 20000 + "1",
        "SELECT " + "- " * 20000 + "1",
        "SELECT " + "CASE WHEN " * 3000 + "1",
        "SELECT 1 WHERE " + " AND ".join(["a = 1"] * 3000),
        "SELECT " + "'" * 100_001,
        "SELECT '" + "''" * 100_000,
        "(" * 100_000,
        "/*" * 100_000,
        "SELECT " + "(1," * 50_000,
        "VALUES " + "(1, %s)," * 20_000,
        "SELECT a FROM t WHERE id IN (" + "%s, " * 100_000,
    ],
    ids=lambda text: text[:24],
)
def test_no_text_hangs(dialect: Any, text: str) -> None:
    assert analyse(text, dialect) is not None


TABLES = ("a", "b", "c")
names = st.sampled_from([*TABLES, '"a"', '"B"', "[c]", "`a`", "main.b", 'main."c"'])
noise = st.sampled_from(["", " ", " /* FROM b */ ", " -- ; DELETE FROM c\n", " /* ' */ "])
values = st.sampled_from(
    ["1", "?", "'from b'", "'it''s -- c'", "lower(x)", "mine(x)", '"x"', "NULL"]
)


@st.composite
def selects(draw: st.DrawFn, depth: int = 2) -> str:
    gap = draw(noise)
    if depth and draw(st.integers(0, 3)) == 0:
        way = draw(st.sampled_from(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]))
        return f"{draw(selects(0))} {way} {draw(selects(0))}"
    sources = [draw(source(depth)) for _ in range(draw(st.integers(1, 2)))]
    joined = draw(st.sampled_from([", ", " CROSS JOIN ", " LEFT JOIN "])).join(sources)
    where = draw(condition(depth))
    text = f"SELECT {gap} {draw(values)} AS x FROM {joined}{gap} WHERE {where}"
    if depth and draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(["q", "a", '"b"']))
        recursive = draw(st.sampled_from(["", "RECURSIVE "]))
        return f"WITH {recursive}{name} AS ({draw(selects(0))}), r(x) AS (SELECT 1) {text}"
    return text


@st.composite
def source(draw: st.DrawFn, depth: int) -> str:
    if depth and draw(st.integers(0, 2)) == 0:
        return f"({draw(selects(depth - 1))}) AS s{draw(st.integers(0, 999))}"
    return f"{draw(names)} AS t{draw(st.integers(0, 999))}"


@st.composite
def condition(draw: st.DrawFn, depth: int) -> str:
    one = f"1 = {draw(values)}"
    if depth and draw(st.booleans()):
        inner = draw(selects(depth - 1))
        return draw(st.sampled_from([f"EXISTS ({inner})", f"{one} OR 1 IN ({inner})"]))
    return draw(st.sampled_from([one, f"{one} AND 2 IN (1, ?, 3)", f"NOT {one}", "1 IN b"]))


@st.composite
def statements(draw: st.DrawFn) -> str:
    table, gap = draw(names), draw(noise)
    query, where = draw(selects()), draw(condition(1))
    return draw(
        st.sampled_from(
            [
                query,
                f"INSERT {gap} INTO {table} (x) {query}",
                f"INSERT OR REPLACE INTO {table} (x) VALUES (?), (mine(2))",
                f"REPLACE INTO {table} (x) VALUES (({query}))",
                f"INSERT INTO {table} (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET x = ({query})",
                f"UPDATE {table} SET {gap} x = ({query}) WHERE {where}",
                f"UPDATE OR IGNORE {table} SET x = u.x FROM {draw(source(1))} JOIN c AS u",
                f"DELETE {gap} FROM {table} WHERE {where} RETURNING x",
                f"WITH z AS ({query}) DELETE FROM {table} WHERE x IN (SELECT x FROM z)",
            ]
        )
    )


def touched(
    connection: sqlite3.Connection, text: str
) -> tuple[set[str], set[str], set[str]] | None:
    """What SQLite reads, writes and calls for a text; None if it does not accept it."""
    reads: set[str] = set()
    writes: set[str] = set()
    calls: set[str] = set()

    def authorise(action: int, one: str | None, two: str | None, *_: Any) -> int:
        # Without a column, the name is what the text says, and may be that of a CTE.
        if action == sqlite3.SQLITE_READ and one and (two or "WITH " not in text):
            reads.add(one.lower())
        elif action in {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}:
            writes.add((one or "").lower())
        elif action == sqlite3.SQLITE_FUNCTION:
            calls.add((two or "").lower())
        return sqlite3.SQLITE_OK

    connection.set_authorizer(authorise)
    try:
        connection.execute("EXPLAIN " + text)
    except sqlite3.ProgrammingError as error:
        assert "bindings" in str(error)  # it was prepared
    except sqlite3.OperationalError:
        return None
    finally:
        connection.set_authorizer(None)
    return reads, writes, calls


def lite() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", cached_statements=0)
    for table in TABLES:
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, x)")
    connection.create_function("mine", 1, lambda value: value)
    return connection


@given(statements())
@settings(max_examples=800, deadline=None)
def test_names_all_that_sqlite_touches(text: str) -> None:
    with sqlite_of_test as connection:
        truth = touched(connection, text)
    found = analyse(text, "sqlite")
    if truth is None or found.kind == "unknown":
        return
    reads, writes, calls = truth
    # A write's own table is read by it as well; who follows a write follows its table anyway.
    bare = {name.removeprefix("main.") for name in found.reads}
    written = {name.removeprefix("main.") for name in found.writes}
    assert written >= writes
    assert bare | written >= reads - {""}
    assert found.kind == ("write" if writes else "read")
    assert calls - PURE["sqlite"] <= found.functions | {"like"}


sqlite_of_test = lite()


@given(statements())
@settings(max_examples=150, deadline=None)
def test_most_is_understood(text: str) -> None:
    """The test above would hold if nothing were understood at all."""
    if "IN b" not in text and "like" not in text:
        assert analyse(text, "sqlite").kind in {"read", "write"}
