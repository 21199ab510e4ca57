"""Async views and Django's async ORM: what they read is cached, and dies as what sync code reads.

Django runs all of it in one thread of the program's, on that thread's connection, in the context
of whoever awaits it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from django_support import database, settings_of

# isort: split
from django.db import connections, transaction
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, override_settings
from django.urls import path

from django_shop.models import Book, Publisher
from zoocache import cacheable


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with database("default", settings_of(request, tmp_path)) as wrapper:
        first = Publisher.objects.create(name="first")
        for at in range(3):
            Book.objects.create(title=f"book {at}", price=at, publisher=first)
        yield wrapper


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Django's thread, which outlives the loop, forgets its connection at the end."""

    def forget() -> None:
        connections.close_all()
        del connections["default"]

    async def all_of_it() -> None:
        try:
            await main()
        finally:
            await sync_to_async(forget)()

    asyncio.run(all_of_it())


async def titles() -> list[str]:
    return [book.title async for book in Book.objects.order_by("id")]


async def iterated() -> list[str]:
    return [book.title async for book in Book.objects.order_by("id").aiterator(chunk_size=1)]


async def one() -> str:
    return (await Book.objects.aget(pk=1)).title


async def related() -> str | None:
    book = await Book.objects.select_related("publisher").aget(pk=1)
    return book.publisher and book.publisher.name


async def in_bulk() -> list[str]:
    return [book.title for book in (await Book.objects.ain_bulk([1, 2])).values()]


async def first() -> Any:
    return await Book.objects.order_by("title").values("title", "price").afirst()


READS: dict[str, Callable[[], Awaitable[Any]]] = {
    "async for": titles,
    "aiterator": iterated,
    "aget": one,
    "select_related": related,
    "ain_bulk": in_bulk,
    "afirst": first,
    "acount": lambda: Book.objects.acount(),
    "aexists": lambda: Book.objects.filter(title="new").aexists(),
    "sync_to_async": lambda: sync_to_async(
        lambda: [b.title for b in Book.objects.order_by("id")]
    )(),
    "pooled": lambda: sync_to_async(pooled, thread_sensitive=False)(),
}


def listed() -> list[str]:
    return [book.title for book in Book.objects.order_by("id")]


def pooled() -> int:
    """In any thread, on a connection of its own."""
    try:
        return Book.objects.filter(title="new").count()
    finally:
        connections.close_all()


async def asave() -> None:
    book = await Book.objects.aget(pk=1)
    book.title = "new"
    await sync_to_async(book.save)()


def in_a_block() -> None:
    with transaction.atomic():
        Book.objects.filter(pk=1).update(title="new")


WRITES: dict[str, Callable[[], Awaitable[Any]]] = {
    "save": asave,
    "acreate": lambda: Book.objects.acreate(title="new", publisher_id=1),
    "aupdate": lambda: Book.objects.filter(pk=1).aupdate(title="new"),
    "adelete": lambda: Book.objects.filter(pk=1).adelete(),
    "abulk_create": lambda: Book.objects.abulk_create([Book(title="new")]),
    "atomic": lambda: sync_to_async(in_a_block)(),
}


async def or_none(read: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await read()
    except Book.DoesNotExist:
        return None


def test_reads_after_a_write_are_as_without_a_cache(db: Any) -> None:
    loads: list[str] = []

    @cacheable
    async def read(name: str) -> Any:
        loads.append(name)
        return await or_none(READS[name])

    async def main() -> None:
        for write in WRITES.values():
            for name in READS:
                await read(name)
            loads.clear()
            for name, plain in READS.items():
                assert await read(name) == await or_none(plain)
            assert loads == []
            await write()
            for name, plain in READS.items():
                assert await read(name) == await or_none(plain), name
        assert loads != []

    run(main)


def test_rows_are_apart(db: Any) -> None:
    loads: list[int] = []

    @cacheable
    async def read(key: int) -> str:
        loads.append(key)
        return (await Book.objects.aget(pk=key)).title

    async def main() -> None:
        assert await asyncio.gather(read(1), read(2), read(1)) == ["book 0", "book 1", "book 0"]
        assert sorted(loads) == [1, 2]
        await Book.objects.filter(pk=2).aupdate(title="new")
        assert await asyncio.gather(read(1), read(2)) == ["book 0", "new"]
        assert sorted(loads) == [1, 2, 2]

    run(main)


def test_instances_are_kept(db: Any) -> None:
    loads: list[int] = []

    @cacheable
    async def read(key: int) -> Book:
        loads.append(key)
        return await Book.objects.select_related("publisher").aget(pk=key)

    async def main() -> None:
        found, again = await read(1), await read(1)
        assert found is not again
        assert (again.title, again.publisher.name, loads) == ("book 0", "first", [1])

    run(main)


def test_sync_functions_in_an_async_program(db: Any) -> None:
    loads: list[int] = []

    @cacheable
    def read(key: int) -> str:
        loads.append(key)
        return Book.objects.get(pk=key).title

    def in_a_block() -> list[str]:
        with transaction.atomic():
            Book.objects.filter(pk=1).update(title="new")
            return [read(1), read(1)]

    async def main() -> None:
        asked = sync_to_async(read)
        assert (await asked(1), await asked(1), loads) == ("book 0", "book 0", [1])
        assert await sync_to_async(in_a_block)() == ["new", "new"]
        assert loads == [1, 1, 1]
        assert (await asked(1), await asked(1), len(loads)) == ("new", "new", 4)

    run(main)


def test_what_others_have_not_committed_is_not_stored(db: Any) -> None:
    """All tasks share the connection: a task sees the writes of another one."""
    loads: list[str] = []

    @cacheable
    async def read() -> str:
        loads.append("")
        return await one()

    async def main() -> None:
        wrote, ended = asyncio.Event(), asyncio.Event()

        async def writer() -> None:
            await sync_to_async(transaction.set_autocommit)(False)
            await Book.objects.filter(pk=1).aupdate(title="new")
            wrote.set()
            await ended.wait()
            await sync_to_async(transaction.rollback)()
            await sync_to_async(transaction.set_autocommit)(True)

        async def reader() -> None:
            await wrote.wait()
            assert await read() == "new"
            ended.set()

        await asyncio.gather(writer(), reader())
        assert await read() == "book 0"

    run(main)


@cacheable
async def shown(key: int) -> dict[str, Any]:
    book = await Book.objects.aget(pk=key)
    return {"title": book.title, "loads": await Book.objects.acount()}


async def view(request: HttpRequest, key: int) -> JsonResponse:
    if request.method == "POST":
        await Book.objects.filter(pk=key).aupdate(title=request.GET["title"])
    return JsonResponse(await shown(key))


def sync_view(request: HttpRequest, key: int) -> JsonResponse:
    if request.method == "POST":
        with transaction.atomic():
            Book.objects.filter(pk=key).update(title=request.GET["title"])
            inside = async_to_sync(shown)(key)
        assert inside == async_to_sync(shown)(key)
    return JsonResponse(async_to_sync(shown)(key))


urlpatterns = [path("books/<int:key>", view), path("sync/<int:key>", sync_view)]


@override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
def test_views(db: Any) -> None:
    async def main() -> None:
        client = AsyncClient()
        for where in ("/books/1", "/sync/1"):
            assert (await client.get(where)).json() == await shown(1)
            for name in ("new", "newer"):
                posted = await client.post(f"{where}?title={name}")
                assert posted.json()["title"] == name
                assert (await client.get("/books/1")).json()["title"] == name
                assert (await client.get("/sync/1")).json()["title"] == name

    run(main)
