"""Cached functions that read through Django: what kills them, and what leaves them alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_support import database, other_connection, settings_of, using

# isort: split
from django.db import connection, transaction
from django.db.models import Count, F, Prefetch, Sum

import zoocache
from django_shop.models import Book, Code, Comic, Pending, Publisher, Tag
from zoocache import cacheable


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with database("default", settings_of(request, tmp_path)) as wrapper:
        first = Publisher.objects.create(name="first")
        for at in range(3):
            Book.objects.create(title=f"book {at}", price=at, publisher=first)
        Code.objects.create(code="a", value=1)
        Pending.objects.create(value=1)
        yield wrapper


def watched(call: Callable[..., Any]) -> tuple[Any, Callable[[], int]]:
    """The cached function, and how often it was run."""
    loads = [0]

    @cacheable
    def cached(*args: Any) -> Any:
        loads[0] += 1
        return call(*args)

    return cached, lambda: loads[0]


READS: dict[str, Callable[[], Any]] = {
    "first": lambda: [one.title for one in Book.objects.filter(pk=1)],
    "filter": lambda: [book.title for book in Book.objects.filter(price__gte=1).order_by("id")],
    "values": lambda: list(Book.objects.order_by("id").values("title", "price")),
    "values_list": lambda: list(Book.objects.order_by("id").values_list("title", flat=True)),
    "count": lambda: Book.objects.count(),
    "exists": lambda: Book.objects.filter(title="new").exists(),
    "aggregate": lambda: Book.objects.aggregate(total=Sum("price")),
    "annotate": lambda: list(Publisher.objects.annotate(n=Count("book")).values_list("n", "name")),
    "select_related": lambda: [
        (book.title, book.publisher and book.publisher.name)
        for book in Book.objects.select_related("publisher").order_by("id")
    ],
    "prefetch_related": lambda: [
        (one.name, sorted(book.title for book in one.book_set.all()))
        for one in Publisher.objects.prefetch_related("book_set").order_by("id")
    ],
    "relation": lambda: [book.title for book in Publisher(pk=1).book_set.order_by("id")],
    "iterator": lambda: [book.title for book in Book.objects.order_by("id").iterator()],
    "subquery": lambda: list(
        Publisher.objects.filter(
            pk__in=Book.objects.filter(title="new").values("publisher")
        ).values("name")
    ),
    "raw": lambda: [
        book.title for book in Book.objects.raw("SELECT * FROM django_shop_book ORDER BY id")
    ],
    "cursor": lambda: cursor_rows("SELECT title, price FROM django_shop_book ORDER BY id"),
    "in_bulk": lambda: {key: book.title for key, book in Book.objects.in_bulk([1, 2]).items()},
    "m2m": lambda: sorted(Tag.objects.filter(book=1).values_list("name", flat=True)),
}


def cursor_rows(text: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall()


def raw(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text)


def book(key: int = 1) -> Book:
    return Book.objects.get(pk=key)


def saved() -> None:
    one = book()
    one.title = "new"
    one.save()


WRITES: dict[str, Callable[[], Any]] = {
    "save": saved,
    "create": lambda: Book.objects.create(title="new", price=9, publisher_id=1),
    "delete": lambda: book().delete(),
    "queryset_delete": lambda: Book.objects.filter(price__gte=1).delete(),
    "cascade": lambda: Publisher.objects.get(pk=1).delete(),
    "update": lambda: Book.objects.filter(pk=1).update(title="new"),
    "update_all": lambda: Book.objects.update(price=F("price") + 1),
    "bulk_create": lambda: Book.objects.bulk_create([Book(title="new", publisher_id=1)] * 2),
    "bulk_update": lambda: Book.objects.bulk_update([Book(id=1, title="new")], ["title"]),
    "upsert": lambda: Book.objects.bulk_create(
        [Book(id=1, title="new", price=7)],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["title"],
    ),
    "get_or_create": lambda: Book.objects.get_or_create(title="new", defaults={"price": 3}),
    "m2m_add": lambda: book().tags.add(Tag.objects.create(name="t")),
    "inherited": lambda: Comic.objects.create(title="new", publisher_id=1, colour="red"),
    "raw": lambda: raw("UPDATE django_shop_book SET title = 'new' WHERE id = 1"),
    "raw_all": lambda: raw("DELETE FROM django_shop_book_tags"),
    "atomic": lambda: atomic(saved),
}


def atomic(call: Callable[[], Any]) -> None:
    with transaction.atomic(), transaction.atomic():
        call()


@pytest.mark.parametrize("write", WRITES)
def test_reads_after_a_write_are_as_without_a_cache(db: Any, write: str) -> None:
    cached = {name: watched(read) for name, read in READS.items()}
    for name, (call, loads) in cached.items():
        assert call() == READS[name]()
        assert call() == READS[name]()
        assert loads() == 1, f"{name} is not stored"
    WRITES[write]()
    for name, (call, _) in cached.items():
        assert call() == READS[name](), f"{name} is stale after {write}"


def test_rows_are_apart(db: Any) -> None:
    read, loads = watched(lambda key: Book.objects.get(pk=key).title)
    other, other_loads = watched(lambda: Pending.objects.count())
    for key in (1, 2):
        read(key)
    other()
    Book.objects.filter(pk=1).update(title="new")
    Book.objects.create(title="more")
    Book.objects.bulk_create([Book(title="more"), Book(title="still more")])
    assert (read(1), read(2), loads()) == ("new", "book 1", 3)
    other()
    assert other_loads() == 1


def test_text_keys_are_read_by_table(db: Any) -> None:
    read, loads = watched(lambda: Code.objects.get(pk="a").value)
    read()
    Code.objects.filter(pk="a").update(value=2)
    assert (read(), loads()) == (2, 2)


def test_rollback_kills_nothing(db: Any) -> None:
    read, loads = watched(lambda: book().title)
    read()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        saved()
        assert read() == "new"  # its own, and not stored
        raise ZeroDivisionError
    assert (read(), loads()) == ("book 0", 2)


def test_a_savepoint_that_is_rolled_back(db: Any) -> None:
    read, _ = watched(lambda: book().title)
    read()
    with transaction.atomic():
        Book.objects.filter(pk=2).update(title="kept")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            saved()
            assert read() == "new"
            raise ZeroDivisionError
        assert read() == "book 0"
    assert read() == "book 0"
    assert book(2).title == "kept"


def test_uncommitted_writes_are_for_oneself(db: Any) -> None:
    read, _ = watched(lambda: book().title)
    read()
    with other_connection("default") as other, transaction.atomic():
        saved()
        assert read() == "new"
        with using(other):
            assert book().title == "book 0"
    assert read() == "new"


def test_a_load_that_began_before_the_commit_is_not_stored(db: Any) -> None:
    with other_connection("default") as other:

        def load() -> str:
            title = book().title
            with using(other):
                Book.objects.filter(pk=1).update(title="new")
            return title

        read, loads = watched(load)
        assert read() == "book 0"
        assert read() == "new"
        assert loads() == 2


def test_a_snapshot_is_as_old_as_its_transaction(db: Any) -> None:
    read, _ = watched(lambda: book().title)
    isolation = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    with other_connection("default") as other:
        with transaction.atomic():
            if db.vendor == "postgresql":
                raw(isolation)
            Book.objects.count()  # takes the snapshot
            with using(other):
                saved()
            assert read() == "book 0"
        assert read() == "new"


def test_an_open_cursor_of_sqlite_holds_its_snapshot(db: Any) -> None:
    read, _ = watched(lambda: book().title)
    with other_connection("default") as other:
        rows = Book.objects.order_by("id").iterator(chunk_size=1)
        next(rows)
        with using(other):
            saved()
        seen = read()
        assert seen == book().title
        list(rows)
        assert read() == book().title == "new"


def test_locked_reads_do_not_hit(db: Any) -> None:
    def load() -> str:
        with transaction.atomic():
            return Book.objects.select_for_update().get(pk=1).title

    read, loads = watched(load)
    read()
    read()
    assert loads() == (2 if db.features.has_select_for_update else 1)


def test_callbacks_see_the_new_state(db: Any) -> None:
    read, _ = watched(lambda: book().title)
    read()
    seen: list[str] = []
    with transaction.atomic():
        transaction.on_commit(lambda: seen.append(read()))
        saved()
    assert seen == ["new"]


def test_each_caller_has_instances_of_its_own(db: Any) -> None:
    Book.objects.filter(pk=1).update(extra={"a": [1]})
    book().tags.add(Tag.objects.create(name="t"))

    def load() -> list[Book]:
        chosen = Book.objects.select_related("publisher").prefetch_related("tags")
        return list(chosen.order_by("id"))

    read, loads = watched(load)
    first, second = read(), read()
    assert loads() == 1
    assert first == second
    assert first[0] is not second[0]
    first[0].extra["a"].append(2)
    first[0].title = "changed by one caller"
    third = read()
    assert (third[0].title, third[0].extra) == ("book 0", {"a": [1]})
    with db.execute_wrapper(refuse):
        assert third[0].publisher.name == "first"
        assert [tag.name for tag in third[0].tags.all()] == ["t"]
        assert {third[0]} == {second[0]}
    third[0].title = "saved"
    third[0].save()
    assert read()[0].title == "saved"


def test_instances_in_attributes_are_whole(db: Any) -> None:
    """A row in an attribute that is no column, alone and in containers, is no empty shell."""

    def load() -> list[Publisher]:
        found = list(Publisher.objects.prefetch_related(Prefetch("book_set", to_attr="books")))
        for one in found:
            one.best = one.books[0]  # type: ignore[attr-defined]
            one.by_title = {book.title: {book} for book in one.books}  # type: ignore[attr-defined]
        return found

    read, loads = watched(load)
    (first,), (second,) = read(), read()
    assert loads() == 1
    with db.execute_wrapper(refuse):
        for one in (first, second):
            assert [book.price for book in one.books] == [0, 1, 2]
            assert one.best is one.books[0]
            assert [book.price for book in one.by_title["book 2"]] == [2]
    first.books[0].price = 9
    assert second.books[0].price == read()[0].best.price == 0


def refuse(execute: Any, sql: str, *rest: Any) -> Any:
    raise AssertionError(f"a query: {sql}")


def test_instances_of_older_loads_are_not_stored(db: Any) -> None:
    old = book()
    read, loads = watched(lambda: old)
    assert read() == old
    read()
    assert loads() == 2


def test_arguments_that_are_instances(db: Any) -> None:
    read, loads = watched(lambda one: one.title)
    one = book()
    read(one)
    assert read(one) == "book 0"
    saved()
    assert read(book()) == "new"
    assert loads() == 3


@pytest.mark.parametrize("wrap", [list, lambda one: {"a": {"b": one}}])
def test_arguments_that_hold_instances(db: Any, wrap: Any) -> None:
    loads = []
    one = book()
    read = cacheable(key=lambda given: 1)(lambda given: loads.append(one.title) or one.title)
    for _ in range(2):
        read(wrap([one]))
    assert len(loads) == 2, "they may be older than their rows"


def test_a_queryset_is_not_stored(db: Any) -> None:
    read, loads = watched(lambda: Book.objects.filter(pk=1))
    read()
    saved()
    assert [one.title for one in read()] == ["new"]
    assert loads() == 2


def test_nested_calls(db: Any) -> None:
    inner, inner_loads = watched(lambda key: Book.objects.get(pk=key))
    outer, outer_loads = watched(lambda: [inner(1), inner(2)])
    outer()
    outer()
    assert (inner_loads(), outer_loads()) == (2, 1)
    saved()
    assert outer()[0].title == "new"
    assert (inner_loads(), outer_loads()) == (3, 2)


def test_functions_that_are_not_known(db: Any) -> None:
    read, loads = watched(lambda: cursor_rows("SELECT random(), count(*) FROM django_shop_book"))
    assert read() != read()
    assert loads() == 2


def test_the_names_of_tags(db: Any) -> None:
    read, _ = watched(lambda: book().title)
    read()
    found = [tag for tag in map(str, zoocache.tags("db")) if "book" in tag]
    assert any("db:default:django_shop_book:1" in tag for tag in found)


def test_loads_in_a_transaction_are_stored(db: Any) -> None:
    read, loads = watched(lambda: book().title)
    with transaction.atomic():
        read()
        read()
    read()
    assert loads() == 1
