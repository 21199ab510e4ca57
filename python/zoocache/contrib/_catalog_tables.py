"""Tables of a database, gathered row by row from what it says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

TableKind = Literal["table", "secured", "guarded", "view", "other"]


class Cursor(Protocol):
    """What is needed of a cursor of the DBAPI."""

    def execute(self, operation: str, /) -> object:
        """Runs a statement."""
        ...

    def fetchall(self) -> Iterable[Sequence[Any]]:
        """Returns the rows of the last statement."""
        ...


@dataclass(frozen=True)
class Table:
    """One table, view or other relation. Immutable.

    Attributes:
        name: its part of tags: "table" in the default place (SQLite's main, PostgreSQL's schema
            public), else "schema.table"; lower case.
        kind: "table"; "secured" for one that shows others rows to other users, by what is set for
            them; "guarded" for one whose policies say so by other tables or unknown functions;
            "view"; "other" for what may change without a statement that names it (foreign and
            virtual tables, materialized views).
        key: the primary key's columns in their order, lower case; empty where there is none.
        written_with: names of further tables that deleting rows of this one, or changing their
            keys, may change: the actions of foreign keys, transitively.
        inherits: names of the tables that share rows with it: its partitions and heirs, and those
            whose partition or heir it is, transitively.
        has_triggers: a user's trigger or rewrite rule may run when it is written.
        columns: its columns, lower case.
        acting: those whose change makes foreign keys act, so that it changes `written_with`.
    """

    name: str
    kind: TableKind
    key: tuple[str, ...] = ()
    written_with: frozenset[str] = frozenset()
    inherits: frozenset[str] = frozenset()
    has_triggers: bool = False
    columns: frozenset[str] = frozenset()
    acting: frozenset[str] = frozenset()


Place = tuple[str, str]  # schema and table in lower case


@dataclass
class Draft:
    """What is gathered of one table."""

    kind: TableKind
    key: tuple[str, ...] = ()
    columns: list[str] = field(default_factory=list)
    has_triggers: bool = False
    merged: bool = False


class Drafts:
    """Gathers rows about tables and makes them tables, with what is reached through others."""

    def __init__(self, default: str) -> None:
        self._default = default
        self._drafts: dict[Place, Draft] = {}
        self._acted_on: dict[
            Place, set[Place]
        ] = {}  # parent -> children that its rows' end changes
        self._acting: dict[Place, set[str | None]] = {}  # None: the primary key
        self._heirs: dict[Place, set[Place]] = {}
        self._parents: dict[Place, set[Place]] = {}

    def add(self, schema: str, table: str, draft: Draft) -> None:
        """Two tables whose names differ in case alone become one, of which the worst is said."""
        place = (schema.lower(), table.lower())
        other = self._drafts.get(place)
        if other is not None:
            kind = draft.kind if draft.kind == other.kind else "other"
            both = draft.has_triggers or other.has_triggers
            draft = Draft(kind, (), [*draft.columns, *other.columns], both, merged=True)
        self._drafts[place] = draft

    def describe(self, schema: str, table: str, columns: list[str]) -> None:
        """The columns of a table."""
        self._drafts[schema.lower(), table.lower()].columns += columns

    def key(self, schema: str, table: str, columns: list[str]) -> None:
        """The primary key of a table."""
        self._drafts[schema.lower(), table.lower()].key = tuple(columns)

    def act(self, parent: Place, child: Place, acting: list[str] | None) -> None:
        """A foreign key of `child` has an action when rows of `parent` go or change.

        `acting`: the parent's columns whose change has one; None: its primary key.
        """
        self._acted_on.setdefault(_lower(parent), set()).add(_lower(child))
        columns = self._acting.setdefault(_lower(parent), set())
        columns.update([None] if acting is None else [name.lower() for name in acting])

    def inherit(self, parent: Place, heir: Place) -> None:
        """`heir` is a partition of `parent` or inherits from it."""
        self._heirs.setdefault(_lower(parent), set()).add(_lower(heir))
        self._parents.setdefault(_lower(heir), set()).add(_lower(parent))

    def trigger(self, schemas: Iterable[str], table: str) -> None:
        """A trigger stands on the tables of this name."""
        for schema in schemas:
            draft = self._drafts.get((schema.lower(), table.lower()))
            if draft is not None:
                draft.has_triggers = True

    def tables(self) -> dict[Place, Table]:
        return {place: self._table(place, draft) for place, draft in self._drafts.items()}

    def _table(self, place: Place, draft: Draft) -> Table:
        related = self._related(place)
        # A row deleted through a parent is a row of a partition, and the other way round.
        written = self._written({place, *related})
        lower = [name.lower() for name in draft.columns]
        key = tuple(name.lower() for name in draft.key)
        if draft.merged or len(set(lower)) != len(lower):
            key = ()  # names that differ in case alone: a condition does not say which it means
        triggers = (self._drafts.get(one) for one in related)
        return Table(
            self._name(place),
            draft.kind,
            key,
            frozenset(self._name(one) for one in written),
            frozenset(self._name(one) for one in related),
            draft.has_triggers or any(one is not None and one.has_triggers for one in triggers),
            frozenset(lower),
            self._acting_of({place, *related}),
        )

    def _acting_of(self, places: set[Place]) -> frozenset[str]:
        found: set[str] = set()
        for place in places:
            for column in self._acting.get(place, ()):
                draft = self._drafts.get(place)
                if column is not None:
                    found.add(column)
                elif draft is not None:
                    found.update(name.lower() for name in draft.key or draft.columns)
        return frozenset(found)

    def _written(self, places: set[Place]) -> set[Place]:
        """What foreign keys change when rows of these tables go; a table itself where it does."""
        found: set[Place] = set()
        pending = list(places)
        while pending:
            for child in self._acted_on.get(pending.pop(), ()):
                for one in {child, *self._related(child)} - found:
                    found.add(one)
                    pending.append(one)
        return found

    def _related(self, place: Place) -> set[Place]:
        found: set[Place] = set()
        for edges in (self._heirs, self._parents):
            pending = [place]
            while pending:
                for one in edges.get(pending.pop(), ()):
                    if one not in found and one != place:
                        found.add(one)
                        pending.append(one)
        return found

    def _name(self, place: Place) -> str:
        schema, table = place
        return table if schema == self._default else f"{schema}.{table}"


def _lower(place: Place) -> Place:
    return place[0].lower(), place[1].lower()
