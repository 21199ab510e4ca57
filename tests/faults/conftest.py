"""A server, processes at work, and the result of each test for the report."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fault_workload import LEASE_S, Workload
from redis_server import RedisServer

# Where the results go, one JSON object to the line; none: nowhere.
RESULTS = "ZOOCACHE_FAULT_RESULTS"


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    servers: list[RedisServer] = []

    def start(*options: str) -> RedisServer:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        servers.append(RedisServer(folder, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def server(start_server: Callable[..., RedisServer]) -> RedisServer:
    return start_server()


@pytest.fixture
def work(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Workload]]:
    """Starts the processes; what they counted is written down when the test has ended."""
    begun: list[Workload] = []

    def start(*urls: str, bound_s: float = LEASE_S) -> Workload:
        begun.append(Workload(tmp_path, *urls, bound_s=bound_s))
        begun[-1].start()
        return begun[-1]

    yield start
    for workload in begun:
        workload.end()
        result = {"test": request.node.name, **workload.result()}
        print(result)
        if RESULTS in os.environ:
            with Path(os.environ[RESULTS]).open("a") as file:
                file.write(json.dumps(result) + "\n")
