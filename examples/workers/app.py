"""A web app of several worker processes that share invalidations through a folder.

Usage: app.py [--port N] [--workers N] [--folder PATH]

No server is needed besides: no Redis, no daemon. Each worker answers from its own memory or from
what another worker has loaded, and a change that one of them makes is seen by the next request of
every other. A worker that is started anew finds what was loaded before it. Only the standard
library and zoocache are used; in a real program gunicorn or uvicorn starts the workers.

    GET  /notes/7      the note, with the worker that answered and how often it has loaded
    PUT  /notes/7      the body becomes the note
    GET  /count        how many notes there are
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import zoocache
from zoocache import cacheable, invalidate

loads = 0
database_path = ""


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(database_path, timeout=10, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    return connection


# Functions of a program's main module need a name that other processes know.
@cacheable(deps=["notes:{note_id}"], namespace="workers.read_note")
def read_note(note_id: int) -> str | None:
    global loads
    loads += 1
    row = connect().execute("SELECT text FROM notes WHERE id = ?", (note_id,)).fetchone()
    return None if row is None else row[0]


@cacheable(deps=["notes:count"], namespace="workers.count_notes")
def count_notes() -> int:
    global loads
    loads += 1
    return int(connect().execute("SELECT count(*) FROM notes").fetchone()[0])


def write_note(note_id: int, text: str) -> None:
    connect().execute("INSERT OR REPLACE INTO notes (id, text) VALUES (?, ?)", (note_id, text))
    invalidate(f"notes:{note_id}", "notes:count")  # after the commit


def answer(environ, start_response):
    """The WSGI app."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    status, body = "200 OK", {}
    try:
        if path == "/count":
            body["count"] = count_notes()
        elif path.startswith("/notes/") and path[7:].isdigit():
            note_id = int(path[7:])
            if method == "PUT":
                size = int(environ.get("CONTENT_LENGTH") or 0)
                write_note(note_id, environ["wsgi.input"].read(size).decode())
            body["text"] = read_note(note_id)
        else:
            status = "404 Not Found"
    except zoocache.HomeUnreachable as error:  # the change is made, its announcement is retried
        status, body["error"] = "503 Service Unavailable", str(error)
    body |= {"worker": os.getpid(), "loads": loads}
    data = json.dumps(body).encode()
    start_response(
        status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    )
    return [data]


class SharedPortServer(WSGIServer):
    """Every worker listens to the port; the system hands out connections."""

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def run_worker(port: int) -> None:
    with make_server("127.0.0.1", port, answer, SharedPortServer, QuietHandler) as server:
        # After the request that is being answered: an exception would end that one alone.
        def end(*_: object) -> None:
            threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, end)
        server.serve_forever()


def main() -> None:
    global database_path
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="workers-"))
    folder.mkdir(parents=True, exist_ok=True)
    database_path = str(folder / "notes.sqlite")
    connect().execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)")
    zoocache.configure(storage_url=f"lmdb://{folder / 'cache'}")

    workers = []
    for _ in range(given.workers):
        pid = os.fork()
        if pid == 0:
            run_worker(given.port)
            sys.exit(0)
        workers.append(pid)
    print(f"workers {workers} on http://127.0.0.1:{given.port}/notes/1", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        for pid in workers:
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
