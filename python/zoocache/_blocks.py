"""Blocks of a program: a write that holds its tags, reads that are no older than a write."""

from __future__ import annotations

from zoocache import _zoocache

__all__ = ["AtLeast", "Invalidating"]


class Invalidating:
    """Holds tags while a write that commits inside runs, and invalidates them at the end.

    Nothing that depends on a held tag, or on anything below one, is stored meanwhile. The end of
    the block, also by an exception, is one invalidation of all the tags. For `with` and
    `async with`; thread-safe, and good for several blocks.
    """

    def __init__(self, core: _zoocache.Core, tags: tuple[str, ...], origin: int) -> None:
        if not tags:
            raise TypeError("invalidating() wants at least one tag, as in invalidating('user:42')")
        self.core = core
        self._tags = tags
        self._origin = origin
        self._held: list[int] = []  # the engine of each block that is open

    def __enter__(self) -> None:
        self._held.append(self.core.hold(self._tags))

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.core.invalidate_from(self._origin, self._tags, False)
        finally:
            self.core.release(self._held.pop(), self._tags)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        if not self.core.has_home():
            self.__exit__()
            return
        from zoocache._aio import in_thread  # noqa: PLC0415 - see the module

        await in_thread(self.__exit__)


class AtLeast:
    """A block whose reads are no older than an invalidation; see `Cache.at_least`."""

    def __init__(self, core: _zoocache.Core, receipt: int, timeout: float) -> None:
        self.core = core
        self._receipt = receipt
        self._timeout = timeout

    def __enter__(self) -> None:
        if not self.core.has_home():
            return  # every call sees what was invalidated before it
        from zoocache._receipt import reach  # noqa: PLC0415 - see the module

        reach(self.core, self._receipt, self._timeout)

    def __exit__(self, *exc_info: object) -> None:
        pass

    async def __aenter__(self) -> None:
        if not self.core.has_home():
            return
        from zoocache._aio import in_thread  # noqa: PLC0415 - see the module

        await in_thread(self.__enter__)

    async def __aexit__(self, *exc_info: object) -> None:
        pass
