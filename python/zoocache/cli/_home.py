"""A home as it is seen from outside: its log, who uses it, and the values beside it.

Looking leaves no trace in a Redis home: the command is a writer there (`mode="writer"`), which
neither registers nor subscribes. In a folder it is one more process that uses it, as long as it
runs. The storage is read without a cache above it: no value is taken apart, no class is imported.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoocache import Cache, HomeUnreachable, InvalidOption, InvalidTag, _zoocache
from zoocache.cli._inspect import Memory, Process, parse
from zoocache.cli._text import redacted, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoocache import Receipt

__all__ = ["Home", "Look", "Node", "Place", "Stored", "check_tag"]

_PAGE = 512
_MOST_LOG_TAGS = 2**24
_MOST_INSPECTED_BYTES = 2**24  # of all answers
_FORMAT = 1  # of the files, as src/lmdb/folder.h has it
# A page of LMDB that tells about the file: 16 bytes, magic, version, address, size of the map.
_LMDB_HEAD = struct.Struct("=16xI4x8xQ")
_LMDB_MAGIC = 0xBEEFC0DE
_REDIS = ("redis", "rediss", "redis+sentinel", "redis+unix")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a home is, and what its processes were told about it.

    Attributes:
        url: of the log: "lmdb://<folder>", "redis://<host>" and the like.
        storage_url: of the values; None: the same.
        prefix: the namespace; None: the default of the home.
        lease: seconds, as the processes have it; None: 2.
        timeout: seconds that a server may take to answer.
    """

    url: str
    storage_url: str | None = None
    prefix: str | None = None
    lease: float | None = None
    timeout: float = 2.0


@dataclasses.dataclass(frozen=True)
class Look:
    """The log, at one moment.

    Attributes:
        generation: the identity of its history; 0: nobody has begun one.
        clock: the newest epoch.
        floor: epochs at or below it may have been forgotten.
        tags: different tags that it remembers.
        epochs: of the texts that were asked for; 0: it knows none.
    """

    generation: int
    clock: int
    floor: int
    tags: int
    epochs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Node:
    """A process that uses the home.

    Attributes:
        name: a random number on a server, the process's in a folder.
        applied: the epoch that it said last it has applied; None in a folder, where every call
            looks at the log.
        beat: how often it was heard; None in a folder.
        uses: "log", "values" or both.
        is_self: whether it is this command.
    """

    name: str
    applied: int | None
    beat: int | None
    uses: tuple[str, ...]
    is_self: bool


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stored value, as its envelope says.

    Attributes:
        name: its own in the storage.
        generation, born: of the log, when its load began.
        size_bytes: of the whole entry.
        lives_s: seconds left; None: no bound; below 0: over.
        key: the call, as bytes.
        dependencies: texts of the log.
        killers: the dependencies and all that is above them; None: they make no sense.
    """

    name: bytes
    generation: int
    born: int
    size_bytes: int
    lives_s: float | None
    key: bytes
    dependencies: tuple[bytes, ...]
    killers: tuple[bytes, ...] | None


class Home:
    """A connection to a home and to the values beside it.

    Args:
        place: where it is.

    Raises:
        InvalidOption: the URL is none of a home that can be seen from outside.
        HomeUnreachable: there is none, or it cannot be used; says why.

    Thread-safe.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.kind = _kind_of(place.url)
        self._prefix = {} if place.prefix is None else {"prefix": place.prefix}
        # How much the log may hold is its processes' affair: nothing is forgotten on our account.
        options: dict[str, Any] = {**self._prefix, "max_log_tags": _MOST_LOG_TAGS}
        if self.kind == "lmdb":
            _demand_file(place, "log", place.url)
            options["lmdb_map_size"] = _map_bytes(_folder_of(place, place.url)) or 2**30
        else:
            options |= {
                "mode": "writer",
                "allow_eviction": True,  # `doctor` says what is wrong with it
                "command_timeout": place.timeout,
                "connect_timeout": place.timeout,
            }
            if place.lease is not None:
                options["lease"] = place.lease
        # It remembers nothing, and has little to remember it with.
        self._cache = Cache(
            bus_url=place.url, max_entries=16, ring_records=64, explain_records=0, **options
        )
        self._values = self._open_values()

    def _open_values(self) -> Cache | None:
        """The storage; None: there is none beside the log."""
        storage_url = self.place.storage_url or self.place.url
        kind = _kind_of(storage_url)
        if kind == "lmdb":
            try:
                _demand_file(self.place, "entries", storage_url)
            except HomeUnreachable:
                if self.place.storage_url is not None:
                    raise
                return None
        options: dict[str, Any] = dict(self._prefix)
        if self.kind == "redis":
            options |= {"allow_eviction": True, "mode": "full"}
            options |= {"command_timeout": self.place.timeout}
            options |= {"connect_timeout": self.place.timeout}
        return Cache(storage_url=storage_url, bus_url=self.place.url, **options)

    @property
    def where(self) -> str:
        """The URL without its password, and the prefix."""
        prefix = "" if self.place.prefix is None else f" prefix {self.place.prefix}"
        return redacted(self.place.url) + prefix

    @property
    def values_kind(self) -> str | None:
        """What the storage is: "lmdb" or "redis"; None: there is none to look at."""
        return _kind_of(self.place.storage_url or self.place.url) if self.has_values else None

    @property
    def has_values(self) -> bool:
        """Whether there is a storage to look at. A server always may have some."""
        return self._values is not None

    def look(self, texts: list[bytes] | None = None) -> Look:
        """The log now, and the newest epochs of exactly these texts. Raises HomeUnreachable."""
        found = _zoocache.home_look(self._cache.core, texts or [])
        if found is None:
            raise InvalidOption(f"{self.where} is no home that can be seen from outside")
        generation, clock, floor, tags, epochs = found
        return Look(generation, clock, floor, tags, tuple(epochs))

    def rows(self, most: int) -> Iterator[tuple[bytes, int]]:
        """At most so many rows of the log, the newest first. Raises HomeUnreachable."""
        start = b""
        seen: set[bytes] = set()
        while len(seen) < most:
            page, start = _zoocache.home_rows(self._cache.core, start, min(_PAGE, most - len(seen)))
            for text, epoch in page:
                if text not in seen:  # one that is named again meanwhile comes twice
                    seen.add(text)
                    yield text, epoch
            if not start:
                return

    def nodes(self) -> list[Node]:
        """The processes that use the home. Raises HomeUnreachable."""
        return [
            Node(
                text_of(name),
                applied if self.kind == "redis" else None,
                beat if self.kind == "redis" else None,
                (*(["log"] if uses_log else []), *(["values"] if uses_values else [])),
                self.kind == "lmdb" and name == str(os.getpid()).encode(),
            )
            for name, applied, beat, uses_log, uses_values in _zoocache.home_nodes(self._cache.core)
        ]

    def facts(self) -> dict[str, str]:
        """Settings and sizes of the place, by its own names. Raises HomeUnreachable."""
        facts = _zoocache.home_facts(self._cache.core)
        if self._values is not None:
            facts += _zoocache.storage_facts(self._values.core)
        return {text_of(name): text_of(value) for name, value in facts}

    def status(self) -> dict[str, Any]:
        """As `zoocache.home()`, of this process's connection."""
        return self._cache.home() or {}

    def stored(self, start: bytes, most: int) -> tuple[list[Stored], bytes, int]:
        """A page of stored values, in no order.

        Args:
            start: b"", or what the page before returned.
            most: about so many keys of the storage are looked at.

        Returns:
            The values; where the next page starts, b"": nowhere; how many entries could not be
            read.

        Raises:
            HomeUnreachable: it does not answer, or refuses.
        """
        if self._values is None:
            self._values = self._open_values()  # the first value may have been stored since
        if self._values is None:
            return [], b"", 0
        page, after, unreadable = _zoocache.storage_page(self._values.core, start, most)
        entries = [
            Stored(
                name,
                generation,
                born,
                size,
                None if lives == 0 else lives,
                key,
                tuple(dependencies),
                None if killers is None else tuple(killers),
            )
            for name, generation, born, size, lives, key, dependencies, killers in page
        ]
        return entries, after, unreadable

    def inspect(self, tag: str = "", wait: float = 0.5, tries: int = 2) -> Memory:
        """Asks the processes what is in their memory; those of a folder cannot be asked.

        Args:
            tag: whose invalidation is to be counted; empty: none.
            wait: seconds, of each try, and between two.
            tries: until all have answered: one that was asked a moment ago does not.
        """
        if self.kind != "redis":
            return Memory()
        told: dict[str, Process] = {}
        while True:
            try:
                asked, answers = _zoocache.home_inspect(
                    self._cache.core, tag.encode(), _MOST_INSPECTED_BYTES, wait
                )
            except HomeUnreachable as error:
                return Memory(trouble=str(error))
            for node, raw in answers:
                process = parse(node, raw)
                if process is not None:
                    told[process.node] = process
            tries -= 1
            if len(told) >= asked or tries <= 0:
                return Memory(asked, tuple(told.values()))
            time.sleep(wait)

    def round_trip(self) -> None:
        """Asks the home one small question. Raises HomeUnreachable."""
        self._cache.get_tag_version("zoocache:doctor")

    def invalidate(self, tags: list[str], wait: bool) -> Receipt:
        """As `zoocache.invalidate`. Raises InvalidTag, HomeUnreachable."""
        receipt: Any = self._cache.invalidate(*tags, wait=wait)
        return receipt  # type: ignore[no-any-return]


def check_tag(tag: str) -> None:
    """Raises InvalidTag if it is none."""
    try:
        _zoocache.check_tag(tag, 4096)
    except UnicodeEncodeError:
        raise InvalidTag(f"invalid tag {tag!a}: it is no UTF-8") from None


def _kind_of(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if separator and rest and scheme == "lmdb":
        return "lmdb"
    if separator and rest and scheme in _REDIS:
        return "redis"
    raise InvalidOption(
        f"--url {redacted(url)} is not allowed: 'lmdb://<folder>', 'redis://<host>', 'rediss://', "
        "'redis+sentinel://' or 'redis+unix://'. A cache in the memory of one process cannot be "
        "seen from outside"
    )


def _folder_of(place: Place, url: str) -> Path:
    folder = Path(url.partition("://")[2]).expanduser()
    return folder if place.prefix is None else folder / f"prefix-{place.prefix}"


def _map_bytes(folder: Path) -> int | None:
    """The size that the log's processes gave its map, as the first pages of the file say."""
    try:
        with (folder / f"log-v{_FORMAT}.mdb").open("rb") as file:
            pages = file.read(2 * mmap.PAGESIZE)
    except OSError:
        return None
    sizes = [
        size
        for page in (pages[: mmap.PAGESIZE], pages[mmap.PAGESIZE :])
        if len(page) >= _LMDB_HEAD.size
        for magic, size in [_LMDB_HEAD.unpack_from(page)]
        if magic == _LMDB_MAGIC and 2**20 <= size <= 2**36
    ]
    return max(sizes, default=None)


def _demand_file(place: Place, part: str, url: str) -> None:
    """To look at a folder must not make one, nor a file there. Raises HomeUnreachable."""
    folder = _folder_of(place, url)
    name = f"{part}-v{_FORMAT}.mdb"
    try:
        if (folder / name).exists():
            return
        is_of_others = any(folder.glob(f"{part}-v*.mdb"))
        found = folder.glob(f"prefix-*/{name}")
        prefixes = sorted(one.parent.name.removeprefix("prefix-") for one in found)[:8]
    except OSError as error:
        raise HomeUnreachable(f"cannot look at {redacted(f'lmdb://{folder}')}: {error}") from None
    hint = ""
    if is_of_others:
        hint = "; it is of another version of zoocache: use that one's command"
    elif prefixes:
        hint = f"; it has the prefixes {', '.join(prefixes)}: name one with --prefix"
    raise HomeUnreachable(
        f"there is no home in {redacted(f'lmdb://{folder}')}: it has no {name}{hint}"
    )
