"""What a dashboard shows: a cache of this process (`View`), or something else of the same shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from zoocache.dashboard._tree import Page

__all__ = ["Source"]


class Source(Protocol):
    """Answers as docs/DASHBOARD.md has them. Thread-safe; its methods may wait for a home.

    What cannot be known is None, and never a number that looks as if it were.
    """

    def overview(self) -> dict[str, Any]:
        """Everything but the tags."""
        ...

    def children(self, prefix: str, offset: int, limit: int, *, largest_first: bool) -> Page:
        """As `TagTree.children`."""
        ...

    def search(self, text: str, offset: int, limit: int) -> Page:
        """As `TagTree.search`."""
        ...

    def preview(self, tag: str) -> dict[str, Any]:
        """A tag, and what its invalidation would kill. Raises InvalidTag."""
        ...

    def invalidate(self, tag: str) -> int:
        """Returns the epoch. Raises InvalidTag, HomeUnreachable."""
        ...
