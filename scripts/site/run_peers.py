"""Runs what docs/COMING_FROM.md shows of other packages, each block in a process of its own.

Usage: run_peers.py PEERS PUBLISHED OURS: the interpreters of the other packages, of the published
package of our name, and ours. A block says by its title whose it is. One whose package is not
installed is named and left out; one that fails is printed with what it wrote, and the exit status
is 1. Blocks of Django get a project around them, and those of cacheops a server.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/COMING_FROM.md"
BLOCK = re.compile(r'^```python title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
NEEDED = {
    "cachetools": "cachetools",
    "cashews": "cashews",
    "dogpile.cache": "dogpile.cache",
    "aiocache": "aiocache",
    "django-cacheops": "cacheops",
    "zoocache, published": "zoocache",
    "zoocache with Django": "django",
}
DJANGO = """
import os, django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=[{app!r}],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite"}}}},
    CACHEOPS_REDIS=os.environ.get("SERVER", ""),
    CACHEOPS={{"*.*": {{"ops": (), "timeout": 3600}}}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()
from django.db import connection, models

class Book(models.Model):
    title = models.CharField(max_length=100)
    class Meta:
        app_label = "shop"

with connection.schema_editor() as editor:
    editor.create_model(Book)
"""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a Redis server that runs meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
    process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        yield f"redis://127.0.0.1:{port}/1"
    finally:
        process.terminate()
        process.wait()


def scaffolded(title: str, code: str) -> str:
    """The block with what it needs around it."""
    if title == "django-cacheops":
        return DJANGO.format(app="cacheops") + code
    if title == "zoocache with Django":
        return DJANGO.format(app="zoocache.contrib.django") + code
    return code


def run(python: str, code: str, environment: dict[str, str]) -> str:
    """Runs the code; returns what it wrote if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, "-W", "error::SyntaxWarning", "-c", code],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    return "" if done.returncode == 0 else done.stdout + done.stderr or f"exit {done.returncode}"


def main(peers: str, published: str, ours: str) -> int:
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    failed, left_out = 0, []
    for title, code in blocks:
        special = {"zoocache, published": published, "zoocache with Django": ours}
        python = special.get(title, peers)
        # Ours is where the caller's PYTHONPATH says; theirs must not be.
        environment = {} if python == ours else {"PYTHONPATH": ""}
        name = NEEDED[title]
        probe = f"import importlib.util; assert importlib.util.find_spec({name!r}), 'absent'"
        if run(python, probe, environment):
            left_out.append(title)
            continue
        with server() if title == "django-cacheops" else contextlib.nullcontext("") as url:
            said = run(python, scaffolded(title, code), {**environment, "SERVER": url})
        if said:
            failed += 1
            print(f"{PAGE.name}: the block of {title} fails:\n{said}")
    if left_out:
        print(f"not installed, so not run: {', '.join(left_out)}")
    print(f"{len(blocks) - len(left_out)} blocks of other packages, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
