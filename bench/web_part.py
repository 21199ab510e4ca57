"""The example apps under a real server with one worker, loaded by wrk, with the cache and without.

wrk's two connections ask for one page as fast as they are answered; server and wrk share the
machine, in both cases.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from environments import (
    BENCH,
    ROOT,
    Interpreter,
    install,
    install_this_package,
    make_environment,
    requirements,
    say,
)

UVICORN = ("-m", "uvicorn", "--log-level", "error", "--no-access-log", "--port", "{port}")
GUNICORN = ("-m", "gunicorn", "--log-level", "error", "-k", "gthread", "--threads", "4")
# example, what it lists, how it is served, its databases' variable
APPS = (
    ("fastapi_shop", "/products", (*UVICORN, "app:app"), "SHOP_DATABASE"),
    ("litestar_notes", "/notes", (*UVICORN, "app:app"), "NOTES_DATABASE"),
    ("flask_blog", "/", (*GUNICORN, "-b", "127.0.0.1:{port}", "app:app"), "BLOG_DATABASE"),
)
RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
BAD = re.compile(r"Non-2xx or 3xx responses|Socket errors")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"no server at {url}") from None
            time.sleep(0.05)


def requests_per_second(url: str, seconds: int) -> float:
    command = ["wrk", "-t1", "-c2", f"-d{seconds}s", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = RATE.search(said)
    if found is None or BAD.search(said):
        raise SystemExit(f"wrk: {said}")
    return float(found[1])


def rate(python: Path, app: tuple[Any, ...], cached: bool, seconds: int) -> float:
    name, path, words, variable = app
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, variable: f"{folder}/app.sqlite"}
        environment |= {} if cached else {"ZOOCACHE_OFF": "1"}
        command = [str(python), *(word.format(port=port) for word in words)]
        at = ROOT / "examples" / name
        server = subprocess.Popen(command, cwd=at, env=environment)
        try:
            wait_for(f"http://127.0.0.1:{port}{path}", server)
            return requests_per_second(f"http://127.0.0.1:{port}{path}", seconds)
        finally:
            server.terminate()
            server.wait(30)


def prepare(interpreter: Interpreter) -> Path:
    stamp = interpreter.version + (BENCH / "requirements-web.txt").read_text()
    python, is_new = make_environment(interpreter.path, interpreter.folder / "web", stamp)
    if is_new:
        say(f"{interpreter.name}: installing web frameworks")
        why = install(python, *requirements("web").values())
        if why:
            raise SystemExit(f"no web frameworks: {why}")
    install_this_package(interpreter, python)
    return python


def measure(interpreter: Interpreter, repeats: int, quick: bool) -> dict[str, Any]:
    """example -> requests a second with and without the cache: medians of alternating runs."""
    if shutil.which("wrk") is None:
        say("web: there is no wrk")
        return {}
    python = prepare(interpreter)
    results: dict[str, Any] = {}
    for app in APPS:
        found: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(1 if quick else min(repeats, 5)):
            say(f"web: {app[0]}, repeat {turn + 1}")
            for cached in (False, True):
                found[cached].append(rate(python, app, cached, 1 if quick else 10))
        ratios = [a / b for a, b in zip(found[True], found[False], strict=True)]
        results[app[0]] = {
            "cached_per_s": round(statistics.median(found[True])),
            "plain_per_s": round(statistics.median(found[False])),
            "ratio": round(statistics.median(ratios), 2),
        }
    return {"interpreter": interpreter.name, "version": interpreter.about["version"],
            "compiler": interpreter.about["compiler"], "results": results}  # fmt: skip
