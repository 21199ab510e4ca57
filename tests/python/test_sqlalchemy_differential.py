"""Random reads and writes on two connections: a cached answer is what the database gives.

Each session belongs to a context of its own, as two requests do, and is sometimes in a transaction
with changes of its own. A cached answer must be what its session would read, or, while that has
written nothing, what is committed. What a session gave once and nobody reads any more is found as
soon as the other one asks.
"""

from __future__ import annotations

import contextvars
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, delete, event, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

import zoocache
from differential import Tally, Watch, seeds, steps
from postgres_server import PostgresServer
from sqlalchemy_support import READS, Author, Base, Book, Employee, Note
from zoocache.contrib.sqlalchemy import install

STEPS = 10 * steps(40)
IDS = range(4)
KINDS = {
    "author_name": "row",
    "author_column": "row",
    "titles": "relation",
    "titles_joined": "join",
    "book_count": "count",
    "has_books": "exists",
    "some_authors": "rows",
    "by_text": "raw",
    "note_body": "row",
    "wage": "inherited",
}


@pytest.fixture(params=["sqlite", "sqlite-wal", "postgresql", "repeatable"])
def make_engine(request: Any, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    if request.param.startswith("sqlite"):
        url = f"sqlite:///{tmp_path}/shop.db"
        options: dict[str, Any] = {"connect_args": {"timeout": 0}}
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        name = request.getfixturevalue("postgres_database")
        url = server.url(name, "postgresql+psycopg")
        options = {"connect_args": {"options": "-c lock_timeout=20ms"}}
    if request.param == "repeatable":
        options["isolation_level"] = "REPEATABLE READ"
    engines = []

    def make() -> Any:
        engine = create_engine(url, **options)
        if request.param.startswith("sqlite"):

            @event.listens_for(engine, "connect")
            def prepare(connection: Any, record: Any) -> None:
                connection.execute("PRAGMA foreign_keys=ON")
                if request.param == "sqlite-wal":
                    connection.execute("PRAGMA journal_mode=WAL")

        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.dispose()


class Side:
    """One session in its context."""

    def __init__(self, engine: Any) -> None:
        self.session = Session(engine)
        self.context = contextvars.copy_context()
        self.has_written = False

    def run(self, call: Callable[[], Any]) -> Any:
        return self.context.run(call)

    def end(self, commit: bool) -> None:
        try:
            if commit:
                self.session.commit()
            else:
                self.session.rollback()
        except DBAPIError:
            self.session.rollback()
        self.has_written = False


class Run:
    def __init__(self, engine: Any, plain: Any, tally: Tally) -> None:
        self.random = random.Random(tally.seed)
        self.tally = tally
        self.cache = zoocache.Cache()
        install(engine, cache=self.cache)
        self.plain = plain
        self.sides = [Side(engine), Side(engine)]
        self.side = self.sides[0]
        self.reads = {read.__name__: self._cached(read) for read in READS}
        self.plain_reads = {read.__name__: read for read in READS}
        names = [f"{KINDS[name]} {name}" for name in self.reads]
        self.watch = Watch(self.peek, self.committed, names, tally, IDS)
        self.trace: list[str] = []

    def _cached(self, read: Callable[[Session, int], Any]) -> Any:
        def load(author_id: int) -> Any:
            self.tally.loads += 1
            return read(self.side.session, author_id)

        load.__name__ = load.__qualname__ = read.__name__
        return self.cache.cacheable(load)

    def peek(self, name: str, author_id: int, default: Any) -> Any:
        return self.reads[name.split()[1]].peek(author_id, default=default)

    def committed(self, name: str, author_id: int) -> Any:
        with Session(self.plain) as fresh:
            return self.plain_reads[name.split()[1]](fresh, author_id)

    def check(self) -> None:
        side = self.side
        self.tally.comparisons += 1
        read = self.random.choice(READS)
        author_id = self.any_id()
        self.trace.append(f"{self.sides.index(side)}: {read.__name__}({author_id})")
        got = side.run(lambda: self.reads[read.__name__](author_id))
        allowed = [side.run(lambda: read(side.session, author_id))]
        if not side.has_written:
            allowed.append(self.committed(f"{KINDS[read.__name__]} {read.__name__}", author_id))
        assert got in allowed, "\n".join([*self.trace[-40:], f"got {got}, allowed {allowed}"])

    def write(self) -> None:
        side = self.side
        writes = [self.add, self.rename, self.move, self.remove, self.bulk, self.core, self.note]
        write = self.random.choice(writes)
        self.trace.append(f"{self.sides.index(side)}: {write.__name__}")
        savepoint = self.random.random() < 0.3
        try:
            if savepoint:
                side.run(lambda: self.write_in_savepoint(write))
            else:
                side.has_written = True
                side.run(write)
                side.run(side.session.flush)
        except ZeroDivisionError:
            self.trace.append("savepoint rolled back")
        except DBAPIError as error:  # locked by the other, or a duplicate
            self.trace.append(f"failed: {type(error).__name__}")
            side.run(lambda: side.end(False))

    def write_in_savepoint(self, write: Callable[[], None]) -> None:
        """In the side's context as a whole: a flush elsewhere would be another's write to it."""
        session = self.side.session
        with session.begin_nested():
            self.side.has_written = True
            write()
            session.flush()
            if self.random.random() < 0.4:
                raise ZeroDivisionError

    def any_id(self) -> int:
        return self.random.choice(IDS)

    def text(self) -> str:
        return f"t{self.random.randrange(1000)}"

    def add(self) -> None:
        session = self.side.session
        kind = self.random.randrange(4)
        if kind == 0:
            session.add(Author(id=self.any_id(), name=self.text()))
        elif kind == 1:
            session.add(Book(author_id=None, title=self.text()))
        elif kind == 2:
            session.add(Employee(id=self.any_id(), name=self.text(), wage=self.any_id()))
        else:
            session.add_all([Book(title=self.text(), author_id=None) for _ in range(3)])

    def rename(self) -> None:
        for class_, name in ((Author, "name"), (Employee, "wage")):
            found = self.side.session.get(class_, self.any_id())
            if found is not None:
                setattr(found, name, self.text() if name == "name" else self.random.randrange(99))

    def move(self) -> None:
        session = self.side.session
        book = session.scalars(select(Book).order_by(Book.id.desc()).limit(1)).first()
        if book is not None:
            book.author = session.get(Author, self.any_id())

    def remove(self) -> None:
        session = self.side.session
        class_ = self.random.choice([Author, Book])
        found = session.get(class_, self.any_id())
        if found is not None:
            session.delete(found)

    def bulk(self) -> None:
        session = self.side.session
        session.execute(update(Author).where(Author.id >= self.any_id()).values(name=self.text()))
        if self.random.random() < 0.5:
            session.execute(delete(Book).where(Book.author_id == self.any_id()))

    def core(self) -> None:
        connection = self.side.session.connection()
        connection.execute(insert(Book.__table__).values(author_id=None, title=self.text()))
        connection.execute(
            text("UPDATE books SET title = :t WHERE id = :i"),
            {"t": self.text(), "i": self.any_id()},
        )

    def note(self) -> None:
        name = f"n{self.any_id()}"
        self.side.session.execute(
            text(
                "INSERT INTO notes (name, body) VALUES (:n, :b) "
                "ON CONFLICT (name) DO UPDATE SET body = excluded.body"
            ),
            {"n": name, "b": self.text()},
        )

    def step(self) -> None:
        self.tally.steps += 1
        self.side = self.random.choice(self.sides)
        side = self.side
        chance = self.random.random()
        try:
            if chance < 0.6:
                self.check()
            elif chance < 0.8:
                self.write()
            else:
                commits = chance < 0.93
                self.trace.append(
                    f"{self.sides.index(side)}: {'commit' if commits else 'rollback'}"
                )
                self.watch.note()
                side.run(lambda: side.end(commits))
                self.watch.look()
        except IntegrityError:
            side.run(lambda: side.end(False))
        except DBAPIError:
            side.run(lambda: side.end(False))


@pytest.mark.filterwarnings("ignore:New instance:sqlalchemy.exc.SAWarning")
@pytest.mark.parametrize("seed", seeds(3))
def test_cached_answers_are_those_of_the_database(
    make_engine: Any, seed: int, request: pytest.FixtureRequest
) -> None:
    engine = make_engine()
    plain = make_engine()
    Base.metadata.create_all(plain)
    with Session(plain) as session:
        session.add_all([Author(id=at, name=f"a{at}") for at in IDS])
        session.add_all([Employee(id=at, name=f"e{at}", wage=at) for at in IDS])
        session.add_all([Note(name=f"n{at}", body="") for at in IDS])
        session.add_all([Book(title=f"b{at}", author_id=at) for at in IDS])
        session.commit()
    tally = Tally("sqlalchemy", request.node.callspec.params["make_engine"], seed)
    run = Run(engine, plain, tally)
    for _ in range(STEPS):
        run.step()
    for side in run.sides:
        side.run(lambda side=side: side.end(False))
        side.session.close()
    tally.write()
    assert run.cache.stats().hits > STEPS / 50, "nothing was ever cached"
