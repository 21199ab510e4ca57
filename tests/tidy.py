"""The house rules that no other tool checks.

Usage: tidy.py [ROOT]. Prints each violation as file:line: what; exits with 1 if there is one.
  arrows     what may include what: python -> core, cpp -> core, the contract on itself alone
  length     files of at most 500 lines, functions of at most 70
  width      lines of at most 100 columns (code and scripts; models and prose are set wider)
  words      notes to self, tabs, and paths of somebody's machine
tests/tidy_test.py plants a violation of each and expects it to be found.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70
MAX_COLUMNS = 100

CPP = {".h", ".cpp"}
CODE = {*CPP, ".py", ".pyi"}
NARROW = {*CODE, ".sh", ".cmake"}  # and every file of these folders:
NARROW_FOLDERS = (".ci/", "scripts/")
SKIPPED_FOLDERS = {".git", ".venv", "build", "dist", "__pycache__"}
BINARY = {".png", ".gz", ".so", ".a", ".whl", ".ico", ".woff2"}

# path -> why a reader accepts that it is longer
LONG_FILES: dict[str, str] = {}
# "path:function" -> why a reader accepts that it is longer
LONG_FUNCTIONS: dict[str, str] = {}

STANDARD = re.compile(r"<[a-z_0-9]+>")  # <vector>: no slash, no suffix
SYSTEM = re.compile(
    r"<([a-z_0-9]+|(sys|linux)/\w+\.h"
    r"|(errno|fcntl|immintrin|malloc|poll|pthread|cxxabi|sched|signal|time|unistd)\.h)>"
)
ASIO = re.compile(r"<(boost/)?asio[/.][\w/.]*>")
PYTHON_HEADERS = re.compile(
    r"<(Python|pythread|structmember|frameobject|datetime|nanobind/[\w/]+)\.h>"
)


@dataclass(frozen=True)
class Room:
    """A folder and what its files may include: ours by prefix, others by pattern."""

    folder: str
    ours: tuple[str, ...]
    others: tuple[re.Pattern[str], ...]


ROOMS = (
    Room("include/zoocache/asio.h", ("zoocache/",), (STANDARD, ASIO)),
    Room("include/zoocache/", ("zoocache/",), (STANDARD,)),
    Room("src/core/", ("core/", "zoocache/"), (SYSTEM,)),
    Room("src/cpp/", ("cpp/", "core/", "zoocache/"), (SYSTEM,)),
    Room(
        "src/lmdb/",
        ("lmdb/", "core/", "codec/", "zoocache/"),
        (SYSTEM, re.compile(r"<(lmdb|xxhash)\.h>")),
    ),
    Room(
        "src/codec/",
        ("codec/", "core/", "zoocache/"),
        (SYSTEM, re.compile(r"<(lz4|xxhash|openssl/(crypto|evp|hmac))\.h>")),
    ),
    Room("src/redis/", ("redis/", "core/", "codec/", "zoocache/"), (re.compile(r"<.*>"),)),
    Room(
        "src/python/",
        ("python/", "core/", "codec/", "lmdb/", "redis/", "zoocache/"),
        (SYSTEM, PYTHON_HEADERS),
    ),
)

WORDS = (
    (re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"), "a note to self; write the code, or an issue"),
    (re.compile(r"\t"), "a tab"),
    (re.compile(r"/(home|Users)/[a-z]|(?<![\w.$}])/(work|root)/"), "a path of one machine"),
)
TABS_ALLOWED = {"Makefile"}
# These name the words in order to forbid them.
WORDS_NAMED = {"tests/tidy.py", "tests/tidy_test.py"}


@dataclass(frozen=True)
class Violation:
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def check_arrows(path: str, lines: list[str]) -> Iterator[Violation]:
    room = next((room for room in ROOMS if path.startswith(room.folder)), None)
    if room is None or Path(path).suffix not in CPP:
        return
    for number, line in enumerate(lines, start=1):
        include = re.match(r'\s*#\s*include\s+(<[^>]+>|"[^"]+")', line)
        if include is None:
            continue
        target = include.group(1)
        inner = target[1:-1]
        mine = inner.startswith(room.ours) if target[0] == '"' or "zoocache/" in inner else False
        if not mine and not any(pattern.fullmatch(target) for pattern in room.others):
            yield Violation(path, number, f"{room.folder} must not include {target}")


def check_length(path: str, lines: list[str]) -> Iterator[Violation]:
    if Path(path).suffix not in CODE:
        return
    if len(lines) > MAX_FILE_LINES and path not in LONG_FILES:
        yield Violation(path, MAX_FILE_LINES + 1, f"{len(lines)} lines; at most {MAX_FILE_LINES}")
    find = cpp_functions if Path(path).suffix in CPP else python_functions
    for name, first, last in find("\n".join(lines)):
        length = last - first + 1
        if length > MAX_FUNCTION_LINES and f"{path}:{name}" not in LONG_FUNCTIONS:
            what = f"{name} has {length} lines; at most {MAX_FUNCTION_LINES}"
            yield Violation(path, first, what)


def python_functions(text: str) -> Iterator[tuple[str, int, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, node.end_lineno or node.lineno


NOT_CODE = re.compile(
    r"""//[^\n]*|/\*.*?\*/"""
    r"""|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*\""""
    r"""|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'""",
    re.DOTALL,
)


def blank_out(text: str) -> str:
    """C++ with comments, strings, characters and directives replaced by spaces, lines kept."""
    plain = NOT_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found.group(0)), text)
    return re.sub(r"^[ ]*#.*", "", plain, flags=re.MULTILINE)


NOT_A_FUNCTION = re.compile(
    r"\b(namespace|class|struct|union|enum|extern)\b(?![^;{}]*\))"  # no ) after it
    r"|=\s*$|[\[,(]\s*$"
)
CONTROL = {
    *("if", "for", "while", "switch", "catch"),
    *("requires", "decltype", "sizeof", "alignas", "noexcept"),
}


def cpp_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Bodies in braces whose head has a parameter list and which stand in no other such body.

    The head is what stands between the brace and the `;`, `{` or `}` before it. A constructor's
    initialisers in braces are too short to matter; a lambda counts with what holds it.
    """
    text = blank_out(text)
    head_start, line, depth, inside = 0, 1, 0, None
    for at, char in enumerate(text):
        if char == "\n":
            line += 1
        elif char == "{":
            depth += 1
            head = text[head_start:at].strip()
            if inside is None and is_function_head(head):
                first = line - text[head_start:at].lstrip().count("\n")
                inside = (function_name(head), first, depth)
            head_start = at + 1
        elif char == "}":
            if inside is not None and depth == inside[2]:
                yield inside[0], inside[1], line
                inside = None
            depth -= 1
            head_start = at + 1
        elif char == ";":
            head_start = at + 1


def is_function_head(head: str) -> bool:
    names = re.findall(r"([~\w]+|operator\S+)\s*\(", head)
    if not [name for name in names if name not in CONTROL]:
        return False
    return NOT_A_FUNCTION.search(head) is None


def function_name(head: str) -> str:
    names = [n for n in re.findall(r"([\w:~]+|operator\S+)\s*\(", head) if n not in CONTROL]
    return names[0]


def check_width(path: str, lines: list[str]) -> Iterator[Violation]:
    if Path(path).suffix not in NARROW and not path.startswith(NARROW_FOLDERS):
        return
    for number, line in enumerate(lines, start=1):
        # A line that two type checkers must refuse carries a mark for each.
        if len(line) > MAX_COLUMNS and "# type: ignore[" not in line:
            yield Violation(path, number, f"{len(line)} columns; at most {MAX_COLUMNS}")


def check_words(path: str, lines: list[str]) -> Iterator[Violation]:
    if path in WORDS_NAMED:
        return
    for number, line in enumerate(lines, start=1):
        for pattern, what in WORDS:
            if pattern.search(line) and not (what == "a tab" and path in TABS_ALLOWED):
                yield Violation(path, number, what)


CHECKS = (check_arrows, check_length, check_width, check_words)


def files(root: Path) -> list[Path]:
    """What git tracks or would track; every file where there is no repository."""
    command = ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        found = [root / name for name in listed.stdout.decode().split("\0") if name]
    else:
        found = list(root.rglob("*"))
    kept = (p for p in found if p.is_file() and p.suffix not in BINARY)
    return sorted(p for p in kept if not SKIPPED_FOLDERS & set(p.relative_to(root).parts))


def violations(root: Path) -> list[Violation]:
    found: list[Violation] = []
    for path in files(root):
        name = path.relative_to(root).as_posix()
        lines = path.read_text("utf-8", errors="replace").splitlines()
        for check in CHECKS:
            found.extend(check(name, lines))
    return found


def main(root: Path) -> int:
    found = violations(root)
    print(*found, f"tidy: {len(files(root))} files, {len(found)} violations", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]))
