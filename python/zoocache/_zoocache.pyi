"""The extension module: the types that users meet, and what the Python layer uses of it."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    TypeVar,
    final,
    overload,
    type_check_only,
)

from typing_extensions import Self

from zoocache._signature import SignatureData
from zoocache._told import CacheInfo
from zoocache._types import CacheParameters

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R_co = TypeVar("_R_co", covariant=True)
_V_co = TypeVar("_V_co", covariant=True)
_S = TypeVar("_S")
_T = TypeVar("_T")
_D = TypeVar("_D")
_I = TypeVar("_I")

__version__: str

def add_deps(deps: str | Iterable[str]) -> None:
    """Makes the running load depend on the tags; outside of a cached call it does nothing.

    Raises:
        InvalidTag: a tag breaks a rule; none was added.
        TypeError: a tag is not a str.
    """

def no_store() -> None:
    """Lets the running load's result go to its callers without being stored."""

def in_load() -> int: ...
def distrust() -> None: ...
def watch_models(
    told: dict[type, Callable[[Any, bool], None]],
    form: type,
    form_of: Callable[[Any], Any],
    value_of: Callable[[Any], Any],
    tell_inside: Callable[[Any, bool], None],
    /,
) -> None: ...
def encode(value: object, registry: dict[str, type] | None, canonical: bool, /) -> bytes:
    """The value as bytes, from which decode() makes one that is equal in value and type.

    Objects are kept if the registry has their class; with None if their class is found under its
    own name, which is for keys. Canonical: equal sets have equal bytes in every process.

    Raises:
        SerializationError: something in the value cannot be kept; the message names the path.
    """

def decode(data: bytes, registry: dict[str, type] | None, /) -> Any:
    """The value that encode() made these bytes of; classes come from the registry alone.

    Raises:
        SerializationError: the bytes are no value, or need a class that is not registered.
    """

def stats(core: Core) -> dict[str, int]: ...
def functions(core: Core) -> list[tuple[str, int, dict[str, int], tuple[int, ...], float]]: ...
def load_bounds() -> tuple[float, ...]: ...
def invalidations(
    core: Core,
) -> list[tuple[int, tuple[str, ...], tuple[str, ...], bool, int, float, int, str | None]]: ...
def tags(core: Core, prefix: str) -> list[tuple[str, int, int]]: ...
def entries_below(core: Core, tag: str) -> list[tuple[str, int]]: ...
def tag_version(core: Core, tag: str) -> int: ...
def check_tag(tag: str, max_length: int) -> None: ...
def explain(
    function: Cached[_P, object, object], *args: _P.args, **kwargs: _P.kwargs
) -> dict[str, Any]: ...
def home_look(core: Core, texts: list[bytes], /) -> tuple[int, int, int, int, list[int]] | None: ...
def home_rows(core: Core, start: bytes, most: int, /) -> tuple[list[tuple[bytes, int]], bytes]: ...
def home_nodes(core: Core, /) -> list[tuple[bytes, int, int, bool, bool]]: ...
def home_inspect(
    core: Core, tag: bytes, most_bytes: int, wait_s: float, /
) -> tuple[int, list[tuple[bytes, bytes]]]: ...
def home_facts(core: Core, /) -> list[tuple[bytes, bytes]]: ...
def storage_page(
    core: Core, start: bytes, most: int, /
) -> tuple[
    list[tuple[bytes, int, int, int, float, bytes, list[bytes], list[bytes] | None]], bytes, int
]: ...
def storage_facts(core: Core, /) -> list[tuple[bytes, bytes]]: ...

Moment = tuple[int, int, bool, int, int]

@final
class Bypass:
    def enter(self) -> None: ...
    def close(self) -> None: ...

@final
class Core:
    def invalidate(self, *tags: str, wait: bool = False, tag: str = ...) -> int:  # noqa: D417
        """Declares that what the tags name has changed.

        When it has returned, no call that starts later returns a value that was loaded before it
        and depends on one of the tags or on anything below one. Several tags are one invalidation.
        The cost does not depend on the number of entries.

        Args:
            *tags: strs such as 'user:42'; at least one.
            wait: wait for other processes; in one process there is nothing to wait for.

        Returns:
            The epoch of the invalidation, an int.

        Raises:
            InvalidTag: a tag breaks a rule; nothing was invalidated.
            TypeError: a tag is not a str, or there is none.
            HomeUnreachable: the shared home did not acknowledge it. It is done in this process, and
                tried again in the home.

        Thread-safe.
        """

    def invalidate_from(self, origin: int, tags: tuple[str, ...], wait: bool, /) -> int: ...
    def origin(self, skip: int, /) -> int: ...
    def begin_write(self, tags: tuple[str, ...], /) -> tuple[int, int]: ...
    def end_write(
        self,
        engine: int,
        token: int,
        tags: tuple[str, ...],
        origin: int,
        changed: tuple[str, ...] = ...,
        /,
    ) -> int: ...
    def cancel_write(self, engine: int, token: int, tags: tuple[str, ...], /) -> None: ...
    def moment(self) -> Moment: ...
    def note_read(self, tags: tuple[str, ...], since: Moment | None, /) -> None: ...
    def bypass(self, tag: str, /) -> Bypass: ...
    def set_key_context(self, key_context: Callable[[], object] | None, /) -> None: ...
    def clear(self) -> None:
        """Drops every entry and gives back the memory; loads in flight are returned and not stored.

        Thread-safe.
        """

    def reset(self) -> None: ...
    def after_fork(self) -> None: ...
    def has_home(self) -> bool: ...
    def has_storage(self) -> bool: ...
    def reach(self, generation: int, epoch: int, timeout_s: float, /) -> str: ...
    def home(self) -> dict[str, Any] | None: ...
    def storage(self) -> dict[str, Any] | None: ...
    def configure(self, options: dict[str, Any], /) -> None: ...
    def used(self) -> bool: ...
    def set_time(self, seconds: float, /) -> None: ...

@final
class Evidence:
    @property
    def born(self) -> int: ...
    @property
    def conclusive(self) -> bool: ...
    def standing(self) -> str: ...
    def deps(self) -> tuple[str, ...]: ...

@final
class Batch:
    def __new__(cls, function: Any, head: tuple[Any, ...], items: tuple[Any, ...], /) -> Self: ...
    def arrive_job(self) -> Callable[[], None] | None: ...
    def begin(self, loads: bool, /) -> Callable[[], None] | None: ...
    def take(self) -> list[Any]: ...
    def start(self) -> None: ...
    def enter(self) -> None: ...
    def leave(self) -> None: ...
    def end(self, values: list[Any], /) -> BaseException | None: ...
    def failed(self) -> bool: ...
    def finish_job(self) -> Callable[[], None] | None: ...
    def note(self) -> None: ...
    def aside(self) -> list[int]: ...
    def set(self, number: int, value: Any, /) -> None: ...
    def values(self) -> list[Any]: ...
    def drop_level(self) -> Callable[[], None] | None: ...
    def close(self) -> Callable[[], None] | None: ...

@type_check_only
class Cached(Generic[_P, _R_co, _V_co]):
    """A cached function, sync or async: `_P` in, `_R_co` out; the cache keeps a `_V_co`."""

    __name__: str
    __qualname__: str
    __module__: str
    @property
    def __wrapped__(self) -> Callable[_P, _R_co]: ...
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co: ...
    def _reload(self, *args: _P.args, **kwargs: _P.kwargs) -> Any: ...
    def invalidate(self, *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Kills the entry for these arguments, its loads in flight, and outer entries using it.

        Raises:
            HomeUnreachable: as `zoocache.invalidate`.
        """

    def refresh(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """Loads anew for these arguments and returns what the function returns.

        Raises:
            HomeUnreachable: as `zoocache.invalidate`; nothing was loaded. And what the function
                raises.
        """

    @overload
    def peek(self, *args: _P.args, **kwargs: _P.kwargs) -> _V_co | None:
        """The cached value for these arguments, or `default`; loads and counts nothing."""

    @overload
    def peek(self, *args: Any, default: _D, **kwargs: Any) -> _V_co | _D: ...
    def cache_info(self) -> CacheInfo:
        """The hits, misses, maxsize and currsize, as functools.lru_cache tells them."""

    def cache_clear(self) -> None:
        """Kills every entry of this function, its loads in flight, and outer entries using it.

        Raises:
            HomeUnreachable: as `zoocache.invalidate`.
        """

    def cache_parameters(self) -> CacheParameters:
        """The maxsize and typed, as functools.lru_cache tells them."""

# `__get__` of both classes, in order: a class method, whose first parameter is a class that the
# owner is or inherits from; any other function as the class has it; a method of an instance; a
# static method by way of an instance. `self` is a Callable because mypy infers nothing from what
# Concatenate puts before the parameters of a generic class.

@final
class CachedFunction(Cached[_P, _R_co, _R_co]):
    """What `cacheable` makes of a function that is not async; thread-safe."""

    def __new__(
        cls,
        fn: Callable[_P, _R_co],
        core: Core,
        signature: SignatureData,
        options: dict[str, Any],
        reload_signature: Callable[[bool], SignatureData],
        /,
    ) -> Self: ...
    def get_many(
        self: Callable[[_I], _T],  # pyright: ignore[reportGeneralTypeIssues] - some are none
        items: Iterable[_I],
        /,
        *,
        load: Callable[[list[_I]], Iterable[_T]] | None = None,
    ) -> list[_T]:
        """The values for the items, in their order.

        What is found nowhere is loaded by one `load(missing)`, which returns the values in the
        order of its list; without it by the function, for each.

        Raises:
            TypeError: the function cannot be called with an item alone, or `load` returned a
                mapping or a set, which have no such order.
            ValueError: `load` returned more values than it was asked for, or fewer.
        """

    @overload
    def __get__(  # type: ignore[misc]
        self: Callable[Concatenate[type[_S], _Q], _T], instance: object, owner: type[_S], /
    ) -> CachedFunction[_Q, _T]: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> Self: ...
    @overload
    def __get__(
        self: Callable[Concatenate[_S, _Q], _T], instance: _S, owner: type | None = None, /
    ) -> CachedFunction[_Q, _T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> Self: ...
    def __set_name__(self, owner: type, name: str, /) -> None: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: dict[int, Any], /) -> Self: ...
    def update_options(self, options: dict[str, Any], /) -> None: ...
    def replace(self, key: str, value: Any, tags: str | Iterable[str], ttl_s: float, /) -> None: ...

@final
@type_check_only
class CachedAsyncFunction(Cached[_P, Coroutine[Any, Any, _V_co], _V_co]):
    """At run time a CachedFunction."""

    def get_many(
        self: Callable[[_I], Coroutine[Any, Any, _T]],  # pyright: ignore[reportGeneralTypeIssues]
        items: Iterable[_I],
        /,
        *,
        load: Callable[[list[_I]], Awaitable[Iterable[_T]]] | None = None,
    ) -> Coroutine[Any, Any, list[_T]]:
        """As that of functions that are not async; `load` is one that is."""

    @overload
    def __get__(  # type: ignore[misc]
        self: Callable[Concatenate[type[_S], _Q], Coroutine[Any, Any, _T]],
        instance: object,
        owner: type[_S],
        /,
    ) -> CachedAsyncFunction[_Q, _T]: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> Self: ...
    @overload
    def __get__(
        self: Callable[Concatenate[_S, _Q], Coroutine[Any, Any, _T]],
        instance: _S,
        owner: type | None = None,
        /,
    ) -> CachedAsyncFunction[_Q, _T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None, /) -> Self: ...
