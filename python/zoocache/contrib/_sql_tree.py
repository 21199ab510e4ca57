"""What a parsed statement reads and writes, and which rows its conditions name.

Works on sqlglot's trees. Everything errs to one side: a table too many, a row too few. Thread-safe:
nothing here has state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from zoocache.contrib._sql_text import MAX_LIST, STRING, TIME_STRING, Dialect

# (integer, placeholder's number, cast): one of the first two is set.
RawOperand = tuple["int | None", "int | None", str]
RawCondition = tuple[str, tuple[RawOperand, ...]]

_CASTS = {
    **dict.fromkeys((exp.DType.INT, exp.DType.BIGINT, exp.DType.SMALLINT), "int"),
    **dict.fromkeys((exp.DType.TEXT, exp.DType.VARCHAR), "str"),
    exp.DType.UUID: "uuid",
}
_NESTED = (exp.SetOperation, exp.Subquery, exp.Values, exp.Unnest, exp.Lateral, exp.With)


class Uncertain(Exception):  # noqa: N818  it is not an error: the statement counts as unknown
    """The tree holds something whose meaning is not known."""


@dataclass(frozen=True)
class Tables:
    """What a tree names."""

    reads: frozenset[str]
    writes: frozenset[str]
    conditions: tuple[RawCondition, ...] | None
    assigned: frozenset[str]
    locks: bool
    returning: bool
    # SELECT INTO: the table that it makes, and whether it is a temporary one.
    makes: str | None
    temporary: bool
    # Common table expressions with a list of columns, counted by name.
    ctes: dict[str, int]


def examine(root: exp.Expr, dialect: Dialect) -> Tables:
    """Returns what a query or DML statement names.

    Raises:
        Uncertain: there is something in it that is not understood.
    """
    for node in root.walk():
        if isinstance(node, exp.Command | exp.Parameter | exp.SessionParameter):
            raise Uncertain
        if isinstance(node, exp.In) and node.args.get("field") is not None:
            raise Uncertain  # SQLite's `x IN table`
    targets = dict(_targets(root))
    reads: set[str] = set()
    tables: list[exp.Table] = []
    for table in root.find_all(exp.Table):
        if isinstance(table.parent, exp.Lock):
            continue  # FOR UPDATE OF an alias
        tables.append(table)
        named = id(table) not in targets and not isinstance(table.this, exp.Func)
        if named and not _is_cte(table, dialect):
            reads.add(_name_of(table))
    returning = root.args.get("returning") is not None
    into = root.find(exp.Into)
    return Tables(
        frozenset(reads),
        frozenset(targets.values()),
        _conditions(root, tables),
        frozenset(_assigned(root)),
        any(True for _ in root.find_all(exp.Lock)),
        returning,
        None if into is None else targets[id(into.this)],
        into is not None and bool(into.args.get("temporary")),
        _ctes_with_columns(root),
    )


def named_tables(root: exp.Expr) -> frozenset[str]:
    """Every table that a tree names in any role."""
    names: set[str] = set()
    for table in root.find_all(exp.Table):
        if not isinstance(table.this, exp.Func):
            names.add(_name_of(table))
    return frozenset(names)


def _name_of(table: exp.Table) -> str:
    """`table` or `schema.table` in lower case."""
    parts = [table.args.get("db"), table.this]
    names: list[str] = []
    for part in parts:
        if part is None:
            continue
        if not isinstance(part, exp.Identifier):
            raise Uncertain
        name = part.name.lower()
        if not name or "." in name or name in {STRING, TIME_STRING}:
            raise Uncertain
        names.append(name)
    return ".".join(names)


def _table_in(node: object) -> exp.Table:
    if isinstance(node, exp.Schema):
        node = node.this
    if not isinstance(node, exp.Table) or isinstance(node.this, exp.Func):
        raise Uncertain
    return node


def _targets(root: exp.Expr) -> Iterator[tuple[int, str]]:
    """The tables that statements in the tree write, by the identity of their node."""
    for node in root.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into):
        in_merge = isinstance(node.parent, exp.When)
        if in_merge and isinstance(node, exp.Insert | exp.Update):
            continue
        if isinstance(node, exp.Delete) and node.args.get("tables"):
            raise Uncertain
        table = _table_in(node.this)
        yield id(table), _name_of(table)
    for node in root.find_all(exp.TruncateTable):
        for one in node.expressions:
            table = _table_in(one)
            yield id(table), _name_of(table)


def _normal(identifier: exp.Identifier | None, dialect: Dialect) -> str:
    """A name as the database compares it."""
    if identifier is None:
        return ""
    quoted = bool(identifier.args.get("quoted")) and dialect == "postgresql"
    return identifier.name if quoted else identifier.name.lower()


def _with_of(node: exp.Expr) -> exp.With | None:
    found = node.args.get("with_") or node.args.get("with")
    return found if isinstance(found, exp.With) else None


def _is_cte(table: exp.Table, dialect: Dialect) -> bool:
    """Whether the name is one of a common table expression in whose scope it stands."""
    if table.args.get("db") is not None or not isinstance(table.this, exp.Identifier):
        return False
    name = _normal(table.this, dialect)
    below: exp.Expr = table
    inside: exp.Expr | None = None  # the expression of `clause` in which the table stands
    clause: exp.With | None = None
    node = table.parent
    while node is not None:
        if isinstance(node, exp.With) and isinstance(below, exp.CTE):
            inside, clause = below, node
        found = _with_of(node)
        if found is not None:
            for cte in found.expressions:
                if found is clause and cte is inside:
                    itself = bool(found.args.get("recursive")) or dialect == "sqlite"
                    if itself and _cte_name(cte, dialect) == name:
                        return True
                    break  # what comes later is not seen from here
                if _cte_name(cte, dialect) == name:
                    return True
        below, node = node, node.parent
    return False


def _cte_name(cte: exp.Expr | None, dialect: Dialect) -> str:
    alias = None if cte is None else cte.args.get("alias")
    if not isinstance(alias, exp.TableAlias) or not isinstance(alias.this, exp.Identifier):
        raise Uncertain
    return _normal(alias.this, dialect)


def _ctes_with_columns(root: exp.Expr) -> dict[str, int]:
    counts: dict[str, int] = {}
    for cte in root.find_all(exp.CTE):
        alias = cte.args.get("alias")
        if isinstance(alias, exp.TableAlias) and alias.args.get("columns"):
            name = alias.name.lower()
            counts[name] = counts.get(name, 0) + 1
    return counts


def _assigned(root: exp.Expr) -> Iterator[str]:
    """The columns that any SET in the tree names."""
    for node in root.find_all(exp.Update, exp.OnConflict):
        for pair in node.expressions:
            left = pair.this if isinstance(pair, exp.EQ) else pair
            columns = list(left.find_all(exp.Column))
            if not columns:
                raise Uncertain
            for column in columns:
                yield column.name.lower()
                if column.table:  # a field of a composite column
                    yield column.table.lower()
    for node in root.find_all(exp.OnConflict):
        for pair in node.expressions:
            if not isinstance(pair, exp.EQ):
                raise Uncertain


def _conditions(root: exp.Expr, tables: list[exp.Table]) -> tuple[RawCondition, ...] | None:
    """The equalities that every row touched must meet; None: not a statement on one table alone."""
    if not isinstance(root, exp.Select | exp.Update | exp.Delete) or len(tables) != 1:
        return None
    table = tables[0]
    if not isinstance(table.this, exp.Identifier) or root.find(*_NESTED) is not None:
        return None
    if sum(1 for _ in root.find_all(exp.Select)) != isinstance(root, exp.Select):
        return None
    if root.args.get("joins") or table.args.get("joins") or root.find(exp.Into) is not None:
        return None
    where = root.args.get("where")
    names = {"", table.alias_or_name.lower()}
    found: list[RawCondition] = []
    if isinstance(where, exp.Where):
        for term in _terms(where.this):
            condition = _condition(term, names)
            if condition is not None:
                found.append(condition)
    return tuple(found)


def _terms(node: object) -> Iterator[exp.Expr]:
    """What is joined by AND at the top."""
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, exp.Paren):
            pending.append(one.this)
        elif isinstance(one, exp.And):
            pending += [one.expression, one.this]
        elif isinstance(one, exp.Expr):
            yield one


def _condition(term: exp.Expr, names: set[str]) -> RawCondition | None:
    if isinstance(term, exp.EQ):
        for column, value in ((term.this, term.expression), (term.expression, term.this)):
            operand = _operand(value)
            if isinstance(column, exp.Column) and operand is not None:
                return _named(column, names, (operand,))
    if isinstance(term, exp.In) and isinstance(term.this, exp.Column):
        values = term.expressions
        if not values or len(values) > MAX_LIST or term.args.get("query") is not None:
            return None
        operands = [_operand(value) for value in values]
        known = tuple(operand for operand in operands if operand is not None)
        if len(known) == len(operands):
            return _named(term.this, names, known)
    return None


def _named(
    column: exp.Column, names: set[str], operands: tuple[RawOperand, ...]
) -> RawCondition | None:
    if not isinstance(column.this, exp.Identifier) or column.table.lower() not in names:
        return None
    return column.name.lower(), operands


def _operand(node: object, cast: str = "") -> RawOperand | None:
    """An integer or a placeholder, perhaps cast to what it is."""
    if isinstance(node, exp.Paren):
        return _operand(node.this, cast)
    if isinstance(node, exp.Cast) and not cast and type(node) is exp.Cast:
        kind = node.args.get("to")
        if isinstance(kind, exp.DataType) and not kind.expressions and kind.this in _CASTS:
            return _operand(node.this, _CASTS[kind.this])
        return None
    if isinstance(node, exp.Placeholder) and node.name.startswith("zc"):
        return None, int(node.name[2:]), cast
    negative = isinstance(node, exp.Neg)
    literal = node.this if isinstance(node, exp.Neg) else node
    if isinstance(literal, exp.Literal) and not literal.is_string and cast in {"", "int"}:
        text = literal.name
        if text.isdecimal() and len(text) <= 19:
            return (-int(text) if negative else int(text)), None, cast
    return None
