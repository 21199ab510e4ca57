"""What ASGI frameworks share: the view of a request, and whether its session was touched."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, MutableMapping
from typing import Any

from zoocache._hints import callable_hints
from zoocache.contrib._web import View

__all__ = ["SessionWatch", "resolved_signature", "view_of"]


def view_of(scope: MutableMapping[str, Any], request: Any) -> View:
    """The view of the request of an ASGI scope."""
    headers: list[tuple[bytes, bytes]] = list(scope["headers"])

    def values(wanted: str) -> list[str]:
        name = wanted.encode("latin-1")
        return [text.decode("latin-1") for key, text in headers if key.lower() == name]

    host = values("host")
    place = (
        scope.get("scheme", "http"),
        host[0].lower() if host else str(scope.get("server")),
        scope.get("root_path", ""),
        scope["path"],
        bytes(scope.get("raw_path") or b""),
        bytes(scope.get("query_string", b"")),
    )
    return View(scope["method"], place, values, request)


class SessionWatch:
    """Whether an endpoint reads or changes its caller's session; made before it runs."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._scope = scope
        self._before = self._contents()

    def _contents(self) -> Any:
        session = self._scope.get("session")
        return copy.deepcopy(dict(session)) if isinstance(session, Mapping) else None

    def why_own(self, has_user: bool) -> str | None:
        """Why the response is its caller's alone; None if the session does not make it so."""
        if self._contents() != self._before:
            return "the endpoint changes the session"
        if not has_user and getattr(self._scope.get("session"), "accessed", False):
            return "the session is read, and no user= says whose it is"
        return None


def resolved_signature(fn: Any) -> inspect.Signature:
    """The signature with annotations resolved where the function is, as far as they can be."""
    signature = inspect.signature(fn)
    hints = callable_hints(fn)
    parameters = [
        one.replace(annotation=hints.get(one.name, one.annotation))
        for one in signature.parameters.values()
    ]
    returned = hints.get("return", signature.return_annotation)
    if returned is type(None):
        returned = None  # as it is written, and as FastAPI knows it
    return signature.replace(parameters=parameters, return_annotation=returned)
