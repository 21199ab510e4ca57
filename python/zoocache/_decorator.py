"""`cacheable`: from a function and its options to a CachedFunction of the extension."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from zoocache import _zoocache
from zoocache._errors import InvalidOption, shown
from zoocache._options import (
    aging_options,
    check_callable,
    check_count,
    check_error_classes,
    check_flag,
    check_seconds,
    check_text,
)
from zoocache._signature import SignatureData, analyse
from zoocache._template import MAX_TAG_LENGTH, compile_deps
from zoocache._values import copied, debug_hooks, size_of

if TYPE_CHECKING:
    from zoocache._cache import Cache

__all__ = ["RAW_KEYS", "FunctionPlan"]

RAW_KEYS = "zoocache.raw-keys"  # the namespace of the function whose entries they are

_DEPS_KINDS = {"none": 0, "constant": 1, "template": 2, "callable": 3}
# What makes `inspect.iscoroutinefunction` see through to an async function.
_FUNCTION_ATTRIBUTES = ("__code__", "__defaults__", "__kwdefaults__", "__annotations__")


class FunctionPlan:
    """The checked options of one decoration, good for any number of functions.

    Raises (from the constructor):
        TypeError: an unknown option.
        InvalidOption: a value that is not allowed.
    """

    def __init__(self, cache: Cache, options: dict[str, Any]) -> None:
        self._cache = cache
        take = options.pop
        self.deps: Any = take("deps", None)
        self.ignore: str | Iterable[str] = take("ignore", ())
        self.key = check_callable("key", take("key", None))
        self.namespace = check_text("namespace", take("namespace", None))
        self.version = check_text("version", take("version", None))
        self.isolate = check_flag("isolate", take("isolate", False))
        self.verify, self.compared = _verify(take("verify", True))
        self.typed = check_flag("typed", take("typed", False))
        self.max_entries = _bound(take("max_entries", None), take("maxsize", ...))
        self.max_bytes = check_count("max_bytes", take("max_bytes", None), 0)
        self.size = check_callable("size", take("size", None))
        self.storage = _storage(take("storage", None))
        self.on_unserializable = _unserializable(take("on_unserializable", "l1"))
        ttl = take("ttl", None)
        self.ttl_of_value = check_callable("ttl", ttl) if callable(ttl) else None
        self.ttl = None if callable(ttl) else check_seconds("ttl", ttl)
        self.engine = {
            "sliding": check_flag("sliding", take("sliding", False)),
            "store_if": check_callable("store_if", take("store_if", None)),
            "cached_errors": check_error_classes("cache_errors", take("cache_errors", None)),
            "error_ttl_s": _finite(check_seconds("error_ttl", take("error_ttl", None))),
            "flight_timeout_s": check_seconds("flight_timeout", take("flight_timeout", None)),
            "raise_on_timeout": _raises(take("on_flight_timeout", "load")),
            **aging_options(options),
        }
        if options:
            raise TypeError(
                f"cacheable() has no option {next(iter(options))!r}; it has deps, ttl, sliding, "
                "namespace, version, max_entries, max_bytes, size, ignore, key, isolate, verify, "
                "storage, "
                "on_unserializable, store_if, cache_errors, error_ttl, flight_timeout, "
                "on_flight_timeout, grace, stale_while_revalidate, stale_if_error, "
                "stale_if_error_invalidated, soft_timeout, refresh_ahead, jitter, maxsize, typed"
            )

    def decorate(self, fn: Any) -> Any:
        """Makes the cached function.

        Raises:
            TypeError: `fn` cannot be cached; the message says why.
            InvalidOption, InvalidTag: an option does not fit `fn`.
        """
        if isinstance(fn, classmethod):
            return CachedClassMethod(self.decorate(fn.__func__))
        if isinstance(fn, staticmethod):
            return type(fn)(self.decorate(fn.__func__))
        if isinstance(fn, _zoocache.CachedFunction):
            raise TypeError(f"{shown(fn)} is cached already; decorate the function itself")
        signature = self._analyse(fn, False)
        options = self._changing_options(fn, signature)
        self._check_tags(options)
        is_async = _is_async(fn)
        made = _zoocache.CachedFunction(
            fn,
            self._cache.core,
            signature,
            {
                **self.engine,
                **options,
                **self._background(is_async),
                "is_async": is_async,
                "ttl_of_value": self.ttl_of_value,
                "ttl_s": _finite(self.ttl),
                "max_entries": self.max_entries,
                "max_bytes": self.max_bytes,
            },
            functools.partial(self._analyse, fn),
        )
        functools.update_wrapper(made, fn)
        for name in _FUNCTION_ATTRIBUTES:
            if hasattr(fn, name):
                made.__dict__[name] = getattr(fn, name)
        made.__dict__["_plan"] = self
        made.__dict__["_parameters"] = {"maxsize": self.max_entries, "typed": self.typed}
        return made

    def _background(self, is_async: bool) -> dict[str, Any]:
        """What runs loads in the background, if an option asks for such."""
        ahead, softly = self.engine["refresh_ahead_s"], self.engine["soft_timeout_s"]
        if ahead is None and softly is None:
            return {}
        # Not before: it imports asyncio and makes threads possible.
        from zoocache import _background as background  # noqa: PLC0415

        refresh = background.start_refresh_async if is_async else background.start_refresh
        load = background.load_softly_async if is_async else background.load_softly
        return {
            "start_refresh": None if ahead is None else refresh,
            "load_softly": None if softly is None else load,
        }

    def refresh(self, made: Any) -> None:
        """Brings a cached function up to date with the options of its cache.

        A tag that has become too long is told by the next call.
        """
        fn = made.__wrapped__
        made.update_options(self._changing_options(fn, self._analyse(fn, False)))

    def _analyse(self, fn: Any, is_method: bool) -> SignatureData:
        return analyse(fn, ignore=self.ignore, key=self.key, is_method=is_method)

    def _check_tags(self, options: dict[str, Any]) -> None:
        kind, deps = options["deps_kind"], options["deps"]
        samples = deps if kind == _DEPS_KINDS["constant"] else ()
        if kind == _DEPS_KINDS["template"]:
            samples = deps.samples()
        for tag in samples:
            _zoocache.check_tag(tag, self._cache.options.get("max_tag_length", MAX_TAG_LENGTH))

    def _changing_options(self, fn: Any, signature: SignatureData) -> dict[str, Any]:
        """What depends on the options of the cache."""
        options = self._cache.options
        max_length = options.get("max_tag_length", MAX_TAG_LENGTH)
        kind, compiled = compile_deps(self.deps, signature, max_length)
        deps = cast("Any", compiled)
        on_store: Callable[[Any], Any] | None = copied if self.isolate else None
        on_hit = on_store
        is_watched = bool(options.get("debug", False))
        if is_watched:
            on_store, on_hit = debug_hooks(fn, self.isolate, self._cache.watch())
        bounded = self.max_bytes is not None or "max_bytes" in options
        return {
            "deps_kind": _DEPS_KINDS[kind],
            "deps": deps,
            "on_store": on_store,
            "on_hit": on_hit,
            "hit_sees_call": is_watched,
            "is_off": not self._cache.is_enabled,
            **self._verifying(fn),
            "size_of_value": (self.size or size_of) if bounded else None,
            "on_load": self.load_hook(fn),
            "shared_as": self.namespace,
            **self._level(fn),
        }

    def home(self) -> dict[str, Any] | None:
        """How the shared log of the function's cache does; None without one."""
        return self._cache.home()

    def load_hook(self, fn: Any) -> Callable[..., Any] | None:
        """What is called in place of `fn` when it loads, if there is such."""
        hooks = self._cache.load_hooks
        if hooks is None or self.namespace == RAW_KEYS:
            return None
        return hooks[_is_async(fn)]

    def _verifying(self, fn: Any) -> dict[str, Any]:
        """Which share of the hits is loaded anew, and who hears of it."""
        share = self._cache.options.get("verify", 0.0) if self.verify else 0.0
        if share == 0:
            return {"verify": 0.0, "on_verified": None}
        hook = self._cache.watch().on_verified(fn, self.compared)
        return {"verify": share, "on_verified": hook}

    def _level(self, fn: Any) -> dict[str, Any]:
        """What the function is in the second level, if there is one."""
        if self.storage == "l1" or not self._cache.core.has_storage():
            return {"level_plan": None, "level": None, "on_unserializable": None}
        from zoocache._level import LevelPlan  # noqa: PLC0415 - few programs need it

        plan = LevelPlan(self._cache, fn, self.namespace, self.version, self.storage == "l2")
        tells = self.on_unserializable == "l1"
        return {
            "level_plan": plan,
            "level": None,
            "on_unserializable": plan.tell_unserializable if tells else None,
        }


if TYPE_CHECKING:
    _ClassMethod = classmethod[Any, Any, Any]
else:
    _ClassMethod = classmethod


class CachedClassMethod(_ClassMethod):
    """A class method whose function is cached.

    From 3.13 on `classmethod` makes a plain method of any callable; then `Class.load.invalidate`
    would be the function's own, without the class.
    """

    def __get__(self, instance: Any, owner: type[Any] | None = None, /) -> Any:
        """The function bound to the class."""
        return self.__func__.__get__(type(instance) if owner is None else owner)


def _bound(max_entries: Any, maxsize: Any) -> int | None:
    if maxsize is ...:
        return check_count("max_entries", max_entries, 0)
    if max_entries is not None:
        raise InvalidOption(f"maxsize={shown(maxsize)} is max_entries by another name; give one")
    if type(maxsize) is int and maxsize < 0:
        return 0  # as functools.lru_cache takes it
    return check_count("maxsize", maxsize, 0)


def _verify(given: Any) -> tuple[bool, Callable[[Any], Any] | None]:
    if isinstance(given, bool):
        return given, None
    if not callable(given):
        raise InvalidOption(
            f"verify={shown(given)} is not allowed: False leaves the function out, a callable of "
            "the value returns what is compared; the share of the hits is an option of configure()"
        )
    return True, check_callable("verify", given)


def _finite(seconds: float | None) -> float | None:
    return 0.0 if seconds == math.inf else seconds


def _storage(storage: Any) -> str | None:
    if storage not in (None, "l1", "l2"):
        raise InvalidOption(
            f"storage={shown(storage)} is not allowed: 'l1' keeps values in this process, 'l2' in "
            "the storage of configure() too; left out, what can be kept there is"
        )
    return None if storage is None else str(storage)


def _unserializable(choice: Any) -> str:
    if choice not in ("l1", "raise"):
        raise InvalidOption(f"on_unserializable={shown(choice)} is not allowed: 'l1' or 'raise'")
    return str(choice)


def _raises(on_flight_timeout: Any) -> bool:
    if on_flight_timeout not in ("load", "raise"):
        raise InvalidOption(
            f"on_flight_timeout={shown(on_flight_timeout)} is not allowed: 'load' or 'raise'"
        )
    return bool(on_flight_timeout == "raise")


def _is_async(fn: Any) -> bool:
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.iscoroutinefunction(fn):
        return True
    call = type(fn).__call__ if callable(fn) else None
    return (
        not inspect.isroutine(fn)
        and not inspect.isclass(fn)
        and (inspect.iscoroutinefunction(call))
    )
