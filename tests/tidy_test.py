"""Plants one violation of each house rule and expects tests/tidy.py to find it, and no other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import tidy

CLEAN_HEADER = "#pragma once\n#include <vector>\nint answer();\n"
LONG_BODY = "  step();\n" * tidy.MAX_FUNCTION_LINES


def found(root: Path, name: str, text: str) -> list[str]:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return [str(violation) for violation in tidy.violations(root)]


@pytest.mark.parametrize(
    ("name", "include"),
    [
        ("src/core/a.h", "<Python.h>"),
        ("src/core/a.cpp", '"python/key.h"'),
        ("src/core/a.cpp", '"cpp/cache.h"'),
        ("src/core/a.cpp", "<lmdb.h>"),
        ("src/core/a.cpp", "<hiredis/hiredis.h>"),
        ("src/core/a.cpp", '"Python.h"'),
        ("src/cpp/a.cpp", '"python/key.h"'),
        ("src/cpp/a.cpp", "<nanobind/nanobind.h>"),
        ("src/python/a.cpp", '"cpp/cache.h"'),
        ("src/core/a.cpp", '"codec/envelope.h"'),
        ("src/codec/a.cpp", "<Python.h>"),
        ("include/zoocache/a.h", '"core/log.h"'),
        ("include/zoocache/a.h", "<boost/asio.hpp>"),
        ("include/zoocache/a.h", "<sys/mman.h>"),
        ("include/zoocache/asio.h", "<Python.h>"),
    ],
)
def test_an_include_against_the_arrows_is_found(tmp_path: Path, name: str, include: str) -> None:
    folder = next(room.folder for room in tidy.ROOMS if name.startswith(room.folder))
    reports = found(tmp_path, name, f"#pragma once\n#include {include}\n")
    assert reports == [f"{name}:2: {folder} must not include {include}"]


@pytest.mark.parametrize(
    ("name", "include"),
    [
        ("src/core/a.cpp", '"core/log.h"'),
        ("src/core/a.cpp", '"zoocache/errors.h"'),
        ("src/core/a.cpp", "<sys/syscall.h>"),
        ("src/cpp/a.cpp", '"core/log.h"'),
        ("src/python/a.cpp", "<Python.h>"),
        ("src/python/a.cpp", '"codec/envelope.h"'),
        ("src/codec/a.cpp", "<lz4.h>"),
        ("src/python/a.cpp", "<nanobind/stl/string.h>"),
        ("include/zoocache/a.h", "<coroutine>"),
        ("include/zoocache/a.h", "<zoocache/errors.h>"),
        ("include/zoocache/asio.h", "<boost/asio/async_result.hpp>"),
        ("tests/cpp/a_test.cpp", "<gtest/gtest.h>"),
    ],
)
def test_an_include_along_the_arrows_passes(tmp_path: Path, name: str, include: str) -> None:
    assert found(tmp_path, name, f"#pragma once\n#include {include}\n") == []


@pytest.mark.parametrize("suffix", [".h", ".cpp", ".py"])
def test_a_long_file_is_found_and_one_at_the_bound_passes(tmp_path: Path, suffix: str) -> None:
    line = "x = 1\n" if suffix == ".py" else "int x;\n"
    name = f"src/core/a{suffix}"
    assert found(tmp_path, name, line * tidy.MAX_FILE_LINES) == []
    assert found(tmp_path, name, line * (tidy.MAX_FILE_LINES + 1)) == [
        f"{name}:501: 501 lines; at most 500"
    ]


@pytest.mark.parametrize(
    ("head", "function"),
    [
        ("int f() {", "f"),
        ("template <class T>\nint f(T x) {", "f"),
        ("int A::f(int x) const noexcept {", "A::f"),
        ("A::A(int x)\n    : y_{x}, z_(x) {", "z_"),
        ("static PyObject* f(PyObject*, PyObject* const* args) {", "f"),
        ('extern "C" int f() {', "f"),
        ("namespace a {\nstruct B {\n  int f(char c = '{') {", "f"),
        ("class B {\n  // {\n  bool operator==(const B& other) const {", "operator=="),
    ],
)
def test_a_long_cpp_function_is_found(tmp_path: Path, head: str, function: str) -> None:
    closing = "}\n" * (head.count("{\n") + 1)
    reports = found(tmp_path, "src/core/a.cpp", f"{head}\n{LONG_BODY}{closing}")
    assert len(reports) == 1
    assert f": {function} has 7" in reports[0]


def test_cpp_that_is_long_but_no_function_passes(tmp_path: Path) -> None:
    table = "constexpr int table[] = {\n" + "  1,\n" * 200 + "};\n"
    many = "".join(f"int f{n}() {{ return {n}; }}\n" for n in range(200))
    klass = "class A {\n" + "  int f() { return 1; }\n" * 80 + "};\n"
    assert found(tmp_path, "src/core/a.cpp", table + many + klass) == []


def test_a_long_python_function_is_found(tmp_path: Path) -> None:
    body = "    x = 1\n" * tidy.MAX_FUNCTION_LINES
    text = f"async def f():\n{body}\n\nclass A:\n    def g(self):\n        pass\n"
    assert found(tmp_path, "python/zoocache/a.py", text) == [
        "python/zoocache/a.py:1: f has 71 lines; at most 70"
    ]


@pytest.mark.parametrize("name", ["src/core/a.cpp", "python/zoocache/a.py", "scripts/a", "a.cmake"])
def test_a_wide_line_is_found_and_one_at_the_bound_passes(tmp_path: Path, name: str) -> None:
    comment = "// " if name.endswith(".cpp") else "# "
    assert found(tmp_path, name, comment.ljust(tidy.MAX_COLUMNS, "x")) == []
    assert found(tmp_path, name, comment.ljust(tidy.MAX_COLUMNS + 1, "x")) == [
        f"{name}:1: 101 columns; at most 100"
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("int x;  // TODO: more", "a note to self"),
        ("int x;  // FIXME", "a note to self"),
        ("\tint x;", "a tab"),
        ('const char* path = "/home/somebody/x";', "a path of one machine"),
        ('const char* path = "/work/x";', "a path of one machine"),
    ],
)
def test_a_forbidden_word_is_found(tmp_path: Path, text: str, what: str) -> None:
    reports = found(tmp_path, "src/core/a.h", CLEAN_HEADER + text + "\n")
    assert len(reports) == 1
    assert what in reports[0]


def test_an_accepted_long_file_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tidy.LONG_FILES, "src/core/a.h", "a table")
    assert found(tmp_path, "src/core/a.h", "int x;\n" * 600) == []


def test_every_exception_is_needed(tmp_path: Path) -> None:
    """A file that was shortened leaves the list of exceptions."""
    root = Path(__file__).parents[1]
    for name in tidy.LONG_FILES:
        assert len((root / name).read_text("utf-8").splitlines()) > tidy.MAX_FILE_LINES
    for entry in tidy.LONG_FUNCTIONS:
        name, _, function = entry.partition(":")
        find = tidy.cpp_functions if Path(name).suffix in tidy.CPP else tidy.python_functions
        spans = find((root / name).read_text("utf-8"))
        longest = max(last - first + 1 for f, first, last in spans if f == function)
        assert longest > tidy.MAX_FUNCTION_LINES


def test_a_clean_tree_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(tmp_path, "src/core/a.h", CLEAN_HEADER) == []
    assert tidy.main(tmp_path) == 0
    (tmp_path / "src/core/a.h").write_text("int x;  // TODO\n")
    assert tidy.main(tmp_path) == 1
    assert "1 violations" in capsys.readouterr().out
