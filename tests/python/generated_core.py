"""Tables of a generated schema for SQLAlchemy's Core, and what can be read and written in them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Uuid,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects import postgresql, sqlite

from generated_schema import Schema, Table

Reads = dict[str, Callable[[int], Any]]


class Turn:
    """The connection whose turn it is; outside of `atomic` each statement is a transaction."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    @contextlib.contextmanager
    def of(self, connection: Any) -> Iterator[None]:
        mine, self.connection = self.connection, connection
        try:
            yield
        finally:
            self.connection = mine

    @contextlib.contextmanager
    def atomic(self) -> Iterator[None]:
        connection = self.connection
        with connection.begin_nested() if connection.in_transaction() else connection.begin():
            yield

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        """All rows of a query, sorted."""
        with self.connection.begin() if not self.connection.in_transaction() else nothing():
            result = self.connection.execute(statement, parameters)
            return sorted(map(repr, map(tuple, result))) if result.returns_rows else None


nothing = contextlib.nullcontext


def make_tables(schema: Schema, metadata: MetaData) -> dict[str, SqlTable]:
    made: dict[str, SqlTable] = {}
    kinds: dict[str, Any] = {"int": Integer, "text": String(20), "uuid": Uuid}
    by_name = {table.name: table for table in schema.tables}
    for table in schema.tables:
        parent = [ForeignKey(f"{table.parent}.id", ondelete="CASCADE")] if table.parent else []
        columns = [Column("id", kinds[table.key], *parent, primary_key=True)]
        for one in table.columns:
            kind: Any = String(20) if one.is_text else Integer
            columns.append(Column(one.name, kind, nullable=one.is_nullable))
        for key in table.foreign_keys:
            act = "CASCADE" if key.cascades else "SET NULL"
            reference = ForeignKey(f"{key.to}.id", ondelete=act)
            kind = kinds[by_name[key.to].key]
            columns.append(Column(key.name, kind, reference, nullable=key.is_nullable))
        made[table.name] = SqlTable(table.name, metadata, *columns)
    for left, right in schema.many_to_many:
        sides = [
            Column(f"{side}_id", kinds[by_name[side].key],
                   ForeignKey(f"{side}.id", ondelete="CASCADE"), primary_key=True)
            for side in (left, right)
        ]  # fmt: skip
        made[f"{left}_{right}"] = SqlTable(f"{left}_{right}", metadata, *sides)
    return made


def reads_of(schema: Schema, made: dict[str, SqlTable], turn: Turn) -> Reads:
    found: Reads = {}
    by_name = {table.name: table for table in schema.tables}
    for table in schema.tables:
        found |= reads_of_table(table, made, turn)
        for key in table.foreign_keys:
            found |= reads_of_relation(table, key.name, by_name[key.to], made, turn)
    for left, right in schema.many_to_many:
        found[f"m2m {left}-{right}"] = read_of_pair(by_name[left], right, made, turn)
    return found


def read_of_pair(
    left: Table, right: str, made: dict[str, SqlTable], turn: Turn
) -> Callable[[int], Any]:
    pair, other = made[f"{left.name}_{right}"], made[right]
    joined = select(other).join(pair, pair.c[f"{right}_id"] == other.c.id)
    return lambda key: turn.execute(joined.where(pair.c[f"{left.name}_id"] == left.key_of(key)))


def reads_of_table(table: Table, made: dict[str, SqlTable], turn: Turn) -> Reads:
    name, mine, key_of = table.name, made[table.name], table.key_of
    column = table.columns[0]
    c, run = mine.c[column.name], turn.execute
    found: Reads = {
        f"row {name}": lambda key: run(select(mine).where(mine.c.id == key_of(key))),
        f"rows {name}": lambda key: run(
            select(mine).where(mine.c.id.in_([key_of(key), key_of(key % 5 + 1)]))
        ),
        f"filter {name}": lambda key: run(select(mine).where(c == column.value(key))),
        f"null {name}": lambda key: run(
            select(mine.c.id).where(c.is_(None), mine.c.id != key_of(key))
        ),
        f"count {name}": lambda key: run(
            select(func.count()).select_from(mine).where(c != column.value(key % 4))
        ),
        f"aggregate {name}": lambda key: run(select(func.max(c), func.count(c))),
        f"raw {name}": lambda key: run(
            text(f"SELECT * FROM {name} WHERE {column.name} = :v"), {"v": column.value(key % 4)}
        ),
    }
    if table.parent:
        parent = made[table.parent]
        joined = mine.join(parent, parent.c.id == mine.c.id)
        found[f"inherited {name}"] = lambda key: run(
            select(parent, mine).select_from(joined).where(mine.c.id == key_of(key))
        )
    return found


def reads_of_relation(
    table: Table, name: str, target: Table, made: dict[str, SqlTable], turn: Turn
) -> Reads:
    mine, other, column = made[table.name], made[target.name].alias("other"), target.columns[0]
    theirs, run = other.c[column.name], turn.execute
    on = mine.c[name] == other.c.id
    return {
        f"join {name}": lambda key: run(
            select(mine, theirs).join(other, on).where(theirs == column.value(key))
        ),
        f"outer_join {name}": lambda key: run(
            select(mine.c.id, theirs).outerjoin(other, on).where(mine.c.id == table.key_of(key))
        ),
        f"subquery {name}": lambda key: run(
            select(mine).where(
                mine.c[name].in_(select(other.c.id).where(theirs == column.value(key)))
            )
        ),
        f"exists {name}": lambda key: run(
            select(other.c.id).where(exists().where(on), other.c.id == target.key_of(key))
        ),
        f"group {name}": lambda key: run(select(mine.c[name], func.count()).group_by(mine.c[name])),
    }


class Values:
    """Random values for a table's columns and references."""

    def __init__(self, table: Table, schema: Schema) -> None:
        self.table = table
        self.by_name = {one.name: one for one in schema.tables}

    def __call__(self, numbers: random.Random) -> dict[str, Any]:
        found = {one.name: one.value(numbers.randrange(10)) for one in self.table.columns}
        for key in self.table.foreign_keys:
            is_null = key.is_nullable and numbers.random() < 0.3
            target = self.by_name[key.to].key_of(numbers.randrange(1, 6))
            found[key.name] = None if is_null else target
        return found


def writes_of(schema: Schema, made: dict[str, SqlTable], turn: Turn) -> tuple[list[Any], list[Any]]:
    """What fills the tables, and all."""
    fill: list[Any] = []
    found: list[Any] = []
    by_name = {table.name: table for table in schema.tables}
    for table in schema.tables:
        mine = writes_of_table(table, made[table.name], Values(table, schema), turn)
        fill.append(mine[0])
        found += mine
    for left, right in schema.many_to_many:
        pair, of_left, of_right = made[f"{left}_{right}"], by_name[left], by_name[right]

        def link(
            numbers: random.Random,
            key: int,
            pair: Any = pair,
            sides: Any = (of_left, of_right),
        ) -> None:
            names = [f"{side.name}_id" for side in sides]
            if numbers.random() < 0.3:
                turn.execute(delete(pair).where(pair.c[names[0]] == sides[0].key_of(key)))
                return
            keys = [sides[0].key_of(key), sides[1].key_of(numbers.randrange(1, 6))]
            turn.execute(insert(pair).values(**dict(zip(names, keys, strict=True))))

        fill.append(link)
        found += [link, link]
    return fill, found


def writes_of_table(table: Table, mine: SqlTable, values: Values, turn: Turn) -> list[Any]:
    column, key_of, run = table.columns[0], table.key_of, turn.execute
    c = mine.c[column.name]

    def add(numbers: random.Random, key: int) -> None:
        own = {"id": key_of(key)}
        if table.key == "int" and not table.parent and numbers.random() < 0.2:
            own = {}
        run(insert(mine).values(**own, **values(numbers)))

    def add_many(numbers: random.Random, key: int) -> None:
        keys = [key_of(key), key_of(key % 5 + 1)]
        run(insert(mine), [{"id": one, **values(numbers)} for one in keys])

    def upsert(numbers: random.Random, key: int) -> None:
        dialect = postgresql if turn.connection.dialect.name == "postgresql" else sqlite
        new = values(numbers)
        run(
            dialect.insert(mine)
            .values(id=key_of(key), **new)
            .on_conflict_do_update(index_elements=["id"], set_=new)
        )

    def change(numbers: random.Random, key: int) -> None:
        run(update(mine).where(mine.c.id == key_of(key)).values(**values(numbers)))

    def change_some(numbers: random.Random, key: int) -> None:
        new = column.value(numbers.randrange(4))
        run(update(mine).where(c == column.value(key)).values({column.name: new}))

    def move(numbers: random.Random, key: int) -> None:
        new, old = key_of(numbers.randrange(1, 6)), key_of(key)
        run(text(f"UPDATE {table.name} SET id = :new WHERE id = :old").bindparams(
            new=as_text(new, turn), old=as_text(old, turn)))  # fmt: skip

    def remove(numbers: random.Random, key: int) -> None:
        run(delete(mine).where(mine.c.id == key_of(key)))

    def remove_some(numbers: random.Random, key: int) -> None:
        oldest = select(mine.c.id).where(c == column.value(key)).order_by(mine.c.id).limit(1)
        run(delete(mine).where(mine.c.id.in_(oldest.scalar_subquery())))

    return [add, add, add, add_many, upsert, change, change, change_some, move, remove, remove_some]


def as_text(key: Any, turn: Turn) -> Any:
    """As the column holds it: SQLite has no type for a UUID."""
    if turn.connection.dialect.name == "sqlite" and hasattr(key, "hex"):
        return key.hex
    return key
