"""What the documents show is what the committed results say, and the benchmarks still run.

No figure is judged here: a test that fails because a machine is busy tells nothing.
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench" / "report"))
import django_tables
import figures
import homes_tables
import page
import published
import tables
import web_tables

ROOT = Path(__file__).resolve().parents[2]
SHOWN = ROOT / "docs" / "benchmarks"
RESULTS = SHOWN / "results.json"
REMEDY = "run `python bench/report/write.py docs/benchmarks/results.json --root .`"


@pytest.fixture(scope="module")
def committed() -> Any:
    return json.loads(RESULTS.read_text("utf-8"))


def test_the_readmes_table_is_what_the_results_give(committed: Any) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert tables.with_readme_block(readme, committed) == readme, REMEDY


def test_the_page_is_what_the_results_give(committed: Any) -> None:
    plots = {path.name for path in SHOWN.glob("*.svg")}
    shown = (SHOWN / "README.md").read_text("utf-8")
    assert page.page(committed, plots) == shown, REMEDY


def test_the_page_about_scaling_is_what_the_results_give(committed: Any) -> None:
    shown = (ROOT / "docs" / "SCALING.md").read_text("utf-8")
    assert homes_tables.with_scaling_block(shown, committed) == shown, REMEDY


def test_the_results_have_every_part_and_enough_repeats(committed: Any) -> None:
    assert {"python", "homes", "cpp", "eviction"} <= set(committed)
    assert set(published.parts_in(committed)) == set(published.runs_of(committed))
    long_runs = [run for run in published.runs_of(committed).values() if not run["quick"]]
    assert all(run["repeats"] >= 7 for run in long_runs)


def test_every_target_has_a_figure(committed: Any) -> None:
    if committed["quick"]:
        pytest.skip("a quick run leaves out the largest sizes, and the page says that it was one")
    missing = [standing.what for standing in figures.standings(committed) if not standing.reached]
    assert missing == []


def example(absent: dict[str, str]) -> dict[str, Any]:
    hit = {"ratio_median": 0.5, "ratio_min": 0.4, "ns_median": 20.0, "ns_min": 19.0}
    peers = {"zoocache": {"version": "1", "results": {"hit_int": hit}, "absent": {}}}
    one = {"version": "3.11.2", "compiler": "GCC", "peers": peers, "absent": absent}
    return {
        "date": "2020-01-01 00:00 UTC",
        "machine": {"cpu": "a machine", "cores": 2},
        "python": {"debian-3.11": one, "pyenv-3.11": one},
        "python_order": ["debian-3.11", "pyenv-3.11"],
    }


def test_a_cache_that_cannot_be_had_is_shown_as_absent() -> None:
    block = tables.readme_block(example({"cachebox": "cannot be installed: no wheel"}))
    assert "| cachebox | absent |" in block
    assert "| **zoocache** (this) | 0.50 |" in block


def test_a_target_is_met_or_not_by_its_limit_for_the_interpreter() -> None:
    first = figures.standings(example({}))[0]
    assert first.what == "hit, 1 int argument"
    assert first.limits == {"debian-3.11": 0.85, "pyenv-3.11": 0.65}
    assert first.is_met("debian-3.11")
    first.reached["pyenv-3.11"] = figures.Figure(0.66)
    assert not first.is_met("pyenv-3.11")


def test_djangos_tables_count_hits_and_stale_answers() -> None:
    counts = {"reads": 200, "hits": 50, "loads": 150, "needless": 30, "stale": 0, "stale_in": {}}
    stale = {**counts, "stale": 7, "stale_in": {"get": 2, "join": 5}}
    peers = {"zoocache": counts, "zoocache-redis": counts, "cacheops": stale}
    one = {name: {"us": 20.0, "ratio": 0.1} for name in django_tables.TIMES}
    found = {
        "interpreter": "debian-3.11",
        "versions": dict.fromkeys(django_tables.TITLES, "7.2"),
        "workloads": dict.fromkeys(django_tables.WORKLOADS, peers),
        "times": dict.fromkeys(django_tables.TITLES, one),
    }
    section = django_tables.django_section({"django": found})
    assert "| django-cacheops 7.2 | 200 | 25.0 % | 30 of 150 | 7 | join 5, get 2 |" in section
    assert "in one process | 200 | 25.0 % | 30 of 150 | 0 | – |" in section
    assert "| `save()` | 20.0 us | 20.0 us (0.10) |" in section
    assert django_tables.django_section({}) == ""


def run_of(part: str, date: str, value: float) -> dict[str, Any]:
    """A run of one part of Python, or of another one."""
    made: dict[str, Any] = {"date": date, "machine": {"cpu": date}, "quick": False, "repeats": 7}
    if part not in published.PYTHON_PARTS:
        homes = {"interpreter": "debian-3.11", "version": "3.11.2", "compiler": "GCC"}
        return {**made, part: {**homes, "results": {"value": value}}}
    scenario = {"calls": "hit_int", "memory": "bytes_no_tag", "growth": "threads"}[part]
    peers = {"zoocache": {"version": date, "results": {scenario: value}, "absent": {}}}
    python = {"debian-3.11": {"version": "3.11.2", "compiler": "GCC", "peers": peers, "absent": {}}}
    return {**made, "python": python, "python_order": ["debian-3.11"]}


@pytest.mark.parametrize("part", ["calls", "memory", "growth", "homes", "web", "eviction"])
def test_a_part_that_is_published_alone_replaces_itself_alone(part: str) -> None:
    everything: dict[str, Any] = {}
    all_parts = ["calls", "memory", "growth", "homes", "web", "eviction"]
    for one in all_parts:
        first = run_of(one, "old", 1.0)
        everything = published.merged(everything, first, [one]) if everything else first
    again = published.merged(json.loads(json.dumps(everything)), run_of(part, "new", 2.0), [part])

    def values(results: dict[str, Any]) -> dict[str, Any]:
        python = results["python"]["debian-3.11"]["peers"]["zoocache"]["results"]
        others = {name: results[name]["results"]["value"] for name in ("homes", "web", "eviction")}
        return {**{published.part_of(name): value for name, value in python.items()}, **others}

    assert values(again) == {**dict.fromkeys(all_parts, 1.0), part: 2.0}
    dates = {name: run["date"] for name, run in published.runs_of(again).items()}
    assert dates == {**dict.fromkeys(all_parts, "old"), part: "new"}
    for name, run in published.runs_of(again).items():
        expected = [] if name == "eviction" else [["debian-3.11", "3.11.2", "GCC"]]
        assert run["pythons"] == expected, name


@pytest.mark.parametrize("processes", [1, 100])
def test_the_simulated_server_takes_the_time_that_it_is_told(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    fanout: Any = importlib.import_module("fanout")
    costs = fanout.Costs(heartbeat_us=50, invalidation_us=100, push_us=10)
    found = fanout.simulate(costs, processes, 10)
    each_us = 100 + 10 * processes
    assert found["push_us_median"] >= each_us
    assert found["push_us_p99"] >= found["push_us_median"]
    assert found["heartbeat_us_median"] >= 50
    busy = (1.5 * processes * 50 + 10 * each_us) / 1e6
    assert found["busy"] == pytest.approx(busy, abs=1e-4)
    assert "push_us_median" not in fanout.simulate(costs, processes, 1e6), "the queue never ends"


def test_the_cost_of_a_listener_is_the_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    fanout: Any = importlib.import_module("fanout")
    assert fanout.slope([(0, 5), (10, 25), (100, 205)]) == pytest.approx(2)


@pytest.mark.slow
@pytest.mark.no_asan
@pytest.mark.timeout(240)
def test_the_homes_are_measured(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, str(ROOT / "bench" / "run.py"), "--quick", "--here"]
    command += ["--parts", "homes", "--peers", "zoocache", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(output.read_text("utf-8"))
    homes = results["homes"]
    # redis-py and diskcache need not be there.
    assert all(name.startswith("stored values") for name in homes["absent"]), homes["absent"]
    wanted = {"hit_redis", "hit_lmdb", "invalidate_redis", "propagation_lmdb", "propagation_redis"}
    assert wanted <= set(homes["results"])
    for name in ("herd/zoocache", "herd/zoocache-lmdb"):
        assert homes["results"][name]["executions"] == 1
    assert set(homes["scaling"]["tags"]) == {"lmdb", "redis"}
    assert homes["scaling"]["throughput"]["writes/redis/4x8"]["per_second"] > 0
    assert "| Redis | 10,000 |" in homes_tables.scaling_block(results)
    assert "## Homes" in page.page(results, set())


@pytest.mark.slow
@pytest.mark.no_asan
@pytest.mark.parametrize(
    ("part", "ours", "plain"),
    [
        (
            "calls",
            {"hit_int", "hit_moved_10k_deps", "hit_async", "miss_own_tag"},
            {"hit_int", "miss"},
        ),
        ("import", {"import"}, {"import"}),
        ("invalidate", {"invalidate_1000"}, set()),
        ("memory", {"bytes_no_tag", "bytes_own_tag"}, {"bytes_no_tag"}),
        ("growth", {"entries", "depth", "live_tags"}, {"entries", "threads"}),
    ],
)
def test_the_benchmarks_run(part: str, ours: set[str], plain: set[str], tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, str(ROOT / "bench" / "run.py"), "--quick", "--here"]
    command += ["--parts", part, "--peers", "zoocache,lru_cache", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peers = json.loads(output.read_text("utf-8"))["python"]["here"]["peers"]
    for peer, wanted in (("zoocache", ours), ("lru_cache", plain)):
        found = peers.get(peer, {"results": {}, "absent": {}})
        assert found["absent"] == {}
        assert wanted <= set(found["results"])
    if part == "calls":
        assert peers["zoocache"]["results"]["herd"]["executions_threads"] == 1


@pytest.mark.slow
@pytest.mark.no_asan
def test_an_example_app_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("there is no wrk")
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    part: Any = importlib.import_module("web_part")
    notes = next(app for app in part.APPS if app.name == "litestar_notes")
    found = part.measure_app(sys.executable, notes, repeats=1, seconds=1)
    assert list(found) == ["litestar_notes /notes", "litestar_notes /notes/3"]
    assert all(one["plain_per_s"] > 0 and one["cached_per_s"] > 0 for one in found.values())
    web = {"interpreter": "debian-3.11", "results": found, "absent": {"flask_blog": "no server"}}
    section = web_tables.web_section({"web": web})
    assert "| litestar_notes | /notes/3 |" in section
    assert "- flask_blog: no server" in section


LISTING = """
1,100 (100.0%)  PROGRAM TOTALS
  600 (54.55%)  ???:_PyEval_EvalFrameDefault [/usr/bin/python3.11]
  300 (27.27%)  call.cpp:zoocache::python::(anonymous namespace)::look(long) [/x/_zoocache.so]
  150 (13.64%)  slab.h:zoocache::python::(anonymous namespace)::look(long)
   50 ( 4.55%)  log.h:zoocache::core::Log<int, Pair<int> >::bind(long)'2 [/x/_zoocache.so]
"""


def test_instructions_are_added_up_by_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    part: Any = importlib.import_module("instructions_part")
    counts = part.by_function(LISTING)
    assert counts == {"": 1100, "in python3.11": 600, "look": 450, "core::Log::bind": 50}
    one = part.per_operation(counts, {name: 3 * n for name, n in counts.items()}, 10)
    assert one["instructions"] == 220
    assert one["functions"][0] == ["in python3.11", 120]


def test_the_parts_scenarios_are_those_of_the_counted_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    monkeypatch.syspath_prepend(str(ROOT / "bench" / "measure"))
    part: Any = importlib.import_module("instructions_part")
    counted: Any = importlib.import_module("counted")
    assert tuple(counted.SCENARIOS) == part.SCENARIOS
    alone = tuple(name for name, (_, baseline) in counted.SCENARIOS.items() if baseline is None)
    assert alone == part.ALONE
