"""Events and questions of a replay in one order of time.

The data knows minutes only; the events of one minute are spread evenly over its seconds, in the
data's order, and questions fall between them. Event number n (from 1) is the database's sequence n.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from events import Event
from workload import Question, Workload


class Item(NamedTuple):
    at_s: float
    question: Question | None
    event: Event | None
    sequence: int  # of the event; 0 for a question


class Timeline:
    """Each iteration belongs to one thread."""

    def __init__(self, events: list[Event], workload: Workload, start: int, end: int) -> None:
        self.start, self.end = start, end
        self._workload = workload
        self._minutes: dict[int, list[Event]] = {}
        for event in events:
            self._minutes.setdefault(event.minute, []).append(event)
        self.events = events

    def minutes(self) -> Iterator[list[Item]]:
        """The items of each minute, oldest first."""
        sequence = 0
        for minute in range(self.start, self.end):
            items = [
                Item(minute * 60 + second, question, None, 0)
                for second, question in self._workload.questions(minute)
            ]
            happened = self._minutes.get(minute, [])
            for place, event in enumerate(happened):
                sequence += 1
                items.append(Item(minute * 60 + 60 * place / len(happened), None, event, sequence))
            items.sort(key=lambda item: (item.at_s, item.sequence))
            yield items
