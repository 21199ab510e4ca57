"""What is stored in a home, and what of it holds: counted by function and by tag.

A survey looks at the envelopes of stored values, a page at a time and not too fast, and asks the
log about what they depend on. It is a picture of a while, not of a moment.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

from zoocache import SerializationError, _zoocache
from zoocache.cli._text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zoocache.cli._home import Home, Look, Stored

__all__ = ["Bounds", "Entry", "Function", "Survey", "is_at_or_below", "survey", "walk"]

HIDDEN = "\x01"  # what is no tag of users, but a function or one of its calls
_CPP = b"C++/1"
_SHORT_TUPLES = range(0xA1, 0xB0)  # of one item and more
_LONG_TUPLE, _BYTES = 0xDD, 0xDB


@dataclasses.dataclass(frozen=True)
class Bounds:
    """How much is looked at, and how fast.

    Attributes:
        most: entries of the storage.
        rate: entries in a second.
        page: entries at once.
        stop: ends a survey before its time, once it is set.
    """

    most: int = 100_000
    rate: float = 20_000
    page: int = 512
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)


@dataclasses.dataclass(frozen=True)
class Function:
    """Whose value it is.

    Attributes:
        name: "module:name", or the namespace.
        version: the beginning of the fingerprint of its code, or of what `version=` said.
    """

    name: str
    version: str


@dataclasses.dataclass(frozen=True)
class Entry:
    """A stored value, and what became of it.

    Attributes:
        function: whose it is.
        key: the call, as bytes.
        tags: what it depends on; functions and calls that it was made of are not among them.
        size_bytes: of the whole entry.
        lives_s: seconds left; None: no bound.
        born: the epoch that it was loaded at.
        state: "valid", "invalidated", "expired", "forgotten" (older than the log remembers),
            "other generation" (of a log that is gone) or "unreadable".
        killer: the text that was invalidated since; "" is everything.
        killed_at: its epoch.
    """

    function: Function
    key: bytes
    tags: tuple[str, ...]
    size_bytes: int
    lives_s: float | None
    born: int
    state: str
    killer: str | None = None
    killed_at: int | None = None

    @property
    def is_valid(self) -> bool:
        """Whether a call that finds it is served with it."""
        return self.state == "valid"

    def dies_with(self, tag: str) -> bool:
        """Whether an invalidation of the tag kills it."""
        return any(is_at_or_below(one, tag) for one in self.tags)

    def arguments(self) -> tuple[Any, ...] | None:
        """The call's arguments; None: they hold objects of users' classes, or are not Python's."""
        try:
            call = _zoocache.decode(self.key, {})
        except SerializationError:
            return None
        return call[1:] if isinstance(call, tuple) else None


@dataclasses.dataclass
class FunctionCount:
    """Of one function: how many of its values there are, which of them hold, and their bytes."""

    entries: int = 0
    valid: int = 0
    size_bytes: int = 0


@dataclasses.dataclass
class Survey:
    """What was found.

    Attributes:
        entries, valid, size_bytes: of all.
        states: how many are in each state.
        unreadable: entries of which nothing is known.
        is_complete: whether all were looked at; else there were more than `Bounds.most`.
        functions: counts by function.
        would_die: by tag, how many valid entries an invalidation of it would kill; with every tag
            that is above a dependency.
        depend: by tag, how many valid entries depend on exactly it.
        seconds: how long it took.
    """

    entries: int = 0
    valid: int = 0
    size_bytes: int = 0
    states: dict[str, int] = dataclasses.field(default_factory=dict)
    unreadable: int = 0
    is_complete: bool = True
    functions: dict[Function, FunctionCount] = dataclasses.field(default_factory=dict)
    would_die: dict[str, int] = dataclasses.field(default_factory=dict)
    depend: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def add(self, entry: Entry) -> None:
        """Counts it."""
        self.entries += 1
        self.size_bytes += entry.size_bytes
        self.states[entry.state] = self.states.get(entry.state, 0) + 1
        count = self.functions.setdefault(entry.function, FunctionCount())
        count.entries += 1
        count.size_bytes += entry.size_bytes
        if not entry.is_valid:
            return
        self.valid += 1
        count.valid += 1
        for tag in entry.tags:
            self.depend[tag] = self.depend.get(tag, 0) + 1
        for above in {above for tag in entry.tags for above in _with_ancestors(tag)}:
            self.would_die[above] = self.would_die.get(above, 0) + 1


def is_at_or_below(tag: str, above: str) -> bool:
    """Whether an invalidation of `above` reaches the tag."""
    return tag == above or tag.startswith(above + ":")


def survey(home: Home, bounds: Bounds, visit: Callable[[Entry], None] | None = None) -> Survey:
    """Counts what is stored.

    Args:
        home: where.
        bounds: how much of it.
        visit: is called with each entry.

    Raises:
        HomeUnreachable: the home or the storage does not answer, or refuses.
    """
    found = Survey()
    began = time.monotonic()
    for entry in walk(home, bounds, found):
        found.add(entry)
        if visit is not None:
            visit(entry)
    found.seconds = time.monotonic() - began
    return found


def walk(home: Home, bounds: Bounds, notes: Survey) -> Iterator[Entry]:
    """The entries, one after another; what could not be read is noted. Raises HomeUnreachable."""
    seen: set[bytes] = set()
    start = b""
    while True:
        began = time.monotonic()
        page, start, unreadable = home.stored(start, bounds.page)
        notes.unreadable += unreadable
        fresh = [one for one in page if one.name not in seen]  # a server may tell one twice
        room = bounds.most - len(seen)
        if len(fresh) > room:
            fresh, start, notes.is_complete = fresh[:room], b"", False
        seen.update(one.name for one in fresh)
        yield from _judged(home, fresh)
        if not start:
            return
        if len(seen) >= bounds.most:
            notes.is_complete = False
            return
        # Also where a page has none of ours: the server looked at its keys all the same.
        pause = bounds.page / bounds.rate - (time.monotonic() - began)
        if bounds.stop.wait(max(pause, 0)):
            notes.is_complete = False
            return


def _judged(home: Home, page: list[Stored]) -> Iterator[Entry]:
    if not page:
        return
    texts = list({text for one in page for text in one.killers or ()})
    look = home.look(texts)
    epochs = dict(zip(texts, look.epochs, strict=True))
    for one in page:
        state, killer, killed_at = _state_of(one, look, epochs)
        tags = [text_of(text) for text in one.dependencies]
        yield Entry(
            function_of(one.key),
            one.key,
            tuple(tag for tag in tags if tag and not tag.startswith(HIDDEN)),
            one.size_bytes,
            one.lives_s,
            one.born,
            state,
            killer,
            killed_at,
        )


def _state_of(
    one: Stored, look: Look, epochs: dict[bytes, int]
) -> tuple[str, str | None, int | None]:
    """As those decide who find it: see LogHome::holds."""
    if one.killers is None:
        return "unreadable", None, None
    if one.lives_s is not None and one.lives_s < 0:
        return "expired", None, None
    if one.generation != look.generation or look.generation == 0:
        return "other generation", None, None
    newest = max(one.killers, key=lambda text: epochs[text], default=b"")
    if epochs.get(newest, 0) > one.born:
        return "invalidated", text_of(newest), epochs[newest]
    if one.born < look.floor:
        return "forgotten", None, None
    return "valid", None, None


def _with_ancestors(tag: str) -> Iterator[str]:
    at = tag.find(":")
    while at >= 0:
        yield tag[:at]
        at = tag.find(":", at + 1)
    yield tag


def function_of(key: bytes) -> Function:
    """Whose the call is. Anybody may have written the key: nothing of it is believed."""
    if key.startswith(_CPP):
        size = int.from_bytes(key[5:13], "little")
        if 13 + size <= len(key):
            return Function(text_of(key[13 : 13 + size]) or "(no name)", "C++")
    identity = _identity_in(key)
    if identity is not None:
        try:
            parts = _zoocache.decode(identity, {})
        except SerializationError:
            parts = None
        if (
            isinstance(parts, tuple)
            and len(parts) == 3
            and isinstance(parts[1], str)
            and isinstance(parts[2], bytes)
        ):
            return Function(parts[1], parts[2].hex()[:8])
    return Function("(unknown)", "")


def _identity_in(key: bytes) -> bytes | None:
    """The bytes that are the first item of a tuple; the others may be of users' classes."""
    at = 1
    if key[:1] == bytes([_LONG_TUPLE]):
        at = _read_size(key, 1)[1]
    elif not key or key[0] not in _SHORT_TUPLES:
        return None
    if key[at : at + 1] != bytes([_BYTES]):
        return None
    size, at = _read_size(key, at + 1)
    return key[at : at + size] if size <= len(key) - at else None


def _read_size(key: bytes, at: int) -> tuple[int, int]:
    """A size in groups of seven bits, the lowest first; and where it ends."""
    size = shift = 0
    while at < len(key) and shift < 63:
        size |= (key[at] & 0x7F) << shift
        at += 1
        if key[at - 1] < 0x80:
            return size, at
        shift += 7
    return len(key) + 1, at
