"""A random schema out of a seed: tables, their keys, columns, relations and parents.

It is said in neutral terms, from which `generated_django` makes models and `generated_core` the
tables of SQLAlchemy.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Column:
    name: str
    is_text: bool
    is_nullable: bool

    def value(self, number: int) -> Any:
        """One of four, or nothing."""
        if self.is_nullable and number % 5 == 4:
            return None
        return f"t{number % 4}" if self.is_text else number % 4


@dataclass(frozen=True)
class ForeignKey:
    name: str
    to: str
    is_nullable: bool
    cascades: bool  # else the reference is set to NULL


@dataclass
class Table:
    name: str
    key: str  # "int", "text", "uuid"; of a child: its parent's
    parent: str | None = None
    columns: list[Column] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)

    def key_of(self, number: int) -> Any:
        """The key of the row of that number."""
        kinds = {"int": number, "text": f"k{number}", "uuid": uuid.UUID(int=number)}
        return kinds[self.key]


@dataclass
class Schema:
    tables: list[Table]
    many_to_many: list[tuple[str, str]]

    def __str__(self) -> str:
        lines = []
        for table in self.tables:
            head = f"{table.name}({table.parent})" if table.parent else f"{table.name} {table.key}"
            parts = [
                f"{one.name} {'text' if one.is_text else 'int'}{'?' * one.is_nullable}"
                for one in table.columns
            ]
            parts += [
                f"{one.name} -> {one.to}{'?' * one.is_nullable}{'!' * one.cascades}"
                for one in table.foreign_keys
            ]
            lines.append(f"{head}: {', '.join(parts)}")
        return "\n".join([*lines, *(f"{left} <-> {right}" for left, right in self.many_to_many)])


def make_schema(seed: int) -> Schema:
    """Three to five tables; the last one has a parent, and one refers to another."""
    numbers = random.Random(f"schema {seed}")  # near numbers give near ones
    tables: list[Table] = []
    count = numbers.randrange(3, 6)
    for at in range(count):
        parent = tables[numbers.randrange(at)] if at == count - 1 else None
        key = parent.key if parent else numbers.choice(["int", "int", "text", "uuid"])
        table = Table(f"t{at}", key, parent.name if parent else None)
        for number in range(numbers.randrange(1, 3)):
            is_text, is_nullable = numbers.random() < 0.5, numbers.random() < 0.5
            table.columns.append(Column(f"c{at}{number}", is_text, is_nullable))
        # To itself, to an earlier one, or none; the second table has one in any case.
        for number in range(numbers.randrange(at == 1, 3)):
            to = numbers.choice([*tables, table] if at != 1 else tables)
            is_nullable = to is table or numbers.random() < 0.6
            cascades = not is_nullable or numbers.random() < 0.5
            table.foreign_keys.append(ForeignKey(f"f{at}{number}", to.name, is_nullable, cascades))
        tables.append(table)
    pairs = [tuple(sorted(numbers.sample(range(count), 2))) for _ in range(2)]
    names = sorted({(f"t{left}", f"t{right}") for left, right in pairs})
    return Schema(tables, names)
