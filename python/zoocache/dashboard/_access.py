"""Who may look, and who may invalidate.

Without token and `authorize=` there is nothing to tell a stranger by but where he comes from: only
peers on this machine whose request names this machine are answered. A page of another site that had
its name point here (DNS rebinding) sends that name as Host.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from typing import Literal

from zoocache._errors import InvalidOption, shown
from zoocache.dashboard._http import Problem, Request

__all__ = ["Access", "Authorize", "is_loopback"]

Authorize = Callable[[Request], 'bool | Literal["read", "write"] | None']

# Of one connection nobody can try more than some thousand per second.
_MIN_TOKEN_LENGTH = 16
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
# What no page of another origin can send: a browser asks first, and is not answered.
WRITE_HEADER = "x-zoocache"


def is_loopback(host: str) -> bool:
    """Whether an address or a name is that of the machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _host_of(netloc: str) -> str:
    """The name or address in "name:port", "[::1]:port"."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0]
    return netloc.partition(":")[0].lower()


def _is_token(token: object) -> bool:
    return (
        isinstance(token, str)
        and len(token) >= _MIN_TOKEN_LENGTH
        and token.isascii()
        and token.isprintable()
        and " " not in token
    )


class Access:
    """The rules; see the module. Thread-safe."""

    def __init__(self, token: str | None, authorize: Authorize | None) -> None:
        if token is not None and not _is_token(token):
            # What it is stays untold: it may be right but for a character.
            raise InvalidOption(
                f"token= is not allowed: a token is a str of {_MIN_TOKEN_LENGTH} or more printable "
                "ASCII characters without spaces; secrets.token_urlsafe() makes one"
            )
        if authorize is not None and not callable(authorize):
            raise InvalidOption(f"authorize={shown(authorize)}: a callable is wanted")
        self._token = None if token is None else token.encode()
        self._authorize = authorize

    @property
    def is_open(self) -> bool:
        """Whether nothing but the place tells who may look."""
        return self._token is None and self._authorize is None

    def check_page(self, request: Request) -> None:
        """For the page and its parts, which hold nothing of the cache. Raises Problem."""
        if self.is_open:
            self._check_place(request)

    def check(self, request: Request) -> bool:
        """Whether the caller may change something. Raises Problem if he may not even look."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        if site not in ("same-origin", "none"):
            raise Problem(403, "cross_site", f"a page of another site asks (sec-fetch-site {site})")
        if self._token is not None:
            kind, _, given = request.headers.get("authorization", "").partition(" ")
            if kind.lower() == "bearer" and hmac.compare_digest(
                given.strip().encode(), self._token
            ):
                return True
        if self._authorize is not None:
            allowed = self._authorize(request)
            if allowed:
                return allowed == "write"
        if not self.is_open:
            raise Problem(401, "token_wanted", "send the token: Authorization: Bearer <token>")
        self._check_place(request)
        return False

    def check_write(self, request: Request) -> None:
        """The same for what changes something. Raises Problem."""
        if not self.check(request):
            raise Problem(
                403,
                "read_only",
                'this dashboard only shows; give it token=, or an authorize= that says "write"',
            )
        if WRITE_HEADER not in request.headers:
            raise Problem(403, "cross_site", f"the header {WRITE_HEADER}: 1 is missing")
        origin = request.headers.get("origin")
        if origin is not None:
            host = request.headers.get("host", "")
            if origin.partition("://")[2].lower() != host.lower():
                raise Problem(403, "cross_site", "the Origin is not the Host")

    def _check_place(self, request: Request) -> None:
        host = request.headers.get("host", "")
        way = next((name for name in _FORWARDED if name in request.headers), None)
        if request.peer is None or not is_loopback(request.peer) or way is not None:
            raise Problem(
                403,
                "not_local",
                "only browsers of this machine may look, and not through a proxy; give the "
                "dashboard token= or authorize= for others",
            )
        if not is_loopback(_host_of(host)):
            raise Problem(
                403,
                "not_local",
                "only http://localhost or a loopback address may name this dashboard, not the "
                "Host of this request; give it token= or authorize= for others",
            )
