"""SQLAlchemy: objects as values and arguments, async engines, writers that die, bad options."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import functools
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, selectinload, sessionmaker

import zoocache
from sqlalchemy_fixtures import cache, engine, nothing_said, url
from sqlalchemy_support import Author, Book, Counted, author_column, commit, reading, rename
from zoocache.contrib import _connection, _search
from zoocache.contrib.sqlalchemy import install


def test_objects_as_values_are_made_for_each_caller(cache: Any, engine: Any) -> None:
    def read(session: Session, author_id: int) -> Any:
        return [session.get(Author, author_id, options=[selectinload(Author.books)])]

    author = reading(cache, engine, read)
    (first,), (second,), (third,) = author(1), author(1), author(1)
    assert author.runs == 1
    assert len({id(first), id(second), id(third)}) == 3
    assert [book.title for book in third.books] == ["first"]
    assert inspect(third).detached
    second.name = "changed by a caller"
    assert author(1)[0].name == "author 1"
    commit(engine, insert(Book).values(author_id=1, title="second"))
    assert [book.title for book in author(1)[0].books] == ["first", "second"]


def test_lazy_values_are_not_kept(cache: Any, engine: Any, caplog: Any) -> None:
    session = Session(engine)
    rows = Counted(cache, lambda: session.scalars(select(Author.name)))
    assert sorted(rows()) == ["author 1", "author 2"]
    assert sorted(rows()) == ["author 1", "author 2"]
    assert any("ScalarResult" in line for line in caplog.messages)
    session.close()


def test_objects_as_arguments(cache: Any, engine: Any, caplog: Any) -> None:
    with Session(engine, expire_on_commit=False) as session:
        author = session.get(Author, 1)
        session.commit()
    by_object = Counted(cache, lambda one: one.name)
    assert not by_object.is_kept(author)
    assert any("primary key" in line for line in caplog.messages)
    by_key = Counted(cache, lambda one: one.name, key=lambda one: one.id)
    assert by_key.is_kept(author)
    commit(engine, rename(1, "new"))
    assert not by_key.hits(author), "the load depends on the argument's row"


@pytest.mark.parametrize("wrap", [list, tuple, set, lambda one: {"a": (one[0], [one[0]])}])
def test_objects_in_containers_as_arguments(cache: Any, engine: Any, wrap: Any) -> None:
    with Session(engine, expire_on_commit=False) as session:
        author = session.get(Author, 1)
        session.commit()
    given = wrap([author])
    assert not Counted(cache, lambda one: 7).is_kept(given)
    by_key = Counted(cache, lambda one: author.__dict__["name"], key=lambda one: 1)
    runs: list[Any] = []
    ignored = cache.cacheable(ignore=["two"])(lambda one, two: runs.append(one))
    assert by_key.is_kept(given)
    for _ in range(2):
        ignored(1, given)
    assert len(runs) == 1
    commit(engine, rename(1, "new"))
    assert not by_key.hits(given), "the load depends on the argument's row"
    ignored(1, given)
    assert len(runs) == 2


class Holder:
    def __init__(self, held: Any) -> None:
        self.held = held


class Slotted:
    __slots__ = ("held", "unset")

    def __init__(self, held: Any) -> None:
        self.held = held


@dataclasses.dataclass
class Page:
    rows: list[Any]


@pytest.mark.parametrize(
    "hide",
    [
        Holder,
        lambda one: Holder(Holder(one)),
        lambda one: [Holder({"a": [one]})],
        Slotted,
        lambda one: Page([Page([one])]),
        lambda one: collections.deque([one]),
        lambda one: functools.partial(print, one),
        lambda one: lambda: one,
        lambda one: Holder(one).__init__,  # type: ignore[misc]
        ValueError,
    ],
)
def test_objects_that_others_hide_are_not_shared(
    cache: Any, engine: Any, hide: Any, caplog: Any
) -> None:
    hidden = reading(cache, engine, lambda session: hide(session.get(Author, 1)))
    assert not hidden.is_kept()
    assert any("holds a Author" in line for line in caplog.messages)


def test_values_that_hide_nothing_are_kept(cache: Any, monkeypatch: Any, caplog: Any) -> None:
    ring = Holder(None)
    ring.held = [ring, Slotted(ring), lambda: ring, threading.Lock(), Holder, ValueError(1)]
    kept = Counted(cache, lambda: ring)
    assert kept.is_kept()
    monkeypatch.setattr(_search, "MAX_OBJECTS", 10)
    assert not Counted(cache, lambda: Holder([[] for _ in range(20)])).is_kept()
    assert any("more than" in line for line in caplog.messages)


def test_async_sessions(engine: Any) -> None:
    scheme = "sqlite+aiosqlite" if engine.dialect.name == "sqlite" else "postgresql+asyncpg"
    made = create_async_engine(engine.url.set(drivername=scheme))
    cache = zoocache.Cache()
    install(made, cache=cache)
    runs = 0

    @cache.cacheable
    async def name(author_id: int) -> Any:
        nonlocal runs
        runs += 1
        async with AsyncSession(made) as session:
            found = await session.get(Author, author_id)
            return found and found.name

    async def main() -> None:
        assert await name(1) == await name(1) == "author 1"
        assert runs == 1
        async with AsyncSession(made) as session:
            await session.execute(rename(1, "new"))
            assert await session.scalar(select(Author.name).where(Author.id == 1)) == "new"
            await session.commit()
        assert await name(1) == await name(1) == "new"
        assert runs == 2
        await made.dispose()

    asyncio.run(main())


CRASH = """
import os, sys
from sqlalchemy import create_engine, text
import zoocache
from zoocache.contrib import _connection
from zoocache.contrib.sqlalchemy import install

zoocache.configure(bus_url=sys.argv[2])
engine = create_engine(sys.argv[1])
install(engine, alias="shop")
_connection.Connection.committed = lambda self: os.kill(os.getpid(), 9)
with engine.begin() as connection:
    connection.execute(text("UPDATE authors SET name = 'by the dead' WHERE id = 1"))
"""


def test_a_writer_killed_after_its_commit(engine: Any, tmp_path: Path) -> None:
    cache = zoocache.Cache(bus_url=f"lmdb://{tmp_path}/log")
    install(engine, cache=cache, alias="shop")
    name = reading(cache, engine, author_column)
    assert name.is_kept(1)
    url = engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", CRASH, url, f"lmdb://{tmp_path}/log"]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with Session(engine) as session:
        assert author_column(session, 1) == "by the dead"
    for _ in range(500):
        if name(1) == "by the dead":
            return
        time.sleep(0.02)
    raise AssertionError("the old name is served for ever")


def test_a_commit_that_is_not_declared_is_not_done(
    cache: Any, engine: Any, monkeypatch: Any
) -> None:
    class Unreachable:
        def __init__(self, core: Any) -> None:
            self.core = core

        def __getattr__(self, name: str) -> Any:
            if name == "begin_write":
                raise zoocache.HomeUnreachable("no home")
            return getattr(self.core, name)

    name = reading(cache, engine, author_column)
    assert name.is_kept(1)
    plain = _connection.Connection.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        plain(self, *args, **options)
        self.core = Unreachable(self.core)

    monkeypatch.setattr(_connection.Connection, "__init__", init)
    engine.dispose()
    with Session(engine) as session, pytest.raises(zoocache.HomeUnreachable):
        session.execute(rename(1, "lost"))
        session.commit()
    with engine.connect() as connection, pytest.raises(zoocache.HomeUnreachable):
        connection.execute(rename(1, "lost"))
        connection.commit()
    commit(engine, select(Author.id))  # by the same connection, which is innocent
    engine.dispose()
    monkeypatch.undo()
    with Session(engine) as session:
        assert author_column(session, 1) == "author 1"
    assert name.hits(1)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"alias": ""}, "alias"),
        ({"replica_lag": -1}, "replica_lag"),
        ({"reads": {"v": [1]}}, "reads"),
    ],
)
def test_bad_options(options: Any, word: str) -> None:
    with pytest.raises(zoocache.InvalidOption, match=word):
        install(create_engine("sqlite://"), **options)


def test_bad_targets() -> None:
    with pytest.raises(TypeError, match="Engine"):
        install(object())
    engine = create_engine("sqlite://")
    install(sessionmaker(engine))
    with pytest.raises(zoocache.InvalidOption, match="already"):
        install(engine)


def test_replicas(engine: Any) -> None:
    first, second = zoocache.Cache(), zoocache.Cache()
    install(engine, cache=first, is_replica=True)
    assert not reading(first, engine, author_column).is_kept(1)
    other = create_engine(engine.url)
    install(other, cache=second, is_replica=True, replica_lag=0)
    name = reading(second, other, author_column)
    assert name.is_kept(1)
    other.dispose()
