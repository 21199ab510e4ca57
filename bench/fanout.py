"""What one server has to send when many processes listen: measured with a few, then simulated.

`Listeners` are connections that subscribe to the log's channel and read what comes, as a process's
control connection does. `simulate` is a queue with one server, as Redis is one thread: heartbeats
of N processes, each with a phase of its own, and invalidations at random times, in the order of
arrival; a heartbeat takes its measured CPU time, an invalidation its own and that of a push for
each process. The network and the processes are not in it.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from server import encoded

LEASE_S = 2.0  # the default; each process asks every third of it
PROCESSES = (10, 100, 1_000, 10_000)
INVALIDATIONS = (1, 10, 100, 1_000)  # a second, of all processes together
SIMULATED_S = 20.0


@dataclass(frozen=True)
class Costs:
    """Microseconds of the server's CPU."""

    heartbeat_us: float
    invalidation_us: float  # with nobody who listens
    push_us: float  # for each who listens


def allow_files(count: int) -> None:
    """So many more than a process usually has open, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Listeners:
    """So many subscribers."""

    def __init__(self, port: int, channel: str, count: int) -> None:
        allow_files(count)
        self._port = port
        self._count = count
        self._epoll = select.epoll()
        self._sockets = []
        self._is_over = False
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port), timeout=30)
            one.sendall(encoded("SUBSCRIBE", channel))
            if not one.recv(1 << 12).startswith(b"*3"):
                raise RuntimeError("the server did not take a subscriber")
            self._epoll.register(one, select.EPOLLIN)
            self._sockets.append(one)

    def _take(self, wait_s: float) -> int:
        """Reads what has come; from how many it was."""
        ready = self._epoll.poll(wait_s, max(1, self._count))
        for descriptor, _ in ready:
            os.read(descriptor, 1 << 16)
        return len(ready)

    def _read(self) -> None:
        while not self._is_over:
            self._take(0.1)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """A thread reads whatever comes."""
        thread = threading.Thread(target=self._read, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over = True
            thread.join()

    def rounds(self, command: list[str], times: int) -> list[float]:
        """From sending an invalidation until the last one here has read of it: microseconds."""
        found = []
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as writer:
            for _ in range(times):
                begun = time.perf_counter()
                writer.sendall(encoded(*command))
                left = self._count
                while left > 0:
                    here = self._take(30)
                    if not here:
                        raise RuntimeError(f"{left} of {self._count} were told nothing")
                    left -= here
                found.append((time.perf_counter() - begun) * 1e6)
                writer.recv(1 << 12)
        return found

    def close(self) -> None:
        for one in self._sockets:
            one.close()
        self._epoll.close()


@contextlib.contextmanager
def listeners(port: int, channel: str, count: int) -> Iterator[Listeners]:
    made = Listeners(port, channel, count)
    try:
        yield made
    finally:
        made.close()


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares: what y grows by with each x."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    above = sum((x - mean_x) * (y - mean_y) for x, y in points)
    below = sum((x - mean_x) ** 2 for x, _ in points)
    return above / below if below else 0.0


def _arrivals(processes: int, rate: float, seed: int) -> list[tuple[float, bool]]:
    """(second, whether it is an invalidation), in order."""
    chance = random.Random(seed)
    every = LEASE_S / 3
    made = []
    for _ in range(processes):
        at = chance.uniform(0, every)
        while at < SIMULATED_S:
            made.append((at, False))
            at += every
    at = chance.expovariate(rate)
    while at < SIMULATED_S:
        made.append((at, True))
        at += chance.expovariate(rate)
    return sorted(made)


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def simulate(costs: Costs, processes: int, rate: float, seed: int = 20) -> dict[str, Any]:
    """Until the last process has been sent an invalidation, and until heartbeats are answered.

    `busy` is the share of its time that the server works; from 1 on the queue grows for ever, and
    there are no delays to tell.
    """
    each_us = costs.invalidation_us + processes * costs.push_us
    beats = processes / (LEASE_S / 3)
    busy = (beats * costs.heartbeat_us + rate * each_us) / 1e6
    made: dict[str, Any] = {"processes": processes, "rate": rate, "busy": round(busy, 4)}
    if busy >= 1:
        return made
    free_at = 0.0
    pushed: list[float] = []
    answered: list[float] = []
    for at, is_invalidation in _arrivals(processes, rate, seed):
        takes_us = each_us if is_invalidation else costs.heartbeat_us
        free_at = max(at, free_at) + takes_us / 1e6
        (pushed if is_invalidation else answered).append(free_at - at)
    for name, found in (("push", sorted(pushed)), ("heartbeat", sorted(answered))):
        for what, share in (("median", 0.5), ("p99", 0.99)):
            value = percentile(found, share) * 1e6 if found else each_us
            made[f"{name}_us_{what}"] = round(value, 1)
    return made


def simulate_all(costs: Costs) -> list[dict[str, Any]]:
    return [simulate(costs, count, rate) for count in PROCESSES for rate in INVALIDATIONS]
