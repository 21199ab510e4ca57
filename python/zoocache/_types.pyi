"""The types of the public API, for type checkers alone: at run time there is no such module."""

from collections.abc import Callable, Coroutine, Iterable
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    overload,
)

from zoocache._told import CacheInfo

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)
V = TypeVar("V", covariant=True)
S = TypeVar("S")
T = TypeVar("T")
D = TypeVar("D")

class _Cached(Generic[P, R, V]):
    """What sync and async cached functions have in common: call `P -> R`, kept value `V`."""

    __name__: str
    __qualname__: str
    __module__: str
    __wrapped__: Callable[P, R]
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None: ...
    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def peek(self, *args: P.args, **kwargs: P.kwargs) -> V | None: ...
    @overload
    def peek(self, *args: Any, default: D, **kwargs: Any) -> V | D: ...
    def cache_info(self) -> CacheInfo: ...
    def cache_clear(self) -> None: ...
    def cache_parameters(self) -> dict[str, Any]: ...

class CachedFunction(_Cached[P, R, R]):
    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> CachedFunction[P, R]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], T], instance: S, owner: type[Any] | None = None
    ) -> CachedFunction[Q, T]: ...

class CachedAsyncFunction(_Cached[P, Coroutine[Any, Any, V], V]):
    @overload
    def __get__(
        self, instance: None, owner: type[Any] | None = None
    ) -> CachedAsyncFunction[P, V]: ...
    @overload
    def __get__(
        self: CachedAsyncFunction[Concatenate[S, Q], T], instance: S, owner: type[Any] | None = None
    ) -> CachedAsyncFunction[Q, T]: ...

class Decorator(Protocol):
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, fn: Callable[P, Coroutine[Any, Any, T]], /
    ) -> CachedAsyncFunction[P, T]: ...
    @overload
    def __call__(self, fn: Callable[P, T], /) -> CachedFunction[P, T]: ...

class Invalidate(Protocol):
    def __call__(self, *tags: str, wait: bool = False) -> int: ...

Deps = str | Iterable[str] | Callable[..., str | Iterable[str]] | None

class CacheableOptions(TypedDict, total=False):
    deps: Deps
    ttl: float | Callable[[Any], float | None] | None
    sliding: bool
    namespace: str | None
    version: str | None
    max_entries: int | None
    max_bytes: int | None
    size: Callable[[Any], int] | None
    ignore: str | Iterable[str]
    key: Callable[..., Any] | None
    isolate: bool
    storage: Literal["l1", "l2"]
    store_if: Callable[[Any], bool] | None
    cache_errors: type[Exception] | tuple[type[Exception], ...] | None
    error_ttl: float | None
    flight_timeout: float | None
    on_flight_timeout: Literal["load", "raise"]

class LruOptions(CacheableOptions, total=False):
    maxsize: int | None
    typed: bool

class ConfigureOptions(TypedDict, total=False):
    storage_url: str | None
    bus_url: str | None
    prefix: str | None
    default_ttl: float | None
    read_extend_ttl: bool
    max_entries: int | None
    max_bytes: int | None
    lmdb_map_size: int | None
    flight_timeout: float
    max_tag_length: int
    ring_records: int
    explain_records: int
    debug: bool
    prune_after: int | None
    tti_flush_secs: int
    auto_prune_secs: int | None
    auto_prune_interval: int
    lru_update_interval: int
    channel_capacity: int
    batch_size: int
    lru_cache_size: int
    telemetry: Any
