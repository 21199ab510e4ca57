"""What a statement does, read from the text that was executed.

`analyse` names the tables that a statement reads and writes, `row_keys` the rows where its
conditions name them. Both err to one side: more tables and fewer rows than there are, never the
other way. A text that is not understood is of the kind "unknown", and its writer may have changed
anything. Statements are parsed by sqlglot once per shape (see `_sql_text`).
"""

from __future__ import annotations

import itertools
import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

try:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
except ImportError as error:  # pragma: no cover
    raise ImportError(
        "zoocache reads SQL by sqlglot, which is not installed;"
        " install zoocache[django] or zoocache[sqlalchemy]"
    ) from error

from zoocache.contrib._sql_functions import Token, tokens_of, unknown_functions
from zoocache.contrib._sql_text import MAX_LIST, Dialect, Shape, read_shape
from zoocache.contrib._sql_tree import RawCondition, Tables, Uncertain, examine, named_tables
from zoocache.contrib._sql_words import plain_statement, split_statements

Kind = Literal["read", "write", "ddl", "transaction", "session", "other", "unknown"]
_KINDS: frozenset[str] = frozenset({"read", "write", "other"})
# Longer texts are scanned anew every time, so that a few of them cannot fill the memory.
_CACHED_TEXT = 4096
_CACHED_TEXTS = 4096
_CACHED_SHAPES = 2048
# Longer shapes are not parsed.
_MAX_SHAPE = 200_000


@dataclass(frozen=True)
class Operand:
    """What a column is compared with: a literal integer, or a parameter of the statement.

    Attributes:
        value: the integer where it is a literal.
        parameter: else the parameter's position, counted from 0, or its name.
        cast: the type that the statement casts it to: "int", "str", "uuid", or "" for none.
    """

    value: int | None
    parameter: int | str | None
    cast: str = ""


@dataclass(frozen=True)
class Condition:
    """`column` equals one of `operands`, in every row that the statement touches."""

    column: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Statement:
    """What the text of one or several statements does. Immutable and shared.

    Attributes:
        kind: "read" and "write" for queries and DML; "ddl" where the schema or rights change, so
            that what is known of the database must be read anew; "transaction" for BEGIN, COMMIT,
            SAVEPOINT and their like; "session" for what changes how names, rows or values of
            later statements on this connection come about (SET, search_path, ATTACH, temporary
            tables, most PRAGMAs); "other" for what does neither; "unknown" for the rest, which may
            have done anything of these.
        reads: the tables read, subqueries included, as written: "table" or "schema.table" in
            lower case.
        writes: the tables written, by name; rules, triggers and foreign keys are not seen here.
        functions: functions called that are not known to be pure, in lower case. They may read,
            write and give another result next time.
        locks: FOR UPDATE, FOR SHARE, LOCK.
        upsert: rows that exist may be changed by what is an insert at first sight.
        conditions: equalities that hold in every row touched, for a SELECT, UPDATE or DELETE of
            one single table; None: not of that kind. See `row_keys`.
        assigned: columns that a SET names, in lower case.
        returning: the statement itself returns the rows that it wrote.
        positional: how many positional parameters the text takes; None: they have names or numbers.
    """

    kind: Kind
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    locks: bool = False
    upsert: bool = False
    conditions: tuple[Condition, ...] | None = None
    assigned: frozenset[str] = frozenset()
    returning: bool = False
    positional: int | None = None


UNKNOWN = Statement("unknown")


def analyse(text: str, dialect: Dialect) -> Statement:
    """Returns what a text does. Quick when it, or one of its shape, was seen before.

    Args:
        text: as it is given to the database's driver, with placeholders of any style.
        dialect: "sqlite" or "postgresql".

    Never raises, whatever the text. Thread-safe.
    """
    if len(text) <= _CACHED_TEXT:
        try:
            return _of_text(text, dialect)
        except RecursionError:  # the caller's stack was deep: another time it may do
            return UNKNOWN
    try:
        return _analyse(text, dialect)
    except RecursionError:
        return UNKNOWN


def row_keys(
    statement: Statement,
    key_columns: Sequence[str],
    parameters: Sequence[object] | Mapping[str, object] | None,
) -> list[tuple[object, ...]] | None:
    """Returns the primary keys of all rows that a statement can touch; None where it is not told.

    Args:
        statement: what `analyse` gave.
        key_columns: the columns of the table's primary key, lower case, in their order.
        parameters: as they were given to the driver, one set of them.

    The values are integers, strings and UUIDs as given: a column that compares strings by other
    rules than equality (SQLite's NOCASE, for one) may hold a row under another spelling. At most 64
    keys are returned. Never raises. Thread-safe.
    """
    if statement.conditions is None or not key_columns:
        return None
    columns: list[list[object]] = []
    count = 1
    for name in key_columns:
        values = _values_of(name, statement, parameters)
        if values is None:
            return None
        count *= len(values)
        if count > MAX_LIST:
            return None
        columns.append(values)
    return list(itertools.product(*columns))


def _values_of(
    name: str, statement: Statement, parameters: Sequence[object] | Mapping[str, object] | None
) -> list[object] | None:
    """The values of one column: of the first condition on it that can be resolved."""
    for condition in statement.conditions or ():
        if condition.column != name:
            continue
        values = [_value(operand, statement, parameters) for operand in condition.operands]
        if None not in values:
            return list(dict.fromkeys(values))
    return None


def _value(
    operand: Operand,
    statement: Statement,
    parameters: Sequence[object] | Mapping[str, object] | None,
) -> object | None:
    if operand.value is not None:
        return operand.value
    at = operand.parameter
    value: object = None
    if isinstance(at, str):
        if isinstance(parameters, Mapping):
            value = parameters.get(at)
    elif isinstance(parameters, list | tuple) and at is not None and 0 <= at < len(parameters):
        value = parameters[at] if statement.positional in {None, len(parameters)} else None
    if type(value) is int:
        return value if operand.cast in {"", "int"} else None
    if type(value) is str:
        return value if operand.cast in {"", "str"} else None
    if type(value) is uuid.UUID:
        return value if operand.cast in {"", "uuid"} else None
    return None


@lru_cache(maxsize=_CACHED_TEXTS)
def _of_text(text: str, dialect: Dialect) -> Statement:
    return _analyse(text, dialect)


def _analyse(text: str, dialect: Dialect) -> Statement:
    shape = read_shape(text, dialect)
    if shape.text is None or len(shape.text) > _MAX_SHAPE:
        return UNKNOWN
    statement, raw = _of_shape(shape.text, dialect)
    if statement.kind == "unknown":
        return UNKNOWN
    conditions = None if raw is None else _resolve(raw, shape)
    return replace(statement, conditions=conditions, positional=shape.positional)


def _resolve(raw: tuple[RawCondition, ...], shape: Shape) -> tuple[Condition, ...]:
    """The conditions with the parameters of this text in place of the shape's placeholders."""
    found: list[Condition] = []
    for column, operands in raw:
        resolved: list[Operand] = []
        for value, slot, cast in operands:
            if slot is None:
                resolved.append(Operand(value, None))
                continue
            parameters = shape.slots[slot].parameters
            if parameters is None:
                break
            resolved += [Operand(None, one, cast) for one in parameters]
        else:
            if len(resolved) <= MAX_LIST:
                found.append(Condition(column, tuple(resolved)))
    return tuple(found)


@lru_cache(maxsize=_CACHED_SHAPES)
def _of_shape(shape: str, dialect: Dialect) -> tuple[Statement, tuple[RawCondition, ...] | None]:
    """What statements of a shape do; their conditions still with the shape's placeholders."""
    parts = split_statements(tokens_of(shape))
    if not parts:
        return Statement("other"), None
    found = [_of_part(shape, part, dialect) for part in parts]
    if len(found) == 1:
        return found[0]
    statements = [statement for statement, _ in found]
    kinds = {statement.kind for statement in statements}
    if not kinds <= _KINDS:
        return UNKNOWN, None
    kind: Kind = "write" if "write" in kinds else "read" if "read" in kinds else "other"
    none: frozenset[str] = frozenset()
    merged = Statement(
        kind,
        none.union(*(one.reads for one in statements)),
        none.union(*(one.writes for one in statements)),
        none.union(*(one.functions for one in statements)),
        any(one.locks for one in statements),
        any(one.upsert for one in statements),
        None,
        none.union(*(one.assigned for one in statements)),
        any(one.returning for one in statements),
    )
    return merged, None


def _of_part(
    shape: str, part: list[Token], dialect: Dialect
) -> tuple[Statement, tuple[RawCondition, ...] | None]:
    plain = plain_statement(part, dialect)
    if plain is not None:
        if plain.inner:
            inner, _ = _of_part(shape, list(plain.inner), dialect)
            return (inner if inner.kind in _KINDS else UNKNOWN), None
        if plain.kind == "ddl":
            return _of_ddl(shape, part, dialect), None
        upsert = plain.kind == "write"
        return Statement(
            plain.kind, plain.reads, plain.writes, frozenset(), plain.locks, upsert
        ), None
    root = _parse(_standard(shape, part), dialect)
    if root is None:
        return UNKNOWN, None
    try:
        tables = examine(root, dialect)
    except Uncertain:
        return UNKNOWN, None
    statement = _of_tables(part, tables, dialect)
    narrow = not statement.upsert and not (statement.kind == "read" and statement.functions)
    return statement, tables.conditions if narrow else None


def _standard(shape: str, part: list[Token]) -> str:
    """The statement without two spellings of SQLite that the parser does not know."""
    words = [token.text for token in part[:3]]
    text = shape[part[0].start : part[-1].end]
    if words[0] == "replace":
        return "INSERT" + text[part[0].end - part[0].start :]
    if words[:2] == ["update", "or"] and len(words) == 3:
        return "UPDATE" + text[part[2].end - part[0].start :]
    return text


def _of_tables(part: list[Token], tables: Tables, dialect: Dialect) -> Statement:
    functions = unknown_functions(part, dialect, tables.ctes)
    words = [token.text for token in part]
    pairs = set(itertools.pairwise(words))
    kind: Kind = "write" if tables.writes else "read"
    if tables.makes is not None:
        kind = "session" if tables.temporary else "ddl"
    if "set_config" in {name.rpartition(".")[2] for name in functions}:
        kind = "session"
    upsert = ("do", "update") in pairs or ("or", "replace") in pairs or "merge" in words
    upsert = upsert or words[0] == "replace"
    return Statement(
        kind,
        tables.reads,
        tables.writes,
        functions,
        tables.locks,
        upsert and bool(tables.writes),
        None,
        tables.assigned,
        tables.returning,
    )


def _of_ddl(shape: str, part: list[Token], dialect: Dialect) -> Statement:
    """The tables that a change of the schema names, as far as they are told."""
    root = _parse(shape[part[0].start : part[-1].end], dialect)
    try:
        names = frozenset[str]() if root is None else named_tables(root)
    except Uncertain:
        names = frozenset()
    return Statement("ddl", names, names)


class _Silence(logging.Filter):
    """Drops what the parser logs while it reads for us: what it does not know is expected here."""

    def __init__(self) -> None:
        super().__init__()
        self.on = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  logging's signature
        return not getattr(self.on, "reading", False)


_silence = _Silence()
logging.getLogger("sqlglot").addFilter(_silence)


def _parse(text: str, dialect: Dialect) -> exp.Expr | None:
    """The tree of one statement; None where the parser does not know it."""
    read = "postgres" if dialect == "postgresql" else "sqlite"
    _silence.on.reading = True
    try:
        trees = sqlglot.parse(text, read=read)
    except RecursionError:
        raise
    except (SqlglotError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None  # whatever it stumbles over, it did not read the text
    finally:
        _silence.on.reading = False
    tree = trees[0] if len(trees) == 1 else None
    return tree if isinstance(tree, exp.Expr) else None
