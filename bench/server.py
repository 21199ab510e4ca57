"""A Redis server for a measurement: on a free port of loopback, ended by its own process."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

from environments import ROOT

sys.path.insert(0, str(ROOT / "tests" / "python"))
from redis_server import RedisServer

Info = dict[str, str]


def is_there() -> bool:
    return shutil.which("redis-server") is not None


def encoded(*words: str) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
    return b"".join(parts)


class Server(RedisServer):
    """What the tests start, and what it tells about itself."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--maxclients", "20000", "--maxmemory-policy", "volatile-lru")

    def bulk(self, *words: str) -> str:
        """A reply that is one string."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(encoded(*words))
            reply = connection.makefile("rb")
            size = int(reply.readline()[1:])
            return reply.read(size).decode()

    def info(self) -> Info:
        lines = self.bulk("INFO", "everything").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def number(self, *words: str) -> int:
        """A reply that is a number."""
        return int(self.ask(*words)[1:] or 0)


class Use:
    """What the server used since the last `restart`: CPU, calls of scripts, bytes sent."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.restart()

    @staticmethod
    def _numbers(info: Info) -> tuple[float, int, int]:
        cpu_s = float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
        scripts = info.get("cmdstat_evalsha", "calls=0,").split(",")[0]
        return cpu_s, int(scripts.split("=")[1]), int(info["total_net_output_bytes"])

    def restart(self) -> None:
        self._before = self._numbers(self._server.info())

    def so_far(self) -> tuple[float, int, int]:
        now = self._numbers(self._server.info())
        cpu_s, scripts, sent = (b - a for a, b in zip(self._before, now, strict=True))
        return float(cpu_s), int(scripts), int(sent)
