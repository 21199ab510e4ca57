"""How hits and misses grew, as whoever looked saw it: no thread is needed for it."""

from __future__ import annotations

from collections import deque

__all__ = ["History"]

Sample = tuple[float, int, int]  # seconds since 1970, hits, misses


class History:
    """Samples of counters that only grow, of the newest `span_s` seconds.

    While nothing happens nothing is added, so that what is shown stays the same: the moment at
    which it was last seen to be as before is kept aside until it changes.

    Thread-safety: one thread at a time.
    """

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._samples: deque[Sample] = deque()
        self._still: Sample | None = None

    def add(self, now_s: float, hits: int, misses: int) -> None:
        """Notes the counters of now; smaller ones than before begin a new history."""
        sample = (now_s, hits, misses)
        last = self._samples[-1] if self._samples else None
        if last is not None and (hits < last[1] or misses < last[2] or now_s < last[0]):
            self._samples.clear()
            last = None
        if last is not None and last[1:] == sample[1:]:
            self._still = sample
            return
        if self._still is not None and last is not None:
            self._samples.append(self._still)
        self._still = None
        self._samples.append(sample)
        while self._samples[0][0] < now_s - self._span_s:
            self._samples.popleft()

    def rows(self) -> list[Sample]:
        """The oldest first."""
        return list(self._samples)
