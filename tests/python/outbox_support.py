"""Writers that die between their commit and the invalidation, and who finds what they left."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_server import RedisServer

LEASE_S = 0.6
# Dies when it has committed, before anybody is told: whatever the writer does.
DEAD = """
import os
from zoocache.contrib import _connection

def die(self, *args, **options):
    os.kill(os.getpid(), 9)

plain = _connection.Connection._end
_connection.Connection.committed = die
_connection.Connection._end = lambda self, write, held: (
    plain(self, write, held) if write.begun is None or write.ends == "maybe" else die(self)
)
"""


def killed(program: str, *args: str) -> None:
    """Runs a writer, which kills itself."""
    done = subprocess.run(
        [sys.executable, "-c", DEAD + program, *args],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture(params=["lmdb", "redis"])
def shared_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Options of caches whose home is that."""
    if request.param == "lmdb":
        yield {"storage_url": f"lmdb://{tmp_path}/cache"}
    else:
        server = RedisServer(tmp_path)
        yield {"storage_url": server.url, "lease": LEASE_S}
        server.kill()
