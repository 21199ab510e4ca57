"""Engines on both databases, and cached functions that count, for the tests of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

import zoocache
from postgres_server import PostgresServer
from sqlalchemy_support import Author, Base, Book
from zoocache.contrib import _models
from zoocache.contrib.sqlalchemy import install


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: Any, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shop.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(request.getfixturevalue("postgres_database"), "postgresql+psycopg")


@pytest.fixture
def engine(url: str) -> Iterator[Any]:
    made = create_engine(url)
    if made.dialect.name == "sqlite":
        event.listen(made, "connect", lambda plain, _: plain.execute("PRAGMA foreign_keys=ON"))
    Base.metadata.create_all(made)
    with Session(made) as session:
        session.add_all([Author(id=i, name=f"author {i}") for i in (1, 2)])
        session.add(Book(id=1, author_id=1, title="first"))
        session.commit()
    if made.dialect.name == "postgresql":
        with made.begin() as connection:  # the keys above were not its own
            for table in ("authors", "books"):
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 100)"
                )
    yield made
    made.dispose()


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    """Lines that are logged once are logged in each test."""
    _models.once.forget()


@pytest.fixture
def cache(engine: Any) -> zoocache.Cache:
    made = zoocache.Cache()
    install(engine, cache=made, alias="shop")
    return made
