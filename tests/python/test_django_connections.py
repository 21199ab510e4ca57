"""Which connections a cached function reads and writes on: aliases, databases, pools, threads."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import django
import pytest

from django_fixtures import Places, in_thread, places, rename, title
from django_support import Counted, database, settings_of

# isort: split
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, connections, transaction
from django.db.models import F
from django.test import override_settings

from django_shop.models import Book
from zoocache.contrib.django import _connections


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"replica": {"replica_of": "primary"}}, "primary"),
        ({"defautl": {"alias": "shop"}}, "defautl"),
        ({"default": {"lag": 1}}, "lag"),
        ({"default": {"replica_of": "replica"}, "replica": {"replica_of": "default"}}, "primary"),
        ({"default": "shop"}, "shop"),
        (["default"], "dict"),
    ],
)
def test_options_that_are_none_are_refused(given: Any, named: str) -> None:
    connections.settings["replica"] = connections.settings["default"]
    try:
        with (
            override_settings(ZOOCACHE_DATABASES=given),
            pytest.raises(ImproperlyConfigured, match=named),
        ):
            _connections.check_options()
    finally:
        del connections.settings["replica"]


def open_twice(places: Places) -> None:
    """Two names for one database."""
    given = places.new()
    places.open("default", given)
    places.open("again", given, tables=False)


@pytest.mark.parametrize(("reads", "writes"), [("default", "again"), ("again", "default")])
def test_two_names_of_one_database(places: Places, reads: str, writes: str) -> None:
    open_twice(places)
    read = Counted(title)
    assert read.is_kept(reads)
    rename(writes)
    assert read(reads) == "new"
    assert read.is_kept(reads)
    Book.objects.using(writes).create(title="more")
    assert read.is_kept(reads)  # another row


def test_two_names_share_the_options_of_the_first(places: Places) -> None:
    places.set(ZOOCACHE_DATABASES={"default": {"alias": "shop", "reads": {"random": []}}})
    open_twice(places)
    found = _connections.settled_options("again")
    assert (found["alias"], found["reads"]) == ("shop", {"random": []})
    places.set(ZOOCACHE_DATABASES={"again": {"alias": "own"}})
    assert _connections.settled_options("again")["alias"] == "own"
    assert _connections.settled_options("default")["alias"] == "default"


def test_what_one_name_has_not_committed(places: Places) -> None:
    open_twice(places)
    read = Counted(title)
    read("again")
    with transaction.atomic("default"):
        rename("default")
        assert read("default") == "new"
        assert read("again") == "book 0"
    assert (read("again"), read("default")) == ("new", "new")


def open_both(places: Places) -> None:
    places.open("default", places.new())
    places.open("other", places.new())


def test_two_databases_are_apart(places: Places) -> None:
    open_both(places)
    read = Counted(title)
    assert read.is_kept("default")
    assert read.is_kept("other")
    rename("other")
    assert read.is_kept("default")
    assert (read("default"), read("other")) == ("book 0", "new")


def test_atomic_over_both(places: Places) -> None:
    open_both(places)
    both = Counted(lambda: (title("default"), title("other")))
    assert both.is_kept()
    seen: list[Any] = []
    with transaction.atomic("default"):
        rename("default")
        with transaction.atomic("other"):
            rename("other")
            assert both() == ("new", "new")
        in_thread(lambda: seen.append((both(), both())))
        assert both() == ("new", "new")
    assert seen == [(("book 0", "new"),) * 2]
    in_thread(lambda: seen.append(both()))
    assert both() == ("new", "new") == seen[1]


def test_one_of_both_is_rolled_back(places: Places) -> None:
    open_both(places)
    both = Counted(lambda: (title("default"), title("other")))
    both()
    with transaction.atomic("default"):
        rename("default")
        with pytest.raises(ZeroDivisionError), transaction.atomic("other"):
            rename("other")
            assert both() == ("new", "new")
            raise ZeroDivisionError
        assert both() == ("new", "book 0")
    assert both() == ("new", "book 0")
    assert both.is_kept()


def test_many_sets_of_parameters(places: Places) -> None:
    places.open("default", places.new())
    read = Counted(lambda key: title("default", key))
    count = Counted(Book.objects.count)
    for key in (1, 2, 3):
        read(key)
    count()
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE django_shop_book SET title = %s WHERE id = %s", iter([("a", 1), ("b", 2)])
        )
    loads = read.loads
    assert [read(key) for key in (3, 1, 2)] == ["book 2", "a", "b"]
    assert read.loads == loads + 2
    count()
    with pytest.raises(ZeroDivisionError), transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany("DELETE FROM django_shop_book WHERE id = %s", [(1,), (2,)])
        assert count() == 1
        raise ZeroDivisionError
    assert count() == 3


def open_postgresql(request: pytest.FixtureRequest, **options: Any) -> Any:
    request.param = "postgresql"
    given = settings_of(request, Path())
    given["OPTIONS"] = options
    return database("default", given)


def test_procedures_may_have_changed_anything(request: pytest.FixtureRequest) -> None:
    with open_postgresql(request) as wrapper:
        Book.objects.create(title="old")
        with wrapper.cursor() as cursor:
            cursor.execute(
                "CREATE FUNCTION rename_books(name text) RETURNS integer LANGUAGE sql AS "
                "$$ UPDATE django_shop_book SET title = name RETURNING 1 $$"
            )
        read = Counted(title)
        assert read.is_kept("default")
        with wrapper.cursor() as cursor:
            cursor.callproc("rename_books", ["new"])
        assert read("default") == "new"

        def load() -> str:
            with wrapper.cursor() as cursor:
                cursor.callproc("rename_books", ["newer"])
            return title("default")

        calling = Counted(load)
        assert (calling(), calling(), calling.loads) == ("newer", "newer", 2)


def test_a_connection_that_is_closed_with_writes(places: Places) -> None:
    """They are gone, and with them the reason to pass the cache."""
    places.open("default", places.new())
    read = Counted(title)
    read("default")
    transaction.set_autocommit(False)
    rename("default")
    assert read("default") == "new"
    connection.close()
    assert read("default") == "book 0"
    assert read.loads == 2
    rename("default")
    assert read("default") == "new"
    assert read.is_kept("default")


def test_a_connection_that_is_closed_in_a_block(places: Places) -> None:
    places.open("default", places.new())
    read = Counted(title)
    with pytest.raises(DatabaseError), transaction.atomic():
        rename("default")
        connection.close()
        Book.objects.count()
    assert read("default") == "book 0"
    assert read.is_kept("default")


def test_a_server_that_ends_the_session(request: pytest.FixtureRequest) -> None:
    with open_postgresql(request) as wrapper:
        Book.objects.create(title="old")
        read = Counted(title)
        read("default")
        with pytest.raises(DatabaseError), transaction.atomic():
            rename("default")
            process = wrapper.connection.info.backend_pid
            server = request.getfixturevalue("postgres")
            with server.connect("postgres") as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [process])
            rename("default", "lost")
        wrapper.close_if_unusable_or_obsolete()
        assert read("default") == "old"
        assert read.is_kept("default")
        rename("default")
        assert read("default") == "new"


def test_persistent_connections_are_followed_when_they_come_back(places: Places) -> None:
    wrapper = places.open("default", {**places.new(), "CONN_MAX_AGE": 0})
    read = Counted(title)
    for name in ("once", "twice"):
        assert read.is_kept("default")
        before = wrapper.connection
        wrapper.close_if_unusable_or_obsolete()
        wrapper.ensure_connection()
        assert wrapper.connection is not before
        rename("default", name)
        assert read("default") == name


@pytest.mark.skipif(django.VERSION < (5, 1), reason="Django 5.1 is the first to have pools")
def test_connections_of_a_pool_stay_as_they_were_left(request: pytest.FixtureRequest) -> None:
    pytest.importorskip("psycopg_pool")
    pool = {"min_size": 1, "max_size": 1}
    with open_postgresql(request, pool=pool) as wrapper:
        try:
            Book.objects.create(title="old")
            read = Counted(title)
            assert read.is_kept("default")
            with wrapper.cursor() as cursor:
                cursor.execute("CREATE SCHEMA own")
                cursor.execute("CREATE TABLE own.django_shop_book AS TABLE django_shop_book")
                cursor.execute("SET search_path TO own, public")
            wrapper.close()
            kept: list[bool] = []
            in_thread(lambda: kept.append(read.is_kept("default")))
            assert kept == [False]  # it was given the same session of the server
        finally:
            wrapper.close()
            wrapper.close_pool()


def test_threads_have_connections_of_their_own(places: Places) -> None:
    """No call gives less than what was committed before it began."""
    places.open("default", places.new())
    read = Counted(lambda key: Book.objects.get(pk=key).price)
    lock = threading.Lock()
    committed = {1: Book.objects.get(pk=1).price, 2: Book.objects.get(pk=2).price}
    stale: list[str] = []

    def work(number: int) -> None:
        key = 1 + number % 2
        for turn in range(25):
            with lock:
                known = dict(committed)
            for one in (1, 2):
                found = read(one)
                if found < known[one]:
                    stale.append(f"{found} and not {known[one]}")
            if turn % 5 == number:
                with lock:
                    with transaction.atomic():
                        Book.objects.filter(pk=key).update(price=F("price") + 1)
                        found = read(key)
                    if found != committed[key] + 1:
                        stale.append(f"{found} and not its own")
                    committed[key] += 1

    threads = [threading.Thread(target=lambda n=n: in_thread(lambda: work(n))) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert stale == []
    assert read(1) == Book.objects.get(pk=1).price
    assert read.loads < 4 * 50
