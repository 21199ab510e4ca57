"""Blocks of a program: a write that holds its tags, reads that are no older than a write."""

from __future__ import annotations

from _thread import allocate_lock

from zoocache import _zoocache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AtLeast", "Invalidating"]


class Invalidating:
    """Holds tags while a write that commits inside runs, and invalidates them at the end.

    Nothing that depends on a held tag, or on anything below one, is stored meanwhile. The end of
    the block, also by an exception, is one invalidation of all the tags. After a rollback
    `cancel()` in the block makes it none. With a home that processes share, the tags are declared
    there at the beginning: a process that dies after the commit has invalidated them all the same,
    as soon as others notice its death.

    For `with` and `async with`; thread-safe, and good for several blocks.

    Raises (at the block's beginning, which then is not entered):
        InvalidTag, TypeError: as `invalidate`.
        HomeUnreachable: the home was not told, so the write must not begin.

    Raises (at its end):
        HomeUnreachable: the write stands and is known here; the home did not acknowledge it, and is
            told again. Should this process die before, the home still has what was declared.
    """

    def __init__(self, core: _zoocache.Core, tags: tuple[str, ...], origin: int) -> None:
        if not tags:
            raise TypeError("invalidating() wants at least one tag, as in invalidating('user:42')")
        self.core = core
        self._tags = tags
        self._origin = origin
        self._lock = allocate_lock()  # guards what follows
        self._open: list[tuple[int, int]] = []  # the engine and the intent of each block
        self._is_cancelled = False

    def __enter__(self) -> Self:
        begun = self.core.begin_write(self._tags)
        with self._lock:
            if not self._is_cancelled:
                self._open.append(begun)
                return self
        self.core.cancel_write(*begun, self._tags)
        raise RuntimeError("invalidating(): its cancelled block has not ended yet")

    def cancel(self) -> None:
        """For a block whose write was rolled back: its end invalidates nothing.

        Raises:
            RuntimeError: no block is open, or several are: make an object for each.
        """
        with self._lock:
            if len(self._open) != 1:
                raise RuntimeError(
                    f"cancel() is for one open block, and {len(self._open)} are; make an "
                    "invalidating() for each write"
                )
            self._is_cancelled = True

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            engine, token = self._open.pop()
            is_cancelled, self._is_cancelled = self._is_cancelled, False
        if is_cancelled:
            self.core.cancel_write(engine, token, self._tags)
        else:
            self.core.end_write(engine, token, self._tags, self._origin)

    def _abandon(self) -> None:
        """Ends a block whose body has not run."""
        with self._lock:
            engine, token = self._open.pop()
        self.core.cancel_write(engine, token, self._tags)

    async def __aenter__(self) -> Self:
        if not self.core.has_home():
            return self.__enter__()
        from zoocache._aio import in_thread_or_undo  # noqa: PLC0415 - see the module

        await in_thread_or_undo(self.__enter__, self._abandon)
        return self

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
