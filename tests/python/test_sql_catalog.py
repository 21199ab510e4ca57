"""What `_catalog` reads of real databases: SQLite with attached files, and PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from postgres_server import PostgresServer
from zoocache.contrib._catalog import Catalog, Table, load

TABLES = """
CREATE TABLE author (id integer PRIMARY KEY, name varchar(10));
CREATE TABLE book (isbn varchar(20) PRIMARY KEY,
  author integer REFERENCES author ON DELETE CASCADE);
CREATE TABLE page (book varchar(20) REFERENCES book ON UPDATE SET NULL, number integer,
  text varchar(10), PRIMARY KEY (number, book));
CREATE TABLE note (id integer PRIMARY KEY, author integer REFERENCES author,
  parent integer REFERENCES note ON DELETE SET DEFAULT);
CREATE TABLE keyless (a integer);
CREATE VIEW authors AS SELECT * FROM author;
"""


def check_common(catalog: Catalog) -> None:
    author = catalog.resolve("AUTHOR")
    assert author is not None
    assert (author.name, author.kind, author.key) == ("author", "table", ("id",))
    assert author.columns == {"id", "name"}
    assert author.written_with == {"book", "page"}  # transitively; `note` only refuses
    assert named(catalog, "book").written_with == {"page"}
    assert named(catalog, "page").key == ("number", "book")
    assert named(catalog, "note").written_with == {"note"}  # of itself
    assert named(catalog, "keyless").key == ()
    assert named(catalog, "authors").kind == "view"
    assert catalog.resolve("absent") is None
    assert catalog.resolve("absent.author") is None
    assert not any(catalog.tables[place].has_triggers for place in catalog.tables)


def named(catalog: Catalog, name: str) -> Table:
    table = catalog.resolve(name)
    assert table is not None, name
    return table


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "main.db")
    connection.executescript(TABLES)
    yield connection
    connection.close()


def test_sqlite(lite: sqlite3.Connection) -> None:
    check_common(load(lite.cursor(), "sqlite"))


def test_sqlite_places(lite: sqlite3.Connection, tmp_path: Path) -> None:
    lite.execute("ATTACH ? AS Second", (str(tmp_path / "second.db"),))
    lite.execute("CREATE TABLE second.author (a)")
    lite.execute("CREATE TABLE second.only (a)")
    lite.execute("CREATE TEMP TABLE book (b)")
    catalog = load(lite.cursor(), "sqlite")
    assert named(catalog, "author").name == "author"
    assert named(catalog, "main.author").name == "author"
    assert named(catalog, "second.Author").name == "second.author"
    assert named(catalog, "only").name == "second.only"
    assert named(catalog, "book").name == "temp.book"  # before main
    assert named(catalog, "main.book").name == "book"


def test_sqlite_triggers_and_virtual_tables(lite: sqlite3.Connection) -> None:
    lite.execute("CREATE TRIGGER x AFTER INSERT ON Note BEGIN DELETE FROM book; END")
    lite.execute("CREATE TEMP TRIGGER y AFTER INSERT ON main.page BEGIN DELETE FROM book; END")
    lite.execute("CREATE VIRTUAL TABLE words USING fts5(word)")
    lite.execute('CREATE TABLE "odd""name" (id INTEGER PRIMARY KEY AUTOINCREMENT)')
    lite.execute("CREATE VIEW broken AS SELECT * FROM gone")
    catalog = load(lite.cursor(), "sqlite")
    with_triggers = {place[1] for place, table in catalog.tables.items() if table.has_triggers}
    assert with_triggers == {"note", "page"}
    assert named(catalog, "words").kind == "other"
    assert named(catalog, "broken").kind != "table"
    assert named(catalog, 'odd"name').key == ("id",)
    assert catalog.resolve("sqlite_sequence") is None
    assert catalog.resolve("sqlite_master") is None


def postgres_catalog(server: PostgresServer, database: str, *statements: str) -> Catalog:
    with server.connect(database) as connection:
        for statement in (TABLES, *statements):
            connection.execute(statement.encode())
        return load(connection.cursor(), "postgresql")


def test_postgresql(postgres: PostgresServer, postgres_database: str) -> None:
    catalog = postgres_catalog(postgres, postgres_database)
    check_common(catalog)
    assert named(catalog, "public.author").name == "author"
    assert catalog.resolve("pg_class") is None
    assert catalog.resolve("information_schema.tables") is None


def test_postgresql_search_path(postgres: PostgresServer, postgres_database: str) -> None:
    catalog = postgres_catalog(
        postgres,
        postgres_database,
        "CREATE SCHEMA shop; CREATE TABLE shop.author (a int); CREATE TABLE shop.only (a int)",
        "CREATE TEMP TABLE book (b int)",
        "SET search_path TO shop, public",
    )
    assert named(catalog, "author").name == "shop.author"
    assert named(catalog, "public.author").name == "author"
    assert named(catalog, "note").name == "note"
    assert named(catalog, "only").name == "shop.only"


def test_postgresql_kinds(postgres: PostgresServer, postgres_database: str) -> None:
    catalog = postgres_catalog(
        postgres,
        postgres_database,
        "CREATE MATERIALIZED VIEW copied AS SELECT * FROM author",
        "CREATE TABLE secret (id int PRIMARY KEY); ALTER TABLE secret ENABLE ROW LEVEL SECURITY",
        *(
            f"CREATE TABLE {name} (id int PRIMARY KEY, owner text);"
            f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"
            f"CREATE POLICY p ON {name} USING ({condition})"
            for name, condition in (
                ("mine", "owner = current_user OR owner = current_setting('app.owner')"),
                ("shared", "id IN (SELECT id FROM author)"),
                ("timed", "now() > '2020-01-01'"),
            )
        ),
        "CREATE SEQUENCE numbers",
        'CREATE TABLE "Pair" (id int PRIMARY KEY); CREATE TABLE pair (id int PRIMARY KEY)',
        'CREATE TABLE cases ("Id" int, id int PRIMARY KEY)',
    )
    assert named(catalog, "copied").kind == "other"
    assert named(catalog, "secret").kind == "secured"
    assert named(catalog, "mine").kind == "secured"
    assert named(catalog, "shared").kind == "guarded"
    assert named(catalog, "timed").kind == "guarded"
    assert catalog.resolve("numbers") is None
    # Names that differ in case alone: no row of one may be taken for one of the other.
    assert named(catalog, "pair").key == ()
    assert named(catalog, "cases").key == ()


def test_postgresql_inheritance(postgres: PostgresServer, postgres_database: str) -> None:
    catalog = postgres_catalog(
        postgres,
        postgres_database,
        "CREATE TABLE event (id int, day int, author int REFERENCES author ON DELETE CASCADE,"
        " PRIMARY KEY (day, id)) PARTITION BY RANGE (day)",
        "CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (9) PARTITION BY LIST (id)",
        "CREATE TABLE event_1_1 PARTITION OF event_1 FOR VALUES IN (1)",
        "CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (9) TO (19)",
        "CREATE TABLE sub (c int) INHERITS (keyless)",
    )
    assert named(catalog, "event").inherits == {"event_1", "event_1_1", "event_2"}
    assert named(catalog, "event_1_1").inherits == {"event_1", "event"}
    assert named(catalog, "event").key == ("day", "id")
    assert named(catalog, "sub").inherits == {"keyless"}
    assert named(catalog, "keyless").inherits == {"sub"}
    assert named(catalog, "author").written_with >= {"event", "event_1", "event_1_1", "event_2"}


def test_postgresql_triggers_and_rules(postgres: PostgresServer, postgres_database: str) -> None:
    catalog = postgres_catalog(
        postgres,
        postgres_database,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER t AFTER INSERT ON note FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE RULE r AS ON DELETE TO keyless DO INSTEAD NOTHING",
        "CREATE TABLE sub (c int) INHERITS (note)",
    )
    with_triggers = {place[1] for place, table in catalog.tables.items() if table.has_triggers}
    assert with_triggers == {"note", "keyless", "sub"}
