"""`configure(verify=)` over Django: instances and querysets by their fields, cached queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django")

from django_support import database, database_settings

# isort: split
from django.db import transaction
from django.db.models import Prefetch

from django_shop.models import Book, Comic, Publisher, Room, Shelf, Tag
from zoocache import cacheable, configure, findings

NEVER_S = 600.0  # nothing is judged but by findings(now=True)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The file of a database of which the cache knows, with every hit verified."""
    configure(verify=1.0, lease=NEVER_S)
    given = database_settings("sqlite", tmp_path, None, "shop")
    with database("default", given):
        first = Publisher.objects.create(name="first")
        book = Book.objects.create(title="one", price=1, publisher=first, extra={"pages": [1, 2]})
        book.tags.add(Tag.objects.create(name="new"))
        Comic.objects.create(title="two", price=2, publisher=first, colour="red")
        Shelf.objects.create(name="left", room=Room.objects.create(name="cellar"))
        yield tmp_path / "shop.db"


def behind(path: Path, statement: str) -> None:
    """As another program writes, of which nobody hears."""
    other = sqlite3.connect(path)
    with other:
        other.execute(statement)
    other.close()


def books(*related: str) -> list[Book]:
    return list(Book.objects.select_related(*related).order_by("id"))


READS: dict[str, Callable[[], Any]] = {
    "instance": lambda: Book.objects.get(pk=1),
    "in a dict": lambda: {"book": Book.objects.get(pk=1), "count": 1},
    "list": lambda: books("publisher"),
    "prefetched": lambda: list(Publisher.objects.prefetch_related("book_set")),
    "to_attr": lambda: list(
        Publisher.objects.prefetch_related(Prefetch("book_set", to_attr="books"))
    ),
    "m2m": lambda: list(Book.objects.prefetch_related("tags").order_by("id")),
    "deferred": lambda: list(Book.objects.only("title").order_by("id")),
    "inherited": lambda: list(Comic.objects.all()),
    "values": lambda: list(Book.objects.order_by("id").values("title", "extra")),
    "values_list": lambda: list(Book.objects.order_by("id").values_list("title", named=True)),
    "in_bulk": lambda: Book.objects.in_bulk(),
}


@pytest.mark.parametrize("name", READS)
def test_equal_rows_are_no_finding(path: Path, name: str) -> None:
    loads = 0

    @cacheable
    def read() -> Any:
        nonlocal loads
        loads += 1
        return READS[name]()

    for title in ("more", "still more"):
        for _ in range(2):
            read()
        with transaction.atomic():
            book = Book.objects.get(pk=1)
            book.title, book.extra = title, {"pages": [3]}
            book.save()
            Publisher.objects.update(name=title)
    assert findings(now=True) == []
    assert read.cache_info().hits == 2
    assert loads == 4


CHANGED = ".title: 'one', now 'changed'"
PARTS = {
    "instance": CHANGED,
    "in a dict": "['book']" + CHANGED,
    "list": "[0]" + CHANGED,
    "prefetched": "[0].book_set[0]" + CHANGED,
    "to_attr": "[0].books[0]" + CHANGED,
    "deferred": "[0]" + CHANGED,
    "values": "[0]['title']: 'one', now 'changed'",
    "values_list": "[0]" + CHANGED,
    "in_bulk": "[1]" + CHANGED,
}


@pytest.mark.parametrize("name", PARTS)
def test_a_write_by_another_program_is_found_by_its_field(path: Path, name: str) -> None:
    read = cacheable(READS[name])
    read()
    behind(path, "UPDATE django_shop_book SET title = 'changed' WHERE id = 1")
    read()
    (one,) = findings(now=True)
    assert one.kind == "missing tag"
    assert one.parts == (PARTS[name],)
    assert any(tag.startswith("db:default:django_shop_book:") for tag in one.deps)


def test_the_other_side_of_a_relation_is_named(path: Path) -> None:
    read = cacheable(lambda: books("publisher"))
    read()
    behind(path, "UPDATE django_shop_publisher SET name = 'changed'")
    read()
    (one,) = findings(now=True)
    assert "[0].publisher.name: 'first', now 'changed'" in one.parts


def test_rows_that_come_and_go_are_found(path: Path) -> None:
    rows = cacheable(lambda: list(Tag.objects.all()))
    one_row = cacheable(lambda: Tag.objects.get(pk=1))
    rows(), one_row()
    behind(path, "DELETE FROM django_shop_tag")
    assert rows() == []
    one_row()
    parts = [one.parts for one in findings(now=True)]
    assert parts == [
        ("len(the value): 1, now 0",),
        ("raises DoesNotExist('Tag matching query does not exist.')",),
    ]


def test_queries_that_are_cached_themselves(path: Path) -> None:
    def read() -> list[Any]:
        cached = Shelf.cached.filter(name="left")
        return [list(cached), Shelf.cached.count(), list(Room.objects.all().cached())]

    for _ in range(2):
        assert read()[1] == 1
    with transaction.atomic():
        Shelf.objects.update(extra={"a": 1})
    assert read()[0][0].extra == {"a": 1}
    read()
    assert findings(now=True) == []
    behind(path, "UPDATE django_shop_room SET name = 'changed'")
    assert read()[2][0].name == "changed"
    (one,) = findings(now=True)
    assert "[1][0].name: 'cellar', now 'changed'" in one.parts


def test_what_is_not_committed_is_no_finding(path: Path) -> None:
    read = cacheable(lambda: Book.objects.get(pk=1))
    read()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Book.objects.update(title="not committed")
        assert read().title == "not committed"
        raise ZeroDivisionError
    assert read().title == read().title == "one"
    assert findings(now=True) == []
