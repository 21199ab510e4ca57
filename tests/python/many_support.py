"""What the tests of `get_many` share."""

from __future__ import annotations

from typing import Any


class Source:
    """A loader of many beside one of one; what each was asked for."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.single: list[Any] = []

    def many(self, items: list[Any]) -> list[Any]:
        self.batches.append(list(items))
        return [self.value(item) for item in items]

    def one(self, item: Any) -> Any:
        self.single.append(item)
        return self.value(item)

    @staticmethod
    def value(item: Any) -> Any:
        return ("value", item)


def of(*items: Any) -> list[Any]:
    return [Source.value(item) for item in items]
