"""The page about faults names every test, and no other. Its figures are of the run that made it."""

from __future__ import annotations

import fault_report


def rows() -> list[tuple[str, str]]:
    lines = fault_report.PAGE.read_text().splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [(one[0], one[1]) for one in cells[1:]]


def test_the_page_has_a_row_for_each_fault() -> None:
    assert rows() == [(fault.name, fault.what) for fault in fault_report.faults()]
