"""A client that goes away while its request runs the endpoint for others."""

from __future__ import annotations

import asyncio

import pytest

from support import run, wait_joined_async
from web_client import Answer, Asked, ask_asgi

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from zoocache.contrib.fastapi import cache_endpoint


def test_a_cancelled_leader_is_replaced() -> None:
    runs: list[int] = []
    entered = asyncio.Event()

    @cache_endpoint
    async def page(request: Request) -> PlainTextResponse:
        runs.append(1)
        entered.set()
        if len(runs) == 1:
            await asyncio.Event().wait()
        return PlainTextResponse(f"run {len(runs)}")

    app = Starlette(routes=[Route("/", page)])

    async def main() -> list[Answer]:
        leader = asyncio.create_task(ask_asgi(app, Asked("/")))
        await entered.wait()
        others = [asyncio.create_task(ask_asgi(app, Asked("/"))) for _ in range(5)]
        await wait_joined_async(5)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        return list(await asyncio.gather(*others))

    answers = run(main())
    assert {one.text for one in answers} == {"run 2"}
    assert len(runs) == 2
