"""What the last lines of a run say when something in it failed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
import tally

PYTEST = """<testsuites><testsuite>
<testcase classname="tests.a" name="test_good"/>
<testcase classname="tests.a" name="test_bad"><failure message="assert 1 == 2&#10;more">line
E assert 1 == 2</failure></testcase>
<testcase classname="tests.a" name="test_no_fixture"><error message="no fixture">gone</error>
</testcase>
<testcase classname="tests.a" name="test_left_out"><skipped message="why"/></testcase>
</testsuite></testsuites>"""

CTEST = """<testsuite>
<testcase name="a.good" status="run"/>
<testcase name="a.bad" status="fail"><failure message=""/><system-out>lost 7</system-out></testcase>
<testcase name="a.gone" status="notrun"><skipped message="missing"/></testcase>
<testcase name="a.left" status="notrun"><skipped message="SKIP_RETURN_CODE"/></testcase>
</testsuite>"""


def test_failures_are_named_before_the_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pytest.xml").write_text(PYTEST)
    (tmp_path / "ctest.xml").write_text(CTEST)
    (tmp_path / "checks.tsv").write_text("ruff\tpassed\nmypy\tfailed\n")

    assert tally.main(tmp_path) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "  E assert 1 == 2" in lines
    assert "  lost 7" in lines
    assert lines[-8:] == [
        "failed: a.bad: ",
        "failed: a.gone: missing",
        "failed: tests.a test_bad: assert 1 == 2",
        "failed: tests.a test_no_fixture: no fixture",
        "ctest:                   1 passed, 2 failed, 1 skipped",
        "pytest:                  1 passed, 2 failed, 1 skipped",
        "other checks:            1 passed, 1 failed",
        "3 passed, 5 failed, 2 skipped",
    ]


def test_a_run_without_a_failure_says_its_counts_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checks.tsv").write_text("ruff\tpassed\n")
    assert tally.main(tmp_path) == 0
    assert (
        capsys.readouterr().out
        == "other checks:            1 passed, 0 failed\n1 passed, 0 failed\n"
    )


def test_more_failures_than_anybody_reads_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = '<testcase name="a.bad" status="fail"><failure message=""/></testcase>' * 14
    (tmp_path / "ctest.xml").write_text(f"<testsuite>{cases}</testsuite>")
    assert tally.main(tmp_path) == 1
    assert "and 4 more failed" in capsys.readouterr().out


def test_a_run_that_counted_nothing_failed(tmp_path: Path) -> None:
    assert tally.main(tmp_path) == 1
