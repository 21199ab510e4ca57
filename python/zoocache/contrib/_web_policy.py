"""What may be kept of a response, for whom, for how long, and what is sent of it.

A response is *own* when it is for its caller alone: then nobody who waited for it gets it. It is
*stored* when later callers get it, too. What is own is never stored.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zoocache._errors import InvalidOption, shown
from zoocache._options import check_count, check_seconds

__all__ = ["Policy", "Stored", "content_of", "copy_of_error", "reply_to", "size_of", "status_of"]

Headers = list[tuple[bytes, bytes]]

# status, headers, body, when it was made (seconds since 1970), the framework's mark, seconds for
# which it may be kept (-1: as long as the endpoint's ttl says)
Stored = tuple[int, tuple[tuple[bytes, bytes], ...], bytes, float, int, float]

# Which of these a caller gets depends on headers that are in no key (conditions, a range) or on who
# asks and how often.
_OWN_STATUSES = frozenset({206, 304, 401, 403, 407, 408, 412, 416, 421, 425, 429, 511})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DIRECTIVE = re.compile(r'([^\s,=]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,]*))?')
_ETAG = re.compile(r'(?:W/)?("[^"]*")')
# Of one connection or one moment; a server adds them anew.
_DROPPED = frozenset(
    b"age connection date keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
_OF_THE_BODY = frozenset(
    b"content-length content-type content-encoding content-language content-range".split()
)
_ENTRY_BYTES = 256  # what an entry takes besides its headers and body, about


class Policy:
    """The options that say what is kept. Immutable after construction.

    Raises (from the constructor):
        InvalidOption: one has a value that is not allowed.
    """

    def __init__(self, given: Mapping[str, Any], *, has_user: bool) -> None:
        self.has_user = has_user
        self.ttl = check_seconds("ttl", given.get("ttl"))
        self.vary = _vary(given.get("vary", ()))
        self.cache_status = _statuses(given.get("cache_status", ()))
        self.max_body_bytes = check_count("max_body_bytes", given.get("max_body_bytes", 2**20), 0)
        control = given.get("cache_control", "private, no-cache")
        if not isinstance(control, str) or not control.isascii() or not control.isprintable():
            raise InvalidOption(
                f"cache_control={shown(control)} is not allowed: the text of a Cache-Control header"
            )
        self._control = control.encode()
        covered = {"authorization", "cookie"} if has_user else set[str]()
        self._covered = frozenset({*self.vary, *covered})

    def why_own(self, status: int, headers: Headers, body: bytes | None) -> str | None:
        """Why a response is its caller's alone; None if it is not."""
        if body is None:
            return "a response that is sent in pieces (a stream, a file) cannot be kept"
        if self.max_body_bytes is not None and len(body) > self.max_body_bytes:
            return f"a body is longer than max_body_bytes={self.max_body_bytes}"
        if values_of(headers, b"set-cookie"):
            return "a response sets a cookie"
        for name in fields(values_of(headers, b"vary")):
            if name not in self._covered:
                return f"a response varies by {name!r}, which is not in vary="
        control = directives(values_of(headers, b"cache-control"))
        for name in ("no-store", "private"):
            if name in control:
                return f"a response says Cache-Control: {name}"
        if freshness(control) == 0:
            return "a response says Cache-Control: max-age=0"
        if status in _OWN_STATUSES:
            return f"status {status} depends on what is in no key"
        return None

    def is_own_error(self, status: int | None, error: Exception) -> bool:
        """Whether an exception that will become a response is its caller's alone."""
        if status in _OWN_STATUSES or getattr(error, "response", None) is not None:
            return True
        headers: Any = getattr(error, "headers", None)
        return isinstance(headers, Mapping) and any(
            str(name).lower() in ("set-cookie", "vary", "cache-control") for name in headers
        )

    def is_stored(self, status: int) -> bool:
        """Whether a response with this status is kept for later callers."""
        return 200 <= status < 400 or status in self.cache_status

    def ttl_of(self, value: Any) -> float | None:
        """Seconds to live of what a load gave, as `cacheable(ttl=)` wants it."""
        if value is None:
            return None
        if len(value) == 2:
            return self._least(self.cache_status.get(value[1]))
        return self._least(None if value[5] < 0 else value[5])

    def _least(self, bound: float | None) -> float | None:
        if bound is None:
            return self.ttl
        return bound if self.ttl is None else min(bound, self.ttl)

    def finished(self, status: int, headers: Headers, body: bytes, mark: int) -> Stored:
        """What is kept of a response: with validator, Vary and Cache-Control."""
        kept = [
            (name, value)
            for name, value in headers
            if name.lower() not in _DROPPED and name.lower() != b"vary"
        ]
        control = directives(values_of(headers, b"cache-control"))
        fresh = freshness(control)
        varies = fields(values_of(headers, b"vary"))
        varies += [name for name in self.vary if name not in varies]
        if varies:
            kept.append((b"vary", ", ".join(varies).encode("latin-1")))
        if not control:
            kept.append((b"cache-control", self._control))
        if not values_of(headers, b"etag"):
            kept.append((b"etag", _etag(status, headers, body)))
        seconds = self.cache_status.get(status, math.inf)
        if fresh is not None:
            seconds = min(seconds, fresh)
        return (
            status,
            tuple(kept),
            body,
            time.time(),
            mark,
            -1.0 if seconds == math.inf else seconds,
        )


def values_of(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    """The values of a header, by its lower-case name."""
    return [value.decode("latin-1") for name, value in headers if name.lower() == wanted]


def fields(values: Iterable[str]) -> list[str]:
    """The names in a list such as Vary's, in lower case."""
    return [one.strip().lower() for value in values for one in value.split(",") if one.strip()]


def directives(values: Iterable[str]) -> dict[str, str | None]:
    """The directives of a Cache-Control; of several of one name the first counts."""
    found: dict[str, str | None] = {}
    for value in values:
        for match in _DIRECTIVE.finditer(value):
            found.setdefault(match[1].lower(), match[2])
    return found


def freshness(control: Mapping[str, str | None]) -> float | None:
    """For how many seconds a response says that it is fresh; what makes no sense is 0."""
    for name in ("s-maxage", "max-age"):
        if name in control:
            text = (control[name] or "").strip('"')
            return float(min(int(text[:12]), 2**31)) if text.isascii() and text.isdecimal() else 0.0
    return None


def _etag(status: int, headers: Headers, body: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    parts = [b"%d" % status, body]
    parts += [
        value.encode("latin-1")
        for name in sorted(_OF_THE_BODY)
        for value in (f"{name.decode()}: {one}" for one in values_of(headers, name))
    ]
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return b'W/"' + digest.hexdigest().encode() + b'"'


def reply_to(
    stored: Stored, values: Callable[[str], list[str]], now: float, is_new: bool
) -> tuple[int, Headers, bytes]:
    """Status, headers and body for one caller: a 304 if it has the response already.

    Args:
        stored: what is kept.
        values: the values of a request's header, by its lower-case name.
        now: seconds since 1970.
        is_new: whether this caller's own run made it; otherwise it has an Age.
    """
    status, headers, body, made, _, _ = stored
    age = [] if is_new else [(b"age", b"%d" % max(0, int(now - made)))]
    conditions = values("if-none-match")
    if conditions and 200 <= status < 300 and _matches(conditions, values_of(headers, b"etag")):
        kept = [one for one in headers if one[0].lower() not in _OF_THE_BODY]
        return 304, [*kept, *age], b""
    return status, [*headers, *age], body


def _matches(conditions: list[str], etags: list[str]) -> bool:
    """The weak comparison of If-None-Match; `*` is any."""
    if any(one.strip() == "*" for one in conditions):
        return True
    known = {match[1] for etag in etags if (match := _ETAG.fullmatch(etag.strip()))}
    return any(match[1] in known for one in conditions for match in _ETAG.finditer(one))


def size_of(value: Any) -> int:
    """The bytes that count for `max_bytes`."""
    if value is None or len(value) == 2:
        return _ENTRY_BYTES
    headers = sum(len(name) + len(text) + 100 for name, text in value[1])
    return _ENTRY_BYTES + headers + len(value[2])


def content_of(value: Any) -> object:
    """What two loads of an unchanged response have in common: not when it was made."""
    if value is None or len(value) == 2:
        return value
    return {"status": value[0], "headers": dict(value[1]), "body": value[2]}


def status_of(error: Exception) -> int | None:
    """The status that an HTTP exception of a framework names."""
    for name in ("status_code", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int) and not isinstance(status, bool):
            return int(status)
    return None


def copy_of_error(error: Exception) -> Exception:
    """The same exception without a traceback, which would keep a request alive."""
    made = type(error).__new__(type(error), *error.args)
    made.__dict__.update(error.__dict__)
    return made


def _vary(given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name) or name == "*":
            raise InvalidOption(f"vary={shown(name)} is not allowed: the name of a request header")
        if name.lower() in ("cookie", "authorization"):
            raise InvalidOption(
                f"vary={name!r} is not allowed: say who asks with user=, a callable of the request"
            )
    return tuple(sorted({name.lower() for name in names}))


def _statuses(given: Any) -> dict[int, float]:
    pairs = given.items() if isinstance(given, Mapping) else [(one, math.inf) for one in given]
    made: dict[int, float] = {}
    for status, seconds in pairs:
        if type(status) is not int or not 400 <= status < 600 or status in _OWN_STATUSES:
            raise InvalidOption(
                f"cache_status={shown(status)} is not allowed: a status from 400 to 599 that does "
                f"not depend on who asks; not {', '.join(map(str, sorted(_OWN_STATUSES)))}"
            )
        made[status] = check_seconds("cache_status", seconds) or math.inf
    return made
