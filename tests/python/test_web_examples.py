"""The example apps of examples/, under real servers, over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the examples are of the newest versions")

EXAMPLES = Path(__file__).parents[2] / "examples"
UVICORN = (sys.executable, "-m", "uvicorn", "--log-level", "warning")

Ask = Callable[..., tuple[int, dict[str, str], bytes]]


def command(name: str, port: int) -> list[str]:
    folder = EXAMPLES / name
    if name.startswith("flask"):
        app = str(folder / "app.py")
        return [sys.executable, "-m", "flask", "--app", app, "run", "--port", str(port)]
    return [*UVICORN, "--app-dir", str(folder), "--port", str(port), "app:app"]


def asker(port: int) -> Ask:
    def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    return ask


@pytest.fixture
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ask]:
    """Of the example that the test is parametrized with."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    database = str(tmp_path / "app.sqlite")
    names = ("SHOP_DATABASE", "NOTES_DATABASE", "BLOG_DATABASE")
    server = subprocess.Popen(
        command(request.param, port),
        env={**os.environ, **dict.fromkeys(names, database)},
        stderr=subprocess.DEVNULL,
    )
    try:
        made = asker(port)
        deadline = time.monotonic() + 30
        while True:
            try:
                made("/")
                break
            except OSError:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "nobody listens"
                time.sleep(0.05)
        yield made
    finally:
        server.terminate()
        server.wait(20)


def of(name: str) -> Any:
    return pytest.mark.parametrize("ask", [name], indirect=True)


@of("fastapi_shop")
def test_the_shop(ask: Ask) -> None:
    assert "age" not in ask("/products/3")[1]
    status, headers, body = ask("/products/3")
    assert (status, headers["age"], json.loads(body)["price"]) == (200, "0", 30)
    assert ask("/products/3", if_none_match=headers["etag"])[0] == 304
    assert ask("/products/3?price=5", "PUT")[0] == 200
    assert json.loads(ask("/products/3")[2])["price"] == 5
    assert ask("/products/99")[0] == ask("/products/99")[0] == 404
    ask("/products/99?price=1", "PUT")
    assert ask("/products/99")[0] == 200, "the stored 404 is dead"
    assert ask("/basket")[0] == 401
    for customer, count in (("ann", 2), ("bob", 3)):
        ask(f"/basket/3?count={count}", "PUT", x_customer=customer)
    for _ in range(2):
        totals = [json.loads(ask("/basket", x_customer=one)[2])["total"] for one in ("ann", "bob")]
        assert totals == [10, 15]
    ask("/products/3?price=7", "PUT")
    assert json.loads(ask("/basket", x_customer="ann")[2])["total"] == 14
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: ask("/basket", x_customer=f"customer {n % 4}"), range(80)))
    for number, (_, _, text) in enumerate(found):
        assert json.loads(text)["customer"] == f"customer {number % 4}"


@of("litestar_notes")
def test_the_notes(ask: Ask) -> None:
    for _ in range(2):
        _, headers, body = ask("/notes/3")
        assert json.loads(body)["title"] == "note 3"
    assert headers["age"] == "0"
    assert ask("/notes/3", if_none_match=headers["etag"])[0] == 304
    assert "note 3" in json.loads(ask("/notes")[2])
    ask("/notes/3?title=new", "PUT")
    assert json.loads(ask("/notes/3")[2])["title"] == "new"
    assert "new" in json.loads(ask("/notes")[2])
    assert ask("/notes/99")[0] == ask("/notes/99")[0] == 404


@of("flask_blog")
def test_the_blog(ask: Ask) -> None:
    for _ in range(2):
        _, headers, body = ask("/posts/3")
        assert b"text 3" in body
    assert headers["age"] == "0"
    status, headers, body = ask("/posts/3", "HEAD")
    assert (status, body, "age" in headers) == (200, b"", True)
    assert ask("/posts/3", if_none_match=headers["etag"])[0] == 304
    assert b"text 3" in ask("/")[2]
    ask("/posts/3?text=new", "PUT")
    assert b"new" in ask("/posts/3")[2]
    assert b"new" in ask("/")[2]
    assert ask("/posts/99")[0] == ask("/posts/99")[0] == 404
