"""examples/workers: the app under its real worker processes, over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_server import free_port

APP = Path(__file__).parents[2] / "examples" / "workers" / "app.py"
WORKERS = 3


def ask(port: int, path: str, body: str | None = None) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=None if body is None else body.encode(),
        method="GET" if body is None else "PUT",
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        answer: dict[str, Any] = json.load(reply)
    return answer


def ask_all(port: int, path: str) -> dict[int, dict[str, Any]]:
    """Asks until every worker has answered; by worker."""
    answers: dict[int, dict[str, Any]] = {}
    for _ in range(500):
        answer = ask(port, path)
        answers[answer["worker"]] = answer
        if len(answers) == WORKERS:
            return answers
    raise AssertionError(f"only {len(answers)} workers ever answered")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    number = free_port()
    command = [sys.executable, str(APP), f"--port={number}", f"--workers={WORKERS}"]
    app = subprocess.Popen([*command, f"--folder={tmp_path}"], start_new_session=True)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                ask(number, "/count")
                break
            except (urllib.error.URLError, ConnectionError):
                assert app.poll() is None, "the app ended"
                assert time.monotonic() < deadline, "nobody listens"
                time.sleep(0.05)
        yield number
        app.send_signal(signal.SIGTERM)
        assert app.wait(20) == 0
    finally:
        if app.poll() is None:
            os.killpg(app.pid, signal.SIGKILL)
            app.wait()


def test_every_worker_sees_every_change_at_once(port: int) -> None:
    ask(port, "/notes/1", "first")
    assert {one["text"] for one in ask_all(port, "/notes/1").values()} == {"first"}
    assert {one["count"] for one in ask_all(port, "/count").values()} == {1}
    for round_ in range(20):
        text = f"change {round_}"
        assert ask(port, "/notes/1", text)["text"] == text
        assert {one["text"] for one in ask_all(port, "/notes/1").values()} == {text}
    ask(port, "/notes/2", "another")
    assert {one["count"] for one in ask_all(port, "/count").values()} == {2}


def test_what_one_worker_loads_the_others_find(port: int) -> None:
    ask(port, "/notes/1", "first")
    answers = ask_all(port, "/notes/1")
    assert sum(one["loads"] for one in answers.values()) == 2, "the note, and the first /count"


def test_workers_answer_from_memory_in_between(port: int) -> None:
    ask(port, "/notes/1", "first")
    before = {worker: one["loads"] for worker, one in ask_all(port, "/notes/1").items()}
    for _ in range(50):
        answer = ask(port, "/notes/1")
        assert answer["loads"] == before[answer["worker"]]
