"""Replicas: what is read there is as old as they may be behind, and stored if that is known."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from django_fixtures import Places, in_thread, places, rename
from django_support import Counted

# isort: split
from django.db import connections, transaction

import zoocache
from django_shop.models import Book


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What replicas look at, in seconds."""
    now = [1000.0]
    module = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("zoocache.contrib._database.time", module)
    return now


def replicate(to: str = "new") -> None:
    """What the primary's log would do, past Django."""
    cursor = connections["replica"].connection.cursor()
    cursor.execute(f"UPDATE django_shop_book SET title = '{to}' WHERE id = 1")
    cursor.close()


class ReadsFromTheReplica:
    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"


def open_replica(places: Places, **options: Any) -> None:
    """A primary and a replica that the test brings up to date by hand."""
    given = {"replica": {"replica_of": "default", **options}, "default": {"alias": "shop"}}
    places.set(ZOOCACHE_DATABASES=given)
    places.open("default", places.new())
    places.open("replica", places.new())
    places.set(DATABASE_ROUTERS=[ReadsFromTheReplica()])


def routed_title() -> str:
    return Book.objects.get(pk=1).title


def test_what_a_replica_gives_is_not_stored_without_its_lag(places: Places) -> None:
    open_replica(places)
    read = Counted(routed_title)
    assert (read(), read(), read.loads) == ("book 0", "book 0", 2)


def test_a_replica_that_is_behind(places: Places, clock: list[float]) -> None:
    open_replica(places, replica_lag=10.0)
    clock[0] += 1
    read = Counted(routed_title)
    assert not read.is_kept()  # of the last ten seconds nobody knows anything
    clock[0] += 10
    assert read.is_kept()
    rename("default")
    assert read() == "book 0"  # as without a cache, and not stored
    clock[0] += 1
    replicate()
    assert read() == "new"
    assert not read.is_kept()
    clock[0] += 10
    assert read.is_kept()
    assert any("db:shop:django_shop_book:1" in str(tag) for tag in zoocache.tags("db"))


def test_a_transaction_on_a_replica_is_as_old_as_its_beginning(
    places: Places, clock: list[float]
) -> None:
    open_replica(places, replica_lag=10.0)
    clock[0] += 1
    read = Counted(routed_title)
    read()
    clock[0] += 20
    rename("default")
    clock[0] += 1
    repeatable = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    with transaction.atomic(using="replica"):
        if places.vendor == "postgresql":
            with connections["replica"].cursor() as cursor:
                cursor.execute(repeatable)
        Book.objects.count()  # takes the snapshot
        in_thread(replicate_anew)
        for _ in range(2):
            clock[0] += 20
            assert read() == "book 0"
    assert read() == "new"


def replicate_anew() -> None:
    """On another thread's connection, which sees no snapshot of this one's."""
    connections["replica"].ensure_connection()
    replicate()
    connections.close_all()


def test_an_open_cursor_on_a_replica(
    tmp_path: Path, clock: list[float], request: pytest.FixtureRequest
) -> None:
    request.param = "sqlite"  # which alone keeps a snapshot for it
    with contextlib.ExitStack() as stack:
        places = Places(request, tmp_path, stack)
        open_replica(places, replica_lag=10.0)
        read = Counted(routed_title)
        read()
        clock[0] += 20
        rename("default")
        clock[0] += 1
        rows = Book.objects.order_by("id").iterator(chunk_size=1)
        next(rows)
        in_thread(replicate_anew)
        for _ in range(2):
            clock[0] += 20
            assert read() == "book 0"
        list(rows)
        assert read() == "new"


def test_a_mirror_of_the_tests_is_a_replica(places: Places) -> None:
    given = places.new()
    places.open("default", given)
    places.open("replica", {**given, "TEST": {"MIRROR": "default"}}, tables=False)
    places.set(DATABASE_ROUTERS=[ReadsFromTheReplica()])
    read = Counted(routed_title)
    assert not read.is_kept()
    rename("default")
    assert read() == "new"


def test_instances_remember_where_they_were_read(places: Places, clock: list[float]) -> None:
    open_replica(places, replica_lag=0)
    clock[0] += 1
    read = Counted(lambda: Book.objects.get(pk=1))
    assert read.is_kept()
    assert read()._state.db == "replica"
