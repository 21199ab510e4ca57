"""Databases on both servers, several at once, for the tests of Django's connections."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_support import database, settings_of

# isort: split
from django.db import connections
from django.test import override_settings

from django_shop.models import Book


class Places:
    """Settings for one database after the other, of one kind."""

    def __init__(self, request: Any, folder: Path, stack: contextlib.ExitStack) -> None:
        self._request, self._folder, self._stack = request, folder, stack
        self.vendor: str = request.param

    def new(self) -> dict[str, Any]:
        made = settings_of(self._request, self._folder)
        if self.vendor == "postgresql":
            server = self._request.getfixturevalue("postgres")
            made["NAME"] = self._stack.enter_context(server.database())
        else:
            made["NAME"] = str(self._folder / f"{len(list(self._folder.iterdir()))}.db")
        return made

    def open(self, alias: str, given: dict[str, Any], *, tables: bool = True) -> Any:
        wrapper = self._stack.enter_context(database(alias, given, tables=tables))
        if tables:
            for at in range(3):
                Book.objects.using(alias).create(title=f"book {at}", price=at)
        return wrapper

    def set(self, **options: Any) -> None:
        self._stack.enter_context(override_settings(**options))


@pytest.fixture(params=["sqlite", "postgresql"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Places]:
    with contextlib.ExitStack() as stack:
        yield Places(request, tmp_path, stack)


def title(alias: str, key: int = 1) -> str:
    return Book.objects.using(alias).get(pk=key).title


def rename(alias: str, to: str = "new", key: int = 1) -> None:
    Book.objects.using(alias).filter(pk=key).update(title=to)


def in_thread(call: Callable[[], Any]) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if failed:
        raise failed[0]
