"""`Cache`: one cache with everything that the module's functions do for the default one.

To import zoocache takes little time: what only some programs need, and what is needed first when a
function is decorated, is imported then, and `typing` by type checkers alone.
"""

from __future__ import annotations

import os
import weakref

from zoocache import _zoocache
from zoocache._blocks import AtLeast, Invalidating
from zoocache._errors import InvalidOption, shown
from zoocache._raw_keys import RawKeys
from zoocache._telling import Telling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, overload

    from typing_extensions import Unpack

    from zoocache._types import (
        CacheableOptions,
        Class,
        ConfigureOptions,
        Decorator,
        Invalidate,
        LoadHooks,
        LruOptions,
        P,
        T,
    )
    from zoocache._verify import Watch
    from zoocache._zoocache import CachedAsyncFunction, CachedFunction
    from zoocache.telemetry import TelemetryManager
else:

    def overload(fn):
        """In place of `typing.overload`."""
        return fn


__all__ = ["Cache", "all_caches"]

_caches: weakref.WeakSet[Cache] = weakref.WeakSet()


class Cache(RawKeys, Telling):
    """A cache whose entries die when what they depend on changes.

    Every cache has its own tags: an invalidation in one says nothing to another, and dependencies
    do not cross from a function of one to a function of another.

    Args:
        **options: as `configure`.

    Raises:
        TypeError: an unknown option.
        InvalidOption: a value that is not allowed.

    Thread-safe.
    """

    def __init__(self, **options: Unpack[ConfigureOptions]) -> None:
        self.core = _zoocache.Core()
        self._given: dict[str, Any] | None = None
        self._fixed: dict[str, Any] | None = None  # of what was given; None: nothing was configured
        self.options: dict[str, Any] = {}
        self._functions: weakref.WeakSet[Any] = weakref.WeakSet()
        self._raw_keys: Any = None
        self.load_hooks: LoadHooks | None = None
        self._telemetry: TelemetryManager | None = None
        self._watch: Watch | None = None
        self.is_enabled = not _is_switched_off()
        self.invalidate: Invalidate = self.core.invalidate
        self.clear: Callable[[], None] = self.core.clear
        _caches.add(self)
        if options:
            self._configure(dict(options))

    def configure(self, **options: Unpack[ConfigureOptions]) -> None:
        """Sets the options; to be called before the first use, or not at all.

        Args:
            max_entries, max_bytes: the most of both; default 1,000,000, and no bound of the bytes.
            default_ttl: seconds that entries live whose function names no `ttl`; default for ever.
            read_extend_ttl: whether reads start the default ttl anew; default True.
            flight_timeout: seconds to wait for another caller's load; default 60.
            max_tag_length: characters of a tag; default 256, at the most 4,096.
            ring_records: invalidations that are remembered; a power of two, default 65,536.
            explain_records: removed entries that `explain` remembers; default 4,096.
            invalidation_records: invalidations that `invalidations` remembers; default 256.
            debug: warn when a cached value was changed by a caller; default False.
            enabled: False: nothing is cached, every call runs its function; default True. The
                environment's ZOOCACHE_DISABLED=1 says the same and wins. See docs/TESTING.md.
            verify: a share of the hits, 0 to 1, that is loaded anew to find what changed without
                an invalidation; default 0. See docs/TESTING.md.
            on_finding: gets each Finding, in a thread of its own; default none.
            max_findings: how many are kept for `findings()`; default 100.
            bus_url: where invalidations are shared: "lmdb://<folder>" by the processes of one
                machine; "redis://<host>" (or rediss://, redis+sentinel://, redis+unix://) by
                those of many; None or "memory://" by nobody.
            storage_url: where values are kept that processes share, and that outlast them:
                "lmdb://<folder>" by those of one machine; "redis://<host>" and the like by those
                of many; None or "memory://": in the process itself. Without `bus_url` it is where
                invalidations are shared, too. Values on a Redis server need their log there.
            prefix: a name for a log and values of its own in the folder or on the server; 1 to 64
                of A-Z a-z 0-9 . _ -
            max_log_tags: different tags that a shared log remembers; default 1,000,000.
            lock_timeout: seconds that an invalidation waits for those of other processes before it
                raises HomeUnreachable; default 1.
            max_storage_bytes: bytes that the values in a folder may take; default 2**30. When they
                are full, the oldest go. A Redis server has its own bound, maxmemory.
            max_value_bytes: of a stored value; default 2**26 in a folder, 2**24 on a server.
            storage_ttl: seconds that a server keeps a value without a time to live; default 7 days.
            claim_timeout: seconds that others wait for a load whose process is dead; default 2.
            secret: a str or bytes of 16 bytes or more, or a tuple of such: values are signed with
                the first, and what is signed with none of them is nothing; default none.
            lease: seconds after which every process has heard of an invalidation on a Redis
                server, whatever happens; the same in all processes, default 2.
            command_timeout, connect_timeout: seconds to wait for that server; default 0.25 and 1.
            on_unreachable: what invalidate() does when the server does not acknowledge it: it is
                kept and tried again, and "raise" (default) raises HomeUnreachable, "journal" does
                not.
            replicas_ack: how many replicas must have heard of an invalidation; default 0. With
                too few in time it is done all the same; on_unreachable says the rest.
            mode: "writer": this process declares changes and caches nothing; default "full".
            max_commit_time: seconds that a write in a block of `invalidating` may take to be
                committed; the same in all processes, default 60. See docs/WORKERS.md.
            inspect_interval: seconds between answers to tools (docs/COMMAND.md); default 0.5.
            telemetry: a TelemetryManager that gets the counts; see docs/METRICS.md.
            allow_eviction: use a server that may evict the log, too; default False.
            lmdb_map_size: bytes that a shared log may take; the same in all processes, default
                2**30. When it is full, the oldest tags are forgotten.

        Options of the older package of this name that mean nothing here are accepted with a
        DeprecationWarning that says why.

        A later call adds to an earlier one; a value that is the default counts as not given, as it
        did in the older package: `reset()` is the way back. A cache that was used before it was
        configured begins anew, empty. `enabled` and `verify` can be changed at any time, and keep
        what is cached.

        Raises:
            TypeError: an unknown option.
            InvalidOption: a value that is not allowed.
            RuntimeError: the cache is in use with other options.
            HomeUnreachable: the folder cannot be used; the message says why.
        """
        self._configure(dict(options))

    def _configure(self, options: dict[str, Any]) -> None:
        """As `configure`. Called by nothing but what users call: warnings name their line."""
        from zoocache._options import (  # noqa: PLC0415 - see the module
            configured,
            fixed_options,
            merged_options,
            shown_options,
            warn_of_obsolete,
        )

        made = configured(options)
        warn_of_obsolete(options, stacklevel=4)
        telemetry = options.pop("telemetry", None)  # it may come to a cache that is in use
        merged = merged_options(self._given, options)
        if merged == self._given:
            self._feed(telemetry or self._telemetry)
            return
        made = configured(merged)
        fixed = fixed_options(merged)
        is_first = self._fixed is None and (fixed or not options or fixed_options(options))
        if self._fixed is not None and fixed != self._fixed and self.core.used():
            raise RuntimeError(
                "zoocache is already configured with different settings and in use: "
                f"{shown_options(self._given or {})}; call reset() before configure() with "
                f"{shown_options(options)}"
            )
        anew = bool(is_first or (self._fixed is not None and fixed != self._fixed))
        if anew:
            self.core.configure(made)
            self._fixed = fixed
        self._given = merged
        self._follow_options(made)
        self._feed(telemetry or self._telemetry, anew=anew)

    def reset(self) -> None:
        """Forgets everything here, the configuration too. Decorated functions go on working."""
        self._feed(None)
        self.begin_anew(None)

    def begin_anew(self, given: dict[str, Any] | None) -> None:
        """Forgets everything and takes these options, which were allowed before."""
        self.core.reset()
        self._given = self._fixed = None
        made: dict[str, Any] = {}
        if given is not None:
            from zoocache._options import (  # noqa: PLC0415 - see the module
                configured,
                fixed_options,
            )

            made = configured(given)
            self.core.configure(made)
            self._given, self._fixed = given, fixed_options(given)
        if self._watch is not None:
            self._watch.forget()
        self._follow_options(made)
        self._feed(self._telemetry, anew=True)

    def given(self) -> dict[str, Any] | None:
        """What was configured, without defaults; None: nothing was."""
        return None if self._given is None else dict(self._given)

    def follow_environment(self) -> None:
        """Looks at ZOOCACHE_DISABLED, which else counts from the next `configure` on."""
        self._follow_options(self.options)

    def _feed(self, telemetry: TelemetryManager | None, *, anew: bool = False) -> None:
        """Has it fed with this cache's counts, in place of the one of before."""
        before, self._telemetry = self._telemetry, telemetry
        if before is not None and before is not telemetry:
            before.close()
        if telemetry is not None and (anew or telemetry is not before):
            telemetry.follow(self)

    def hook_loads(self, hooks: LoadHooks | None) -> None:
        """Has every loader called by a hook instead, from its next load on: for instrumentation.

        Args:
            hooks: for functions that are not async and for those that are (an async def), called
                as `hook(loader, reason, *args, **kwargs)`; they return what the loader returns.
                `reason` is why nothing was hit: "never loaded", "invalidated", "expired",
                "evicted", "not stored", "refresh"; "many" for a `load=` of `get_many`. None: the
                loaders are called as ever.

        Thread-safe.
        """
        self.load_hooks = hooks
        for function in list(self._functions):
            hook = function.__dict__["_plan"].load_hook(function.__wrapped__)
            function.update_options({"on_load": hook})

    def _follow_options(self, made: dict[str, Any]) -> None:
        self.options = made
        self.is_enabled = bool(made.get("enabled", True)) and not _is_switched_off()
        for function in list(self._functions):
            function.__dict__["_plan"].refresh(function)

    @overload
    def cacheable(  # type: ignore[overload-overlap]
        self, fn: Callable[P, Coroutine[Any, Any, T]], /
    ) -> CachedAsyncFunction[P, T]: ...
    @overload
    def cacheable(self, fn: Callable[P, T], /) -> CachedFunction[P, T]: ...
    @overload
    def cacheable(
        self,
        maxsize: int | None,
        typed: bool = False,
        /,
        **options: Unpack[CacheableOptions],
    ) -> Decorator: ...
    @overload
    def cacheable(self, /, **options: Unpack[LruOptions]) -> Decorator: ...
    def cacheable(self, fn: Any = None, /, *args: Any, **options: Any) -> Any:
        """Caches a function's results until what they depend on is invalidated.

        For functions, methods, class and static methods, partials and callable objects, sync and
        async: `@cacheable` without parentheses, `@cacheable(deps=...)` with options.

        Args:
            fn: the function; it is itself, not its name: decorated twice it has two caches. Or
                `maxsize`, as `functools.lru_cache` takes it.
            *args: then `typed`.
            **options: by name.

        Options:
            deps: what the result depends on: a tag, an iterable of tags, templates such as
                "user:{user_id}" or "org:{order.org_id}" among them, or a callable that gets the
                call's arguments and returns tags. A list is evaluated before the function runs, a
                callable after it. What `add_deps` and inner cached calls name is added.
            ttl: seconds to live, or a callable that gets the value and returns seconds (0: do not
                keep it; None: `default_ttl`). Default: `default_ttl` of `configure`.
            sliding: every read starts the ttl anew.
            jitter: a share, 0 to below 1, by up to which ttls are shortened at random.
            grace: seconds for which an expired value is handed out while one caller loads anew;
                an invalidated one only with `stale_while_revalidate=True`.
            soft_timeout: seconds after which a caller takes a value in its grace, and the load
                goes on in the background.
            stale_if_error: seconds for which such a value stands in for the function's exception;
                an invalidated one only with `stale_if_error_invalidated=True`.
            refresh_ahead: a hit in the last so many seconds of a ttl loads in the background.
            key: gets the call's arguments; what it returns is the whole key.
            ignore: names of parameters that are no part of the key.
            store_if: gets the value; False keeps it out of the cache.
            cache_errors: exception classes whose instances are kept like values, for `error_ttl`
                seconds.
            max_entries, max_bytes: bounds of this function's entries; `size`, a callable of the
                value, measures for `max_bytes`.
            isolate: hand out deep copies, so that nobody can change what is cached.
            verify: what of a value `configure(verify=)` compares; see docs/TESTING.md.
            flight_timeout: seconds to wait for another caller's load; then load beside it, or
                raise FlightTimeout with `on_flight_timeout="raise"`.
            storage, namespace, version, on_unserializable: see docs/WORKERS.md.

        Returns:
            A callable that can take the function's place. It has `invalidate(args)`,
            `refresh(args)`, `peek(args)`, `cache_info()`, `cache_clear()`, `cache_parameters()` and
            `__wrapped__`.

        Raises:
            TypeError: an unknown option, or what is decorated cannot be cached; says why.
            InvalidOption: an option has a value that is not allowed, or does not fit the function.
            InvalidTag: a tag in `deps` breaks a rule.

        Thread-safe. Concurrent calls for one key run the function once.
        """
        positional = list(args)
        if positional:
            if len(positional) > 1 or "typed" in options:
                raise TypeError("cacheable() takes a function, or maxsize and typed, by position")
            options["typed"] = positional[0]
        if fn is None and "func" in options:  # its name in the older package
            fn = options.pop("func")
        if fn is None and not args:
            return self._decorator(options)
        if type(fn) is int or fn is None:
            return self._decorator({"maxsize": fn, **options})
        if not callable(fn) and not isinstance(fn, staticmethod | classmethod):
            raise TypeError(
                f"cacheable({shown(fn)}): a function is wanted; options go by name, as in "
                "cacheable(deps=[...])"
            )
        return self._decorator(options)(fn)

    def _decorator(self, options: dict[str, Any]) -> Callable[[Any], Any]:
        from zoocache._decorator import FunctionPlan  # noqa: PLC0415 - see the module

        plan = FunctionPlan(self, dict(options))

        def decorate(fn: Any) -> Any:
            made = plan.decorate(fn)
            self._functions.add(
                made.__func__ if isinstance(made, staticmethod | classmethod) else made
            )
            return made

        return decorate

    async def invalidate_async(self, *tags: str, wait: bool = False, tag: str | None = None) -> int:
        """As `invalidate`, for async programs: what waits for other processes does so in a thread.

        Raises:
            InvalidTag, TypeError, HomeUnreachable: as `invalidate`.
        """
        if tag is not None and not tags:
            tags = (tag,)
        elif tag is not None:
            raise TypeError("invalidate_async() takes its tags by position; tag= is for one alone")
        origin = self.core.origin(1)
        if not self.core.has_home():
            return self.core.invalidate_from(origin, tags, wait)
        from zoocache._aio import in_thread  # noqa: PLC0415 - see the module

        return await in_thread(lambda: self.core.invalidate_from(origin, tags, wait))

    async def clear_async(self) -> None:
        """As `clear`, for async programs: what waits for other processes does so in a thread.

        Raises:
            HomeUnreachable: as `invalidate`.
        """
        if not self.core.has_home():
            self.core.clear()
            return
        from zoocache._aio import in_thread  # noqa: PLC0415 - see the module

        await in_thread(self.core.clear)

    def invalidating(self, *tags: str) -> Invalidating:
        """For a write that commits inside a `with` block; see Invalidating.

        Args:
            *tags: strs such as "user:42", at least one.

        Raises:
            TypeError: there is no tag. What else may be wrong is raised at the block's beginning.
        """
        return Invalidating(self.core, tags, self.core.origin(1))

    def at_least(self, receipt: int, timeout: float = 1.0) -> AtLeast:
        """Reads inside the block are no older than the invalidation that gave the receipt.

        For `with` and `async with`; in any process that shares the log. Enters when what was
        invalidated is dead in this process, or when `timeout` seconds are over: then everything is
        dead here, so that every read loads.

        Args:
            receipt: what `invalidate` returned, or `Receipt.parse` of its text.
            timeout: seconds.

        Raises (at the block's beginning):
            InvalidReceipt: the log has never given it.
            TypeError: it is no receipt.
        """
        return AtLeast(self.core, receipt, timeout)

    def watch(self) -> Watch:
        """What gathers the findings; for the package itself."""
        if self._watch is None:
            from zoocache._verify import Watch  # noqa: PLC0415 - see the module

            self._watch = Watch(self)
        return self._watch

    def after_fork(self) -> None:
        """Begins anew in a forked child, where the parent's threads do not exist."""
        self.core.after_fork()
        if self._watch is not None:
            self._watch.after_fork()

    # What belongs to the running load does so whatever its cache.
    add_deps = staticmethod(_zoocache.add_deps)
    no_store = staticmethod(_zoocache.no_store)

    def tag(self, *segments: object) -> str:
        """Makes one tag of the segments' texts, encoding what a segment cannot hold.

        It is the tag that a template of `deps=` makes of the same values.

        Args:
            *segments: 1 to 64; `format()` of each.

        Returns:
            For example `tag("user", "a:b")` is `"user:a%3Ab"`.

        Raises:
            InvalidTag: no segment, or more than a tag may have.
        """
        from zoocache._template import MAX_TAG_LENGTH, make_tag  # noqa: PLC0415 - see the module

        return make_tag(segments, self.options.get("max_tag_length", MAX_TAG_LENGTH))

    @staticmethod
    def register_type(class_: Class) -> Class:
        """Lets the cached functions of all caches keep objects of `class_` outside this process.

        Needed where the return annotation does not name the class: that of a subclass, or of
        objects in a container of anything. Of two classes of one name the last counts. Usable as a
        decorator, above the one that makes the class a dataclass; thread-safe.

        Returns:
            The class.

        Raises:
            TypeError: it is no Enum, dataclass, named tuple, msgspec.Struct or pydantic 2 model.
        """
        from zoocache._registry import register_type  # noqa: PLC0415 - see the module

        return register_type(class_)

    @staticmethod
    def version() -> str:
        """The version of this package."""
        return _zoocache.__version__

    def prune(self, max_age_secs: int = 3600) -> None:
        """Does nothing: a tag is freed with the last entry that depends on it."""
        del max_age_secs


def all_caches() -> list[Cache]:
    """Every cache of the process."""
    return list(_caches)


def _is_switched_off() -> bool:
    """What the environment says."""
    said = os.environ.get("ZOOCACHE_DISABLED", "")
    if said.lower() in ("", "0", "false", "no", "off"):
        return False
    if said.lower() in ("1", "true", "yes", "on"):
        return True
    raise InvalidOption(
        f"ZOOCACHE_DISABLED={shown(said)} is not allowed: 1 switches the cache off, 0 or nothing "
        "leaves it on"
    )


def _after_fork() -> None:
    """The child begins with empty caches: the parent's loads and waiters do not exist here."""
    for cache in all_caches():
        cache.after_fork()


os.register_at_fork(after_in_child=_after_fork)
