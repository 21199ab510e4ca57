"""What every cache tells about itself."""

from __future__ import annotations

from zoocache import _zoocache
from zoocache._errors import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from zoocache._told import Explanation, FunctionInfo, InvalidationInfo, Stats, TagInfo, Told
    from zoocache._types import P
    from zoocache._verify import Finding, Watch
    from zoocache._zoocache import Cached

__all__ = ["Telling"]


class Telling:
    """The methods of `Cache` that only look. Thread-safe.

    Their results are made by `_told`, which is imported when something is told: most programs never
    ask.
    """

    core: _zoocache.Core
    _watch: Watch | None

    def explain(
        self, fn: Cached[P, object, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> Explanation:
        """Why the call would be answered from the cache or not; changes and counts nothing.

        Args:
            fn: a cached function, or a method of one.
            *args: of the call that is asked about.
            **kwargs: likewise.

        Raises:
            TypeError: `fn` is not a cached function, or the arguments do not fit it.
        """
        target: Any = fn
        if hasattr(target, "__func__") and isinstance(target.__func__, _zoocache.CachedFunction):
            return self.explain(target.__func__, target.__self__, *args, **kwargs)
        if not isinstance(target, _zoocache.CachedFunction):
            raise TypeError(f"explain({shown(fn)}): a function decorated with cacheable is wanted")
        from zoocache._told import Explanation  # noqa: PLC0415 - see the class

        raw = _zoocache.explain(target, *args, **kwargs)
        if raw.get("hidden") == "clear" and raw["origin"] is None:
            # Nobody here called clear(): another process did, or all was dropped with the trust.
            home = target.__dict__["_plan"].home()
            if home is not None and not home["reachable"]:
                raw = {
                    "reason": "home unreachable",
                    "age_s": raw.get("age_s"),
                    "why": home["trouble"],
                }
        return Explanation.from_raw(raw)

    def stats(self) -> Stats:
        """Counts since the cache was made or `reset()`, and sizes of now."""
        from zoocache._told import Stats  # noqa: PLC0415 - see the class

        return Stats(**_zoocache.stats(self.core))

    def functions(self) -> Told[FunctionInfo]:
        """Every cached function of it that lives, in the order in which they were made."""
        from zoocache._told import FunctionInfo, LoadTimes, Told  # noqa: PLC0415 - see the class

        bounds = _zoocache.load_bounds()
        return Told(
            FunctionInfo(name, entries, counts, LoadTimes(bounds, buckets, seconds))
            for name, entries, counts, buckets, seconds in _zoocache.functions(self.core)
        )

    def invalidations(self) -> Told[InvalidationInfo]:
        """The newest invalidations, the newest first: `invalidation_records` at the most."""
        from zoocache._told import InvalidationInfo, Told  # noqa: PLC0415 - see the class

        return Told(InvalidationInfo(*row) for row in _zoocache.invalidations(self.core))

    def findings(self, *, now: bool = False) -> list[Finding]:
        """What `verify` and `debug` have found, oldest first; see docs/TESTING.md.

        Args:
            now: do not wait for a lease before a difference counts: for a moment in which no
                writer is between its write and its invalidation, in whichever process.

        A shared log is asked about what is pending, for some round trips; what it does not answer
        is no finding. Thread-safe.
        """
        return [] if self._watch is None else self._watch.findings(now)

    def home(self) -> dict[str, Any] | None:
        """How the shared home does; asks nobody and waits for nobody.

        Returns:
            None without one. Else a dict of "kind" ("redis", "lmdb"), "reachable" (a bool),
            "trouble" (a str: why not, or what should be changed; "" if nothing), "generation",
            "clock", "applied" and "floor" (ints, epochs of the log), "intents" and "fired_intents"
            (ints, writes that were announced), and "counters" (a dict of ints, which only grow).
            docs/REDIS.md explains each.
        """
        return self.core.home()

    def storage(self) -> dict[str, Any] | None:
        """How the storage does, which is asked: a round trip, or `command_timeout`, on a server.

        Returns:
            None without one. Else a dict of "kind", "reachable", "trouble" and "counters", as of
            `home`; docs/REDIS.md explains each counter.
        """
        return self.core.storage()

    def tags(self, prefix: str = "") -> Told[TagInfo]:
        """The tags that something depends on: `prefix` and what is below it, sorted.

        Raises:
            TypeError: `prefix` is not a str.
            InvalidTag: it has lone surrogates.
        """
        if not isinstance(prefix, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"tags({shown(prefix)}): a str is wanted")
        rows = _zoocache.tags(self.core, prefix.rstrip(":"))
        from zoocache._told import TagInfo, Told  # noqa: PLC0415 - see the class

        return Told(TagInfo(*row) for row in rows)

    def entries_below(self, tag: str) -> dict[str, int]:
        """How many entries here would die if the tag were invalidated, by their functions' names.

        Looks at every entry, while other threads wait for the interpreter: 100,000 entries take
        some milliseconds.

        Returns:
            The numbers of those that have any; functions of one name are one.

        Raises:
            InvalidTag, TypeError: as `invalidate`.
        """
        told: dict[str, int] = {}
        for name, entries in _zoocache.entries_below(self.core, tag):
            told[name] = told.get(name, 0) + entries
        return told

    def get_tag_version(self, tag: str) -> int:
        """The epoch of the newest known invalidation of the tag or an ancestor; 0 if none.

        Of the shared log, which is asked, where there is one; else of this cache.

        Raises:
            InvalidTag, TypeError: as `invalidate`.
            HomeUnreachable: the shared log does not answer.
        """
        return _zoocache.tag_version(self.core, tag)
