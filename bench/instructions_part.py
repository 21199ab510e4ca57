"""Instructions by callgrind: what one operation executes, and in which functions.

Unlike times they are the same on every run of the same machine code. The package is built for it
with its symbols and without link-time optimisation, so that functions have names: a few
instructions more than what is shipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from environments import BENCH, BUILD, ROOT, Interpreter, run_each, say

FOLDER = BUILD / "counted"
PROGRAM = BENCH / "measure" / "counted.py"
SCENARIOS = (
    "hit, 1 int",
    "hit, 2 ints",
    "hit, an int and a keyword",
    "async hit",
    "miss + store",
    "miss + store, one new tag by lambda",
    "invalidate a parent",
)
ALONE = SCENARIOS[-2:]
MOST_FUNCTIONS = 14
LINE = re.compile(r"\s*([\d,]+) \([\s\d.]+%\)\s+(\S.*)")


def build(interpreter: Interpreter) -> str:
    """The package for this interpreter, with symbols. Returns why not, empty if it could."""
    python = interpreter.pythons["zoocache"]
    flags = "-O3 -g1 -DNDEBUG"
    configure = ["cmake", "-S", str(ROOT), "-B", str(FOLDER), "-G", "Ninja"]
    configure += ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", f"-DCMAKE_CXX_FLAGS_RELWITHDEBINFO={flags}"]
    configure += ["-DZOOCACHE_PYTHON=ON", f"-DPython_EXECUTABLE={python}"]
    configure += [f"-DCMAKE_INSTALL_PREFIX={FOLDER / 'site'}"]
    install = ["cmake", "--install", str(FOLDER), "--component", "python"]
    return run_each([configure, ["cmake", "--build", str(FOLDER)], install])


def plain_name(function: str) -> str:
    """Without what C++ needs and people do not."""
    name = function.replace("(anonymous namespace)::", "").replace("zoocache::python::", "")
    name = re.sub(r"'\d+$", "", name.partition("(")[0]).replace("zoocache::", "")
    while (shorter := re.sub(r"<[^<>]*>", "", name)) != name:
        name = shorter
    return name.rpartition(" ")[2]


def by_function(listing: str) -> Counter[str]:
    """What callgrind_annotate printed, `file:function [object]` a line; "" is the total. Of the
    interpreter and of libraries only the object's name: some come without their symbols."""
    counts: Counter[str] = Counter()
    holders: dict[str, str] = {}
    places = []
    for line in listing.splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        instructions = int(match[1].replace(",", ""))
        if match[2].startswith("PROGRAM TOTALS"):
            counts[""] = instructions
            continue
        place, _, inside = match[2].partition(" [")
        function = place.partition(":")[2]
        if inside:  # what was inlined from another file comes without
            holders[function] = Path(inside.rstrip("]")).name
        places.append((function, instructions))
    for function, instructions in places:
        holder = holders.get(function, "")
        ours = "_zoocache" in holder or (not holder and "zoocache::" in function)
        counts[plain_name(function) if ours else f"in {holder or 'others'}"] += instructions
    return counts


def count(python: str, scenario: str, which: str, times: int) -> Counter[str]:
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={found}"]
        command += [python, str(PROGRAM), scenario, which, str(times)]
        site = {"PYTHONPATH": str(FOLDER / "site"), "PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, env=site, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"counting {scenario}: {done.stderr.strip()[-500:]}")
        annotate = ["callgrind_annotate", "--threshold=100", "--auto=no", str(found)]
        listing = subprocess.run(annotate, capture_output=True, text=True, check=True).stdout
    return by_function(listing)


def per_operation(less: Counter[str], more: Counter[str], times: int) -> dict[str, Any]:
    cost = {name: (more[name] - less[name]) / times for name in more}
    total = round(cost.pop(""))
    dearest = sorted(((round(n), name) for name, n in cost.items()), reverse=True)
    shown = [[name, n] for n, name in dearest[:MOST_FUNCTIONS] if n >= 5]
    return {"instructions": total, "functions": shown}


def measure(interpreter: Interpreter, quick: bool) -> dict[str, Any]:
    """scenario -> its instructions and the baseline's; empty where valgrind is missing."""
    if shutil.which("valgrind") is None:
        say("no instruction counts: there is no valgrind")
        return {}
    why = build(interpreter)
    if why:
        raise SystemExit(why)
    python, times = interpreter.pythons["zoocache"], 1_024 if quick else 16_384
    say("counting instructions")
    wanted = [(scenario, "zoocache") for scenario in SCENARIOS]
    wanted += [(scenario, "baseline") for scenario in SCENARIOS if scenario not in ALONE]
    count(python, *wanted[0], 1)  # the first run compiles what it imports
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [
            [pool.submit(count, python, *what, n) for n in (times, 2 * times)] for what in wanted
        ]
        found = [per_operation(less.result(), more.result(), times) for less, more in runs]
    made = {
        what: one for (what, which), one in zip(wanted, found, strict=True) if which == "zoocache"
    }
    for (what, which), one in zip(wanted, found, strict=True):
        if which == "baseline":
            made[what]["baseline"] = one["instructions"]
    return {"interpreter": interpreter.name, "scenarios": made}
