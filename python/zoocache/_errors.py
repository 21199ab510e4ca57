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
    """What every error of zoocache is, but for a TypeError of a wrong call."""


class InvalidTag(ZoocacheError, ValueError):
    """A tag breaks a rule, which the message names; nothing was changed.

    Raised where a tag is given: by `invalidate`, `invalidating`, `add_deps`, `set`, `tag`, by
    `cacheable` for its `deps`, and by a call whose `deps` or templates give a wrong tag. Also a
    ValueError.
    """


class InvalidOption(ZoocacheError, ValueError):
    """An option has a value that is not allowed; the message names those that are.

    Raised when the option is given, before anything is changed. Also a ValueError.
    """


class InvalidReceipt(ZoocacheError, ValueError):
    """A text is no receipt, is not signed by the key, or the home has never given it.

    Raised by `Receipt.parse` and at the beginning of an `at_least` block. What comes from outside
    may be anything: it is an error of who sent it. Also a ValueError.
    """


class StorageIsFull(ZoocacheError):
    """A store was refused for want of room.

    Nothing raises it here: a value for which a storage has no room is returned and not kept there,
    which `Stats.l2_refusals` counts. It is the older package's error of this name.
    """


class HomeUnreachable(ZoocacheError, ConnectionError):
    """The shared home of the log does not answer.

    Raised by what declares a change (`invalidate`, `clear`, `set`, `refresh`, the end of a block of
    `invalidating`): it is done in this process, and the home is told again until it acknowledges
    it. By the beginning of such a block: then the write must not begin. By what asks the home
    (`get_tag_version`). Never by a cached call, which loads instead. Also a ConnectionError.
    """


class FlightTimeout(ZoocacheError, TimeoutError):
    """A caller gave up waiting for another caller's load, after `flight_timeout` seconds.

    Raised where `on_flight_timeout="raise"` asks for it; else such a caller loads itself. The load
    goes on for the others. Also a TimeoutError.
    """


class SerializationError(ZoocacheError):
    """A value cannot be kept outside this process; the message names the path inside it.

    Raised by calls whose function says `on_unserializable="raise"`; else the value is kept in this
    process, with one warning in the log.
    """


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
