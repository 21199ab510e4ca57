"""When the integration begins to look."""

from __future__ import annotations

import functools

from zoocache.contrib.django import _connections, _inserts, _instances, _tests


def see_writes() -> None:
    """From now on writes are seen; before the applications are loaded, too."""
    _connections.follow()
    _inserts.follow()
    _tests.follow()


@functools.cache
def begin() -> None:
    """Follows everything, once all models are there. Called any number of times."""
    see_writes()
    _instances.follow()
