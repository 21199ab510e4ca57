"""What the tests of the `zoocache` command share: a process of a home, the command, a pty."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import io
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pyte
from typing_extensions import Self

from support import HANG_S
from zoocache.cli import _app as cli

ROOT = Path(__file__).resolve().parents[2]

# Another process of the home: it stores, and then says so, and does what its input says.
WORKER = """
import sys
import zoocache

cache = zoocache.Cache(storage_url=sys.argv[1])

@cache.cacheable(deps=["org:acme:user:{x}"], namespace="shop.user", version="1")
def user(x):
    return {"user": x, "text": "x" * 100}

@cache.cacheable(
    deps=["org:acme:order:{x}", "stock"], namespace="shop.order", version="1", ttl=3600
)
def order(x, kind="plain"):
    return [x, kind]

for number in range(5):
    user(number)
for number in range(3):
    order(number)
print("stored", cache.stats().l2_stores, flush=True)
for line in sys.stdin:
    word, *tags = line.rstrip("\\n").split(" ")
    if word == "user":
        user(int(tags[0]))
    elif word == "clear":
        cache.clear()
    elif word == "raw":
        cache.invalidate(tags[0].encode().decode("unicode_escape"))
    else:
        cache.invalidate(*tags)
    print("done", flush=True)
"""


@dataclass
class Worker:
    """A process with a cache in a home, and something stored there."""

    process: subprocess.Popen[str]

    def say(self, line: str) -> None:
        """Lets it do something, and waits until it has."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextlib.contextmanager
def worker(url: str) -> Iterator[Worker]:
    """Ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "stored 8\n"
        yield Worker(process)
    finally:
        process.kill()
        process.wait(HANG_S)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@dataclass
class Done:
    """What the command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command(*words: str, **environment: str) -> Done:
    """Runs the command in this process: it looks from outside all the same, at others' homes."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, {**clean_environment(), **environment}, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = cli.run(list(words))
    gc.collect()  # its home is closed
    return Done(code, out.getvalue(), err.getvalue())


def command_process(*words: str, **environment: str) -> Done:
    """Runs the command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "zoocache.cli", *words],
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**clean_environment(), **environment},
    )
    return Done(done.returncode, done.stdout, done.stderr)


def clean_environment() -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ZOOCACHE_")}
    return {**kept, "TERM": "xterm-256color", "COLUMNS": "100", "LANG": "C.UTF-8"}


@contextlib.contextmanager
def served(url: str, *words: str, token: str | None = None) -> Iterator[httpx.Client]:
    """`zoocache serve` in a process of its own, which is interrupted at the end of the block."""
    environment = {**clean_environment(), "ZOOCACHE_URL": url}
    if token is not None:
        environment["ZOOCACHE_DASHBOARD_TOKEN"] = token
    process = subprocess.Popen(
        [sys.executable, "-m", "zoocache.cli", "serve", "--port", "0", "--interval", "0.1", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        where = process.stdout.readline().rpartition(" is at ")[2].strip()
        assert where.startswith("http://127.0.0.1:"), process.communicate(timeout=HANG_S)
        headers = {"x-zoocache": "1"}
        if token is None:
            assert "read-only" in process.stdout.readline()
        else:
            headers["authorization"] = f"Bearer {token}"
        with httpx.Client(base_url=where, headers=headers, trust_env=False, timeout=HANG_S) as http:
            yield http
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=HANG_S)
        assert process.returncode == 130, complaint
        assert "Traceback" not in complaint
    finally:
        process.kill()
        process.communicate()


class Terminal:
    """The command in a real pty, whose screen is read as a terminal shows it."""

    def __init__(self, *words: str, columns: int = 100, rows: int = 30, **environment: str) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        inherited = clean_environment()
        del inherited["COLUMNS"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "zoocache.cli", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**inherited, **environment},
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(HANG_S)
        os.close(self._master)

    def read(self, seconds: float = 0.05) -> None:
        """What comes within so many seconds goes to the screen."""
        while select.select([self._master], [], [], seconds)[0]:
            try:
                more = os.read(self._master, 65536)
            except OSError:  # the other end is gone
                return
            if not more:
                return
            self.raw += more
            self._stream.feed(more)

    @property
    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def wait_for(self, text: str, *, gone: bool = False) -> str:
        """The screen, once the text is on it."""
        deadline = time.monotonic() + HANG_S
        while (text in self.screen) == gone:
            self.read()
            assert time.monotonic() < deadline, f"{text!r} (gone={gone}) never came:\n{self.screen}"
        return self.screen

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def code(self) -> int:
        """The exit code, once it ends."""
        deadline = time.monotonic() + HANG_S
        while self._process.poll() is None:
            self.read()
            assert time.monotonic() < deadline, f"it does not end:\n{self.screen}"
        self.read()
        return self._process.returncode
