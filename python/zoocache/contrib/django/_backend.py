"""A backend for Django's cache framework: `"BACKEND": "zoocache.contrib.django.ZoocacheBackend"`.

Every LOCATION is one cached function, of which nothing is ever loaded: what it holds was set. Its
values are bytes, so that nobody shares an object with the cache.

What looks and then writes (`add`, `incr`, `touch`, `delete`) holds a lock of this process; between
processes a write is an invalidation and then a value in the second level. Thread-safe.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured

from zoocache import _zoocache
from zoocache._errors import SerializationError, shown
from zoocache._options import check_count, check_flag
from zoocache.contrib._database import default_cache

__all__ = ["ZoocacheBackend"]

_OPTIONS = ("MAX_ENTRIES", "MAX_BYTES", "SHARE_PICKLES")
_LOCKS = 64


# When it expires (seconds since 1970; None: never), the tags that kill it, and its value.
Entry = tuple[float | None, tuple[str, ...], object]


@dataclass(frozen=True, slots=True)
class _Pickled:
    """A value as Python's own bytes, which do not leave the process unasked."""

    content: bytes


class _Guard:
    """A lock for some of the keys, and how often a write began or ended (odd: one is on)."""

    def __init__(self) -> None:
        self.writes = 0
        self.lock = threading.Lock()


def _absent(key: object) -> Any:
    """What a key that nobody has set loads."""
    del key
    _zoocache.no_store()


def _all_absent(keys: list[object]) -> list[Any]:
    _zoocache.no_store()
    return [None] * len(keys)


def _size_of(entry: Any) -> int:
    content = b"" if entry is None else entry[2]
    return 256 + len(content.content if isinstance(content, _Pickled) else content)


class _Store:
    """What the backends of one LOCATION share."""

    def __init__(self, location: str, options: dict[str, Any]) -> None:
        self.function: Any = default_cache().cacheable(
            namespace=f"zoocache.contrib.django.cache:{location}",
            version="1",
            max_entries=options.get("MAX_ENTRIES"),
            max_bytes=options.get("MAX_BYTES"),
            size=_size_of,
            verify=False,
        )(_absent)
        self.forget_locks()

    def forget_locks(self) -> None:
        """Nobody in a forked child holds the locks that the parent's threads held."""
        self._guards = [_Guard() for _ in range(_LOCKS)]

    def find(self, key: str) -> Entry | None:
        """What is stored."""
        before = self._guard(key).writes
        return self._settled(key, before, self._look(key))

    def find_many(self, keys: list[str]) -> list[Entry | None]:
        """What is stored, for each of them."""
        if _zoocache.in_load():
            return [self.find(key) for key in keys]
        before = [self._guard(key).writes for key in keys]
        entries = self.function.get_many(keys, load=_all_absent)
        return list(map(self._settled, keys, before, entries))

    def _guard(self, key: str) -> _Guard:
        return self._guards[hash(key) % _LOCKS]

    def _settled(self, key: str, before: int, entry: Entry | None) -> Entry | None:
        """What was found; where that is nothing since somebody was writing, what was written."""
        guard = self._guard(key)
        if entry is None and (before % 2 or guard.writes != before):
            with guard.lock:
                return self._look(key)
        return entry

    def _look(self, key: str) -> Entry | None:
        entry: Entry | None = self.function(key)
        if entry is None and _zoocache.in_load():
            # A transaction with uncommitted writes passes the cache by; these keys are none of
            # its business.
            entry = Context().run(self.function, key)
        return entry

    @contextmanager
    def writing(self, key: str) -> Generator[Entry | None]:
        """The block alone may write the key; what it holds when the block begins."""
        guard = self._guard(key)
        with guard.lock:
            guard.writes += 1
            try:
                yield self._look(key)
            finally:
                guard.writes += 1

    def put(self, key: str, entry: Entry) -> None:
        """Stores; in a block of `writing`."""
        expires, tags, _ = entry
        seconds = 0.0 if expires is None else expires - time.time()
        if expires is not None and seconds <= 0:
            self.drop(key)
        else:
            Context().run(self.function.replace, key, entry, tags, seconds)

    def drop(self, key: str) -> None:
        """Removes; in a block of `writing`."""
        self.function.invalidate(key)


_stores: dict[tuple[str, ...], _Store] = {}
_lock = threading.Lock()


def _store_of(location: str, options: dict[str, Any]) -> _Store:
    place = (location, *map(repr, sorted(options.items())))
    with _lock:
        if place not in _stores:
            _stores[place] = _Store(location, options)
        return _stores[place]


def _after_fork() -> None:
    for store in _stores.values():
        store.forget_locks()


os.register_at_fork(after_in_child=_after_fork)


_Base: Any = BaseCache  # it has no annotations


class ZoocacheBackend(_Base):
    """Django's cache on the engine's default cache.

    LOCATION names the store: caches of one name are one. OPTIONS has:
        MAX_ENTRIES: the most entries of the store (int). Default: the engine's bound alone.
        MAX_BYTES: the most bytes of its values (int). Default: no bound of its own.
        SHARE_PICKLES: whether values that only pickle can keep are in the second level, too, where
            whoever writes there can run code here (bool). Default: False.

    Raises:
        ImproperlyConfigured: another option.
        InvalidOption: an option's value is not allowed.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = dict(params.get("OPTIONS") or {})
        for name in options:
            if name not in _OPTIONS:
                raise ImproperlyConfigured(
                    f"CACHES: OPTIONS has {shown(name)}: ZoocacheBackend has "
                    f"{', '.join(_OPTIONS)}; what is least used is evicted entry by entry"
                )
        check_count("MAX_ENTRIES", options.get("MAX_ENTRIES"), 0)
        check_count("MAX_BYTES", options.get("MAX_BYTES"), 0)
        self._shares = check_flag("SHARE_PICKLES", options.pop("SHARE_PICKLES", False))
        self._store = _store_of(str(location or ""), options)

    def _encoded(self, value: Any) -> object:
        try:
            return _zoocache.encode(value, {}, False)
        except (SerializationError, RecursionError):
            content = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return (content,) if self._shares else _Pickled(content)

    def _decoded(self, entry: Entry) -> Any:
        content = entry[2]
        if isinstance(content, bytes):
            return _zoocache.decode(content, {})
        if isinstance(content, tuple):
            return pickle.loads(content[0]) if self._shares else None  # noqa: S301
        assert isinstance(content, _Pickled)  # noqa: S101 - for type checkers
        return pickle.loads(content.content)  # noqa: S301  made in this process

    def _expiry(self, timeout: Any) -> float | None:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if seconds is None else time.time() + seconds

    def _entry(self, value: Any, timeout: Any, tags: str | Iterable[str]) -> Entry:
        named = (tags,) if isinstance(tags, str) else tuple(tags)
        return self._expiry(timeout), named, self._encoded(value)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """The value of a key, or `default`."""
        entry = self._store.find(self.make_and_validate_key(key, version=version))
        return default if entry is None else self._decoded(entry)

    def set(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        tags: str | Iterable[str] = (),
    ) -> None:
        """Stores a value; `invalidate` of one of the tags kills it.

        Raises:
            InvalidTag, TypeError: a tag is not allowed; nothing was stored.
        """
        name = self.make_and_validate_key(key, version=version)
        entry = self._entry(value, timeout, tags)
        with self._store.writing(name):
            self._store.put(name, entry)

    def add(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        tags: str | Iterable[str] = (),
    ) -> bool:
        """As `set`, if the key has no value; whether it had none."""
        name = self.make_and_validate_key(key, version=version)
        entry = self._entry(value, timeout, tags)
        with self._store.writing(name) as found:
            if found is None:
                self._store.put(name, entry)
        return found is None

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Gives a key another timeout; whether it has a value."""
        name = self.make_and_validate_key(key, version=version)
        with self._store.writing(name) as found:
            if found is not None:
                self._store.put(name, (self._expiry(timeout), *found[1:]))
        return found is not None

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Removes a key; whether it had a value."""
        name = self.make_and_validate_key(key, version=version)
        with self._store.writing(name) as found:
            self._store.drop(name)
        return found is not None

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        """Adds to a number, which keeps its timeout and tags.

        Raises:
            ValueError: the key has no value.
        """
        name = self.make_and_validate_key(key, version=version)
        with self._store.writing(name) as found:
            if found is None:
                raise ValueError(f"Key {key!r} not found")
            value = self._decoded(found) + delta
            self._store.put(name, (*found[:2], self._encoded(value)))
        return value

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Whether a key has a value, None among them."""
        return self._store.find(self.make_and_validate_key(key, version=version)) is not None

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """The values of those keys that have one."""
        names = {self.make_and_validate_key(key, version=version): key for key in keys}
        found = zip(names.values(), self._store.find_many(list(names)), strict=True)
        return {key: self._decoded(entry) for key, entry in found if entry is not None}

    def clear(self) -> None:
        """Removes all keys of the store, whatever their prefix and version."""
        self._store.function.cache_clear()

    async def aset(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        tags: str | Iterable[str] = (),
    ) -> None:
        """As `set`."""
        await sync_to_async(self.set)(key, value, timeout, version, tags)

    async def aadd(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        tags: str | Iterable[str] = (),
    ) -> bool:
        """As `add`."""
        return bool(await sync_to_async(self.add)(key, value, timeout, version, tags))
