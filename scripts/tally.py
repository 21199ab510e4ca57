"""Adds up what a run of scripts/test has recorded.

Usage: tally.py FOLDER. The folder holds JUnit files written by ctest and pytest (*.xml) and
checks.tsv, one "name<TAB>passed|failed" a line. Prints the end of what each failed case said (a
log of an hour may be kept by its end alone), then the counts. The last line printed is
"N passed, N failed", with ", N skipped" if there are any. Exits with 1 if anything failed or
nothing was counted.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

SAID_BY = ("failure", "error", "skipped", "system-out")
MAX_TOLD = 10  # failed cases that are told of
MAX_LINES = 15  # of what each of them said
MAX_WIDTH = 300  # characters of a line


def outcome_of(case: ET.Element) -> str:
    """ctest calls a case whose program is missing "notrun", as it does one that skipped itself."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if case.get("status") == "notrun":
        reason = "" if skipped is None else skipped.get("message", "")
        return "skipped" if reason.startswith("SKIP_") else "failed"
    if skipped is not None or case.get("status") == "disabled":
        return "skipped"
    return "failed" if case.get("status") == "fail" else "passed"


def count_junit(path: Path) -> Counter[str]:
    """Looks at every test case, not at the totals that the file claims."""
    counts: Counter[str] = Counter()
    for case in ET.parse(path).getroot().iter("testcase"):
        counts[outcome_of(case)] += 1
    return counts


def told_by(case: ET.Element) -> tuple[str, list[str]]:
    """A failed case's name with its one-line message, and the end of all that it said."""
    parts = [part for name in SAID_BY for part in case.iter(name)]
    message = next((part.get("message") or "" for part in parts), "").partition("\n")[0]
    text = "\n".join(part.text for part in parts if part.text)
    name = f"{case.get('classname', '')} {case.get('name', '')}".strip()
    lines = text.strip().splitlines()[-MAX_LINES:]
    return f"failed: {name}: {message}"[:MAX_WIDTH], ["  " + line[:MAX_WIDTH] for line in lines]


def print_failures(paths: list[Path]) -> None:
    """What they said first, and the names last: nearest to the end of a log."""
    failed = [
        told_by(case)
        for path in paths
        for case in ET.parse(path).getroot().iter("testcase")
        if outcome_of(case) == "failed"
    ]
    for name, lines in failed[:MAX_TOLD]:
        print(name, *lines, sep="\n")
    for name, _ in failed[:MAX_TOLD]:
        print(name)
    if len(failed) > MAX_TOLD:
        print(f"and {len(failed) - MAX_TOLD} more failed")


def count_checks(path: Path) -> Counter[str]:
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return Counter(line.rpartition("\t")[2] for line in lines)


def summary(counts: Counter[str]) -> str:
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{counts['passed']} passed, {counts['failed']} failed{skipped}"


def main(folder: Path) -> int:
    paths = sorted(folder.glob("*.xml"))
    print_failures(paths)
    parts = {path.stem: count_junit(path) for path in paths}
    parts["other checks"] = count_checks(folder / "checks.tsv")
    total: Counter[str] = sum(parts.values(), Counter())
    for name, counts in parts.items():
        print(f"{name + ':':<24} {summary(counts)}")
    print(summary(total))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
