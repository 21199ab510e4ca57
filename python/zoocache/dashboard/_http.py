"""Requests and responses as values, and how ASGI and WSGI bring the one and take the other."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["MAX_BODY_BYTES", "Problem", "Request", "Response", "from_asgi", "from_wsgi"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# The longest tag has 4,096 characters, each of which JSON may write as twelve.
MAX_BODY_BYTES = 65_536
_MAX_FIELDS = 20

# Nothing but what this app serves is loaded or run, and no text can become markup.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_SECURITY = (
    ("content-security-policy", _POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
)


class Problem(Exception):  # noqa: N818 - an answer, too
    """What a request is answered with when it cannot be done: a status, a word and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> Response:
        """The same as JSON."""
        headers = (
            (("www-authenticate", "Bearer"),) if self.status == HTTPStatus.UNAUTHORIZED else ()
        )
        body = {"error": {"code": self.code, "message": self.message}}
        return Response.of_json(body, self.status, headers)


@dataclasses.dataclass(frozen=True)
class Request:
    """What `authorize=` gets to see of a request.

    Attributes:
        method: "GET", "POST" and so on.
        path: below the place where the dashboard is mounted: "/", "/api/overview".
        headers: values by lower-case names; those of one name are joined by ", ".
        peer: the address that the connection comes from, or None where there is none.
        scope: ASGI's scope or WSGI's environ.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    peer: str | None
    scope: Mapping[str, Any]
    query: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    body: bytes = b""

    def json(self) -> dict[str, Any]:
        """The body, which has to be a JSON object. Raises Problem."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "not_json", f"content-type {kind!r}: send application/json")
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            raise Problem(400, "not_json", "the body is not JSON") from None
        if not isinstance(found, dict):
            raise Problem(400, "not_json", 'the body is no JSON object, as {"tag": "user:42"} is')
        return found


@dataclasses.dataclass(frozen=True)
class Response:
    """A status, headers without the length and those of every response, and a body."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @classmethod
    def of_json(
        cls, value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
    ) -> Response:
        """What scripts may not keep: it is of this moment."""
        body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        kind = ("content-type", "application/json")
        return cls(status, (kind, ("cache-control", "no-store"), *headers), body)

    def unless_known(self, request: Request) -> Response:
        """With a tag of its contents; without a body if the caller has it already."""
        tag = f'"{hashlib.blake2b(self.body, digest_size=16).hexdigest()}"'
        if tag in request.headers.get("if-none-match", ""):
            kept = tuple(one for one in self.headers if one[0] != "content-type")
            return Response(304, (*kept, ("etag", tag)))
        return dataclasses.replace(self, headers=(*self.headers, ("etag", tag)))

    def all_headers(self) -> list[tuple[str, str]]:
        """Those that go out."""
        length = () if self.status == 304 else (("content-length", str(len(self.body))),)
        return [*self.headers, *length, *_SECURITY]


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _query(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise Problem(400, "bad_query", f"more than {_MAX_FIELDS} fields in the query") from None


def _too_large() -> Problem:
    return Problem(413, "too_large", f"the body has more than {MAX_BODY_BYTES} bytes")


async def from_asgi(scope: Scope, receive: Receive) -> Request:
    """Reads a request. Raises Problem."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    # Servers and frameworks differ in whether the path has the place of mounting in it.
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=path,
        headers=_joined(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ),
        peer=client[0] if client else None,
        scope=scope,
        query=_query(bytes(scope.get("query_string", b"")).decode("latin-1")),
        body=body,
    )


def from_wsgi(environ: Mapping[str, Any]) -> Request:
    """The same of WSGI. Raises Problem."""
    headers = _joined(
        (name[5:].replace("_", "-").lower(), value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    )
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal() or len(length) > 9 or int(length) > MAX_BODY_BYTES:
        raise _too_large()
    return Request(
        method=environ["REQUEST_METHOD"],
        path=environ.get("PATH_INFO", ""),
        headers=headers,
        peer=environ.get("REMOTE_ADDR") or None,
        scope=environ,
        query=_query(environ.get("QUERY_STRING", "")),
        body=environ["wsgi.input"].read(int(length)) if int(length) else b"",
    )
