"""One process that measures one cache: started anew for each repeat by bench/run.py.

Usage: worker.py --peer NAME --part PART [--quick] [--only SCENARIO,...]
Prints one JSON object: {"version": ..., "results": {scenario: result}, "absent": {scenario: why}}.
A cache that cannot be imported gives {"absent_peer": why}.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import calls
import growth
import load
from calls import NotApplicableError
from harness import Effort, TooSlowError
from peers import MAKERS, make_peer, version_of

PARTS = {
    "calls": calls.SCENARIOS,
    "invalidate": load.INVALIDATE,
    "memory": load.MEMORY,
    "growth": growth.SCENARIOS,
}


def measure(peer_name: str, part: str, only: set[str], quick: bool) -> dict[str, object]:
    try:
        peer = make_peer(peer_name)
    except ImportError as error:
        return {"absent_peer": f"cannot be imported: {error}"}
    effort = Effort.of(quick)
    results: dict[str, object] = {}
    absent: dict[str, str] = {}
    for name, scenario in PARTS[part].items():
        if only and name not in only:
            continue
        if peer.reset:
            peer.reset()
        try:
            results[name] = scenario(peer, effort)
        except NotApplicableError:
            continue
        except TooSlowError as error:
            absent[name] = str(error)
        except Exception as error:  # what a cache cannot do is a finding about it
            said = (str(error).splitlines() or [""])[0]
            absent[name] = f"{type(error).__name__}: {said}"[:200]
    return {"version": version_of(peer), "results": results, "absent": absent}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True, choices=sorted(MAKERS))
    parser.add_argument("--part", required=True, choices=sorted(PARTS))
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    only = set(filter(None, given.only.split(",")))
    # Some caches print; standard output carries the result alone.
    out, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps(measure(given.peer, given.part, only, given.quick)), file=out)


if __name__ == "__main__":
    main()
