"""The example apps of examples/, each under two real servers that share a folder, over HTTP.

The servers of an app are as its worker processes: one database, one home, one program.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from redis_server import free_port

for module in ("sqlalchemy", "django"):
    pytest.importorskip(module, reason="the examples are of the newest versions")

EXAMPLES = Path(__file__).parents[2] / "examples"
UVICORN = ("-m", "uvicorn", "--log-level", "warning", "app:app", "--port")
SERVED = {
    "fastapi_shop": UVICORN,
    "litestar_notes": UVICORN,
    "flask_blog": ("-m", "flask", "run", "--port"),
    "django_shop": ("manage.py", "runserver", "--noreload"),
}

Answer = tuple[int, dict[str, str], bytes]
Ask = Callable[..., Answer]


def asker(port: int) -> Ask:
    def ask(path: str, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            sent["Host"] = "localhost"  # of the site, whichever server answers
            connection.request(method, path, headers=sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    return ask


@contextmanager
def server_of(name: str, port: int, environment: dict[str, str]) -> Iterator[Callable[[], None]]:
    """Gives what waits until it answers."""
    server = subprocess.Popen(
        [sys.executable, *SERVED[name], str(port)],
        cwd=EXAMPLES / name,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def wait() -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                asker(port)("/")
                return
            except OSError:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "nobody listens"
                time.sleep(0.05)

    try:
        yield wait
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def asks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Ask, Ask]]:
    """Of the two servers of the example that the test is parametrized with."""
    name: str = request.param
    environment = dict(os.environ)
    for what in ("SHOP", "NOTES", "BLOG"):
        environment[f"{what}_DATABASE"] = str(tmp_path / "app.sqlite")
        environment[f"{what}_CACHE"] = f"lmdb://{tmp_path}/cache"
    if name.startswith("django"):
        command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        subprocess.run(command, cwd=EXAMPLES / name, env=environment, check=True)
    ports = free_port(), free_port()
    with ExitStack() as servers:
        for wait in [servers.enter_context(server_of(name, one, environment)) for one in ports]:
            wait()
        yield asker(ports[0]), asker(ports[1])


def of(name: str) -> Any:
    return pytest.mark.parametrize("asks", [name], indirect=True)


def is_hit(answer: Answer) -> bool:
    return answer[0] == 200 and "age" in answer[1]


def check_commits(asks: tuple[Ask, Ask], change: str, row: str, other_row: str, rows: str) -> None:
    """Each server sees the other's commits at once, and keeps what they did not change."""
    writer, reader = asks
    for path in (other_row, rows):
        assert reader(path)[0] == 200
    for number in range(900, 910):
        writer, reader = reader, writer
        assert writer(change.format(number), "PUT")[0] == 200
        assert is_hit(reader(other_row)), "a row that was not changed"
        for path in (row, rows):
            answer = reader(path)
            assert str(number).encode() in answer[2]
            assert not is_hit(answer)
            assert is_hit(reader(path))
            assert is_hit(writer(path)), "servers share responses"


def check_baskets(ask: Ask, other: Ask) -> None:
    assert ask("/basket")[0] == 401
    for customer, count in (("ann", 2), ("bob", 3)):
        ask(f"/basket/3?count={count}", "PUT", x_customer=customer)
    for _ in range(2):
        answers = [ask("/basket", x_customer=one) for one in ("ann", "bob")]
        assert [json.loads(one[2])["total"] for one in answers] == [60, 90]
    assert all(map(is_hit, answers))
    other("/products/3?price=5", "PUT")
    assert json.loads(ask("/basket", x_customer="ann")[2])["total"] == 10
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: ask("/basket", x_customer=f"customer {n % 4}"), range(80)))
    for number, (_, _, text) in enumerate(found):
        assert json.loads(text)["customer"] == f"customer {number % 4}"


@of("fastapi_shop")
def test_the_shop(asks: tuple[Ask, Ask]) -> None:
    ask = asks[0]
    assert "age" not in ask("/products/3")[1]
    status, headers, body = ask("/products/3")
    assert (status, headers["age"], json.loads(body)["price"]) == (200, "0", 30)
    assert ask("/products/3", if_none_match=headers["etag"])[0] == 304
    check_baskets(*asks)
    assert json.loads(ask("/products/3")[2])["price"] == 5
    assert ask("/products/99")[0] == ask("/products/99")[0] == 404
    ask("/products/99?price=1", "PUT")
    assert ask("/products/99")[0] == 200, "the stored 404 is dead"
    check_commits(asks, "/products/3?price={}", "/products/3", "/products/4", "/products")


@of("litestar_notes")
def test_the_notes(asks: tuple[Ask, Ask]) -> None:
    ask = asks[0]
    for _ in range(2):
        _, headers, body = ask("/notes/3")
        assert json.loads(body)["title"] == "note 3"
    assert headers["age"] == "0"
    assert ask("/notes/3", if_none_match=headers["etag"])[0] == 304
    assert ask("/notes/99")[0] == ask("/notes/99")[0] == 404
    asks[1]("/notes/99?title=late", "PUT")
    assert ask("/notes/99")[0] == 200
    check_commits(asks, "/notes/3?title={}", "/notes/3", "/notes/4", "/notes")


@of("flask_blog")
def test_the_blog(asks: tuple[Ask, Ask]) -> None:
    ask = asks[0]
    for _ in range(2):
        _, headers, body = ask("/posts/3")
        assert b"text 3" in body
    assert headers["age"] == "0"
    status, headers, body = ask("/posts/3", "HEAD")
    assert (status, body, "age" in headers) == (200, b"", True)
    assert ask("/posts/3", if_none_match=headers["etag"])[0] == 304
    assert ask("/posts/99")[0] == ask("/posts/99")[0] == 404
    assert asks[1]("/posts/3/comments?text=well+said", "POST")[0] == 200
    assert b"well said" in ask("/posts/3")[2]
    assert is_hit(ask("/posts/3"))
    check_commits(asks, "/posts/3?text={}", "/posts/3", "/posts/4", "/")


@of("django_shop")
def test_the_django_shop(asks: tuple[Ask, Ask]) -> None:
    def found(ask: Ask, path: str, **headers: str) -> Any:
        status, _, body = ask(path, **headers)
        assert status == 200
        return json.loads(body)

    assert asks[0]("/products/99")[0] == 404
    assert asks[1]("/products/99?price=1", "PUT")[0] == 200
    assert found(asks[0], "/products/99")["price"] == 1
    assert asks[0]("/basket/3?count=2", "PUT", x_customer="ann")[0] == 204
    writer, reader = asks
    for number in range(900, 910):
        found(reader, "/products/4")
        assert writer(f"/products/3?price={number}", "PUT")[0] == 200
        before = found(reader, "/loads")
        for _ in range(2):
            assert found(reader, "/products/4")["price"] == 40
            assert found(reader, "/products/3")["price"] == number
            assert found(reader, "/products")[2]["price"] == number
            assert found(reader, "/basket", x_customer="ann")["total"] == 2 * number
        assert found(reader, "/loads") == {name: n + 1 for name, n in before.items()}
        writer, reader = reader, writer
