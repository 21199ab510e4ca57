"""Django's queries without a cache, with ours and with django-cacheops: what each costs and misses.

Starts `measure/django_worker.py`, each time in a new process on a new SQLite file and an emptied
Redis server. Of the times the best of all repeats is kept, whose processes take turns.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import server
from environments import (
    BENCH,
    Interpreter,
    install,
    install_this_package,
    make_environment,
    requirements,
    say,
)

PEERS = ("plain", "zoocache", "zoocache-redis", "cacheops")
WORKLOADS = ("instances", "everything")


def prepare(interpreter: Interpreter) -> Path:
    stamp = interpreter.version + (BENCH / "requirements-django.txt").read_text()
    python, is_new = make_environment(interpreter.path, interpreter.folder / "django", stamp)
    if is_new:
        say(f"{interpreter.name}: installing Django and django-cacheops")
        why = install(python, *requirements("django").values())
        if why:
            raise SystemExit(f"no Django: {why}")
    install_this_package(interpreter, python)
    return python


class Bench:
    def __init__(self, python: Path, folder: Path, quick: bool) -> None:
        self.python, self.folder, self.quick = python, folder, quick
        (folder / "server").mkdir()
        self.server = server.Server(folder / "server")
        self.versions: dict[str, str] = {}
        self._number = 0

    def run(self, peer: str, task: str, *options: str) -> Any:
        self._number += 1
        self.server.ask("FLUSHALL")
        command = [str(self.python), str(BENCH / "measure" / "django_worker.py")]
        command += ["--peer", peer, "--task", task, "--redis", self.server.url]
        command += ["--database", str(self.folder / f"{self._number}.db"), *options]
        command += ["--quick"] if self.quick else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
        said = json.loads(done.stdout.splitlines()[-1])
        self.versions[peer] = said["version"]
        return said["results"]

    def comparison(self, workload: str, seeds: int, steps: int) -> dict[str, Any]:
        """peer -> counts, of all seeds together."""
        added: dict[str, dict[str, Any]] = {}
        for seed in range(1, seeds + 1):
            for peer in PEERS[1:]:
                say(f"django: {workload}, seed {seed}, {peer}")
                options = ["--writes", workload, "--seed", str(seed), "--steps", str(steps)]
                found = self.run(peer, "compare", *options)
                kinds = found.pop("stale_in")
                mine = added.setdefault(peer, {"stale_in": {}})
                for name, value in found.items():
                    mine[name] = mine.get(name, 0) + value
                for name, value in kinds.items():
                    mine["stale_in"][name] = mine["stale_in"].get(name, 0) + value
        return added

    def times(self, repeats: int) -> dict[str, Any]:
        """peer -> what is done -> microseconds, and how many times what Django alone takes."""
        best: dict[str, dict[str, float]] = {peer: {} for peer in PEERS}
        for turn in range(repeats):
            for peer in PEERS[turn % len(PEERS) :] + PEERS[: turn % len(PEERS)]:
                say(f"django: times, repeat {turn + 1}, {peer}")
                for name, us in self.run(peer, "times").items():
                    best[peer][name] = min(us, best[peer].get(name, us))
        plain = best["plain"]
        return {
            peer: {
                name: {"us": round(us, 3), "ratio": round(us / plain[name], 4)}
                for name, us in found.items()
            }
            for peer, found in best.items()
        }


def measure(interpreter: Interpreter, repeats: int, quick: bool) -> dict[str, Any]:
    if not server.is_there():
        say("django: there is no redis-server")
        return {}
    python = prepare(interpreter)
    with tempfile.TemporaryDirectory(prefix="zoocache-bench-") as folder:
        bench = Bench(python, Path(folder), quick)
        try:
            seeds, steps = (1, 40) if quick else (3, 150)
            workloads = {name: bench.comparison(name, seeds, steps) for name in WORKLOADS}
            times = bench.times(repeats)
        finally:
            bench.server.kill()
    return {
        "interpreter": interpreter.name,
        "version": interpreter.about["version"],
        "compiler": interpreter.about["compiler"],
        "versions": bench.versions,
        "workloads": workloads,
        "times": times,
    }
