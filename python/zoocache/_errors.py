"""The errors of zoocache.

::

    ZoocacheError
    ├── InvalidTag (also a ValueError)            a tag breaks a rule
    ├── InvalidOption (also a ValueError)         an option has a value that is not allowed
    ├── StorageIsFull                             a store was refused for want of room
    ├── HomeUnreachable (also a ConnectionError)  the shared home of the log does not answer
    ├── InvalidReceipt (also a ValueError)        a text is no receipt, or a receipt nobody gave
    ├── FlightTimeout (also a TimeoutError)       a caller gave up waiting for another's load
    └── SerializationError                        a value cannot be kept outside this process

Every message names the offending value, the rule and the remedy. Values are cut at 80 characters.
"""
# ruff: noqa: N818 - these names are the published ones

from __future__ import annotations

__all__ = [
    "FlightTimeout",
    "HomeUnreachable",
    "InvalidOption",
    "InvalidReceipt",
    "InvalidTag",
    "Refused",
    "SerializationError",
    "StorageIsFull",
    "ZoocacheError",
    "redacted",
    "shown",
]

_SHOWN_LENGTH = 80


class ZoocacheError(Exception):
    """What every error of zoocache is."""


class InvalidTag(ZoocacheError, ValueError):
    """A tag breaks a rule; nothing was changed."""


class InvalidOption(ZoocacheError, ValueError):
    """An option has a value that is not allowed."""


class InvalidReceipt(ZoocacheError, ValueError):
    """A text is no receipt, or the home has never given it."""


class StorageIsFull(ZoocacheError):
    """A store was refused for want of room."""


class HomeUnreachable(ZoocacheError, ConnectionError):
    """The shared home of the log does not answer."""


class FlightTimeout(ZoocacheError, TimeoutError):
    """A caller gave up waiting for another caller's load, as its option asked."""


class SerializationError(ZoocacheError):
    """A value cannot be kept outside this process; the message names the path inside it."""


class Refused(Exception):
    """Why a value cannot be kept; the codec makes a SerializationError of it."""


def shown(value: object) -> str:
    """The value as messages show it: its repr, cut at 80 characters; never raises."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a broken repr must not hide the error being reported
        text = f"<{type(value).__name__} object>"
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 3] + "..."


def redacted(url: object) -> object:
    """A URL as messages show it: of one that may hold a password nothing but the scheme.

    A mistyped URL may have its password anywhere, so that no part of it is known to be none.
    """
    if not isinstance(url, str) or url.startswith("lmdb://"):
        return url
    scheme, separator, _ = url.partition("://")
    if separator and "@" not in scheme:
        return f"{scheme}://***"
    return "***" if "@" in url else url
