"""The pages that readers ask for, as a team would write them over a cache.

`cached` is `zoocache.cacheable` in the run that shows zoocache; the other runs put a TTL cache or
nothing in its place. Pages are built from other cached pages, so a change of the weather reaches
every board that shows it although no writer ever names those boards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Ask = Callable[..., tuple]
AsyncAsk = Callable[..., Awaitable[tuple]]
Pages = dict[str, Callable[..., Any]]


def build_pages(cached: Callable[..., Any], ask: Ask) -> Pages:
    """Question kind -> function. The functions are as thread-safe as `cached` and `ask`."""

    @cached
    def airlines():
        return dict(ask("airlines"))

    @cached
    def aircraft(tail):
        return ask("aircraft", tail)

    @cached(deps=["weather:{airport}"])
    def weather(airport):
        return ask("weather", airport)

    @cached(deps=["flight:{day}:{carrier}:{number}"])
    def flight(day, carrier, number):
        return {"flight": ask("flight", day, carrier, number)}

    @cached(deps=["carrier:{carrier}"])
    def carrier(day, carrier):
        return {"carrier": ask("carrier", day, carrier), "airlines": airlines()}

    @cached(deps=["board:{airport}"])
    def board(airport):
        rows = ask("board", airport)
        return {"board": rows, "weather": weather(airport), "airlines": airlines()}

    @cached(deps=["route:{origin}:{dest}"])
    def route(origin, dest, day):
        rows = ask("route", origin, dest, day)
        names = sorted({row[0] for row in rows})
        return {"route": rows, "carriers": {name: carrier(day, name) for name in names}}

    @cached(deps=["plane:{tail}"])
    def plane(tail):
        legs = ask("plane", tail)
        last = flight(*legs[0][:3]) if legs else None
        return {"plane": legs, "aircraft": aircraft(tail), "last": last}

    return {"board": board, "route": route, "carrier": carrier, "plane": plane, "flight": flight}


def build_async_pages(cached: Callable[..., Any], ask: AsyncAsk) -> Pages:
    """The same pages for asyncio; independent parts are fetched concurrently."""

    @cached
    async def airlines():
        return dict(await ask("airlines"))

    @cached
    async def aircraft(tail):
        return await ask("aircraft", tail)

    @cached(deps=["weather:{airport}"])
    async def weather(airport):
        return await ask("weather", airport)

    @cached(deps=["flight:{day}:{carrier}:{number}"])
    async def flight(day, carrier, number):
        return {"flight": await ask("flight", day, carrier, number)}

    @cached(deps=["carrier:{carrier}"])
    async def carrier(day, carrier):
        rows, names = await asyncio.gather(ask("carrier", day, carrier), airlines())
        return {"carrier": rows, "airlines": names}

    @cached(deps=["board:{airport}"])
    async def board(airport):
        rows, now, names = await asyncio.gather(ask("board", airport), weather(airport), airlines())
        return {"board": rows, "weather": now, "airlines": names}

    @cached(deps=["route:{origin}:{dest}"])
    async def route(origin, dest, day):
        rows = await ask("route", origin, dest, day)
        names = sorted({row[0] for row in rows})
        found = await asyncio.gather(*(carrier(day, name) for name in names))
        return {"route": rows, "carriers": dict(zip(names, found, strict=True))}

    @cached(deps=["plane:{tail}"])
    async def plane(tail):
        legs, model = await asyncio.gather(ask("plane", tail), aircraft(tail))
        last = await flight(*legs[0][:3]) if legs else None
        return {"plane": legs, "aircraft": model, "last": last}

    return {"board": board, "route": route, "carrier": carrier, "plane": plane, "flight": flight}


def facts_of(kind: str, args: tuple, page: dict[str, Any]) -> list[tuple[str, tuple, Any]]:
    """A page taken apart: (fact name, its arguments, the value that the page shows)."""
    facts: list[tuple[str, tuple, Any]] = []
    if kind == "board":
        facts = [("board", args, page["board"]), ("weather", args, page["weather"])]
        facts.append(("airlines", (), tuple(page["airlines"].items())))
    elif kind == "route":
        facts = [("route", args, page["route"])]
        for name in sorted({row[0] for row in page["route"]}):
            facts += facts_of("carrier", (args[2], name), page["carriers"][name])
    elif kind == "carrier":
        facts = [("carrier", args, page["carrier"])]
        facts.append(("airlines", (), tuple(page["airlines"].items())))
    elif kind == "plane":
        facts = [("plane", args, page["plane"]), ("aircraft", args, page["aircraft"])]
        if page["plane"]:
            facts += facts_of("flight", page["plane"][0][:3], page["last"])
    elif kind == "flight":
        facts = [("flight", args, page["flight"])]
    else:
        raise ValueError(f"unknown question {kind!r}")
    return facts
