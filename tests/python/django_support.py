"""Django for the tests: settings once for the process, its tables in a database of each test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            *(["rest_framework"] if find_spec("rest_framework") else []),
            "django_shop",
            "zoocache.contrib.django",
        ],
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        SECRET_KEY="tests",
        ROOT_URLCONF="django_shop.urls",
        ALLOWED_HOSTS=["*"],
        DEBUG_PROPAGATE_EXCEPTIONS=True,
        MIDDLEWARE=[],
    )
    django.setup()

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_shop import models
from zoocache import cacheable
from zoocache.contrib.django import _connections

ENGINES = {"sqlite": "django.db.backends.sqlite3", "postgresql": "django.db.backends.postgresql"}


def database_settings(dialect: str, folder: Path, postgres: Any, name: str) -> dict[str, Any]:
    """As in DATABASES; with the write-ahead log, so that readers of SQLite do not wait."""
    if dialect == "sqlite":
        return {"ENGINE": ENGINES[dialect], "NAME": str(folder / f"{name}.db"), "OPTIONS": {}}
    kept = {"HOST": "127.0.0.1", "PORT": str(postgres.port), "USER": "zoo"}
    return {"ENGINE": ENGINES[dialect], "NAME": name, **kept}


MODELS = ("Publisher", "Tag", "Book", "Comic", "Code", "Pending", "Room", "Shelf")


def settings_of(request: Any, folder: Path) -> dict[str, Any]:
    """For a fixture with a parameter: "sqlite" or "postgresql"."""
    server, name = None, "django"
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        name = request.getfixturevalue("postgres_database")
    return database_settings(request.param, folder, server, name)


@contextlib.contextmanager
def database(
    alias: str, given: dict[str, Any], *, tables: bool = True
) -> Iterator[BaseDatabaseWrapper]:
    """A connection of that name with the tables of all models, for the time of the block."""
    kept = connections.settings.get(alias)
    connections.settings[alias] = connections.configure_settings({"default": {}, alias: given})[
        alias
    ]
    with contextlib.suppress(AttributeError):
        del connections[alias]
    _connections._databases.clear()
    wrapper: Any = connections[alias]
    if wrapper.vendor == "sqlite":
        with wrapper.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = wal")
    try:
        if tables:
            with wrapper.schema_editor() as editor:
                for name in MODELS:
                    editor.create_model(getattr(models, name))
        yield wrapper
    finally:
        wrapper.close()
        with contextlib.suppress(AttributeError):
            del connections[alias]
        del connections.settings[alias]
        if kept is not None:
            connections.settings[alias] = kept
        _connections._databases.clear()


@contextlib.contextmanager
def other_connection(alias: str) -> Iterator[BaseDatabaseWrapper]:
    """Another connection to the same database, as another thread has one."""
    wrapper = connections.create_connection(alias)
    wrapper.inc_thread_sharing()
    try:
        yield wrapper
    finally:
        wrapper.close()


@contextlib.contextmanager
def using(wrapper: BaseDatabaseWrapper, alias: str = "default") -> Iterator[None]:
    """In the block, the name stands for that connection."""
    mine = connections[alias]
    connections[alias] = wrapper
    try:
        yield
    finally:
        connections[alias] = mine


@contextlib.contextmanager
def queries(count: int) -> Iterator[None]:
    """The block asks the database so many times."""
    asked: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        yield
    assert len(asked) == count, asked


class Counted:
    """A cached function, and how often it was run."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.loads = 0

        def load(*args: Any) -> Any:
            self.loads += 1
            return call(*args)

        self.load = cacheable(load)

    def __call__(self, *args: Any) -> Any:
        return self.load(*args)

    def is_kept(self, *args: Any) -> bool:
        """Whether what a call gives is there for the next."""
        self.load(*args)
        before = self.loads
        self.load(*args)
        return self.loads == before
