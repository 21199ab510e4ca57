"""SQL text reduced to its shape: comments gone, strings and placeholders replaced, lists folded.

Statements that differ only in the values they carry have one shape, so that a long IN list or a
thousand rows of VALUES are parsed once and not once per length. What a shape leaves out is beside
it: the parameters that each numbered placeholder `:zcN` stands for.

What is scanned here is scanned as the database does it (nested comments and dollar quotes of
PostgreSQL, brackets and backticks of SQLite), so that a keyword or a placeholder in a string or in
a comment is never taken for one. Thread-safe: nothing here has state.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Dialect = Literal["sqlite", "postgresql"]

# What every string becomes. A table of this name is a string in a table's place, and refused.
STRING = "zcstr"
# Longer lists are not resolved to rows.
MAX_LIST = 64
# Nested deeper, a text is not parsed: the parser calls itself.
MAX_DEPTH = 100
# As times, these texts are the moment at which they are read.
TIME_WORDS = {
    "sqlite": frozenset({"now", "subsec", "subsecond"}),
    "postgresql": frozenset({"now", "today", "tomorrow", "yesterday"}),
}
TIME_STRING = "zcnow"


@dataclass(frozen=True)
class Slot:
    """What a placeholder of a shape stands for: parameters by position or name; None: untold."""

    parameters: tuple[int | str, ...] | None


@dataclass(frozen=True)
class Shape:
    """The reduced text, and what it left out. `text` is None where the text is not readable."""

    text: str | None
    slots: tuple[Slot, ...] = ()
    # How many positional parameters the text takes; None: it names or numbers them.
    positional: int | None = None


UNREADABLE = Shape(None)


def words(text: str) -> frozenset[str]:
    """The set of the words of a text."""
    return frozenset(text.split())


_NAME = r"[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*"
_PARAMETER = {
    "sqlite": r"(?:%s|%\(\w+\)s|\?\d*|[:@$]\w+)",
    "postgresql": r"(?:%[sbt](?!\w)|%\([^)]+\)[sbt](?!\w)|\$\d+|:\w+)",
}
_STRING = {
    "sqlite": r"(?:[xX])?'[^']*(?:''[^']*)*'(?!')",
    "postgresql": (
        r"[eE]'[^'\\]*(?:(?:''|\\.)[^'\\]*)*'(?!')|(?:[bBxXnN]|[uU]&)?'[^']*(?:''[^']*)*'(?!')"
    ),
}
_QUOTED = {
    "sqlite": r'"[^"]*(?:""[^"]*)*"(?!")|`[^`]*(?:``[^`]*)*`(?!`)|\[[^\]]*\]',
    "postgresql": r'"[^"]*(?:""[^"]*)*"(?!")',
}
# SQLite ends a line's comment at a line feed only, PostgreSQL at a carriage return as well.
_LINE_COMMENT = {"sqlite": r"--[^\n]*", "postgresql": r"--[^\r\n]*"}


def _scanner(dialect: Dialect) -> re.Pattern[str]:
    parameter = _PARAMETER[dialect]
    cast = r"(?:\s*::\s*\w+)?" if dialect == "postgresql" else ""
    atom = rf"(?:{parameter}{cast}|\d+|(?i:NULL|DEFAULT|TRUE|FALSE))"
    row = rf"\(\s*{atom}(?:\s*,\s*{atom})*\s*\)"
    parts = {
        "space": r"[ \t\n\r\f\v]+",
        "line": _LINE_COMMENT[dialect],
        "block": r"/\*",
        "dollar": rf"\$(?:{_NAME.replace('$', '')})?\$" if dialect == "postgresql" else r"(?!)",
        "string": _STRING[dialect],
        "escaped": r'[uU]&"' if dialect == "postgresql" else r"(?!)",
        "quoted": _QUOTED[dialect],
        "rows": rf"{row}(?:\s*,\s*{row})+",
        "run": rf"\(\s*{parameter}{cast}(?:\s*,\s*{parameter}{cast}){{2,}}\s*\)",
        "cast": r"::",
        "percent": r"%%",
        "parameter": parameter,
        "word": _NAME,
        "number": r"\d[\w.]*|\.\d+",
        "open": r"\(",
        "close": r"\)",
        "other": r".",
    }
    text = "|".join(f"(?P<{name}>{pattern})" for name, pattern in parts.items())
    return re.compile(text, re.DOTALL)


_SCANNERS: dict[Dialect, re.Pattern[str]] = {
    "sqlite": _scanner("sqlite"),
    "postgresql": _scanner("postgresql"),
}
_PARAMETERS = {name: re.compile(pattern) for name, pattern in _PARAMETER.items()}
_CASTS = re.compile(r"::\s*(\w+)")
_HIDDEN = re.compile(r"%(?:[sbt]|\()")
_PERCENT = frozenset({"%", "%("})
_STRING_MARKS = re.compile(r"^\w*&?(?:'|\$\w*\$)|(?:'|\$\w*\$)$")
_COMMENT_MARK = re.compile(r"/\*|\*/")


@dataclass
class _Reader:
    """One pass over one text."""

    source: str
    dialect: Dialect
    out: list[str] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    styles: set[str] = field(default_factory=set)
    count: int = 0
    depth: int = 0
    # A placeholder's look-alike stands in a string: a driver that substitutes texts counts it.
    hidden: bool = False

    def parameter(self, text: str) -> int | str:
        """The position or the name that a placeholder stands for."""
        if text in {"?", "%s", "%b", "%t"}:
            self.styles.add(text[0])
            self.count += 1
            return self.count - 1
        if text[0] == "%":
            self.styles.add("%(")
            return text[2:-2]
        name = text[1:]
        if name.isdecimal() and (text[0] == "?" or self.dialect == "postgresql"):
            self.styles.add("1")
            return int(name) - 1
        self.styles.add("name")
        return name

    def parameters(self, text: str) -> tuple[int | str, ...]:
        """The positions or names in a list."""
        found = _PARAMETERS[self.dialect].findall(text.replace("::", " "))  # not `:integer`
        if found and found[0] in {"?", "%s"} and found.count(found[0]) == len(found):
            self.styles.add(found[0][0])
            first, self.count = self.count, self.count + len(found)
            return tuple(range(first, self.count))
        return tuple(map(self.parameter, found))

    def slot(self, parameters: tuple[int | str, ...] | None) -> str:
        self.slots.append(Slot(parameters))
        return f":zc{len(self.slots) - 1}"

    def run(self, text: str) -> None:
        """A parenthesised list of placeholders, as one; with their cast where it is the same."""
        found = self.parameters(text)
        casts = _CASTS.findall(text)
        same = not casts or (len(casts) == len(found) and len(set(casts)) == 1)
        whole = found if same and len(found) <= MAX_LIST else None
        cast = f"::{casts[0]}" if casts and same else ""
        self.out.append(f"({self.slot(whole)}{cast})")

    def rows(self, text: str) -> None:
        """Several rows of values, as one."""
        self.parameters(text)
        self.out.append(f"({self.slot(None)})")

    def string(self, source: str) -> None:
        """A string, as one of the two that shapes have."""
        self.hide(source)
        plain = _STRING_MARKS.sub("", source).strip().lower()
        self.out.append(f"'{TIME_STRING if plain in TIME_WORDS[self.dialect] else STRING}'")

    def hide(self, source: str) -> None:
        """Notes a look-alike of a placeholder where none can stand."""
        self.hidden = self.hidden or _HIDDEN.search(source) is not None

    def name(self, source: str) -> None:
        """A quoted name, in the quotes of the standard."""
        inner = source[1:-1]
        if source[0] in '"`':
            inner = inner.replace(source[0] * 2, source[0])
        self.hide(inner)
        self.out.append('"' + inner.replace('"', '""') + '"')

    def end_of_comment(self, start: int) -> int:
        """Where the comment that begins before `start` ends; PostgreSQL's nest."""
        depth = 1
        for mark in _COMMENT_MARK.finditer(self.source, start):
            if mark.group() == "*/":
                depth -= 1
            elif self.dialect == "postgresql":
                depth += 1
            if depth == 0:
                return mark.end()
        return len(self.source)


def read_shape(source: str, dialect: Dialect) -> Shape:
    """Returns the shape of a text, `UNREADABLE` where it has none; raises nothing for any text."""
    reader = _Reader(source, dialect)
    at, scan = 0, _SCANNERS[dialect].match
    while at < len(source):
        found = scan(source, at)
        if found is None or found.lastgroup is None:
            return UNREADABLE
        kind, text, at = found.lastgroup, found.group(), found.end()
        if kind == "block":
            end = reader.end_of_comment(at)
            kind, text, at = "line", source[at:end], end
        if kind == "dollar":
            end = source.find(text, at)
            if end < 0:
                return UNREADABLE
            kind, text, at = "string", source[at:end], end + len(text)
        if not _take(reader, kind, text):
            return UNREADABLE
    if reader.depth != 0:
        return UNREADABLE
    mixed = len(reader.styles) > 1 or (reader.hidden and not reader.styles.isdisjoint(_PERCENT))
    slots = tuple(Slot(None) if mixed else slot for slot in reader.slots)
    positional = reader.count if reader.styles <= {"?", "%"} else None
    return Shape("".join(reader.out).strip(), slots, positional)


def _take(reader: _Reader, kind: str, text: str) -> bool:
    """Reads one token; False where no database would."""
    out = reader.out
    if kind in {"space", "line"}:
        reader.hide(text)
        if out and out[-1] != " ":
            out.append(" ")
    elif kind == "string":
        reader.string(text)
    elif kind == "quoted":
        reader.name(text)
    elif kind == "rows":
        reader.rows(text)
    elif kind == "run":
        reader.run(text)
    elif kind == "parameter":
        out.append(reader.slot((reader.parameter(text),)))
    elif kind == "percent":
        out.append("%")
    elif kind in {"open", "close"}:
        reader.depth += 1 if kind == "open" else -1
        out.append(text)
        return 0 <= reader.depth <= MAX_DEPTH
    else:
        out.append(text)
        return not (
            kind == "escaped"
            or (kind == "other" and text in "'\"`\0")
            or (kind == "word" and not text.replace("$", "_").isidentifier())
        )
    return True
