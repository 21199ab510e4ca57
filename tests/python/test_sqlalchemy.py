"""SQLAlchemy: dependencies that nobody writes, on SQLite and PostgreSQL."""

from __future__ import annotations

import contextvars
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.orm import Session, selectinload

import zoocache
from sqlalchemy_fixtures import cache, engine, nothing_said, url
from sqlalchemy_support import (
    Author,
    Base,
    Book,
    Counted,
    author_column,
    author_name,
    commit,
    reading,
    rename,
    titles,
)
from support import wait_until
from zoocache.contrib.sqlalchemy import install


def test_a_row_dies_alone(cache: Any, engine: Any) -> None:
    name = reading(cache, engine, author_name)
    count = reading(cache, engine, lambda s: s.scalar(select(func.count()).select_from(Book)))
    assert name.is_kept(1)
    assert name.is_kept(2)
    assert count.is_kept()
    commit(engine, rename(1, "new"))
    assert name(1) == "new"
    assert name.hits(2)
    assert count.hits()
    tags = {info.tag for info in cache.tags()}
    assert "db:shop:authors:2" in tags
    assert "db:shop:books:~scan" in tags


def test_an_insert_tells_its_key(cache: Any, engine: Any) -> None:
    name = reading(cache, engine, author_name)
    assert name(7) is None
    assert name.hits(7)
    assert name.is_kept(1)
    with Session(engine) as session:
        session.add(Author(id=7, name="seven"))
        session.add_all([Author(name="x"), Author(name="y")])
        session.commit()
    assert name(7) == "seven"
    assert name.hits(1), "an INSERT of other keys"


def test_text_and_core_are_seen(cache: Any, engine: Any) -> None:
    name = reading(cache, engine, author_column)
    assert name.is_kept(1)
    commit(engine, text("UPDATE authors SET name = 'by text' WHERE name LIKE 'author%'"))
    assert name(1) == "by text"
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM authors WHERE id = 2")
    assert name(2) is None


def test_changes_of_the_schema_invalidate_all(cache: Any, engine: Any) -> None:
    name = reading(cache, engine, author_name)
    assert name.is_kept(1)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE further (id integer primary key)")
    assert not name.hits(1)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE further RENAME TO renamed")
        assert author_name(Session(engine), 1) == "author 1"
    assert not name.hits(1), "a table was renamed"
    assert name.hits(1)


def test_uncommitted_writes_are_seen_by_the_writer_alone(cache: Any, engine: Any) -> None:
    with Session(engine) as session:
        name = Counted(cache, lambda i: author_column(session, i))
        assert name.is_kept(1)
        session.execute(rename(1, "mine"))
        assert name(1) == "mine"
        assert not name.hits(1), "nothing is kept meanwhile"
        assert name.load.peek(1) is None
        session.rollback()
        assert name.hits(1), "what others had is still there"
        assert name(1) == "author 1"


def test_what_lies_in_other_databases_is_hit_beside_uncommitted_writes(
    cache: Any, engine: Any, tmp_path: Path
) -> None:
    other = create_engine(f"sqlite:///{tmp_path}/other.db")
    install(other, cache=cache, alias="shop_2")
    Base.metadata.create_all(other)
    here = reading(cache, engine, author_column)
    there = reading(cache, other, author_column)
    nowhere = Counted(cache, lambda one: one, ttl=1000, refresh_ahead=1000)
    outer = Counted(cache, lambda one: (here(one), there(one)))
    behind = Counted(cache, lambda one: there(one))
    kept = (there, nowhere, behind)
    for call in (there, behind, here, outer):
        assert call.is_kept(1)
    assert [nowhere(1), nowhere(1)] == [1, 1]
    wait_until(lambda: nowhere.runs == 2)  # the hit was refreshed in the background
    with Session(engine) as session:
        session.execute(rename(1, "uncommitted"))
        runs = nowhere.runs
        assert [call.hits(1) for call in kept] == [True] * 3
        assert not here.hits(1)
        assert not outer.hits(1)
        assert not there.is_kept(2), "nothing is stored"
        assert nowhere.runs == runs, "nor loaded in the background"
        with Session(other) as second:
            second.execute(rename(2, "uncommitted"))
            assert [call.hits(1) for call in kept] == [False, True, False]
            assert not here.hits(1)
            second.rollback()
        assert [call.hits(1) for call in kept] == [True] * 3
        commit(other, rename(1, "new"))
        assert not there.hits(1)
        session.rollback()
    assert here.hits(1)
    other.dispose()


def test_another_context_that_uses_the_session_passes_the_cache_by(cache: Any, engine: Any) -> None:
    with Session(engine) as session:
        name = Counted(cache, lambda i: author_column(session, i))
        assert name.is_kept(1)
        session.execute(rename(1, "mine"))

        def elsewhere() -> None:
            session.scalar(select(1))
            assert name(1) == "mine"
            assert not name.hits(1)

        contextvars.Context().run(elsewhere)
        session.rollback()


def test_a_savepoint_keeps_what_went_before(cache: Any, engine: Any) -> None:
    name = reading(cache, engine, author_column)
    assert name.is_kept(1)
    assert name.is_kept(2)
    with Session(engine) as session:
        session.execute(rename(1, "outer"))
        with session.begin_nested() as nested:
            session.execute(rename(2, "inner"))
            nested.rollback()
        session.commit()
    assert name(1) == "outer"
    assert name(2) == "author 2"


def test_a_load_that_began_before_the_commit_is_not_kept(cache: Any, engine: Any) -> None:
    def read(session: Session, author_id: int) -> Any:
        found = author_column(session, author_id)
        session.commit()
        if name.runs == 1:
            commit(engine, rename(author_id, "meanwhile"))
        return found

    name = reading(cache, engine, read)
    assert name(1) == "author 1"
    assert name(1) == "meanwhile"


def test_objects_of_the_session_make_a_load_as_old_as_they_are(cache: Any, engine: Any) -> None:
    other = create_engine(engine.url)
    install(other, cache=cache, alias="shop")
    with Session(engine) as session:
        old = session.get(Author, 1)
        assert old is not None
        name = Counted(cache, lambda i: author_name(session, i))
        held = Counted(cache, lambda: old.name)
        session.expire_on_commit = False
        session.commit()
        assert name.is_kept(1)
        assert held.is_kept()
        commit(other, rename(1, "new"))
        assert not name.hits(1)
        assert not name.hits(1), "the identity map still has the old object"
        assert not held.hits()
        assert not held.hits(), "and so has whoever holds it"
        session.refresh(old)
        assert name.is_kept(1)
    other.dispose()


def test_loaded_relationships_depend_on_their_tables(cache: Any, engine: Any) -> None:
    with Session(engine, expire_on_commit=False) as session:
        author = session.get(Author, 1, options=[selectinload(Author.books)])
        assert author is not None
        session.commit()
        books = Counted(cache, lambda: [book.title for book in author.books])
        assert books.is_kept()
        commit(engine, insert(Book).values(author_id=1, title="second"))
        assert not books.hits()


def test_changed_objects_are_not_read_for_others(cache: Any, engine: Any) -> None:
    with Session(engine, autoflush=False) as session:
        author = session.get(Author, 1)
        assert author is not None
        author.name = "not flushed"
        name = Counted(cache, lambda: author.name)
        assert not name.is_kept()


def test_relationships_and_joins(cache: Any, engine: Any) -> None:
    found = reading(cache, engine, titles)
    assert found(1) == ["first"]
    assert found.hits(1)
    commit(engine, insert(Book).values(author_id=1, title="second"))
    assert found(1) == ["first", "second"]


def test_actions_of_foreign_keys(cache: Any, engine: Any) -> None:
    owner = reading(
        cache, engine, lambda s, i: s.scalar(select(Book.author_id).where(Book.id == i))
    )
    assert owner.is_kept(1)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM authors WHERE id = 1")
    assert not owner.hits(1)


def test_views_and_functions_are_declared_or_not_kept(engine: Any, caplog: Any) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW totals AS SELECT count(*) AS n FROM books")
    first, second = zoocache.Cache(), zoocache.Cache()
    install(engine, cache=first)
    other = create_engine(engine.url)
    install(other, cache=second, reads={"totals": ["books"], "random": []})
    total = text("SELECT n FROM totals")
    unknown = reading(first, engine, lambda s: s.scalar(total))
    chance = reading(first, engine, lambda s: s.scalar(text("SELECT random() FROM books")))
    assert not unknown.is_kept()
    assert not chance.is_kept()
    assert sum("totals" in line for line in caplog.messages) == 1
    known = reading(second, other, lambda s: s.scalar(total))
    assert known.is_kept()
    commit(other, insert(Book).values(author_id=1, title="second"))
    assert known() == 2
    other.dispose()


def test_triggers_are_declared_or_invalidate_all(engine: Any, caplog: Any) -> None:
    with engine.begin() as connection:
        body = "UPDATE books SET title = 'by trigger' WHERE author_id = NEW.id"
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(
                f"CREATE TRIGGER t AFTER UPDATE ON authors BEGIN {body}; END"
            )
        else:
            connection.exec_driver_sql(
                f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {body}; RETURN NEW; END $$"
            )
            connection.exec_driver_sql(
                "CREATE TRIGGER t AFTER UPDATE ON authors FOR EACH ROW EXECUTE FUNCTION f()"
            )
    cache = zoocache.Cache()
    install(engine, cache=cache)
    found = reading(cache, engine, titles)
    assert found.is_kept(1)
    commit(engine, rename(1, "x"))
    assert found(1) == ["by trigger"]
    assert any("triggers" in line for line in caplog.messages)


def test_autocommit_invalidates_at_once(cache: Any, engine: Any) -> None:
    name = reading(cache, engine, author_column)
    assert name.is_kept(1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(rename(1, "at once"))
        assert name(1) == "at once"
        assert name.hits(1)


def test_snapshots_make_loads_as_old_as_they_are(postgres: Any, postgres_database: str) -> None:
    url = postgres.url(postgres_database, "postgresql+psycopg")
    plain, old = create_engine(url), create_engine(url, isolation_level="REPEATABLE READ")
    Base.metadata.create_all(plain)
    cache = zoocache.Cache()
    for one in (plain, old):
        install(one, cache=cache, alias="shop")
    commit(plain, insert(Author).values(id=1, name="old"))
    with Session(old) as session:
        session.scalar(select(func.count()).select_from(Author))
        commit(plain, rename(1, "new"))
        name = Counted(cache, lambda i: author_column(session, i))
        assert name(1) == "old"
        assert not name.hits(1)
    plain.dispose()
    old.dispose()


def test_locking_reads_never_hit(cache: Any, engine: Any) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no FOR UPDATE")
    locked = select(Author.name).where(Author.id == 1).with_for_update()
    name = reading(cache, engine, lambda s: s.scalar(locked))
    assert not name.is_kept()


def test_sessions_that_resolve_names_their_own_way_keep_nothing(cache: Any, engine: Any) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no search path")

    def read(session: Session) -> Any:
        session.execute(text("SET search_path TO public"))
        return author_column(session, 1)

    assert not reading(cache, engine, read).is_kept()


def test_a_commit_in_two_phases(cache: Any, engine: Any) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no two phases")
    name = reading(cache, engine, author_column)
    assert name.is_kept(1)
    for how, expected in (("rollback", "author 1"), ("commit", "both phases")):
        with engine.connect() as connection:
            transaction = connection.begin_twophase()
            connection.execute(rename(1, "both phases"))
            transaction.prepare()
            getattr(transaction, how)()
        assert name(1) == expected
        assert name.hits(1)
    with engine.connect() as connection:
        transaction = connection.begin_twophase()
        connection.execute(rename(1, "recovered"))
        transaction.prepare()
        prepared = transaction.xid
        connection.invalidate()
    with engine.connect() as connection:
        connection.commit_prepared(prepared, recover=True)
    assert name(1) == "recovered"


def test_other_caches_keep_nothing(cache: Any, engine: Any) -> None:
    assert not reading(zoocache.Cache(), engine, author_column).is_kept(1)
    outer = Counted(cache, reading(zoocache.Cache(), engine, author_column).load)
    outer(1)
    commit(engine, rename(1, "new"))
    assert outer(1) == "new"
