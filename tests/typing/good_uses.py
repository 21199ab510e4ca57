"""Uses that both type checkers must accept, with the types that must come out."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

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
from zoocache.telemetry import LogAdapter, TelemetryManager


@dataclass
class User:
    """A value."""

    user_id: int
    name: str = ""


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


# `deps` fits functions of any parameters, so that pyright knows no type for those of a lambda.
@cacheable(
    deps=lambda u: f"u:{u}"  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
)
def computed(user: int) -> User:
    """Takes a callable of the arguments."""
    return User(user)


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


def key_of(user: User) -> int:
    """A key."""
    return user.user_id


@cacheable(key=key_of, max_bytes=1000, size=lambda value: len(value.name))
def keyed(user: User) -> str:
    """Takes a key function."""
    return str(user.user_id)


@cacheable(maxsize=128, typed=True)
def like_lru(number: int) -> int:
    """Takes what lru_cache takes."""
    return number


@cacheable(128, True)
def like_lru_positional(number: int) -> int:
    """Takes a positional size."""
    return number


@cacheable(None)
def like_lru_unbounded(number: int) -> int:
    """Takes None for no bound."""
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
    def of_class(cls, user_id: int) -> Service:
        """A class method."""
        return cls()

    @cacheable(ttl=5)
    @classmethod
    def of_class_outside(cls, user_id: int) -> User:
        """A class method, the decorators the other way round."""
        return User(user_id)

    @classmethod
    @cacheable
    async def fetch_of_class(cls, user_id: int) -> User:
        """An async class method."""
        return User(user_id)

    @staticmethod
    @cacheable
    def of_nobody(user_id: int) -> User:
        """A static method."""
        return User(user_id)

    @cacheable
    @staticmethod
    def of_nobody_outside(user_id: int) -> User:
        """A static method, the decorators the other way round."""
        return User(user_id)

    @staticmethod
    @cacheable
    async def fetch_of_nobody() -> User:
        """An async static method without parameters."""
        return User(1)

    @cacheable
    def of_kind(self, kind: type[User]) -> User:
        """A method that takes a class is no class method."""
        return kind(1)

    @property
    @cacheable
    def computed(self) -> list[User]:
        """A property."""
        return []


class Derived(Service):
    """Inherits the methods."""


class Loads(Protocol):
    """What a cached function may be passed as."""

    def __call__(self, user_id: int) -> User:
        """Loads."""
        ...


def takes_callables(
    plain: Callable[[int], User], named: Loads, later: Callable[[int], Coroutine[Any, Any, User]]
) -> None:
    """Takes functions, cached or not."""


def sync_types() -> None:
    """What calls of sync functions give."""
    assert_type(bare(1), User)
    assert_type(bare(user_id=1), User)
    assert_type(empty(1, deep=True), "User | None")
    assert_type(templated(1), list[User])
    assert_type(computed(1), User)
    assert_type(full(1, session=object()), User)
    assert_type(keyed(User(1)), str)
    assert_type(like_lru(1) + like_lru_positional(2) + like_lru_unbounded(3), int)

    bare.invalidate(1)
    assert_type(bare.refresh(1), User)
    assert_type(bare.peek(1), "User | None")
    assert_type(bare.peek(1, default=0), "User | int")
    bare.cache_clear()
    info = bare.cache_info()
    assert_type(info.hits + info.misses + info.currsize, int)
    assert_type(info.maxsize, "int | None")
    assert_type(bare.cache_parameters()["maxsize"], "int | None")
    assert_type(bare.cache_parameters()["typed"], bool)
    assert_type(bare.__name__, str)
    assert_type(bare.__wrapped__(1), User)
    assert_type(functools.partial(bare, 1)(), User)
    assert_type(list(map(bare, [1, 2])), list[User])
    takes_callables(bare, bare, fetch)


def method_types(service: Service, derived: Derived) -> None:
    """What methods give: bound, inherited, of the class."""
    assert_type(service.load(1), User)
    assert_type(service.load(user_id=1), User)
    assert_type(derived.load(1), User)
    assert_type(Service.load(service, 1), User)
    assert_type(Derived.load(derived, 1), User)
    assert_type(service.of_kind(User), User)
    assert_type(Service.of_kind(service, User), User)
    assert_type(service.computed, list[User])
    service.load.invalidate(1)
    Service.load.invalidate(service, 1)
    assert_type(service.load.refresh(1), User)
    assert_type(service.load.peek(1), "User | None")
    service.load.cache_clear()
    takes_callables(service.load, service.load, service.fetch)


def class_method_types(service: Service) -> None:
    """What class and static methods give, by way of the class and of an instance."""
    assert_type(Service.of_class(1), Service)
    assert_type(service.of_class(user_id=1), Service)
    assert_type(Service.of_class_outside(1), User)
    assert_type(service.of_class_outside(1), User)
    assert_type(Derived.of_class_outside(1), User)
    assert_type(Service.of_class_outside.peek(1), "User | None")
    assert_type(Service.of_nobody(1), User)
    assert_type(service.of_nobody(user_id=1), User)
    assert_type(Service.of_nobody_outside(1), User)
    assert_type(service.of_nobody_outside(1), User)
    Service.of_nobody.invalidate(1)
    assert_type(service.of_nobody.refresh(1), User)


def load_users(user_ids: list[int]) -> list[User]:
    """Loads several."""
    return [User(user_id) for user_id in user_ids]


async def fetch_users(user_ids: list[int]) -> list[User]:
    """The same, later."""
    return load_users(user_ids)


async def many_types(service: Service) -> None:
    """What functions give for several items at once."""
    assert_type(bare.get_many([1, 2]), list[User])
    assert_type(bare.get_many(range(3), load=load_users), list[User])
    assert_type(bare.get_many((1, 2), load=lambda ids: map(User, ids)), list[User])
    assert_type(service.load.get_many([1], load=load_users), list[User])
    assert_type(Service.of_nobody.get_many({1, 2}), list[User])
    assert_type(Service.of_class_outside.get_many([1]), list[User])
    assert_type(await fetch.get_many([1, 2]), list[User])
    assert_type(await fetch.get_many([1, 2], load=fetch_users), list[User])
    assert_type(await service.fetch.get_many([1], load=fetch_users), list[User])


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
    assert_type(await Service.fetch_of_class(1), User)
    assert_type(await service.fetch_of_class(1), User)
    assert_type(await Service.fetch_of_nobody(), User)
    assert_type(await service.fetch_of_nobody(), User)
    assert_type(await Service.fetch(service, 1), User)
    assert_type(await service.fetch.refresh(1), User)
    assert_type(service.fetch.peek(1), "User | None")
    assert_type(await fetch.refresh(1), User)
    assert_type(fetch.peek(1), "User | None")
    assert_type(fetch_all.peek(1, name="x"), "dict[str, User] | None")
    fetch.invalidate(1)
    assert_type(await invalidate_async("user:1", "users"), int)
    async with invalidating("user:1") as block:
        assert_type(block, zoocache.Invalidating)
    await zoocache.clear_async()
    await zoocache.set_async("key", 1, deps=["users"], ttl=60)
    await zoocache.get_async("key")


@zoocache.register_type
@dataclass
class Registered:
    """A class that any cached function may give."""

    number: int


def registered_types() -> None:
    """A registered class stays what it is."""
    assert_type(Registered(1), Registered)
    assert_type(Registered(1).number, int)
    assert_type(zoocache.register_type(User), type[User])


def module_types() -> None:
    """What the module's functions take and give."""
    assert_type(invalidate("user:1"), int)
    assert_type(invalidate("user:1", "users", wait=True), int)
    with invalidating("user:1", "users") as block:
        assert_type(block, zoocache.Invalidating)
        block.cancel()
    explain(full, 1, session=None)
    explain(Service().load, 1)
    explain(fetch, user_id=1)
    explanation = explain(bare, 1)
    assert_type(explanation, zoocache.Explanation)
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
    assert_type(tags().to_json(), str)
    assert_type(zoocache.functions(), "zoocache.Told[zoocache.FunctionInfo]")
    assert_type(zoocache.invalidations()[0].died, int)
    assert_type(tag("user", 42, "x"), str)
    assert_type(zoocache.version(), str)
    assert_type(zoocache.get_tag_version("users"), int)
    zoocache.set("key", {"any": "value"}, deps=["users"], ttl=1.5)
    zoocache.get("key")
    zoocache.configure(max_entries=10, max_bytes=1000, default_ttl=60, debug=True)
    zoocache.configure(telemetry=TelemetryManager([LogAdapter()], poll_interval=5))
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
    assert_type(own_async.peek(1), "str | None")
    cache.invalidate("n")
    assert_type(cache.stats().hits, int)
