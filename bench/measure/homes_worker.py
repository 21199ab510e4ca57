"""One process that measures a cache with a home: started by bench/homes_part.py.

Usage: homes_worker.py --peer NAME --task TASK --places JSON [--quick] [options of the task]
Prints lines of JSON: what a task says in between, and at the end {"version": ..., "results":
{name: result}, "absent": {name: why}}. A cache that cannot be imported gives {"absent_peer": why}.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import homes
import together
from calls import NotApplicableError
from harness import Effort
from homes_peers import MAKERS, HomePeer
from peers import Peer, version_of


def stored(peer: HomePeer, given: argparse.Namespace) -> dict[str, Any]:
    """Values on the server beside a plain GET; values in a folder beside diskcache's."""
    effort = Effort.of(given.quick)
    baseline = None
    if given.peer == "zoocache-lmdb":
        make, place = MAKERS["diskcache"]
        baseline = make(given.places[place])
    made = {"stored": homes.stored_reads(peer, given.places, effort, baseline, False)}
    if peer.name == "zoocache":
        if not baseline:
            is_async = dataclasses.replace(peer, is_async=True)
            made["stored_async"] = homes.stored_reads(is_async, given.places, effort, None, False)
        made["stored_later"] = homes.stored_reads(peer, given.places, effort, baseline, True)
    return made


def here(measure: Any) -> Any:
    """A task of our caches alone."""
    return lambda peer, given: measure(given.places, Effort.of(given.quick))


TASKS: dict[str, Any] = {
    "hits": here(homes.hits),
    "invalidations": here(homes.invalidations),
    "stored": stored,
    **together.TASKS,
}


def run(given: argparse.Namespace, say: Any) -> dict[str, Any]:
    make, place = MAKERS[given.peer]
    try:
        # Who measures homes against each other opens them itself.
        peer = make(given.places.get(place, "")) if given.task in ("stored", "herd") else None
        name = peer.distribution if peer else "zoocache"
        version = version_of(Peer(name, name, name))
    except ImportError as error:
        return {"absent_peer": f"cannot be imported: {error}"}
    results: dict[str, Any] = {}
    absent = {}
    given.say = say
    try:
        results = TASKS[given.task](peer, given)
    except NotApplicableError:
        absent[given.task] = "redis-py is not there"
    except Exception as error:  # what a cache cannot do is a finding about it
        said = (str(error).splitlines() or [""])[0]
        absent[given.task] = f"{type(error).__name__}: {said}"[:200]
    return {"version": version, "results": results, "absent": absent}


def main() -> None:
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("--peer", required=True, choices=sorted(MAKERS))
    add("--task", required=True, choices=sorted(TASKS))
    add("--places", required=True, type=json.loads)
    add("--quick", action="store_true")
    add("--home", default="redis", choices=("lmdb", "redis"))
    add("--board", type=Path, help="a file that processes of one task share")
    add("--count", type=int, default=1, help="threads, caches or rounds")
    add("--key", type=int, default=7)
    add("--guarded", action="store_true")
    given = parser.parse_args()
    # Some caches print; standard output carries the results alone.
    out, sys.stdout = sys.stdout, sys.stderr
    result = run(given, lambda what: print(json.dumps(what), file=out, flush=True))
    print(json.dumps(result), file=out, flush=True)


if __name__ == "__main__":
    main()
