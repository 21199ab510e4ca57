"""A port of its own, on the standard library's server: enough for the few who look."""

from __future__ import annotations

import socket
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from zoocache._errors import InvalidOption, shown
from zoocache.dashboard._access import is_loopback
from zoocache.dashboard._app import Dashboard, create_app

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Server", "serve", "start"]

_SILENT_S = 30.0


class _Handler(WSGIRequestHandler):
    timeout = _SILENT_S  # of a connection on which nothing comes

    def address_string(self) -> str:
        return str(self.client_address[0])  # its name would be asked of a name server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keeps requests out of standard error."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def server_bind(self) -> None:
        """Without asking a name server for the host's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


def _bound(host: str, port: int, app: Dashboard) -> _Server:
    """Listens. Raises InvalidOption, OSError."""
    if not isinstance(host, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidOption(f"host={shown(host)}: a str is wanted, such as '127.0.0.1'")
    if type(port) is not int or not 0 <= port <= 65_535:
        raise InvalidOption(f"port={shown(port)}: 0 to 65535 is allowed; 0 takes a free one")
    if app.is_open and not is_loopback(host):
        raise InvalidOption(
            f"host={shown(host)}: others can reach it; give token= or authorize=, or listen on "
            "127.0.0.1"
        )
    server = (_Server6 if ":" in host else _Server)((host, port), _Handler)
    server.set_app(app.wsgi)
    return server


def _url_of(server: _Server) -> str:
    host, port = str(server.server_address[0]), server.server_address[1]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class Server:
    """A dashboard that is served by a thread; `start` makes it. For `with`.

    Attributes:
        url: where it is.
    """

    def __init__(self, host: str, port: int, app: Dashboard) -> None:
        self._server = _bound(host, port, app)
        self.url = _url_of(self._server)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="zoocache-dashboard", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Ends it: what is asked later is refused. A second time does nothing."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def start(host: str = "127.0.0.1", port: int = 8765, **options: Any) -> Server:
    """Serves a dashboard in a thread of its own, which does not keep the program from ending.

    Args:
        host: the address to listen on; one that others reach needs `token=` or `authorize=`.
        port: 0 to 65,535; 0: a free one, which `Server.url` names.
        **options: as `create_app`.

    Raises:
        InvalidOption: an option has a value that is not allowed.
        OSError: the port cannot be had.
    """
    return Server(host, port, create_app(**options))


def serve(host: str = "127.0.0.1", port: int = 8765, **options: Any) -> None:
    """As `start`, in this thread, until it is interrupted.

    Raises:
        InvalidOption, OSError: as `start`.
    """
    server = _bound(host, port, create_app(**options))
    print(f"the dashboard is at {_url_of(server)}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
