"""SQLAlchemy: `key_context`, with two tenants in one PostgreSQL: by path, row security, schema."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, event, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import zoocache
from postgres_server import PostgresServer
from sqlalchemy_fixtures import nothing_said
from sqlalchemy_support import Counted
from support import spawn
from zoocache.contrib.sqlalchemy import _databases, install

tenant: contextvars.ContextVar[str | None] = contextvars.ContextVar("tenant", default=None)
SCHEMA = """
CREATE ROLE app LOGIN;
CREATE TABLE public.items (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO public.items VALUES (1, 'public');
CREATE SCHEMA tenant_a; CREATE SCHEMA tenant_b;
CREATE TABLE tenant_a.items (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE tenant_b.items (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO tenant_a.items VALUES (1, 'of a'); INSERT INTO tenant_b.items VALUES (1, 'of b');
CREATE TABLE members (id int PRIMARY KEY, tenant text NOT NULL);
INSERT INTO members VALUES (1, 'a'), (2, 'b');
CREATE TABLE rows (id int PRIMARY KEY, tenant text NOT NULL, name text NOT NULL);
INSERT INTO rows VALUES (1, 'a', 'row of a'), (2, 'b', 'row of b');
ALTER TABLE rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON rows USING (tenant = current_setting('app.tenant', true));
CREATE TABLE secrets (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO secrets VALUES (1, 'secret');
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secrets USING (EXISTS
  (SELECT 1 FROM members WHERE members.tenant = current_setting('app.tenant', true)));
GRANT USAGE ON SCHEMA tenant_a, tenant_b TO app;
GRANT ALL ON public.items, tenant_a.items, tenant_b.items, members, rows, secrets TO app;
"""
SCANS = {"db:shop:tenant_a.items:~scan", "db:shop:tenant_b.items:~scan"}


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@pytest.fixture
def place(postgres: PostgresServer, postgres_database: str) -> Iterator[str]:
    """The URL of a database with two tenants, for a role that the database protects them from."""
    with postgres.connect(postgres_database) as connection:
        connection.execute(SCHEMA)
    yield postgres.url(postgres_database, "postgresql+psycopg").replace("zoo@", "app@")
    with postgres.connect(postgres_database) as connection:
        connection.execute("DROP OWNED BY app; DROP ROLE app")


@pytest.fixture
def engine(place: str) -> Iterator[Any]:
    made = create_engine(place)
    yield made
    made.dispose()


def installed(engine: Any, key_context: Any = tenant.get, **options: Any) -> zoocache.Cache:
    cache = zoocache.Cache()
    install(engine, cache=cache, alias="shop", key_context=key_context, **options)
    return cache


def by_path(session: Session) -> None:
    session.execute(text(f"SET LOCAL search_path TO tenant_{tenant.get()}, public"))


def by_setting(session: Session) -> None:
    session.execute(text("SELECT set_config('app.tenant', :name, true)"), {"name": tenant.get()})


def reading(cache: zoocache.Cache, engine: Any, enter: Any, read: Callable[..., Any]) -> Counted:
    def call(*args: Any) -> Any:
        with Session(engine) as session:
            enter(session)
            return read(session, *args)

    return Counted(cache, call)


def of(name: str, call: Callable[..., Any], *args: Any) -> Any:
    def run() -> Any:
        tenant.set(name)
        return call(*args)

    return contextvars.copy_context().run(run)


def written(engine: Any, name: str, enter: Any, statement: str) -> None:
    def run() -> None:
        with Session(engine) as session:
            enter(session)
            session.execute(text(statement))
            session.commit()

    of(name, run)


READS: dict[str, Callable[[Session], Any]] = {
    "scalar": lambda session: session.scalar(select(Item.name).where(Item.id == 1)),
    "object": lambda session: session.get(Item, 1).name,
    "value": lambda session: list(session.scalars(select(Item))),
    "twice": lambda session: (session.get(Item, 1), session.get(Item, 1).name)[1],
}


def name_of(value: Any) -> Any:
    return value[0].name if isinstance(value, list) else value


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_tenants_by_search_path(engine: Any, read: Callable[[Session], Any]) -> None:
    cache = installed(engine)
    item = reading(cache, engine, by_path, read)
    for name in ("a", "b", "a"):
        assert name_of(of(name, item)) == f"of {name}"
    assert item.runs == 2
    assert {tag.tag for tag in cache.tags("db:shop") if tag.entries} - SCANS == {
        "db:shop:tenant_a.items:1",
        "db:shop:tenant_b.items:1",
    }
    written(engine, "a", by_path, "UPDATE items SET name = 'new' WHERE id = 1")
    assert of("b", item.hits)
    assert name_of(of("a", item)) == "new"
    written(engine, "b", lambda _: None, "UPDATE items SET name = 'new' WHERE id = 1")
    assert of("a", item.hits), "that was the public one's"
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM tenant_b.items WHERE id = 5"))
    assert of("a", item.hits)
    with engine.begin() as connection:
        connection.execute(text("UPDATE tenant_b.items SET name = 'newer' WHERE id = 1"))
    assert name_of(of("b", item)) == "newer"


def test_threads_of_two_tenants(engine: Any) -> None:
    item = reading(installed(engine), engine, by_path, READS["scalar"])

    def watch(name: str) -> set[Any]:
        return {item() for _ in range(200)}

    calls = [spawn(of, name, watch, name) for name in ("a", "b", "a", "b")]
    for call, name in zip(calls, ("a", "b", "a", "b"), strict=True):
        assert call.result() == {f"of {name}"}
    assert item.runs == 2


def test_tasks_of_two_tenants(place: str) -> None:
    async def both() -> None:
        engine = create_async_engine(place)
        cache = installed(engine)
        runs = itertools.count()

        @cache.cacheable
        async def item() -> Any:
            next(runs)
            async with AsyncSession(engine) as session:
                await session.run_sync(by_path)
                return await session.run_sync(READS["scalar"])

        async def ask(name: str) -> Any:
            tenant.set(name)
            return [await item() for _ in range(3)]

        names = ["a", "b"] * 4
        told = await asyncio.gather(*(ask(name) for name in names))
        assert told == [[f"of {name}"] * 3 for name in names]
        assert next(runs) == 2
        await engine.dispose()

    asyncio.run(both())


def test_tenants_by_row_level_security(engine: Any) -> None:
    cache = installed(engine)
    rows = reading(
        cache, engine, by_setting, lambda s: list(s.scalars(text("SELECT name FROM rows")))
    )
    for name in ("a", "b", "a"):
        assert of(name, rows) == [f"row of {name}"]
    assert rows.runs == 2
    written(engine, "a", by_setting, "UPDATE rows SET name = 'new' WHERE id = 1")
    assert of("a", rows) == ["new"]


def test_policies_that_look_elsewhere_are_declared(engine: Any, caplog: Any) -> None:
    read = lambda s: s.scalar(text("SELECT name FROM secrets WHERE id = 1"))  # noqa: E731
    secret = reading(installed(engine), engine, by_setting, read)
    assert not of("a", secret.is_kept)
    assert any("secrets" in line for line in caplog.messages)
    other = create_engine(engine.url)
    cache = installed(other, reads={"secrets": ["secrets", "members"]})
    secret = reading(cache, other, by_setting, read)
    assert of("a", secret.is_kept)
    written(other, "a", by_setting, "DELETE FROM members")
    assert of("a", secret) is None
    other.dispose()


@pytest.mark.parametrize("key_context", [None, tenant.get])
def test_a_schema_map_is_stored_with_a_context_alone(engine: Any, key_context: Any) -> None:
    cache = installed(engine, key_context)

    def mapped() -> Any:
        return engine.execution_options(schema_translate_map={None: f"tenant_{tenant.get()}"})

    def call(read: Any) -> Any:
        with Session(mapped()) as session:
            return read(session)

    kept = []  # entries go with their function
    for read in READS.values():
        item = Counted(cache, lambda read=read: call(read))
        kept.append(item)
        assert name_of(of("a", item)) == "of a"
        assert name_of(of("b", item)) == "of b"
        assert of("a", item.hits) == (key_context is not None)
    if key_context is None:
        return
    assert {tag.tag for tag in cache.tags("db:shop") if tag.entries} == SCANS | {
        "db:shop:tenant_a.items:1",
        "db:shop:tenant_b.items:1",
    }

    def rename() -> None:
        with Session(mapped()) as session:
            session.get(Item, 1).name = "new"
            session.commit()

    of("a", rename)
    assert name_of(of("a", item)) == "new"
    assert of("b", item.hits)


def test_a_map_of_one_statement(engine: Any) -> None:
    item = reading(
        installed(engine),
        engine,
        lambda _: None,
        lambda s: (
            s.scalar(
                select(Item), execution_options={"schema_translate_map": {None: "tenant_b"}}
            ).name
        ),
    )
    assert of("b", item.is_kept)
    written(engine, "a", by_path, "UPDATE items SET name = 'new'")
    written(engine, "a", lambda _: None, "UPDATE items SET name = 'new'")
    assert of("b", item.hits)
    written(engine, "b", by_path, "UPDATE items SET name = 'new'")
    assert of("b", item) == "new"


def test_a_path_that_was_set_before_the_connection_was_given_out(engine: Any) -> None:
    @event.listens_for(engine, "checkout")
    def checkout(plain: Any, *_: Any) -> None:
        with plain.cursor() as cursor:
            cursor.execute(f"SET search_path TO tenant_{tenant.get()}")
        plain.commit()

    cache = installed(engine)
    item = reading(cache, engine, lambda _: None, READS["object"])
    for name in ("a", "b", "a"):
        assert of(name, item) == f"of {name}"
    written(engine, "a", lambda _: None, "UPDATE items SET name = 'new' WHERE id = 1")
    assert of("a", item) == "new"
    assert of("b", item.hits)


def test_a_table_of_the_connections_own_is_nobody_elses(engine: Any) -> None:
    def own(session: Session) -> None:
        session.execute(text("CREATE TEMP TABLE items AS SELECT 1 AS id, 'own' AS name"))
        session.commit()

    cache = installed(engine)
    item = reading(cache, engine, lambda _: None, READS["scalar"])
    assert of("a", item.is_kept)
    cache.clear()
    of("a", reading(zoocache.Cache(), engine, own, READS["scalar"]))
    assert of("a", item) == "own", "by the same connection"
    assert not of("a", item.hits)


def test_a_setting_ends_with_its_savepoint(engine: Any) -> None:
    def read(session: Session) -> Any:
        with session.begin_nested() as savepoint:
            by_path(session)
            first = READS["scalar"](session)
            savepoint.rollback()
        return first, READS["scalar"](session)

    item = reading(installed(engine), engine, lambda _: None, read)
    assert of("a", item) == ("of a", "public")
    written(engine, "b", lambda _: None, "UPDATE items SET name = 'new' WHERE id = 1")
    assert of("a", item) == ("of a", "new")
    written(engine, "a", by_path, "UPDATE items SET name = 'newer' WHERE id = 1")
    assert of("a", item) == ("newer", "new")


def test_without_a_context_writers_paths_are_followed_and_readers_keep_nothing(
    engine: Any,
) -> None:
    cache = installed(engine, None)
    item = reading(cache, engine, by_path, READS["scalar"])
    assert not of("a", item.is_kept)
    named = reading(
        cache, engine, lambda _: None, lambda s: s.scalar(text("SELECT name FROM tenant_a.items"))
    )
    plain = reading(cache, engine, lambda _: None, READS["scalar"])
    assert named() == "of a"
    assert plain() == "public"
    written(engine, "a", by_path, "UPDATE items SET name = 'new' WHERE id = 1")
    assert named() == "new"


def test_a_connection_that_could_not_be_asked_is_asked_again(engine: Any) -> None:
    cache = installed(engine, None)
    item = reading(cache, engine, lambda _: None, READS["scalar"])

    def fails(session: Session) -> None:
        with pytest.raises(DatabaseError):
            session.execute(text("SELECT nothing"))
        cache.clear()
        for database in _databases.values():
            database.forget_catalog()
        with pytest.raises(DatabaseError):
            session.execute(text("SELECT name FROM items"))

    reading(zoocache.Cache(), engine, fails, lambda _: None)()
    assert item.is_kept()


def test_a_statement_that_sets_and_reads_is_not_kept(engine: Any) -> None:
    read = text("SELECT set_config('app.tenant', name, true) FROM items")
    item = reading(installed(engine), engine, lambda _: None, lambda s: s.scalar(read))
    assert not of("a", item.is_kept)
