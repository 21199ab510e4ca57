"""What `configure(verify=)` and `configure(debug=True)` find: values that changed unseen.

    hit ── loaded anew (call_verify.cpp) ── differs? ── pending ── a lease later ── Finding
                                              │            └ invalidated meanwhile: a race
                                              └ equal, or the load saw older data: nothing

A writer changes the data first and invalidates then, so a difference alone says nothing. One that
stands while no dependency was invalidated, for a lease (of the shared log; 2 seconds without one),
is a finding. A thread that lives only while something is pending judges them; `findings(now=True)`
does so at once. A shared log is asked then: what another process has declared may be on its way.
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoocache import _zoocache
from zoocache._compare import Comparison
from zoocache._errors import HomeUnreachable, shown

if TYPE_CHECKING:
    from zoocache._cache import Cache

__all__ = ["Finding", "Watch", "called_at", "place_of"]

_log = logging.getLogger("zoocache.verify")

_PACKAGE = str(Path(__file__).parent)
_LEASE_S = 2.0
_MOST_FINDINGS = 100
_MOST_PENDING = 1000
_MOST_TOLD = 10  # invalidations in one finding
_Key = tuple[str, str, str]


@dataclasses.dataclass(frozen=True)
class Finding:
    """A value that changed without an invalidation of anything that it depended on.

    Attributes:
        kind: "missing tag": the function gives another value now; "mutated": somebody changed the
            object in the cache (found by `configure(debug=True)`).
        function: the qualified name of the cached function.
        arguments: of the call, as text.
        parts: which parts of the value differ, such as `['items'][3].price: 10, now 12`; at most
            five. For an exception of the function: "raises ...".
        deps: the tags that the value depended on, sorted.
        defined_at: where the function is, "file.py:41".
        called_at: where the call was that found it.
        loaded_at: where the call was whose load gave the value; known of mutated values.
        invalidated: what was invalidated since the value was loaded, newest first, at most ten:
            "'user:42' at shop.py:17".
        count: how often it was found.
    """

    kind: str
    function: str
    arguments: str
    parts: tuple[str, ...]
    deps: tuple[str, ...]
    defined_at: str
    called_at: str
    loaded_at: str | None = None
    invalidated: tuple[str, ...] = ()
    count: int = 1

    @property
    def key(self) -> _Key:
        """What two findings of one cause have in common: what was called."""
        return self.kind, self.defined_at, self.function + self.arguments

    def __str__(self) -> str:
        call = f"{self.function}{self.arguments}"
        where = f"{self.function} is at {self.defined_at}; called at {self.called_at}"
        parts = "; ".join(self.parts)
        if self.kind == "mutated":
            loaded = f", loaded at {self.loaded_at}" if self.loaded_at else ""
            return f"somebody changed the value of {call} in the cache: {parts} ({where}{loaded})"
        without = f"of {', '.join(self.deps)}" if self.deps else "(it depends on nothing)"
        since = ", ".join(self.invalidated) or "nothing"
        return (
            f"{call} changed without an invalidation {without}: {parts} "
            f"({where}; invalidated since it was loaded: {since})"
        )


@dataclasses.dataclass(frozen=True)
class _Pending:
    finding: Finding
    evidence: _zoocache.Evidence
    due: float  # of time.monotonic()


class Watch:
    """The findings of one cache. Thread-safe.

    Args:
        cache: whose options say where findings go.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.after_fork()

    def forget(self) -> None:
        """Nothing was found, and nothing is pending."""
        before = self._changed
        with before:
            self.after_fork()
            before.notify_all()  # the thread that waits there ends

    def after_fork(self) -> None:
        """The same in a child, where nobody gives back what another thread held."""
        self._changed = threading.Condition()  # guards what follows
        self._findings: dict[_Key, Finding] = {}
        self._pending: dict[_Key, _Pending] = {}
        self._said: set[str] = set()
        self._runs = False

    def on_verified(self, fn: Any, view: Callable[[Any], Any] | None) -> Callable[..., None]:
        """The hook for the hits of `fn` that were loaded anew.

        Args:
            fn: the user's function.
            view: what of a value is to be compared; None: all of it.
        """
        name, defined_at = name_of(fn), place_of(fn)

        def verified(
            _function: Any,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            evidence: _zoocache.Evidence,
            kept: Any,
            fresh: Any,
            error: Exception | None,
        ) -> None:
            if not evidence.conclusive:
                return  # an older snapshot, or what is not committed
            parts = self._parts(name, view, kept, fresh, error)
            if not parts or evidence.standing() != "current":
                return
            arguments = shown_arguments(args, kwargs)
            deps = evidence.deps()
            found = Finding("missing tag", name, arguments, parts, deps, defined_at, called_at())
            self._suspect(found, evidence)

        return verified

    def _parts(
        self,
        name: str,
        view: Callable[[Any], Any] | None,
        kept: Any,
        fresh: Any,
        error: Exception | None,
    ) -> tuple[str, ...]:
        if error is not None:
            return (f"raises {shown(error)}",)
        if view is not None:
            try:
                kept, fresh = view(kept), view(fresh)
            except Exception as raised:  # noqa: BLE001 - users' code
                self._say_once(
                    f"verify= of {name} raised {shown(raised)}; its hits are not compared"
                )
                return ()
        compared = Comparison(kept, fresh)
        for unknown in compared.unknown:
            self._say_once(f"values of {name} cannot be compared in full: {unknown}")
        return tuple(compared.differences)

    def _say_once(self, line: str) -> None:
        with self._changed:
            if line in self._said or len(self._said) >= _MOST_PENDING:
                return
            self._said.add(line)
        _log.warning("%s", line)

    def _suspect(self, finding: Finding, evidence: _zoocache.Evidence) -> None:
        with self._changed:
            is_mutated = ("mutated", *finding.key[1:]) in self._findings
            if is_mutated or finding.key in self._pending or len(self._pending) >= _MOST_PENDING:
                return
            due = time.monotonic() + self._lease_s()
            self._pending[finding.key] = _Pending(finding, evidence, due)
            if self._runs:
                return
            self._runs = True
        try:
            threading.Thread(target=self._judge_later, name="zoocache-verify", daemon=True).start()
        except RuntimeError:  # the interpreter ends: who asks for findings judges them
            self._runs = False

    def _judge_later(self) -> None:
        changed = self._changed
        while True:
            with changed:
                if self._changed is not changed:
                    return
                if not self._pending:
                    self._runs = False
                    return
                first = min(one.due for one in self._pending.values())
                changed.wait(max(0.0, first - time.monotonic()))
                if self._changed is not changed:
                    return
            self._judge(time.monotonic())

    def _judge(self, until: float) -> None:
        """Decides about what is due by then."""
        with self._changed:
            due = [one for one in self._pending.values() if one.due <= until]
        is_known = bool(due) and self.catch_up()
        for one in due:
            standing = one.evidence.standing()
            with self._changed:
                if self._pending.get(one.finding.key) is not one:
                    continue  # another thread was faster
                del self._pending[one.finding.key]
                self._changed.notify_all()  # the thread that waits for it
            # Not "held" by a writer: its block ends by an invalidation.
            if is_known and standing == "current":
                told = self._invalidated_since(one.evidence.born)
                self.report(dataclasses.replace(one.finding, invalidated=told))

    def catch_up(self) -> bool:
        """Whether this process reflects all that any had declared when this was called."""
        core = self._cache.core
        try:
            looked, home = _zoocache.home_look(core, []), core.home()
            if looked is None or home is None:
                return True  # no other process declares anything
            clock = looked[1]
            return core.reach(home["generation"], clock, self._lease_s()) == "yes"
        except HomeUnreachable:
            return False

    def _lease_s(self) -> float:
        return float(self._cache.options.get("lease", _LEASE_S))

    def _invalidated_since(self, epoch: int) -> tuple[str, ...]:
        rows = [one for one in self._cache.invalidations() if one.epoch > epoch]
        return tuple(one.cause() for one in rows[:_MOST_TOLD])

    def report(self, finding: Finding) -> None:
        """Puts it into the list; what is new there goes to the log and to `on_finding`, too."""
        with self._changed:
            known = self._findings.get(finding.key)
            if known is not None:
                counted = dataclasses.replace(known, count=known.count + 1)
                self._findings[finding.key] = counted
                return
            most = self._cache.options.get("max_findings", _MOST_FINDINGS)
            if len(self._findings) >= most:
                self._findings.pop(next(iter(self._findings)))
            self._findings[finding.key] = finding
        if finding.kind != "mutated":  # that has a warning of its own
            _log.warning("%s", finding)
        on_finding = self._cache.options.get("on_finding")
        if on_finding is not None:
            try:
                on_finding(finding)
            except Exception:  # noqa: BLE001 - users' code, which nobody waits for
                _log.warning("on_finding=%s failed", shown(on_finding), exc_info=True)

    def findings(self, now: bool) -> list[Finding]:
        """What was found, oldest first; `now`: what is pending is judged first."""
        self._judge(sys.float_info.max if now else time.monotonic())
        with self._changed:
            return list(self._findings.values())


def name_of(fn: Any) -> str:
    """The qualified name of a function, or what there is in its place."""
    return getattr(fn, "__qualname__", None) or shown(fn)


def place_of(fn: Any) -> str:
    """Where a function is, "file.py:41"."""
    code = getattr(fn, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "an unknown place"


def shown_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Arguments as in a call, each cut at 80 characters."""
    named = [f"{name}={shown(value)}" for name, value in kwargs.items()]
    return f"({', '.join([*map(shown, args), *named])})"


def called_at() -> str:
    """The innermost line outside of this package, "file.py:41"."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    if frame is not None and frame.f_globals.get("__name__", "").startswith("asyncio."):
        return "a task"  # made of the call itself: nobody awaits it in between
    return "an unknown place" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
