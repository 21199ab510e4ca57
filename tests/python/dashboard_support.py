"""Asks a dashboard without a network, as ASGI servers would."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

TOKEN = "a-token-of-24-characters"
HERE = "http://localhost:8765"


def ask(
    app: Any,
    path: str,
    method: str = "GET",
    *,
    peer: str | None = "127.0.0.1",
    base: str = HERE,
    token: str | None = None,
    **more: Any,
) -> httpx.Response:
    """One request; `peer` None: the connection has no address."""
    headers = dict(more.pop("headers", {}))
    if token is not None:
        headers["authorization"] = f"Bearer {token}"

    async def run() -> httpx.Response:
        client = None if peer is None else (peer, 12345)
        transport = httpx.ASGITransport(app, client=client)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=base, trust_env=False) as http:
            return await http.request(method, path, headers=headers, **more)

    return asyncio.run(run())


def code_of(response: httpx.Response) -> tuple[int, str]:
    """The status and the word of an answer that is an error."""
    error = response.json()["error"]
    assert set(error) == {"code", "message"} and len(error["message"]) > 10, error
    return response.status_code, error["code"]


def invalidate(app: Any, tag: Any, **more: Any) -> httpx.Response:
    """As the page does it."""
    headers = {"x-zoocache": "1", **more.pop("headers", {})}
    json = more.pop("json", {"tag": tag})
    return ask(app, "/api/invalidate", "POST", headers=headers, json=json, **more)
