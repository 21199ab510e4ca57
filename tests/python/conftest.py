"""Every test starts from a cache that has never been used, and none can hang the run."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import zoocache

if TYPE_CHECKING:
    from postgres_server import PostgresServer
    from redis_server import RedisServer

# A test that is still running after this long is hung: print every stack and end the run.
WATCHDOG_S = int(os.environ.get("ZOOCACHE_WATCHDOG_S", "120"))

_stderr_key = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A job in the background of a shell: programs that tests interrupt would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Duplicated while output capturing is suspended, so that the stacks reach the terminal.
    config.stash[_stderr_key] = os.dup(sys.__stderr__.fileno())


def pytest_unconfigure(config: pytest.Config) -> None:
    faulthandler.cancel_dump_traceback_later()
    os.close(config.stash[_stderr_key])


@pytest.fixture(autouse=True)
def fresh_cache(request: pytest.FixtureRequest) -> Iterator[None]:
    faulthandler.dump_traceback_later(WATCHDOG_S, exit=True, file=request.config.stash[_stderr_key])
    zoocache.reset()
    yield
    zoocache.reset()
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def pair(url: str) -> tuple[zoocache.Cache, zoocache.Cache]:
    """Two caches that share values through a folder, and nothing else: as two processes."""
    return zoocache.Cache(storage_url=url), zoocache.Cache(storage_url=url)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a folder that processes may share."""
    return f"lmdb://{tmp_path}/cache"


@pytest.fixture
def collected() -> Iterator[None]:
    """Garbage of earlier tests is gone before a test that counts objects or entries."""
    gc.collect()
    yield


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A Redis server of the test's own. Caches of this process wait for it as long as is needed:
    a machine that stands still for a moment is no dead server."""
    from redis_server import RedisServer  # few tests need one
    from zoocache import _options

    monkeypatch.setitem(_options.CONFIGURE_DEFAULTS, "command_timeout", 2)
    made = RedisServer(tmp_path)
    yield made
    made.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests that need one."""
    from postgres_server import PostgresServer  # few environments have its driver

    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[str]:
    """The name of an empty database of the test's own."""
    with postgres.database() as name:
        yield name
