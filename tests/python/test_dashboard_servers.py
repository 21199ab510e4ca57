"""The dashboard where it is served: mounted in frameworks, under servers, on a port of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any
from wsgiref.validate import validator

import httpx
import pytest

import zoocache
from dashboard_support import HERE, TOKEN, ask, code_of
from zoocache import dashboard
from zoocache.dashboard import create_app, start


def fetch(url: str, token: str | None = None, **more: Any) -> Any:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, headers=headers, **more)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_mounted_in_asgi_frameworks() -> None:
    from fastapi import FastAPI
    from starlette.applications import Starlette
    from starlette.routing import Mount

    api = FastAPI()
    api.mount("/inside/zoocache", dashboard.app)
    plain = Starlette(routes=[Mount("/inside/zoocache", app=dashboard.app)])
    for app in (api, plain):
        page = ask(app, "/inside/zoocache", follow_redirects=True)
        assert "<title>Zoocache" in page.text
        assert str(page.url).endswith("/inside/zoocache/"), "so that what it names is beside it"
        assert ask(app, "/inside/zoocache/static/app.js").status_code == 200
        assert ask(app, "/inside/zoocache/api/overview").json()["stats"]["hits"] == 0


@pytest.mark.parametrize("path", ["/zoocache/api/tags", "/api/tags"])
def test_the_place_of_mounting_is_in_the_path_or_not(path: str) -> None:
    """Frameworks differ."""

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await dashboard.app({**scope, "root_path": "/zoocache"}, receive, send)

    assert ask(mounted, path).json()["total"] == 0
    moved = ask(mounted, "/zoocache")
    assert (moved.status_code, moved.headers["location"]) == (308, "./zoocache/")


def test_mounted_in_a_wsgi_framework() -> None:
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.test import Client

    client = Client(DispatcherMiddleware(Flask(__name__), {"/zoocache": dashboard.app.wsgi}))
    here = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
    assert "<title>Zoocache" in client.get("/zoocache/", environ_base=here).text
    moved = client.get("/zoocache", environ_base=here)
    assert (moved.status_code, moved.headers["location"]) == (308, "./zoocache/")
    assert client.get("/zoocache/api/tags", environ_base=here).json["total"] == 0


def test_wsgi_by_the_book() -> None:
    app = create_app(token=TOKEN)
    zoocache.cacheable(deps=["user:1"])(lambda: 1)()
    transport = httpx.WSGITransport(app=validator(app.wsgi), remote_addr="127.0.0.1")
    with httpx.Client(transport=transport, base_url=HERE) as http:
        assert http.get("/").status_code == 200
        assert http.head("/").content == b""
        headers = {"authorization": f"Bearer {TOKEN}", "x-zoocache": "1"}
        told = http.post("/api/invalidate", json={"tag": "user:1"}, headers=headers).json()
        assert told == {"tag": "user:1", "epoch": 1}
        assert code_of(http.get("/api/tags")) == (401, "token_wanted")
        large = http.post("/api/invalidate", content=b"x" * 70_000, headers=headers)
        assert code_of(large) == (413, "too_large")


def test_under_trio() -> None:
    import trio

    sent: list[Any] = []

    async def main() -> None:
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/api/tags"}
        scope |= {"headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1)}

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await dashboard.app(scope, receive, send)

    trio.run(main)
    assert sent[0]["status"] == 200
    assert json.loads(sent[1]["body"])["total"] == 0


def test_as_the_whole_app_of_a_server() -> None:
    import uvicorn

    config = uvicorn.Config(dashboard.app, port=0, log_level="error", lifespan="on", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        assert fetch(f"http://127.0.0.1:{port}/api/tags")["total"] == 0
    finally:
        server.should_exit = True
        thread.join()


def test_on_a_port_of_its_own() -> None:
    cache = zoocache.Cache()
    cache.cacheable(deps=["user:1"])(lambda: 1)
    with start(port=0, cache=cache, token=TOKEN) as server:
        port = int(server.url.rstrip("/").rpartition(":")[2])
        assert fetch(f"{server.url}api/tags", TOKEN)["total"] == 0
        with pytest.raises(urllib.error.HTTPError) as raised:
            fetch(f"{server.url}api/tags")
        raised.value.close()
        assert raised.value.code == 401
        with pytest.raises(OSError, match="in use"):
            start(port=port)
    server.close()
    with pytest.raises(OSError):
        fetch(f"{server.url}api/tags", TOKEN)
    start(port=port).close()


def test_a_silent_connection_keeps_nobody_waiting() -> None:
    with start(port=0) as server:
        port = int(server.url.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.sendall(b"GET / HT")
            assert fetch(f"{server.url}api/tags")["total"] == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com", "", 5])
def test_others_need_a_token(host: Any) -> None:
    with pytest.raises(zoocache.InvalidOption, match="host="):
        start(host, port=0)


@pytest.mark.parametrize("port", [-1, 65_536, "80", True])
def test_ports_that_are_refused(port: Any) -> None:
    with pytest.raises(zoocache.InvalidOption, match="port="):
        start(port=port)


def test_serve_goes_on_until_it_is_interrupted() -> None:
    code = "import sys, zoocache.dashboard as d; d.serve(port=0)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.rpartition(" ")[2].strip()
        assert fetch(f"{url}api/tags")["total"] == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_program_ends_while_its_dashboard_is_served() -> None:
    code = "import zoocache.dashboard as d; print(d.start(port=0).url)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
