"""Raw keys: values that were set, not loaded. The part of `Cache` that has them."""

from __future__ import annotations

from zoocache import _zoocache
from zoocache._errors import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["RawKeys"]

_ABSENT = object()


class RawKeys:
    """What `Cache` does for raw keys; they are the entries of one function that loads nothing."""

    core: _zoocache.Core
    is_enabled: bool
    _functions: Any
    _raw_keys: Any

    def _raw(self) -> Any:
        if self._raw_keys is None:
            from zoocache._decorator import RAW_KEYS, FunctionPlan  # noqa: PLC0415 - see `_cache`

            cache: Any = self
            options = {"namespace": RAW_KEYS, "version": "1", "verify": False}
            self._raw_keys = FunctionPlan(cache, options).decorate(_load_nothing)
            self._functions.add(self._raw_keys)
        return self._raw_keys

    def get(self, key: str) -> Any:
        """The value that `set` stored under the key; None if there is none that is valid.

        Args:
            key: a str.

        Raises:
            TypeError: the key is not a str.

        Thread-safe.
        """
        _check_key(key)
        value = self._raw()(key) if self.is_enabled else _ABSENT
        return None if value is _ABSENT else value

    def set(
        self, key: str, value: Any, deps: str | Iterable[str] = (), ttl: float | None = None
    ) -> None:
        """Stores a value under a key, as of now.

        Args:
            key: a str.
            value: any object.
            deps: tags that kill it: a str, or an iterable of them; default none.
            ttl: seconds to live; default `default_ttl`.

        Raises:
            InvalidTag, TypeError: a tag breaks a rule, or tag or key is not a str; nothing was
                stored.
            InvalidOption: `ttl` is not allowed.
            HomeUnreachable: the shared home was not told; what was there is dead here, and the home
                is told again.

        Thread-safe.
        """
        _check_key(key)
        from zoocache._options import check_seconds  # noqa: PLC0415 - see `_cache`

        seconds = check_seconds("ttl", ttl)
        self._raw().replace(key, value, deps, -1.0 if seconds is None else seconds)

    async def get_async(self, key: str) -> Any:
        """As `get`, for async programs: what asks a storage does so in a thread."""
        if not self.core.has_storage():
            return self.get(key)
        from zoocache._aio import in_thread  # noqa: PLC0415 - see `_cache`

        return await in_thread(lambda: self.get(key))

    async def set_async(
        self, key: str, value: Any, deps: str | Iterable[str] = (), ttl: float | None = None
    ) -> None:
        """As `set`, for async programs: what asks a shared home does so in a thread."""
        if not self.core.has_home():
            self.set(key, value, deps, ttl)
            return
        from zoocache._aio import in_thread  # noqa: PLC0415 - see `_cache`

        await in_thread(lambda: self.set(key, value, deps, ttl))


def _check_key(key: Any) -> None:
    if not isinstance(key, str):
        raise TypeError(f"key={shown(key)}: a raw key is a str; a cached function takes anything")


def _load_nothing(key: Any) -> Any:
    """The loader of raw keys: what nobody has set is absent, and that is not kept."""
    del key
    _zoocache.no_store()
    return _ABSENT


_load_nothing.__module__, _load_nothing.__qualname__ = "zoocache", "get"  # for who is told of it
