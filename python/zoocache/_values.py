"""What happens to values on their way into the cache and out of it: sizes, copies, checks."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from zoocache._errors import shown

__all__ = ["MutatedValueWarning", "copied", "debug_hooks", "size_of"]

_MOST_ITEMS = 1000
_CONTAINERS = (tuple, list, dict, set, frozenset)


class MutatedValueWarning(UserWarning):
    """A cached value was changed after it was cached; the message says where it came from."""


def size_of(value: object) -> int:
    """The accounted size of a value in bytes.

    `sys.getsizeof`, and for exact builtin containers also of what they hold: up to 1,000 items,
    each object once. Beyond that the rest is estimated from the mean of those.
    """
    total = 0
    counted = 0
    seen: set[int] = set()
    queue: list[object] = [value]
    for item in queue:
        if id(item) in seen:
            continue
        seen.add(id(item))
        counted += 1
        total += sys.getsizeof(item)
        if type(item) in _CONTAINERS and counted < _MOST_ITEMS:
            room = _MOST_ITEMS - len(queue)
            members = _members(item)
            if len(members) > room:
                mean = _mean_size(members[: max(room, 1)])
                total += int(mean * (len(members) - max(room, 0)))
                members = members[: max(room, 0)]
            queue.extend(members)
    return total


def _members(container: Any) -> list[object]:
    if type(container) is dict:
        return [part for pair in container.items() for part in pair]
    return list(container)


def _mean_size(sample: list[object]) -> float:
    return sum(map(sys.getsizeof, sample)) / len(sample)


def copied(value: Any) -> Any:
    """A deep copy: with `isolate=True` nobody shares a value with the cache."""
    return copy.deepcopy(value)


class _Watched(NamedTuple):
    value: Any
    fingerprint: bytes | None


def _fingerprint(value: Any) -> bytes | None:
    """Bytes that change when the value does; None for what cannot be pickled."""
    try:
        return pickle.dumps(value, protocol=5)
    except Exception:  # noqa: BLE001 - pickling runs users' code, which raises what it likes
        return None


def debug_hooks(
    fn: Callable[..., Any], isolate: bool
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """The hooks of `configure(debug=True)`: for what is stored, and for what is handed out.

    The second warns with MutatedValueWarning, once for each value, if the value is not what it was
    when it was stored.
    """
    code = getattr(fn, "__code__", None)
    place = f"{code.co_filename}:{code.co_firstlineno}" if code else "an unknown place"
    name = getattr(fn, "__qualname__", shown(fn))
    told: set[int] = set()

    def on_store(value: Any) -> _Watched:
        kept = copied(value) if isolate else value
        return _Watched(kept, _fingerprint(kept))

    def on_hit(watched: _Watched) -> Any:
        value, fingerprint = watched
        changed = fingerprint is not None and _fingerprint(value) != fingerprint
        if changed and id(watched) not in told:
            told.add(id(watched))
            warnings.warn(
                f"a cached value was changed after it was cached: {shown(value)}, which {name} "
                f"({place}) returned; every caller gets the same object, so copy it before you "
                "change it, or say isolate=True",
                MutatedValueWarning,
                stacklevel=2,
            )
        return copied(value) if isolate else value

    return on_store, on_hit
