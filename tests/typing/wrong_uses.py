"""Uses that both type checkers must refuse: an ignore that is not needed is an error itself."""

from __future__ import annotations

from zoocache import Cache, add_deps, cacheable, configure, explain, invalidate, stats, tag


@cacheable
def load(user_id: int, *, deep: bool = False) -> str:
    """Takes an int and gives a str."""
    return str(user_id)


@cacheable(deps=["user:{user_id}"])
async def fetch(user_id: int) -> str:
    """Takes an int and gives an awaitable of a str."""
    return str(user_id)


class Service:
    """One method."""

    @cacheable
    def load(self, user_id: int) -> str:
        """Takes an int and gives a str."""
        return str(user_id)


def wrong_calls(service: Service) -> None:
    """Arguments that do not fit."""
    load("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    load()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    load(1, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    load(1, depth=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    load.invalidate("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    load.refresh()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    load.peek(user="1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    load.unknown()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    service.load("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Service.load(1)  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    number: int = load(1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(number)


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
    cacheable(max_entires=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    configure(max_entries="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    configure(max_entires=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Cache(unknown=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def wrong_tags() -> None:
    """Tags that are not str."""
    invalidate(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    invalidate(["user:1"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    add_deps(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    add_deps([5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    length: str = len(tag("user"))  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    hits: str = stats().hits  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    explain(load, 1).nothing  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(length, hits)
