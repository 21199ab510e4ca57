"""Statements that are told by their first words, without a parser: BEGIN, SET, PRAGMA, COPY, ...

Thread-safe: nothing here has state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zoocache.contrib._sql_functions import Token
from zoocache.contrib._sql_text import STRING, TIME_STRING, Dialect, words

PlainKind = Literal["read", "write", "ddl", "transaction", "session", "other", "unknown"]


@dataclass(frozen=True)
class Plain:
    """What the words tell. `inner`: the statement is as what these tokens say."""

    kind: PlainKind
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    locks: bool = False
    inner: tuple[Token, ...] = ()


_QUERIES = words("select with insert update delete replace merge values table (")
_KINDS: dict[str, PlainKind] = {
    **dict.fromkeys(
        words("begin start commit end rollback abort savepoint release"), "transaction"
    ),
    **dict.fromkeys(words("set reset discard attach detach"), "session"),
    **dict.fromkeys(
        words(
            "show listen notify unlisten vacuum analyze checkpoint reindex cluster close deallocate"
            " load"
        ),
        "other",
    ),
    **dict.fromkeys(
        words("create alter drop comment grant revoke reassign security import"), "ddl"
    ),
}
# These ask, or set what changes neither names nor rows nor values of later statements; foreign keys
# are taken to act whether they are on or off.
_HARMLESS_PRAGMAS = words(
    "collation_list compile_options database_list foreign_key_check foreign_key_list function_list"
    " index_info index_list index_xinfo integrity_check module_list pragma_list quick_check"
    " table_info table_list table_xinfo wal_checkpoint optimize incremental_vacuum"
    " analysis_limit application_id auto_vacuum automatic_index busy_timeout cache_size cache_spill"
    " defer_foreign_keys foreign_keys journal_mode journal_size_limit locking_mode mmap_size"
    " page_size query_only secure_delete synchronous temp_store threads user_version"
    " wal_autocheckpoint"
)
_UNKNOWN = Plain("unknown")


def split_statements(tokens: list[Token]) -> list[list[Token]]:
    """The statements of a text, without the empty ones. A trigger's body is not split."""
    texts = [token.text for token in tokens[:4]]
    if texts[:1] == ["create"] and "trigger" in texts:
        return [tokens]
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.text == ";":
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def plain_statement(part: list[Token], dialect: Dialect) -> Plain | None:
    """What the first words of a statement tell; None: it is a query or DML, to be parsed."""
    first = part[0].text
    texts = [token.text for token in part[:4]]
    if first in _QUERIES:
        return None
    if first == "explain":
        return _explain(part)
    if first == "pragma" and dialect == "sqlite":
        return _pragma(part)
    if first == "lock":
        return Plain("other", locks=True)
    if first == "set":
        if texts[1:2] == ["transaction"] or texts[1:3] == ["session", "characteristics"]:
            return Plain("transaction")
        return Plain("other" if texts[1:2] == ["constraints"] else "session")
    if texts[:2] == ["prepare", "transaction"]:
        return Plain("transaction")
    if first in {"create", "alter", "drop"} and not {"temp", "temporary"}.isdisjoint(texts):
        return Plain("session")
    if first in _KINDS:
        return Plain(_KINDS[first])
    if dialect == "postgresql":
        return _of_postgresql(part)
    return _UNKNOWN


def _of_postgresql(part: list[Token]) -> Plain:
    texts = [token.text for token in part]
    if texts[0] == "truncate":
        return _truncate(part)
    if texts[0] == "copy":
        return _copy(part)
    if texts[:3] == ["refresh", "materialized", "view"]:
        start = 4 if texts[3:4] == ["concurrently"] else 3
        name, _ = _name_at(part, start)
        return _UNKNOWN if name is None else Plain("write", writes=frozenset({name}))
    if texts[0] == "declare" and "for" in texts:
        return Plain("other", inner=tuple(part[texts.index("for") + 1 :]))
    return _UNKNOWN


def _explain(part: list[Token]) -> Plain:
    """EXPLAIN runs nothing, EXPLAIN ANALYZE what it explains."""
    texts = [token.text for token in part]
    start = 1
    if texts[1:2] == ["("]:
        start = _closing(part, 1) + 1
    while start < len(texts) and texts[start] in {"analyze", "analyse", "verbose", "query", "plan"}:
        start += 1
    if {"analyze", "analyse"}.isdisjoint(texts[1:start]):
        return Plain("other")
    inner = tuple(part[start:])
    return Plain("other", inner=inner) if inner else _UNKNOWN


def _pragma(part: list[Token]) -> Plain:
    texts = [token.text for token in part[1:]]
    if texts[1:2] == ["."]:
        texts = texts[2:]
    if len(texts) == 1 or texts[0] in _HARMLESS_PRAGMAS:
        return Plain("other")
    return Plain("session")


def _truncate(part: list[Token]) -> Plain:
    at = 2 if part[1:2] and part[1].text == "table" else 1
    names: set[str] = set()
    while True:
        if part[at : at + 1] and part[at].text == "only":
            at += 1
        name, at = _name_at(part, at)
        if name is None:
            return _UNKNOWN
        names.add(name)
        if part[at : at + 1] and part[at].text == "*":
            at += 1
        if not part[at : at + 1] or part[at].text != ",":
            break
        at += 1
    rest = {token.text for token in part[at:]}
    if not rest <= {"restart", "continue", "identity", "cascade", "restrict"}:
        return _UNKNOWN
    return Plain("write", writes=frozenset(names))


def _copy(part: list[Token]) -> Plain:
    """COPY table FROM writes, COPY table TO reads, COPY (query) TO does what the query does."""
    if part[1:2] and part[1].text == "(":
        return Plain("other", inner=tuple(part[2 : _closing(part, 1)]))
    name, at = _name_at(part, 1)
    if name is None or at >= len(part):
        return _UNKNOWN
    if part[at].text == "(":
        at = _closing(part, at) + 1
    way = part[at].text if at < len(part) else ""
    if way == "from":
        return Plain("write", writes=frozenset({name}))
    return Plain("read", reads=frozenset({name})) if way == "to" else _UNKNOWN


def _closing(part: list[Token], at: int) -> int:
    """Where the parenthesis that opens at `at` is closed; the last place if it is not."""
    depth = 0
    for index in range(at, len(part)):
        depth += {"(": 1, ")": -1}.get(part[index].text, 0)
        if depth == 0:
            return index
    return len(part) - 1


def _name_at(part: list[Token], at: int) -> tuple[str | None, int]:
    """A table's name that begins at `at`, lower case, and where it ends."""
    names: list[str] = []
    while at < len(part) and part[at].kind in {"word", "quoted"}:
        text = part[at].text
        names.append(text.lower() if part[at].kind == "word" else text[1:-1].lower())
        at += 1
        if not (at < len(part) and part[at].text == "."):
            break
        at += 1
    if not names or any(not one or "." in one or '"' in one for one in names):
        return None, at
    if names[-1] in {STRING, TIME_STRING}:
        return None, at
    return ".".join(names[-2:]), at
