"""Uses that both type checkers must accept, with the types that must come out."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from dataclasses import dataclass

from typing_extensions import assert_type

import zoocache
from zoocache import (
    Cache,
    add_deps,
    cacheable,
    explain,
    invalidate,
    invalidate_async,
    invalidating,
    no_store,
    stats,
    tag,
    tags,
)


@dataclass
class User:
    """A value."""

    user_id: int


class NotFoundError(Exception):
    """An error of the application."""


@cacheable
def bare(user_id: int) -> User:
    """Keeps its signature without parentheses."""
    return User(user_id)


@cacheable()
def empty(user_id: int, *, deep: bool = False) -> User | None:
    """Keeps keyword-only parameters and defaults."""
    return User(user_id) if deep else None


@cacheable(deps=["user:{user_id}", "users"], ttl=60, max_entries=100, namespace="v2")
def templated(user_id: int) -> list[User]:
    """Takes templates and options."""
    add_deps(["user:1"])
    add_deps("users")
    add_deps(name for name in ("a", "b"))
    no_store()
    return [User(user_id)]


@cacheable(deps=lambda user_id: [f"user:{user_id}"])
def computed(user_id: int) -> User:
    """Takes a callable of the arguments."""
    return User(user_id)


def names(user_id: int) -> Iterator[str]:
    """Dependencies as a generator."""
    yield f"user:{user_id}"


@cacheable(
    deps=names,
    ttl=lambda value: 60.0,
    store_if=lambda value: True,
    ignore=("session",),
    isolate=True,
    cache_errors=(NotFoundError,),
    error_ttl=5,
)
def full(user_id: int, session: object = None) -> User:
    """Takes callables of the value."""
    return User(user_id)


@cacheable(key=lambda user: user.user_id, max_bytes=1000, size=lambda value: 10)
def keyed(user: User) -> str:
    """Takes a key function."""
    return str(user.user_id)


@cacheable(maxsize=128, typed=True)
def like_lru(number: int) -> int:
    """Takes what lru_cache takes."""
    return number


@cacheable(128)
def like_lru_positional(number: int) -> int:
    """Takes a positional size."""
    return number


@cacheable
async def fetch(user_id: int) -> User:
    """Stays a coroutine function."""
    return User(user_id)


@cacheable(deps="users")
async def fetch_all(*user_ids: int, **filters: str) -> dict[str, User]:
    """Keeps variable parameters."""
    return {str(user_id): User(user_id) for user_id in user_ids if filters}


class Service:
    """Methods of every kind."""

    @cacheable(deps=["user:{user_id}"])
    def load(self, user_id: int) -> User:
        """A method."""
        return User(user_id)

    @cacheable
    async def fetch(self, user_id: int) -> User:
        """An async method."""
        return User(user_id)

    @classmethod
    @cacheable
    def of_class(cls, user_id: int) -> User:
        """A class method."""
        return User(user_id)

    @staticmethod
    @cacheable
    def of_nobody(user_id: int) -> User:
        """A static method."""
        return User(user_id)


def sync_types(service: Service) -> None:
    """What calls and methods of sync functions give."""
    assert_type(bare(1), User)
    assert_type(bare(user_id=1), User)
    assert_type(empty(1, deep=True), "User | None")
    assert_type(templated(1), list[User])
    assert_type(computed(1), User)
    assert_type(full(1, session=object()), User)
    assert_type(keyed(User(1)), str)
    assert_type(like_lru(1) + like_lru_positional(2), int)
    assert_type(service.load(1), User)
    assert_type(Service.load(service, 1), User)
    # mypy binds class methods of plain functions only.
    Service.of_class(1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    assert_type(Service.of_nobody(1), User)

    bare.invalidate(1)
    assert_type(bare.refresh(1), User)
    assert_type(bare.peek(1), "User | None")
    service.load.invalidate(1)
    assert_type(service.load.refresh(1), User)
    assert_type(service.load.peek(1), "User | None")
    bare.cache_clear()
    info = bare.cache_info()
    assert_type(info.hits + info.misses + info.currsize, int)
    assert_type(info.maxsize, "int | None")
    assert_type(bare.__name__, str)
    assert_type(bare.__wrapped__(1), User)
    functools.partial(bare, 1)()


async def async_types(service: Service) -> None:
    """What calls and methods of async functions give."""
    assert_type(await fetch(1), User)
    assert_type(await fetch_all(1, 2, name="x"), dict[str, User])
    assert_type(await service.fetch(1), User)
    assert_type(await asyncio.create_task(fetch(1)), User)
    first, second = await asyncio.gather(fetch(1), service.fetch(2))
    assert_type(first, User)
    assert_type(second, User)
    assert_type(await asyncio.wait_for(fetch(1), 1), User)
    assert_type(await fetch.refresh(1), User)
    assert_type(fetch.peek(1), "User | None")
    fetch.invalidate(1)
    await invalidate_async("user:1", "users")
    await zoocache.clear_async()
    await zoocache.set_async("key", 1, deps=["users"], ttl=60)
    await zoocache.get_async("key")


def module_types() -> None:
    """What the module's functions take and give."""
    invalidate("user:1")
    invalidate("user:1", "users", wait=True)
    with invalidating("user:1", "users"):
        pass
    explanation = explain(bare, 1)
    assert_type(explanation.reason, str)
    assert_type(explanation.tag, "str | None")
    assert_type(explanation.epoch, "int | None")
    assert_type(explanation.age_s, "float | None")
    assert_type(explanation.origin, "str | None")
    assert_type(explanation.deps, tuple[str, ...])
    assert_type(stats().hits, int)
    for info in tags(prefix="user"):
        assert_type(info.tag, str)
        assert_type(info.version, int)
        assert_type(info.entries, int)
    assert_type(tag("user", 42, "x"), str)
    assert_type(zoocache.version(), str)
    assert_type(zoocache.get_tag_version("users"), int)
    zoocache.set("key", {"any": "value"}, deps=["users"], ttl=1.5)
    zoocache.get("key")
    zoocache.configure(max_entries=10, max_bytes=1000, default_ttl=60, debug=True)
    zoocache.configure(storage_url=None, bus_url=None, prefix="app", read_extend_ttl=False)
    zoocache.clear()
    zoocache.prune()
    zoocache.reset()
    errors: list[type[zoocache.ZoocacheError]] = [
        zoocache.InvalidTag,
        zoocache.InvalidOption,
        zoocache.StorageIsFull,
        zoocache.FlightTimeout,
    ]
    assert errors


def instance_types() -> None:
    """A cache of one's own has the same types."""
    cache = Cache(max_entries=10)

    @cache.cacheable
    def own(number: int) -> str:
        return str(number)

    @cache.cacheable(deps=["n:{number}"])
    async def own_async(number: int) -> str:
        return str(number)

    assert_type(own(1), str)
    assert_type(asyncio.run(own_async(1)), str)
    assert_type(own.peek(1), "str | None")
    cache.invalidate("n")
    assert_type(cache.stats().hits, int)
