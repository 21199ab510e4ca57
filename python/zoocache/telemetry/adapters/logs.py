"""Counts as lines of a log."""

from __future__ import annotations

import json
import logging
from typing import Any

from zoocache._errors import InvalidOption, shown
from zoocache.telemetry.base import Labels, TelemetryAdapter

__all__ = ["LogAdapter"]


class LogAdapter(TelemetryAdapter):
    """Writes a line for each change. Thread-safe.

    Args:
        logger: where to; default the logger `name`.
        name: of that logger.
        level: of the lines: a number of `logging` or its name, in any case.
        format_json: lines are JSON objects with telemetry_type, metric_name, value and labels.

    Raises:
        InvalidOption: `level` names no level.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        name: str = "zoocache.telemetry",
        level: int | str = logging.INFO,
        format_json: bool = False,
    ) -> None:
        self._logger = logger or logging.getLogger(name)
        number = level if isinstance(level, int) else getattr(logging, level.upper(), None)
        if not isinstance(number, int):
            raise InvalidOption(
                f"level={shown(level)} is not allowed: a number, or a name such as 'INFO'"
            )
        self._level = number
        self._format_json = format_json

    def increment(self, name: str, value: float = 1.0, labels: Labels = None) -> None:
        """Writes how much a counter grew."""
        self._write("increment", name, value, labels)

    def observe(self, name: str, value: float, labels: Labels = None) -> None:
        """Writes one value of a distribution."""
        self._write("observe", name, value, labels)

    def set_gauge(self, name: str, value: float, labels: Labels = None) -> None:
        """Writes what a gauge has."""
        self._write("gauge", name, value, labels)

    def close(self) -> None:
        """Does nothing."""

    def bind_core(self, core: Any) -> None:
        """Does nothing."""

    def _write(self, kind: str, name: str, value: float, labels: Labels) -> None:
        if not self._logger.isEnabledFor(self._level):
            return
        if self._format_json:
            line = {"telemetry_type": kind, "metric_name": name, "value": value}
            self._logger.log(self._level, "%s", json.dumps({**line, "labels": labels or {}}))
            return
        shown_labels = f" {labels}" if labels else ""
        self._logger.log(self._level, "[%s] %s: %s%s", kind.upper(), name, value, shown_labels)
