"""What happens to values on their way into the cache and out of it: sizes, copies, checks."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from collections.abc import Callable
from typing import Any

from zoocache._compare import Comparison
from zoocache._verify import Finding, Watch, called_at, name_of, place_of, shown_arguments

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


class _Watched:
    """A value in the cache, and what it was when it came there."""

    __slots__ = ("fingerprint", "loaded_at", "told", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.fingerprint = _fingerprint(value)
        self.loaded_at = called_at()
        self.told = False


def _fingerprint(value: Any) -> bytes | None:
    """Bytes that change when the value does; None for what cannot be pickled."""
    try:
        return pickle.dumps(value, protocol=5)
    except Exception:  # noqa: BLE001 - pickling runs users' code, which raises what it likes
        return None


def _changes(fingerprint: bytes, value: Any) -> tuple[str, ...]:
    """Which parts of a value are not what they were."""
    try:
        was = pickle.loads(fingerprint)  # noqa: S301 - bytes of this process, made above
    except Exception:  # noqa: BLE001 - unpickling runs users' code
        return ("the value",)
    return tuple(Comparison(was, value).differences)


def debug_hooks(
    fn: Callable[..., Any], isolate: bool, watch: Watch
) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    """The hooks of `configure(debug=True)`: for what is stored, and for what is handed out.

    The second gets the call's arguments, too. It warns with MutatedValueWarning, once for each
    value, if the value is not what it was when it was stored, and reports it.
    """
    name, place = name_of(fn), place_of(fn)

    def on_store(value: Any) -> _Watched:
        return _Watched(copied(value) if isolate else value)

    def on_hit(watched: _Watched, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value, fingerprint = watched.value, watched.fingerprint
        if fingerprint is not None and not watched.told and _fingerprint(value) != fingerprint:
            parts = _changes(fingerprint, value)
            if parts:  # the same value may have other bytes, as a dict of objects that were shared
                watched.told = True
                arguments = shown_arguments(args, kwargs)
                found = Finding(
                    "mutated", name, arguments, parts, (), place, called_at(), watched.loaded_at
                )
                watch.report(found)
                warnings.warn(
                    f"{found}; every caller gets the same object, so copy it before you change it, "
                    "or say isolate=True",
                    MutatedValueWarning,
                    stacklevel=2,
                )
        return copied(value) if isolate else value

    return on_store, on_hit
