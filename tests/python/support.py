"""What the behaviour tests share: bounded waiting, gates, threads, scripts in a subprocess."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import zoocache

T = TypeVar("T")

# Nothing in the tests takes this long unless it hangs.
HANG_S = 30.0


class Gate:
    """Holds a loader still: it reports that it is inside and waits to be let out."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()

    def hold(self) -> None:
        """Called by the loader."""
        self.entered.set()
        assert self.released.wait(HANG_S), "nobody released the loader"

    async def hold_async(self) -> None:
        """As `hold`, of a loader on whichever event loop."""
        self.entered.set()
        await wait_until_async(self.released.is_set, "the gate's release")

    def wait_entered(self) -> None:
        assert self.entered.wait(HANG_S), "the loader never started"

    def release(self) -> None:
        self.released.set()


@dataclass
class Outcome:
    """What one thread brought back: a value or an exception."""

    value: Any = None
    error: BaseException | None = None
    thread: threading.Thread = field(default_factory=threading.Thread)

    def join(self) -> Outcome:
        self.thread.join(HANG_S)
        assert not self.thread.is_alive(), "a thread hangs"
        return self

    def result(self) -> Any:
        """The value, or the exception raised again here."""
        self.join()
        if self.error is not None:
            raise self.error
        return self.value


def spawn(call: Callable[..., Any], *args: Any) -> Outcome:
    """Runs the call in a daemon thread, so that a hang cannot outlive the tests."""
    outcome = Outcome()

    def body() -> None:
        try:
            outcome.value = call(*args)
        except BaseException as error:  # the test looks at it
            outcome.error = error

    outcome.thread = threading.Thread(target=body, daemon=True)
    outcome.thread.start()
    return outcome


def spawn_many(count: int, call: Callable[..., Any]) -> list[Outcome]:
    """Starts `count` threads that make the call at the same moment."""
    barrier = threading.Barrier(count)

    def body() -> Any:
        barrier.wait(HANG_S)
        return call()

    return [spawn(body) for _ in range(count)]


def join_all(outcomes: Iterable[Outcome]) -> list[Any]:
    return [outcome.result() for outcome in list(outcomes)]


def wait_until(condition: Callable[[], bool], what: str = "the condition") -> None:
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came true"
        time.sleep(0.002)


async def wait_until_async(condition: Callable[[], bool], what: str = "the condition") -> None:
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came true"
        await asyncio.sleep(0.002)


def wait_joined(count: int) -> None:
    """Waits until `count` calls altogether have begun to wait for somebody else's load."""
    wait_until(lambda: zoocache.stats().flights_joined >= count, f"{count} joined calls")


async def wait_joined_async(count: int) -> None:
    await wait_until_async(
        lambda: zoocache.stats().flights_joined >= count, f"{count} joined calls"
    )


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs the coroutine on a new event loop; a hang becomes a failure."""

    async def bounded() -> T:
        return await asyncio.wait_for(coroutine, HANG_S)

    return asyncio.run(bounded())


def plain_id(value: object) -> str | None:
    """`repr` as the id of a case, where it is the same in every process."""
    text = repr(value)
    return None if " at 0x" in text else text


def run_script(source: str, *, timeout_s: float = 50.0) -> subprocess.CompletedProcess[str]:
    """Runs the source in a new interpreter and returns what it printed and its exit code."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def check_script(source: str, *, timeout_s: float = 50.0) -> str:
    """As run_script, for a script that must succeed; returns its standard output."""
    done = run_script(source, timeout_s=timeout_s)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Fatal Python error" not in done.stderr, done.stderr
    return done.stdout


def counting(cache: zoocache.Cache, versions: Versions) -> Any:
    """A function of one name in every cache; its value is the number of its load."""

    @cache.cacheable(deps=["org:acme:user:{x}"], namespace="get", version="1")
    def get(x: int) -> int:
        return versions.next()

    return get


class Versions:
    """A counter behind a cached function: every load returns the next number.

    With a gate, the first load is held there.
    """

    def __init__(self, gate: Gate | None = None) -> None:
        self.loads = 0
        self._gate = gate

    def next(self) -> int:
        self.loads += 1
        value = self.loads
        if value == 1 and self._gate is not None:
            self._gate.hold()
        return value

    async def next_async(self) -> int:
        self.loads += 1
        value = self.loads
        if value == 1 and self._gate is not None:
            await self._gate.hold_async()
        return value
