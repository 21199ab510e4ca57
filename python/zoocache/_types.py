"""Names for the types of the public API. For type checkers: nothing imports this at run time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypedDict, TypeVar, overload

if TYPE_CHECKING:
    from zoocache._verify import Finding
    from zoocache._zoocache import CachedAsyncFunction, CachedFunction
    from zoocache.telemetry import TelemetryManager

__all__ = [
    "CacheParameters",
    "CacheableOptions",
    "ConfigureOptions",
    "Decorator",
    "Invalidate",
    "LoadHooks",
    "LruOptions",
]

P = ParamSpec("P")
T = TypeVar("T")
Class = TypeVar("Class", bound=type)

Tags = str | Iterable[str]

LoadHooks = tuple[Callable[..., Any], Callable[..., Coroutine[Any, Any, Any]]]


class Decorator(Protocol):
    """What `cacheable` returns when it got options."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, fn: Callable[P, Coroutine[Any, Any, T]], /
    ) -> CachedAsyncFunction[P, T]: ...
    @overload
    def __call__(self, fn: Callable[P, T], /) -> CachedFunction[P, T]: ...


class Invalidate(Protocol):
    """`invalidate` of a cache; returns the epoch. `tag` is its one parameter of old."""

    def __call__(self, *tags: str, wait: bool = False, tag: str = ...) -> int: ...


class CacheableOptions(TypedDict, total=False):
    """The options of `cacheable`."""

    deps: Tags | Callable[..., Tags] | None
    ttl: float | Callable[[Any], float | None] | None
    sliding: bool
    namespace: str | None
    version: str | None
    max_entries: int | None
    max_bytes: int | None
    size: Callable[[Any], int] | None
    ignore: str | Iterable[str]
    key: Callable[..., object] | None
    isolate: bool
    verify: bool | Callable[[Any], object]
    storage: Literal["l1", "l2"] | None
    on_unserializable: Literal["l1", "raise"]
    store_if: Callable[[Any], bool] | None
    cache_errors: type[Exception] | tuple[type[Exception], ...] | None
    error_ttl: float | None
    flight_timeout: float | None
    on_flight_timeout: Literal["load", "raise"]
    grace: float | None
    stale_while_revalidate: bool
    stale_if_error: float | None
    stale_if_error_invalidated: bool
    soft_timeout: float | None
    refresh_ahead: float | None
    jitter: float | None


class LruOptions(CacheableOptions, total=False):
    """Those, and what `functools.lru_cache` calls its options."""

    maxsize: int | None
    typed: bool


class CacheParameters(TypedDict):
    """What `cache_parameters()` returns."""

    maxsize: int | None
    typed: bool


class ConfigureOptions(TypedDict, total=False):
    """The options of `configure` and `Cache`."""

    storage_url: str | None
    bus_url: str | None
    prefix: str | None
    default_ttl: float | None
    read_extend_ttl: bool
    max_entries: int | None
    max_bytes: int | None
    lmdb_map_size: int | None
    max_storage_bytes: int | None
    max_value_bytes: int | None
    storage_ttl: float | None
    claim_timeout: float | None
    secret: str | bytes | tuple[str | bytes, ...] | list[str | bytes] | None
    lease: float | None
    command_timeout: float | None
    connect_timeout: float | None
    on_unreachable: Literal["raise", "journal"]
    replicas_ack: int
    mode: Literal["full", "writer"]
    allow_eviction: bool
    flight_timeout: float
    max_tag_length: int
    ring_records: int
    explain_records: int
    invalidation_records: int
    debug: bool
    enabled: bool
    verify: float
    on_finding: Callable[[Finding], object] | None
    max_findings: int
    max_log_tags: int
    lock_timeout: float
    max_commit_time: float
    inspect_interval: float
    prune_after: int | None
    tti_flush_secs: int
    auto_prune_secs: int | None
    auto_prune_interval: int
    lru_update_interval: int
    channel_capacity: int
    batch_size: int
    lru_cache_size: int
    telemetry: TelemetryManager | None
