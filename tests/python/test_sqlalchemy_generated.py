"""Random reads and writes of generated schemas through SQLAlchemy's Core; see `differential`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, event
from sqlalchemy.exc import DBAPIError

import zoocache
from differential import Run, Tally, seeds, steps
from generated_core import Turn, make_tables, reads_of, writes_of
from generated_schema import make_schema
from sqlalchemy_fixtures import url
from zoocache.contrib.sqlalchemy import install


@pytest.fixture
def engine(url: str) -> Iterator[Any]:
    made = create_engine(url)
    if made.dialect.name == "sqlite":

        @event.listens_for(made, "connect")
        def prepare(connection: Any, record: Any) -> None:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA journal_mode=WAL")

    yield made
    made.dispose()


@pytest.mark.parametrize("seed", seeds(2))
def test_no_cached_answer_of_a_generated_schema_differs(engine: Any, seed: int) -> None:
    schema = make_schema(seed)
    print(schema)
    metadata = MetaData()
    tables = make_tables(schema, metadata)
    metadata.create_all(engine)
    cache = zoocache.Cache()
    install(engine, cache=cache, alias="generated")
    with engine.connect() as one, engine.connect() as other:
        turn = Turn(one)
        run = Run(
            Tally("sqlalchemy, generated", engine.dialect.name, seed),
            reads_of(schema, tables, turn),
            writes_of(schema, tables, turn),
            atomic=turn.atomic,
            turns=[lambda: turn.of(one), lambda: turn.of(other)],
            errors=(DBAPIError,),
            cacheable=cache.cacheable,
        )
        run.go(steps(25))
