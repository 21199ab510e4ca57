"""A page that shows what a cache does, for any ASGI or WSGI program, or on a port of its own.

::

    app.mount("/zoocache", zoocache.dashboard.app)         # FastAPI, Starlette
    zoocache.dashboard.serve(port=8765)                    # blocks
    with zoocache.dashboard.start() as server:             # in a thread
        print(server.url)

Without `token=` or `authorize=` it answers browsers of this machine alone, and changes nothing.
docs/DASHBOARD.md has the rules, the options and the JSON that the page is made of.
"""

from __future__ import annotations

from zoocache.dashboard._app import Dashboard, create_app
from zoocache.dashboard._http import Request
from zoocache.dashboard._server import Server, serve, start

__all__ = ["Dashboard", "Request", "Server", "app", "create_app", "serve", "start"]

app = create_app()
"""Shows the default cache to browsers of this machine."""
