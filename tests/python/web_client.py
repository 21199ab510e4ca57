"""Asks ASGI and WSGI apps without a server: bytes in, bytes out, nothing added or tidied."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote_to_bytes

Pairs = Iterable[tuple[str, str]]


@dataclass
class Asked:
    """One request."""

    path: str = "/"
    query: str = ""
    headers: Pairs = ()
    method: str = "GET"
    host: str = "shop.test"
    scheme: str = "http"
    root_path: str = ""
    body: bytes = b""

    def all_headers(self) -> list[tuple[str, str]]:
        return [("host", self.host), *self.headers]

    def raw_path(self) -> bytes:
        return quote(self.path, safe="/%").encode()


@dataclass
class Answer:
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_hit(self) -> bool:
        return self.header("age") is not None


def scope_of(asked: Asked) -> dict[str, Any]:
    path = unquote_to_bytes(asked.path).decode()
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": asked.scheme,
        "path": asked.root_path + path,
        "raw_path": asked.root_path.encode() + asked.raw_path(),
        "query_string": asked.query.encode(),
        "root_path": asked.root_path,
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in asked.all_headers()],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 5000),
        "state": {},
    }


async def ask_asgi(app: Any, asked: Asked) -> Answer:
    answer = Answer()
    sent_body = False
    done = asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal sent_body
        if not sent_body:
            sent_body = True
            return {"type": "http.request", "body": asked.body, "more_body": False}
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [
                (bytes(k).decode("latin-1"), bytes(v).decode("latin-1"))
                for k, v in message["headers"]
            ]
        elif message["type"] == "http.response.body":
            answer.body += bytes(message.get("body", b""))
            if not message.get("more_body", False):
                done.set()

    try:
        await app(scope_of(asked), receive, send)
    finally:
        done.set()
    if asked.method == "HEAD":
        answer.body = b""  # as a server sends it
    return answer


def ask_wsgi(app: Any, asked: Asked) -> Answer:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": asked.method,
        "SCRIPT_NAME": asked.root_path,
        "PATH_INFO": unquote_to_bytes(asked.path).decode("latin-1"),
        "REQUEST_URI": asked.raw_path().decode() + (f"?{asked.query}" if asked.query else ""),
        "QUERY_STRING": asked.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(asked.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": asked.scheme,
        "wsgi.input": io.BytesIO(asked.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in asked.all_headers():
        key = "HTTP_" + name.upper().replace("-", "_")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    answer = Answer()

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        answer.status = int(status.split(maxsplit=1)[0])
        answer.headers = list(headers)
        return lambda data: None

    parts = app(environ, start_response)
    try:
        answer.body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    if asked.method == "HEAD":
        answer.body = b""  # as a server sends it
    return answer
