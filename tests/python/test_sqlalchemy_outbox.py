"""SQLAlchemy: the outbox, and writers that are killed between COMMIT and invalidation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import zoocache
from outbox_support import killed, shared_home
from sqlalchemy_fixtures import engine, nothing_said, url
from sqlalchemy_support import Author, Base, author_column, commit, reading, rename
from support import wait_until
from zoocache.contrib import _connection, _outbox
from zoocache.contrib.sqlalchemy import create_outbox, install

INTERVAL_S = 0.1
WRITER = """
import sys
import zoocache
from sqlalchemy import create_engine, text
from zoocache.contrib.sqlalchemy import install

url, options, outbox, how, name = sys.argv[1:]
engine = create_engine(url)
install(engine, alias="shop", cache=zoocache.Cache(**eval(options)), outbox=eval(outbox))
with engine.connect() as connection:
    if how == "autocommit":
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
    elif how == "two phases":
        transaction = connection.begin_twophase()
    connection.execute(text("UPDATE authors SET name = '%s' WHERE id = 1" % name))
    if how == "two phases":
        transaction.prepare()
        transaction.commit()
    connection.commit()
"""
WAYS = ["commit", "autocommit", "two phases"]


@pytest.fixture
def outbox(engine: Any) -> Iterator[Any]:
    create_outbox(engine)
    create_outbox(engine)
    yield engine
    for drainer in list(_outbox._drainers):
        drainer.stop()


def rows_of(engine: Any) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT tags, in_doubt FROM zoocache_outbox"))


def write_and_die(engine: Any, options: dict[str, Any], how: str, name: str, box: bool) -> None:
    where = engine.url.render_as_string(hide_password=False)
    killed(WRITER, where, repr(options), repr(box), how, name)


def test_what_is_told_leaves_nothing(outbox: Any) -> None:
    cache = zoocache.Cache()
    install(outbox, cache=cache, alias="shop", outbox=True)
    name = reading(cache, outbox, author_column)
    seen: list[Any] = []
    plain = _outbox.Outbox.take

    def take(self: Any, connection: Any, ids: Any) -> None:
        seen.extend(ids)
        plain(self, connection, ids)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_outbox.Outbox, "take", take)
        for at in range(3):
            assert name.is_kept(1)
            commit(outbox, rename(1, f"name {at}"), rename(2, "it's"))
            assert name(1) == f"name {at}"
        with outbox.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(rename(1, "at once"))
            if outbox.dialect.name == "postgresql":
                connection.execute(text("BEGIN"))
                connection.execute(rename(1, "by text"))
                connection.execute(text("COMMIT"))
            with pytest.raises(IntegrityError):
                connection.execute(insert(Author).values(id=1, name="twice"))
        with Session(outbox) as session:
            session.execute(rename(1, "rolled back"))
            session.rollback()
    assert len([one for one in seen if one]) == (6 if outbox.dialect.name == "postgresql" else 5)
    assert rows_of(outbox) == []
    with outbox.connect() as connection:
        connection.execute(rename(1, "nothing of the outbox is a write"))
        connection.rollback()
    assert not list(cache.tags("db:shop:zoocache_outbox"))


@pytest.mark.parametrize("options", [{}, None], ids=["memory", "lmdb"])
@pytest.mark.parametrize("how", WAYS)
def test_a_killed_writer_is_found_out_by_a_process_without_its_home(
    outbox: Any, how: str, options: Any, tmp_path: Path
) -> None:
    is_sqlite = outbox.dialect.name == "sqlite"
    if (options == {}) != (is_sqlite or how == "two phases"):
        pytest.skip("one home is enough for each")
    if how == "two phases" and is_sqlite:
        pytest.skip("SQLite has no two phases")
    cache = zoocache.Cache(**(options or {"bus_url": f"lmdb://{tmp_path}/log"}))
    install(outbox, cache=cache, alias="shop", outbox=True, outbox_interval=INTERVAL_S)
    name = reading(cache, outbox, author_column)
    assert name.is_kept(1)
    write_and_die(outbox, {}, how, "by the dead", box=True)
    wait_until(lambda: name(1) == "by the dead")
    wait_until(lambda: [row[1] for row in rows_of(outbox)] == [1] * (how == "autocommit"))
    assert {row[0] for row in rows_of(outbox)} <= {"db:shop:authors:1 db:shop:authors:~scan"}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["commit", "autocommit"])
def test_a_killed_writer_whose_home_is_shared(
    engine: Any, shared_home: dict[str, Any], how: str
) -> None:
    """Without an outbox: by its intent."""
    cache = zoocache.Cache(**shared_home)
    install(engine, cache=cache, alias="shop")
    name = reading(cache, engine, author_column)
    assert name.is_kept(1)
    write_and_die(engine, shared_home, how, "by the dead", box=False)
    with Session(engine) as session:
        assert author_column(session, 1) == "by the dead"
    wait_until(lambda: name(1) == "by the dead")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_one_that_starts_serves_nothing_older(outbox: Any, tmp_path: Path) -> None:
    """What is stored outlives the processes; the home never heard of the write."""
    options = {"storage_url": f"lmdb://{tmp_path}/cache"}
    where = outbox.url.render_as_string(hide_password=False)
    names = []
    for _ in range(2):
        cache = zoocache.Cache(**options)
        engine = create_engine(where)
        install(engine, cache=cache, alias="shop", outbox=True, outbox_interval=3600)

        def name(author_id: int, engine: Any = engine) -> Any:
            with Session(engine) as session:
                return author_column(session, author_id)

        cached = cache.cacheable(namespace="name", version="1")(name)
        if not names:
            names.append(cached(1))
            write_and_die(outbox, {}, "commit", "by the dead", box=True)
        else:
            wait_until(lambda cached=cached: cached(1) == "by the dead")  # type: ignore[misc]
        engine.dispose()


def test_what_the_home_has_not_acknowledged_stays(outbox: Any, monkeypatch: Any) -> None:
    cache = zoocache.Cache()
    monkeypatch.setattr(_outbox.Drainer, "_drain", lambda *args: None)  # the test alone drains
    install(outbox, cache=cache, alias="shop", outbox=True, outbox_interval=3600)

    class Deaf:
        """A home that keeps in mind what it could not tell: on_unreachable='journal'."""

        def __init__(self, core: Any) -> None:
            self.core = core

        def __getattr__(self, name: str) -> Any:
            found = getattr(self.core, name)
            if name in {"end_write", "invalidate_from"}:
                return lambda *args: 0 * found(*args)
            return found

    plain = _connection.Connection.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        plain(self, *args, **options)
        self.core = Deaf(self.core)

    monkeypatch.setattr(_connection.Connection, "__init__", init)
    outbox.dispose()
    commit(outbox, rename(1, "new"))
    with outbox.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(rename(1, "newer"))
    assert sorted(row[1] for row in rows_of(outbox)) == [0, 1]
    box = _outbox.Outbox(True, outbox.dialect.name, 1, 3600)
    with outbox.connect() as connection:
        plain_connection = connection.connection
        assert box.drain(plain_connection, Deaf(cache.core)) == 0  # type: ignore[arg-type]
        assert len(rows_of(outbox)) == 2
        assert box.drain(plain_connection, cache.core) == 2
        assert [row[1] for row in rows_of(outbox)] == [1], "it may come to pass yet"
        late = _outbox.Outbox(True, outbox.dialect.name, 1, 0)
        assert late.drain(plain_connection, cache.core) == 1
        assert rows_of(outbox) == []


def test_many_rows_are_drained(outbox: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(_outbox, "_AT_ONCE", 3)
    cache = zoocache.Cache()
    monkeypatch.setattr(_outbox.Drainer, "_drain", lambda *args: None)  # the test alone drains
    install(outbox, cache=cache, alias="shop", outbox=True, outbox_interval=3600)
    name = reading(cache, outbox, author_column)
    box = _outbox.Outbox(True, outbox.dialect.name, 1, 3600)
    assert name.is_kept(1)
    with outbox.connect() as connection:
        plain = connection.connection
        for at in range(10):
            box.put(plain.cursor, (f"db:shop:authors:{at}", "db:it's"), in_doubt=at % 2 == 0)
        plain.commit()
        assert box.drain(plain, cache.core) == 10
        assert len(rows_of(outbox)) == 5
    assert not name.hits(1)


def test_a_table_that_is_missing_or_odd(engine: Any) -> None:
    cache = zoocache.Cache()
    install(engine, cache=cache, alias="shop", outbox="no_such_table", outbox_interval=3600)
    for level in ("AUTOCOMMIT", None):
        options = {} if level is None else {"isolation_level": level}
        with (
            engine.connect().execution_options(**options) as connection,
            pytest.raises(zoocache.InvalidOption, match="no_such_table.*create_outbox"),
        ):
            connection.execute(rename(1, "lost"))
            connection.commit()
    with Session(engine) as session:
        assert author_column(session, 1) == "author 1"
    for given, word in (
        ({"outbox": "a b"}, "outbox="),
        ({"outbox": True, "outbox_interval": 0}, "outbox_interval="),
        ({"outbox": True}, "memory"),
    ):
        with pytest.raises(zoocache.InvalidOption, match=word):
            install(create_engine("sqlite://"), **given)
    with pytest.raises(zoocache.InvalidOption, match="outbox="):
        create_outbox(engine, "x; DROP TABLE authors")


def test_async_engines(outbox: Any) -> None:
    where = outbox.url.render_as_string(hide_password=False)
    where = where.replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg", "+asyncpg")

    async def main() -> None:
        engine = create_async_engine(where)
        cache = zoocache.Cache()
        install(engine, cache=cache, alias="shop", outbox=True, outbox_interval=INTERVAL_S)

        @cache.cacheable
        async def name() -> Any:
            async with AsyncSession(engine) as session:
                return await session.run_sync(author_column, 1)

        async with AsyncSession(engine) as session:
            await session.execute(rename(1, "told"))
            await session.commit()
        assert rows_of(outbox) == []
        assert await name() == "told"
        await asyncio.to_thread(write_and_die, outbox, {}, "commit", "by the dead", box=True)
        for _ in range(1000):
            if await name() == "by the dead":
                break
            await asyncio.sleep(0.02)
        assert await name() == "by the dead"
        await engine.dispose()

    asyncio.run(main())
