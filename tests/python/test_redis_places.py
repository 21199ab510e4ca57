"""Values and their log on servers that are found or reached in other ways: TLS, sentinels."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_server import HANG_S, RedisServer, free_port
from support import Versions, counting, wait_until
from test_tls_faults import make_certificate
from zoocache import Cache, HomeUnreachable


def check_sharing(url: str) -> None:
    """One of two caches finds what the other has loaded, until it is invalidated."""
    first, second = (Cache(storage_url=url, lease=0.6, command_timeout=5) for _ in range(2))
    versions = Versions()
    one, two = counting(first, versions), counting(second, versions)
    assert one(1) == two(1) == 1
    assert (first.stats().l2_stores, second.stats().l2_hits) == (1, 1)
    first.invalidate("org:acme", wait=True)
    assert two(1) == 2
    wait_until(lambda: one(1) == 2, "what the other has loaded")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[RedisServer]]:
    """They are killed at the end."""
    started: list[RedisServer] = []
    yield started
    for server in started:
        server.kill()


def test_values_over_tls(tmp_path: Path, servers: list[RedisServer]) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    certificate, key = make_certificate(tmp_path, "good")
    other, _ = make_certificate(tmp_path, "other")
    port = free_port()
    files = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    options = ("--tls-port", str(port), *files, "--tls-auth-clients", "no")
    try:
        servers.append(RedisServer(tmp_path, *options))
    except AssertionError:
        pytest.skip("this redis-server has no TLS")
    check_sharing(f"rediss://127.0.0.1:{port}?ca={certificate}")
    with pytest.raises(HomeUnreachable, match="certificate"):
        Cache(storage_url=f"rediss://127.0.0.1:{port}?ca={other}")


def test_values_on_the_primary_that_sentinels_name(
    tmp_path: Path, servers: list[RedisServer]
) -> None:
    servers.append(RedisServer(tmp_path))
    port = free_port()
    settings = tmp_path / "sentinel.conf"
    settings.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor shop 127.0.0.1 {servers[0].port} 1\n"
    )
    server = shutil.which("redis-server")
    assert server is not None
    sentinel = subprocess.Popen([server, str(settings), "--sentinel", "--logfile", "sentinel.log"])
    try:
        wait_until(lambda: answers(f"redis+sentinel://127.0.0.1:{port}/shop"), "the sentinel")
        check_sharing(f"redis+sentinel://127.0.0.1:{port}/shop")
    finally:
        sentinel.kill()
        sentinel.wait(HANG_S)


def answers(url: str) -> bool:
    cache = Cache(bus_url=url, prefix="probe", connect_timeout=0.2)
    try:
        return cache.invalidate("probe") > 0
    except HomeUnreachable:
        return False
