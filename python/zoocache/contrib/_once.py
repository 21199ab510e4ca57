"""Lines of a log that are worth saying once."""

from __future__ import annotations

import logging
import threading

__all__ = ["Once"]

_MOST = 1000  # lines that are remembered; what is new after that is not said


class Once:
    """Warns with each line the first time. Thread-safe.

    Args:
        log: where the lines go.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._said: set[str] = set()

    def __call__(self, message: str, *args: object) -> None:
        """Says `message % args`, if that was not said before."""
        line = message % args if args else message
        with self._lock:
            if line in self._said or len(self._said) >= _MOST:
                return
            self._said.add(line)
        self._log.warning("%s", line)

    def forget(self) -> None:
        """From now on everything is new."""
        with self._lock:
            self._said.clear()
