"""A Redis server for a measurement: on a free port of loopback, ended by its own process."""

from __future__ import annotations

import re
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


class Monitor:
    """What the server is told, by anybody, since this was made."""

    WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self._socket.sendall(encoded("MONITOR"))
        self._lines = self._socket.makefile("r")
        self._lines.readline()  # +OK

    def script(self, last: str) -> list[str]:
        """The next call of a script whose last word begins so, word by word."""
        while True:
            words: list[str] = self.WORD.findall(self._lines.readline())
            if words and words[0].upper() == "EVALSHA" and words[-1].startswith(last):
                return words

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def repeat(server: Server, words: list[str], times: int) -> None:
    """The same command again and again, a hundred at once: the server is never without work."""
    hundred = encoded(*words) * 100
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        for _ in range(times // 100):
            connection.sendall(hundred)
            answers = 0
            while answers < 100:  # each begins an array
                answers += connection.recv(1 << 16).count(b"*")


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
