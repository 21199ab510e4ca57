"""`configure(verify=)` over SQLAlchemy: a load in the caller's transaction, objects by fields."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import Session

import zoocache
from sqlalchemy_support import Author, Base, Book
from zoocache.contrib.sqlalchemy import install


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    """A cache that verifies all, a cached function of a session, the engine, its file."""
    path = tmp_path / "shop.db"
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Author(id=1, name="first"), Book(id=1, author_id=1, title="one")])
        session.commit()
    cache = zoocache.Cache(verify=1.0, lease=600)
    install(engine, cache=cache, alias="shop")

    @cache.cacheable(ignore="session")
    def author(session: Session, key: int) -> Any:
        found = session.get(Author, key)
        return {"author": found, "books": list(session.scalars(select(Book)))}

    yield cache, author, engine, path
    engine.dispose()


def read(engine: Any, author: Any) -> Any:
    with Session(engine) as session:
        return author(session, 1)


def test_writes_that_are_seen_are_no_findings(shop: Any) -> None:
    cache, author, engine, _ = shop
    for name in ("second", "third"):
        for _ in range(2):
            read(engine, author)
        with Session(engine) as session:
            session.get(Author, 1).name = name
            session.commit()
    assert read(engine, author)["author"].name == "third"
    assert cache.findings(now=True) == []
    assert author.cache_info().hits == 2


def test_a_write_by_another_program_is_found_by_its_field(shop: Any) -> None:
    cache, author, engine, path = shop
    read(engine, author)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE authors SET name = 'changed'")
    other.close()
    assert read(engine, author)["author"].name == "changed"
    (one,) = cache.findings(now=True)
    assert one.parts == ("['author'].name: 'first', now 'changed'",)
    assert "db:shop:authors:1" in one.deps


def test_what_is_not_committed_is_seen_by_its_transaction_and_is_no_finding(shop: Any) -> None:
    cache, author, engine, _ = shop
    read(engine, author)
    with Session(engine) as session:
        session.execute(update(Author).values(name="not committed"))
        assert author(session, 1)["author"].name == "not committed"
        session.rollback()
    assert read(engine, author)["author"].name == "first"
    assert cache.findings(now=True) == []


def test_objects_that_a_session_had_before_are_no_findings(shop: Any) -> None:
    """The identity map gives what was read then; the cache has what is newer."""
    cache, author, engine, _ = shop
    with Session(engine) as old:
        old.get(Author, 1)
        old.commit()
        held = old.get(Author, 1)
        assert held.name == "first"
        old.connection().commit()  # the snapshot ends, and the object stays as it is
        with Session(engine) as session:
            session.get(Author, 1).name = "second"
            session.commit()
        read(engine, author)
        author(old, 1)
    assert cache.findings(now=True) == []
