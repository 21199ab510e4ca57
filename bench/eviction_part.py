"""Hit rates over traces: the engine beside FIFO, LRU, SIEVE and OPT, at several sizes.

Traces are files `*.txt.gz` of one integer key a line, in the folder that --traces or
ZOOCACHE_TRACES names; without such a folder only the generated trace is replayed.
"""

from __future__ import annotations

import bisect
import gzip
import itertools
import random
import subprocess
from pathlib import Path
from typing import Any

from cpp_part import FOLDER
from environments import ROOT, say

DEFAULT_TRACES = ROOT.parent / "shared" / "traces"
SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)  # of the distinct keys
ZIPF_KEYS, ZIPF_REQUESTS, ZIPF_EXPONENT = 20_000, 500_000, 0.9


def zipf_trace(keys: int, requests: int) -> list[int]:
    """The same on every machine: request r is of the key of rank k with weight 1 / k ** 0.9."""
    sums = list(itertools.accumulate((rank + 1) ** -ZIPF_EXPONENT for rank in range(keys)))
    chosen = random.Random(20)
    return [bisect.bisect_left(sums, chosen.random() * sums[-1]) for _ in range(requests)]


def replay(text: bytes, name: str) -> dict[str, Any]:
    keys = text.split()
    distinct = len(set(keys))
    sizes = sorted({max(1, round(share * distinct)) for share in SHARES})
    say(f"replaying {name}: {len(keys):,} requests of {distinct:,} keys")
    command = [str(FOLDER / "eviction_replay"), *map(str, sizes)]
    done = subprocess.run(command, input=text, capture_output=True, check=True)
    rates: dict[str, dict[str, float]] = {}
    for line in done.stdout.decode().splitlines():
        policy, entries, hits = line.split()
        rates.setdefault(policy, {})[entries] = round(int(hits) / len(keys), 5)
    tenth = str(max(1, round(0.1 * distinct)))
    return {"requests": len(keys), "keys": distinct, "tenth": tenth, "hit_rates": rates}


def measure(folder: Path, quick: bool) -> dict[str, Any]:
    keys, requests = (1_000, 20_000) if quick else (ZIPF_KEYS, ZIPF_REQUESTS)
    generated = "\n".join(map(str, zipf_trace(keys, requests))).encode()
    found = {"zipf (generated)": replay(generated, "a generated Zipf trace")}
    files = sorted(folder.glob("*.txt.gz")) if folder.is_dir() else []
    if not files:
        say(f"no traces in {folder}: only the generated one was replayed")
    if quick:
        files = sorted(files, key=lambda path: path.stat().st_size)[:1]
    for path in files:
        found[path.name.removesuffix(".txt.gz")] = replay(
            gzip.decompress(path.read_bytes()), path.name
        )
    return found
