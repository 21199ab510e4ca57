"""What may happen to certificates. The first line is the row in docs/RELIABILITY.md."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fault_workload import Workload
from redis_server import RedisServer, free_port

Work = Callable[..., Workload]
Start = Callable[..., RedisServer]


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody but itself has signed, and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def test_wrong_certificate(start_server: Start, tmp_path: Path, work: Work) -> None:
    """The server changes its certificate for one that nobody trusts, and changes it back"""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    good, good_key = make_certificate(tmp_path, "good")
    bad, bad_key = make_certificate(tmp_path, "bad")
    port = free_port()
    options = ("--tls-port", str(port), "--tls-cert-file", str(good), "--tls-key-file")
    try:
        server = start_server(*options, str(good_key), "--tls-auth-clients", "no")
    except AssertionError:
        pytest.skip("this redis-server has no TLS")
    workload = work(f"rediss://127.0.0.1:{port}?ca={good}")
    workload.run(0.5)
    for certificate, key in ((bad, bad_key), (good, good_key)):
        pair = ("tls-cert-file", str(certificate), "tls-key-file", str(key))
        assert server.ask("CONFIG", "SET", *pair) == b"+OK"
        server.ask("CLIENT", "KILL", "TYPE", "normal")
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        if certificate == bad:
            workload.wait_unreachable()
            workload.wait(lambda: workload.said("certificate"), "the certificate")
            workload.run(0.5)
    workload.wait_counted("disconnects")
    workload.settle()
