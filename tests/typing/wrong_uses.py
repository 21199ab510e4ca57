"""Uses that both type checkers must refuse: an ignore that is not needed is an error itself."""

from __future__ import annotations

from zoocache import (
    Cache,
    add_deps,
    cacheable,
    configure,
    explain,
    invalidate,
    invalidate_async,
    invalidating,
    register_type,
    stats,
    tag,
)


@cacheable
def load(user_id: int, *, deep: bool = False) -> str:
    """Takes an int and gives a str."""
    return str(user_id)


@cacheable(deps=["user:{user_id}"])
async def fetch(user_id: int) -> str:
    """Takes an int and gives an awaitable of a str."""
    return str(user_id)


@cacheable
def pair(user_id: int, name: str) -> str:
    """Takes two."""
    return f"{user_id} {name}"


def plain(user_id: int) -> str:
    """A function that nobody caches."""
    return str(user_id)


class Service:
    """Methods."""

    @cacheable
    def load(self, user_id: int) -> str:
        """Takes an int and gives a str."""
        return str(user_id)

    @classmethod
    @cacheable
    def of_class(cls, user_id: int) -> str:
        """Takes an int and gives a str."""
        return str(user_id)

    @staticmethod
    @cacheable
    def of_nobody(user_id: int) -> str:
        """Takes an int and gives a str."""
        return str(user_id)


class Other:
    """Has no such methods."""


def wrong_calls() -> None:
    """Arguments that do not fit."""
    load("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    load()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    load(1, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    load(1, depth=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    load.invalidate("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    load.refresh()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    load.peek(user="1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    load.unknown()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    load.peek("1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    load.cache_clear(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    load.cache_info().size  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    load.cache_parameters()["size"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]
    maybe: str = load.peek(1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    number: int = load(1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(number, maybe)


def load_one(user_id: int) -> str:
    """Not a loader of many."""
    return str(user_id)


async def load_later(user_ids: list[int]) -> list[str]:
    """Not for a function that is not async."""
    return [str(user_id) for user_id in user_ids]


async def wrong_many() -> None:
    """Items and loaders that do not fit."""
    load.get_many(["1"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    load.get_many(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    load.get_many()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    load.get_many([1], load=load_one)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    load.get_many([1], load=load_later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    load.get_many([1], loader=load_one)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await fetch.get_many([1], load=lambda ids: ids)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    pair.get_many([1])  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    text: list[int] = load.get_many([1])  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(text)


def wrong_methods(service: Service) -> None:
    """Arguments that do not fit once the first parameter is bound."""
    service.load("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    service.load(service, 1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    service.load.invalidate("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Service.load(1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    Service.load(Other(), 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Service.of_class("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Service.of_class(Service, 1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    service.of_class.refresh("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Service.of_nobody("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    service.of_nobody()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def wrong_awaits() -> None:
    """Results that are not what they seem."""
    await load(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    text: str = fetch(1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    number: int = await fetch(1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(text, number, await fetch("1"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_options() -> None:
    """Options that do not exist or have the wrong type."""
    cacheable(deps=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cacheable(deps=[5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    cacheable(ttl="60")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cacheable(max_entries="many")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cacheable(ttl=lambda value: "60")  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    cacheable(deps=lambda: [5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    cacheable(storage="l3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cacheable(on_flight_timeout="wait")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cacheable(cache_errors=KeyboardInterrupt)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cacheable("users")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    cacheable(load, ttl=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    cacheable(5, maxsize=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    cacheable(max_entires=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    configure(max_entries="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    configure(max_entires=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Cache(unknown=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def wrong_tags() -> None:
    """Tags that are not str."""
    invalidate(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    invalidate(["user:1"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    add_deps(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    add_deps([5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    invalidate("user:1", wait="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    invalidating(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await invalidate_async(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    length: str = len(tag("user"))  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    hits: str = stats().hits  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    explain(plain, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    explain(load, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    explain(load)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    explain(load, 1).nothing  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    register_type(5)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    print(length, hits)
