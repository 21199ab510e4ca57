"""A real PostgreSQL for one run of the tests: a cluster of its own, on a free port of loopback.

The fixtures `postgres` (the server, one for the session) and `postgres_database` (a database, one
for each test) are in conftest.py. A test that needs another database calls `create_database`.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from redis_server import free_port

HANG_S = 50.0
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "max_prepared_transactions": "10",
    "listen_addresses": "127.0.0.1",
}
# Of Linux: the server ends with the tests, however they end.
PR_SET_PDEATHSIG = 1


def program(name: str) -> str:
    """A program of PostgreSQL; Debian keeps them out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = shutil.which(name) or (str(found[-1]) if found else None)
    assert path is not None, f"{name} is not there; scripts/setup installs it"
    return path


def ordinary_user() -> str | None:
    """Whom the server runs as: PostgreSQL refuses root. None: as whom the tests run."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise AssertionError("PostgreSQL does not run as root, and no ordinary user is there")


class PostgresServer:
    """Starts and stops; by its own process only."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="zoocache-postgres-"))
        self.user = ordinary_user()
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        self.port = free_port()
        self._numbers = itertools.count(1)
        self._emptied: list[str] = []
        self._run("initdb", "-D", "data", "-U", "zoo", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        options += [f"-cunix_socket_directories={self.folder}", "-p", str(self.port)]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", "data", *options],
                cwd=self.folder,
                user=self.user,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT),
            )
        self._wait()

    def _run(self, name: str, *arguments: str) -> None:
        command = [program(name), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, user=self.user, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def _wait(self) -> None:
        deadline = time.monotonic() + HANG_S
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                self.connect("postgres").close()
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.02)

    def settings(self, database: str) -> dict[str, str | int]:
        """Keywords of a connection, as psycopg and asyncpg take them (asyncpg: database=)."""
        return {"host": "127.0.0.1", "port": self.port, "user": "zoo", "dbname": database}

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """`postgresql+psycopg` and the like as the scheme for SQLAlchemy."""
        return f"{scheme}://zoo@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection:
        """A connection in autocommit."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="zoo", dbname=database, autocommit=True
        )

    def create_database(self) -> str:
        """The name of a new empty database."""
        name = f"zoo_{next(self._numbers)}"
        with self.connect("postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        """Also when connections to it are open."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with self.connect("postgres") as connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """An empty database for the time of the block."""
        name = self._emptied.pop() if self._emptied else self.create_database()
        try:
            yield name
        finally:
            if self._empty(name):
                self._emptied.append(name)
            else:
                self.drop_database(name)

    def _empty(self, name: str) -> bool:
        """Whether it is as new; that takes a tenth of the time that making one takes."""
        sessions = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        changed = (
            "SELECT 1 FROM pg_db_role_setting UNION SELECT 1 FROM pg_prepared_xacts "
            "UNION SELECT 1 FROM pg_event_trigger UNION SELECT 1 FROM pg_publication"
        )
        own = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'"
        with self.connect("postgres") as connection:
            connection.execute(sessions, [name])
        with self.connect(name) as connection:
            if connection.execute(changed).fetchone() is not None:
                return False
            for (schema,) in connection.execute(own).fetchall():
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
            connection.execute("CREATE SCHEMA public")
            connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        return True

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # ends sessions, then the server
        self._process.wait(HANG_S)
        shutil.rmtree(self.folder)
