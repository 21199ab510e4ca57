"""`zoocache serve`: the dashboard of a home, on a port of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from zoocache import InvalidOption
from zoocache.cli import _output as output
from zoocache.cli._home import Home
from zoocache.cli._home_view import HomeView
from zoocache.dashboard._access import Access, is_loopback
from zoocache.dashboard._app import Dashboard
from zoocache.dashboard._server import Server

if TYPE_CHECKING:
    from zoocache.cli._home import Place
    from zoocache.cli._survey import Bounds

__all__ = ["serve_home"]

_TOKEN = "ZOOCACHE_DASHBOARD_TOKEN"  # noqa: S105 - its name


def serve_home(
    place: Place, bounds: Bounds, host: str, port: int, token: str | None, interval_s: float
) -> None:
    """Serves until it is interrupted.

    Raises:
        InvalidOption: an option has a value that is not allowed, or the port cannot be had.
        HomeUnreachable: there is no such folder; a server that does not answer is shown as such.
        KeyboardInterrupt: it was.
    """
    if token is None and not is_loopback(host):
        raise InvalidOption(
            f"--host {host}: others can reach it, and no token is set; set {_TOKEN}, or listen on "
            "127.0.0.1"
        )
    try:
        access = Access(token, None)
    except InvalidOption as error:
        raise InvalidOption(f"{_TOKEN} or --token: {error}") from None
    home = Home(place)
    view = HomeView(home, bounds, interval_s)
    try:
        server = Server(host, port, Dashboard(view, access))
    except OSError as error:
        raise InvalidOption(
            f"--host {host} --port {port} cannot be had: {error.strerror or error}; name another "
            "port, or 0 for a free one"
        ) from None
    try:
        with server:
            output.print_line(f"the dashboard of {home.where} is at {server.url}")
            if token is None:
                output.note(f"It is read-only; set {_TOKEN} to invalidate from it.")
            threading.Event().wait()
    finally:
        view.close()
