"""Querysets whose queries are cached: what is asked of the database once, and when again."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_support import database, other_connection, queries, settings_of, using

# isort: split
from asgiref.sync import async_to_sync
from django.core.paginator import Paginator
from django.db import connection, transaction
from django.db.models import Avg, Count, F, Manager, Prefetch, Q, Sum, Value
from django.template import Context, Engine

import zoocache
from django_shop.models import Book, Publisher, Room, Shelf, Tag
from zoocache import InvalidOption
from zoocache.contrib.django import CacheableQuerySet, ZooCacheManager, ZooCacheQuerySet, cached


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with database("default", settings_of(request, tmp_path)) as wrapper:
        fill()
        yield wrapper


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Any]:
    given = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "one.db")}
    with database("default", given) as wrapper:
        fill()
        yield wrapper


def fill() -> None:
    room = Room.objects.create(name="hall")
    for at in range(3):
        Shelf.objects.create(name=f"shelf {at}", room=room, extra={"a": [at]})
    first = Publisher.objects.create(name="first")
    for at in range(3):
        Book.objects.create(title=f"book {at}", price=at, publisher=first)


ASKED: dict[str, Callable[[Any], Any]] = {
    "list": lambda query: [(one.name, one.extra) for one in query.order_by("id")],
    "instances": lambda query: list(query.order_by("id")),
    "count": lambda query: query.count(),
    "exists": lambda query: query.filter(name="new").exists(),
    "get": lambda query: query.get(name="shelf 1").pk,
    "get_pk": lambda query: query.get(pk=2).name,
    "first": lambda query: query.order_by("-id").first(),
    "slice": lambda query: [one.name for one in query.order_by("id")[1:3]],
    "item": lambda query: query.order_by("id")[0].name,
    "aggregate": lambda query: query.aggregate(Sum("id"), n=Count("id", filter=Q(name="new"))),
    "values": lambda query: list(query.order_by("id").values("name", "extra")),
    "values_list": lambda query: list(query.order_by("id").values_list("name", "room__name")),
    "flat": lambda query: list(query.order_by("id").values_list("name", flat=True)),
    "named": lambda query: [
        row.name for row in query.order_by("id").values_list("name", named=True)
    ],
    "in_bulk": lambda query: {key: one.name for key, one in query.in_bulk([1, 2]).items()},
    "select_related": lambda query: [
        one.room and one.room.name for one in query.select_related("room").order_by("id")
    ],
    "only": lambda query: [one.get_deferred_fields() for one in query.only("name")],
    "annotate": lambda query: [one.n for one in query.annotate(n=Count("room")).order_by("id")],
    "distinct": lambda query: sorted(
        map(str, query.values_list("room__name", flat=True).distinct())
    ),
    "union": lambda query: len(query.filter(pk=1).union(query.filter(pk=2))),
    "json": lambda query: [one.pk for one in query.filter(extra={"a": [1]})],
    "bool": lambda query: bool(query.filter(name="new")),
    "async": lambda query: async_to_sync(query.order_by("id").acount)(),
}


def test_queries_are_asked_once_until_their_table_changes(db: Any) -> None:
    for change in (
        lambda: None,
        lambda: Shelf.objects.filter(pk=2).update(name="new"),
        lambda: Shelf.objects.create(name="new", extra={"a": [1]}),
        lambda: Shelf.objects.filter(name="new").delete(),
    ):
        change()
        for name, ask in ASKED.items():
            plain = outcome(lambda: ask(Shelf.objects))
            assert outcome(lambda: ask(Shelf.cached)) == plain, name
            with queries(0):
                assert outcome(lambda: ask(Shelf.cached)) == plain, name
                assert outcome(lambda: ask(cached(Shelf.objects.all()))) == plain, name


def outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Shelf.DoesNotExist:
        return "none"


def test_rows_are_apart(sqlite: Any) -> None:
    for key in (1, 2):
        Shelf.cached.get(pk=key)
    Shelf.objects.filter(pk=1).update(name="new")
    with queries(0):
        assert Shelf.cached.get(pk=2).name == "shelf 1"
    with queries(1):
        assert Shelf.cached.get(pk=1).name == "new"


def test_callers_own_what_they_get(sqlite: Any) -> None:
    for query in (Shelf.cached.order_by("id"), Shelf.cached.order_by("id").values()):
        for _ in range(3):
            rows = list(query.all())
            first = rows[0] if isinstance(rows[0], dict) else vars(rows[0])
            assert (first["name"], first["extra"], len(rows)) == ("shelf 0", {"a": [0]}, 3)
            first["extra"]["a"].append("mine")
            first["name"] = "mine"
            rows.clear()


def test_prefetched_rows_die_too(sqlite: Any) -> None:
    rooms = Room.cached.prefetch_related("shelves")
    chosen = Room.cached.prefetch_related(
        Prefetch("shelves", Shelf.objects.filter(name="shelf 1"), to_attr="chosen")
    )
    assert [len(one.shelves.all()) for one in rooms.all()] == [3]
    assert [len(one.chosen) for one in chosen.all()] == [1]
    with queries(0):
        assert [len(one.shelves.all()) for one in rooms.all()] == [3]
        assert [len(one.chosen) for one in chosen.all()] == [1]
    other = Prefetch("shelves", Shelf.objects.filter(name="none"), to_attr="chosen")
    assert [len(one.chosen) for one in Room.cached.prefetch_related(other)] == [0]
    Shelf.objects.create(name="shelf 1", room_id=1)
    assert [len(one.shelves.all()) for one in rooms.all()] == [4]
    assert [len(one.chosen) for one in chosen.all()] == [2]


def test_relations_know_where_they_came_from(sqlite: Any) -> None:
    room = Room.objects.get()
    shelves = cached(room.shelves.all())
    assert [one.room is room for one in shelves.all()] == [True] * 3
    again = Room.objects.get()
    with queries(0):
        assert [one.room is again for one in cached(again.shelves.all())] == [True] * 3


def test_what_looks_alike_is_apart(db: Any) -> None:
    books = cached(Book.objects.order_by("id"))
    assert books.aggregate(x=Sum(F("price") * 1))["x"] == 3
    found = books.aggregate(x=Sum(F("price") * 1.0))["x"]
    assert type(found) is type(Book.objects.aggregate(x=Sum(F("price") * 1.0))["x"])
    assert books.aggregate(x=Sum("price"))["x"] == 3
    assert books.aggregate(x=Avg("price"))["x"] == 1
    assert books.aggregate(y=Avg("price")) == {"y": 1}
    names = [list(books.values(name)[0]) for name in ("publisher", "publisher_id")]
    assert names == [["publisher"], ["publisher_id"]]
    assert type(books.annotate(x=Value(1)).values_list("x", flat=True)[0]) is int
    assert books.annotate(x=Value(True)).values_list("x", flat=True)[0] is True
    assert (books.filter(pk=1).count(), books.filter(pk=1).exists()) == (1, True)
    assert books.values_list("title")[0] == ("book 0",)
    assert books.values_list("title", flat=True)[0] == "book 0"
    assert books.using("default").values_list("title", named=True)[0]._fields == ("title",)


def test_one_load_for_many_callers(sqlite: Any) -> None:
    info = zoocache.stats()
    list(Shelf.cached.all())
    list(Shelf.cached.all())
    assert (zoocache.stats().loads - info.loads, zoocache.stats().hits - info.hits) == (1, 1)


def test_a_ttl(sqlite: Any) -> None:
    from zoocache import _default

    def ask() -> int:
        return len(Shelf.cached.cached(ttl=5).all())

    ask()
    with queries(0):
        ask()
    with queries(1):
        len(Shelf.cached.cached(ttl=6).all())
    _default.core.set_time(1e6)
    with queries(1):
        ask()
    _default.core.set_time(1e6 + 4)
    with queries(0):
        ask()
    _default.core.set_time(1e6 + 6)
    with queries(1):
        ask()
    with pytest.raises(InvalidOption, match="ttl=-1"):
        Shelf.cached.cached(ttl=-1)
    with pytest.raises(InvalidOption, match="prefix=7"):
        ZooCacheManager(prefix=7)


def test_managers(sqlite: Any) -> None:
    assert type(Shelf.objects) is Manager
    assert Shelf._default_manager.name == "objects"
    assert Room._default_manager.name == "objects"
    assert not isinstance(Shelf.objects.filter(pk=1), ZooCacheQuerySet)
    with queries(2):
        list(Room.objects.all())
        list(Room.objects.all())
    assert Room.cached.called("hall").count() == 1
    with queries(0):
        assert Room.cached.called("hall").count() == 1
        assert Room.cached.all()._zoocache.ttl == 60
    with queries(1):
        Room.objects.cached(ttl=9, prefix="other").called("hall").count()
    with queries(0):
        Room.objects.cached(ttl=9, prefix="other").called("hall").count()
    with queries(2):
        Room.cached.uncached().count()
        Room.cached.all().uncached().count()
    with pytest.raises(TypeError, match="a queryset or a manager"):
        cached(Shelf.objects.raw("SELECT * FROM django_shop_shelf"))


def test_instances_without_an_answer_of_the_database(sqlite: Any) -> None:
    assert list(Shelf.cached.none()) == []
    assert list(Shelf.cached.filter(pk__in=[])) == []
    assert Shelf.cached.filter(pk__in=[]).count() == 0
    assert not Shelf.cached.filter(pk__in=[]).exists()
    assert Shelf.cached.none().aggregate(n=Count("id")) == {"n": 0}


def test_iterators_and_random_orders_are_asked_anew(sqlite: Any) -> None:
    for ask in (
        lambda: list(Shelf.cached.iterator()),
        lambda: list(Shelf.cached.order_by("?")),
        lambda: Shelf.cached.get_or_create(name="shelf 1"),
    ):
        ask()
        with queries(1):
            ask()


def test_own_uncommitted_rows_are_seen_and_not_stored(db: Any) -> None:
    assert Shelf.cached.count() == 3
    with other_connection("default") as other, pytest.raises(ZeroDivisionError):
        with transaction.atomic():
            Shelf.cached.create(name="new")
            assert Shelf.cached.count() == 4
            assert len(Shelf.cached.all()) == 4
            with using(other):
                assert Shelf.cached.count() == 3 == len(Shelf.cached.all())
            raise ZeroDivisionError
    with queries(0):
        assert Shelf.cached.count() == 3
    assert len(Shelf.cached.all()) == 3


def test_locking_reads_never_hit(db: Any) -> None:
    for _ in range(2):
        with transaction.atomic(), queries(1):
            list(Shelf.cached.select_for_update())


@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
def test_connections_that_may_see_other_tables(db: Any) -> None:
    assert Shelf.cached.count() == 3
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = public")
    with queries(2):
        assert Shelf.cached.count() == Shelf.cached.count() == 3


def test_clones_and_pickles(sqlite: Any) -> None:
    for query in (Shelf.cached.filter(pk__lt=3), cached(Shelf.objects.filter(pk__lt=3), ttl=9)):
        assert query.filter(pk=1)._zoocache == query._zoocache == copy.deepcopy(query)._zoocache
        kept = pickle.loads(pickle.dumps(query))
        assert isinstance(kept, CacheableQuerySet)
        assert list(kept) == list(query)
        with queries(0):
            assert list(kept.all()) == list(query.all())
        assert (query | query.filter(pk=1)).count() == 2
        assert isinstance(query & query, CacheableQuerySet)


def test_templates_and_pages(sqlite: Any) -> None:
    page = Engine().from_string(
        "{% for one in shelves.all %}{{ one.name }}{% empty %}none{% endfor %} {{ shelves.count }}"
    )

    def show() -> tuple[str, list[str]]:
        pages = Paginator(Shelf.cached.order_by("id"), 2)
        names = [one.name for number in pages.page_range for one in pages.page(number)]
        return page.render(Context({"shelves": Shelf.cached})), names

    seen = show()
    assert seen == ("shelf 0shelf 1shelf 2 3", ["shelf 0", "shelf 1", "shelf 2"])
    with queries(0):
        assert show() == seen
    Shelf.objects.all().delete()
    assert show() == ("none 0", [])


def test_in_a_cached_function(sqlite: Any) -> None:
    loads = []

    @zoocache.cacheable
    def names() -> list[str]:
        loads.append(1)
        return [one.name for one in Shelf.cached.select_related("room").order_by("id")]

    names()
    names()
    Room.objects.update(name="other")
    assert names() == ["shelf 0", "shelf 1", "shelf 2"]
    Shelf.objects.filter(pk=1).update(name="new")
    assert names() == ["new", "shelf 1", "shelf 2"]
    assert len(loads) == 3


def test_values_of_other_processes(sqlite: Any, url: str) -> None:
    zoocache.configure(storage_url=url)
    assert list(Shelf.cached.order_by("id").values_list("name", flat=True))[0] == "shelf 0"
    zoocache.reset()
    zoocache.configure(storage_url=url)
    with queries(0):
        assert list(Shelf.cached.order_by("id").values_list("name", flat=True))[0] == "shelf 0"


def test_many_to_many_of_cached_querysets(sqlite: Any) -> None:
    Book.objects.get(pk=1).tags.add(Tag.objects.create(name="t"))
    tags = cached(Book.objects.get(pk=1).tags.all())
    assert [one.name for one in tags.all()] == ["t"]
    with queries(0):
        assert [one.name for one in tags.all()] == ["t"]
    Book.objects.get(pk=1).tags.clear()
    assert list(tags.all()) == []
