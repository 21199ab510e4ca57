"""A cache whose entries die when the data changes, not when a timer expires.

Readers declare what they depend on, writers say what changed::

    from zoocache import cacheable, invalidate

    @cacheable(deps=["user:{user_id}"])
    def get_user(user_id):
        return db.fetch_user(user_id)

    get_user(42)             # loads
    get_user(42)             # hit
    invalidate("user:42")    # every call that starts later loads anew

The functions of this module work on one default cache; `Cache` makes others. Everything is
thread-safe, sync and async alike, and needs no configuration.
"""

from __future__ import annotations

from zoocache._blocks import AtLeast, Invalidating
from zoocache._cache import Cache
from zoocache._errors import (
    FlightTimeout,
    HomeUnreachable,
    InvalidOption,
    InvalidReceipt,
    InvalidTag,
    SerializationError,
    StorageIsFull,
    ZoocacheError,
)
from zoocache._zoocache import add_deps, no_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zoocache._receipt import Receipt
    from zoocache._told import (
        CacheInfo,
        Explanation,
        FunctionInfo,
        InvalidationInfo,
        LoadTimes,
        Stats,
        TagInfo,
        Told,
    )
    from zoocache._values import MutatedValueWarning
    from zoocache._verify import Finding

__all__ = [
    "AtLeast",
    "Cache",
    "CacheInfo",
    "Explanation",
    "Finding",
    "FlightTimeout",
    "FunctionInfo",
    "HomeUnreachable",
    "InvalidOption",
    "InvalidReceipt",
    "InvalidTag",
    "Invalidating",
    "InvalidationInfo",
    "LoadTimes",
    "MutatedValueWarning",
    "Receipt",
    "SerializationError",
    "Stats",
    "StorageIsFull",
    "TagInfo",
    "Told",
    "ZoocacheError",
    "add_deps",
    "at_least",
    "cacheable",
    "clear",
    "clear_async",
    "configure",
    "entries_below",
    "explain",
    "findings",
    "functions",
    "get",
    "get_async",
    "get_tag_version",
    "home",
    "invalidate",
    "invalidate_async",
    "invalidating",
    "invalidations",
    "no_store",
    "prune",
    "register_type",
    "reset",
    "set",
    "set_async",
    "stats",
    "storage",
    "tag",
    "tags",
    "version",
]

_default = Cache()

cacheable = _default.cacheable
invalidate = _default.invalidate
invalidate_async = _default.invalidate_async
invalidating = _default.invalidating
at_least = _default.at_least
clear = _default.clear
clear_async = _default.clear_async
configure = _default.configure
reset = _default.reset
explain = _default.explain
findings = _default.findings
stats = _default.stats
functions = _default.functions
invalidations = _default.invalidations
home = _default.home
storage = _default.storage
tags = _default.tags
entries_below = _default.entries_below
get_tag_version = _default.get_tag_version
get = _default.get
set = _default.set  # noqa: A001 - the published name
get_async = _default.get_async
set_async = _default.set_async
prune = _default.prune
tag = _default.tag
version = _default.version
register_type = _default.register_type

_LATER = {
    "Receipt": "zoocache._receipt",
    "CacheInfo": "zoocache._told",
    "Explanation": "zoocache._told",
    "Finding": "zoocache._verify",
    "FunctionInfo": "zoocache._told",
    "InvalidationInfo": "zoocache._told",
    "LoadTimes": "zoocache._told",
    "MutatedValueWarning": "zoocache._values",
    "Stats": "zoocache._told",
    "TagInfo": "zoocache._told",
    "Told": "zoocache._told",
}


def __getattr__(name: str) -> object:
    """Imports what few programs name, when they name it."""
    if name not in _LATER:
        raise AttributeError(f"module 'zoocache' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    globals()[name] = value = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
