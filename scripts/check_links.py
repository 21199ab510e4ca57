"""Checks every relative link and anchor in the repository's Markdown files.

Usage: check_links.py ROOT. Prints each broken link as file:line: target; exits with 1 if there
is one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6}\s+(.*)$")
SKIPPED_FOLDERS = {".git", ".venv", "build", "node_modules", "dist"}


def markdown_files(root: Path) -> list[Path]:
    found = (path for path in root.rglob("*.md"))
    return sorted(p for p in found if not SKIPPED_FOLDERS & set(p.relative_to(root).parts))


def lines_outside_code(text: str) -> list[tuple[int, str]]:
    kept, in_code = [], False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            kept.append((number, line))
    return kept


def anchor(heading: str) -> str:
    plain = re.sub(r"[`*]", "", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    matches = (HEADING.match(line) for _, line in lines_outside_code(path.read_text("utf-8")))
    return {anchor(match.group(1)) for match in matches if match}


def broken_links(path: Path) -> list[str]:
    broken = []
    for number, line in lines_outside_code(path.read_text("utf-8")):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, fragment = target.partition("#")
            there = (path.parent / file).resolve() if file else path
            if not there.exists() or (
                fragment and there.suffix == ".md" and fragment not in anchors(there)
            ):
                broken.append(f"{path}:{number}: {target}")
    return broken


def main(root: Path) -> int:
    files = markdown_files(root)
    broken = [line for path in files for line in broken_links(path)]
    print(*broken, f"{len(files)} documents, {len(broken)} broken links", sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
