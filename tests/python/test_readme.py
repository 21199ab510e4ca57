"""Every Python block of the documents runs; every C++ block compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import zoocache

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(document: Path, language: str) -> list[str]:
    text = document.read_text(encoding="utf-8")
    return [code for found, code in BLOCK.findall(text) if found == language]


def with_blocks(language: str) -> list[Path]:
    return [document for document in DOCUMENTS if blocks(document, language)]


@pytest.mark.parametrize("document", with_blocks("python"), ids=lambda path: path.name)
def test_python_blocks_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some make a folder beside them
    zoocache.reset()
    module = types.ModuleType("document")  # classes of it are found by its name
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for number, code in enumerate(blocks(document, "python"), start=1):
        name = f"{document.name}, block {number}"
        exec(compile(code, name, "exec", dont_inherit=True), module.__dict__)


@pytest.mark.parametrize("document", with_blocks("cpp"), ids=lambda path: path.name)
def test_cpp_blocks_compile(document: Path, tmp_path: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    assert compiler, "no C++ compiler"
    for number, code in enumerate(blocks(document, "cpp"), start=1):
        source = tmp_path / f"block{number}.cpp"
        source.write_text(code, encoding="utf-8")
        command = [compiler, "-std=c++20", "-fsyntax-only", f"-I{ROOT / 'include'}", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_readme_shows_both_languages() -> None:
    readme = ROOT / "README.md"
    assert len(blocks(readme, "python")) >= 4
    assert len(blocks(readme, "cpp")) >= 1
