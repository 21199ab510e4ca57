"""The example apps under a real server with one worker, loaded by wrk, with the cache and without.

wrk's two connections ask for one page as fast as they are answered; server and wrk share the
machine, in both cases. Without the cache an app is its framework and its ORM alone.
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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from homes_bench import Absent

UVICORN = ("-m", "uvicorn", "--log-level", "error", "--no-access-log", "app:app", "--port")
GUNICORN = ("-m", "gunicorn", "--log-level", "error", "-k", "gthread", "--threads", "4", "-b")
RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
BAD = re.compile(r"Non-2xx or 3xx responses|Socket errors")
STARTS_S = 30


@dataclass(frozen=True)
class App:
    """An example, the server that it is put under, and the pages that are asked for."""

    name: str
    server: tuple[str, ...]
    variable: str  # of the environment: where its database is
    pages: tuple[str, str]  # fifty rows, one row
    first: tuple[str, ...] = ()  # to be run before it starts


APPS = (
    App("fastapi_shop", UVICORN, "SHOP_DATABASE", ("/products", "/products/3")),
    App("litestar_notes", UVICORN, "NOTES_DATABASE", ("/notes", "/notes/3")),
    App(
        "flask_blog", (*GUNICORN[:2], "app:app", *GUNICORN[2:]), "BLOG_DATABASE", ("/", "/posts/3")
    ),
    App(
        "django_shop",
        (*GUNICORN[:2], "wsgi", *GUNICORN[2:]),
        "SHOP_DATABASE",
        ("/products", "/products/3"),
        ("manage.py", "migrate", "--verbosity=0"),
    ),
)


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            raise Absent(f"{url}: {error}") from None
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise Absent(f"no server at {url}") from None
            time.sleep(0.05)


def requests_per_second(url: str, seconds: int) -> float:
    command = ["wrk", "-t1", "-c2", f"-d{seconds}s", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = RATE.search(done.stdout)
    if found is None or BAD.search(done.stdout):
        raise Absent(f"wrk: {(done.stdout + done.stderr).strip()}")
    return float(found[1])


@contextmanager
def served(python: str, app: App, cached: bool) -> Iterator[str]:
    """The address of a server of its own, with a database of its own."""
    address = free_address()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, app.variable: f"{folder}/app.sqlite"}
        environment |= {} if cached else {"ZOOCACHE_OFF": "1"}
        at = ROOT / "examples" / app.name
        if app.first:
            done = subprocess.run([python, *app.first], cwd=at, env=environment, check=False)
            if done.returncode:
                raise Absent(f"{' '.join(app.first)} ended with {done.returncode}")
        bound = address.rpartition(":")[2] if app.server is UVICORN else address
        server = subprocess.Popen([python, *app.server, bound], cwd=at, env=environment)
        try:
            wait_for(f"http://{address}{app.pages[0]}", server)
            yield address
        finally:
            server.terminate()
            server.wait(STARTS_S)


def rates(python: str, app: App, cached: bool, seconds: int) -> list[float]:
    """Requests a second of each page."""
    with served(python, app, cached) as address:
        return [requests_per_second(f"http://{address}{page}", seconds) for page in app.pages]


def measure_app(python: str, app: App, repeats: int, seconds: int) -> dict[str, Any]:
    """page -> requests a second with and without the cache: medians of alternating runs."""
    found: dict[bool, list[list[float]]] = {True: [], False: []}
    for turn in range(repeats):
        say(f"web: {app.name}, repeat {turn + 1} of {repeats}")
        for cached in (False, True):
            found[cached].append(rates(python, app, cached, seconds))
    results = {}
    for page, cached_rates, plain_rates in zip(
        app.pages, zip(*found[True], strict=True), zip(*found[False], strict=True), strict=True
    ):
        ratios = [a / b for a, b in zip(cached_rates, plain_rates, strict=True)]
        results[f"{app.name} {page}"] = {
            "cached_per_s": round(statistics.median(cached_rates)),
            "plain_per_s": round(statistics.median(plain_rates)),
            "ratio": round(statistics.median(ratios), 2),
        }
    return results


def prepare(interpreter: Interpreter) -> str:
    """An environment with the frameworks; raises Absent if there can be none."""
    stamp = interpreter.version + (BENCH / "requirements-web.txt").read_text()
    python, is_new = make_environment(interpreter.path, interpreter.folder / "web", stamp)
    if is_new:
        say(f"{interpreter.name}: installing web frameworks")
        why = install(python, *requirements("web").values())
        if why:
            shutil.rmtree(python.parents[1])  # made anew by the next run
            raise Absent(f"no web frameworks: {why}")
    install_this_package(interpreter, python)
    return str(python)


def measure(interpreter: Interpreter, repeats: int, quick: bool, here: bool) -> dict[str, Any]:
    """Empty where nothing can be measured. `here`: with what the interpreter has."""
    results: dict[str, Any] = {}
    absent: dict[str, str] = {}
    try:
        if shutil.which("wrk") is None:
            raise Absent("there is no wrk")
        python = interpreter.path if here else prepare(interpreter)
    except Absent as why:
        say(f"web: {why}")
        return {}
    for app in APPS:
        try:
            results |= measure_app(python, app, min(repeats, 5), 1 if quick else 5)
        except Absent as why:
            say(f"web: {app.name}: {why}")
            absent[app.name] = str(why)
    return {"interpreter": interpreter.name, "version": interpreter.about["version"],
            "compiler": interpreter.about["compiler"], "results": results,
            "absent": absent}  # fmt: skip
