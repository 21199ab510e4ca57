"""Random reads and writes through Django, of the tests' models and of generated ones.

See `differential`; ZOOCACHE_SEEDS runs the seeds of a failure's message again.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from differential import Run, Tally, seeds, steps
from django_support import database, other_connection, settings_of, using
from generated_django import cached_queries, generated_models, reads_of, rows, writes_of
from generated_schema import make_schema

# isort: split
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, F, Sum

from django_shop.models import Book, Comic, Pending, Publisher, Tag
from zoocache import cacheable


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with database("default", settings_of(request, tmp_path)) as wrapper:
        yield wrapper


READS: dict[str, Callable[[int], Any]] = {
    "row book": lambda key: rows(Book.objects.filter(pk=key)),
    "rows book": lambda key: rows(Book.objects.filter(pk__in=[key, key + 1, key + 2])),
    "row publisher": lambda key: rows(Publisher.objects.filter(pk=key)),
    "row pending": lambda key: rows(Pending.objects.filter(pk=key)),
    "filter book": lambda key: rows(Book.objects.filter(price__lt=key)),
    "inherited comic": lambda key: rows(Comic.objects.filter(pk=key)),
    "m2m tag": lambda key: rows(Tag.objects.filter(book=key)),
    "m2m book": lambda key: rows(Book.objects.filter(tags=key)),
    "join book": lambda key: rows(Book.objects.filter(publisher__name=f"name {key}")),
    "count book": lambda key: Book.objects.filter(publisher=key).count(),
    "exists book": lambda key: Book.objects.filter(pk=key).exists(),
    "aggregate book": lambda key: Book.objects.aggregate(Sum("price")),
    "annotate publisher": lambda key: rows(
        Publisher.objects.annotate(n=Count("book")).filter(n__gte=key % 3)
    ),
    "prefetch_related publisher": lambda key: sorted(
        (one.pk, one.name, sorted(book.title for book in one.book_set.all()))
        for one in Publisher.objects.prefetch_related("book_set")
    ),
    "select_related book": lambda key: sorted(
        (one.pk, one.title, one.publisher and one.publisher.name)
        for one in Book.objects.select_related("publisher").filter(pk__lte=key)
    ),
    "raw publisher": lambda key: sorted(
        one.name for one in Publisher.objects.raw("SELECT * FROM django_shop_publisher")
    ),
}


def fresh(numbers: random.Random, key: int) -> dict[str, Any]:
    publisher = Publisher.objects.order_by("?").first() if numbers.random() < 0.7 else None
    return {"title": f"t{numbers.randrange(99)}", "price": key, "publisher": publisher}


def save(numbers: random.Random, key: int) -> None:
    for one in Book.objects.filter(pk=key):
        one.title = f"t{numbers.randrange(99)}"
        one.save()


def tag(numbers: random.Random, key: int) -> None:
    for one in Book.objects.filter(pk=key):
        one.tags.set(Tag.objects.filter(pk__lte=numbers.randrange(4)))


FILL: list[Callable[[random.Random, int], Any]] = [
    lambda numbers, key: Publisher.objects.create(name=f"name {key}"),
    lambda numbers, key: Tag.objects.create(name=f"tag {key}"),
    lambda numbers, key: Comic.objects.create(colour="red", **fresh(numbers, key)),
    lambda numbers, key: Book.objects.create(**fresh(numbers, key)),
    lambda numbers, key: Pending.objects.create(value=key),
    tag,
]
WRITES: list[Callable[[random.Random, int], Any]] = [
    save,
    tag,
    lambda numbers, key: Book.objects.create(**fresh(numbers, key)),
    lambda numbers, key: Comic.objects.create(colour="red", **fresh(numbers, key)),
    lambda numbers, key: Book.objects.bulk_create([Book(**fresh(numbers, key)) for _ in range(2)]),
    lambda numbers, key: Book.objects.filter(pk=key).update(price=F("price") + 1),
    lambda numbers, key: Book.objects.filter(price__gt=key).update(title="dear"),
    lambda numbers, key: Book.objects.filter(pk=key).delete(),
    lambda numbers, key: Publisher.objects.filter(pk=key).delete(),
    lambda numbers, key: Publisher.objects.create(name=f"name {key}"),
    lambda numbers, key: Publisher.objects.update_or_create(
        pk=key + 100, defaults={"name": f"name {numbers.randrange(9)}"}
    ),
    lambda numbers, key: Tag.objects.create(name=f"tag {key}"),
    lambda numbers, key: Pending.objects.create(value=key),
    lambda numbers, key: Pending.objects.update(value=key),
    lambda numbers, key: sql("UPDATE django_shop_book SET title = %s WHERE id = %s", ["raw", key]),
    lambda numbers, key: sql("DELETE FROM django_shop_book_tags WHERE tag_id = %s", [key]),
]


def sql(text: str, parameters: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)


def make(tally: Tally, reads: Any, writes: Any, *turns: Any) -> Run:
    return Run(
        tally,
        reads,
        writes,
        atomic=transaction.atomic,
        turns=[contextlib.nullcontext, *turns],
        errors=(DatabaseError,),
        cacheable=cacheable,
        around=cached_queries,
    )


@pytest.mark.parametrize("seed", seeds(2))
def test_no_cached_answer_differs(db: Any, seed: int) -> None:
    with other_connection("default") as other:
        tally = Tally("django", db.vendor, seed)
        make(tally, READS, (FILL, WRITES), lambda: using(other)).go(steps(25))


@pytest.mark.parametrize("seed", seeds(2))
def test_no_cached_answer_of_a_generated_schema_differs(db: Any, seed: int) -> None:
    schema = make_schema(seed)
    print(schema)
    with generated_models(schema, f"G{seed}") as made, other_connection("default") as other:
        tally = Tally("django, generated", db.vendor, seed)
        reads, writes = reads_of(schema, made), writes_of(schema, made)
        make(tally, reads, writes, lambda: using(other)).go(steps(25))


@pytest.mark.parametrize("seed", seeds(1))
def test_no_cached_answer_differs_in_a_test_case(db: Any, seed: int) -> None:
    run = make(Tally("django, TestCase", db.vendor, seed), READS, (FILL, WRITES))
    run.fill_tables()
    for _ in range(2):
        run.write()
        with case():
            run.write()
            for _ in range(2):
                with case():
                    for _ in range(4):
                        run.block() if run.numbers.random() < 0.5 else run.write()
                        run.compare(8)
                run.compare(8)
        run.compare(8)


@contextlib.contextmanager
def case() -> Iterator[None]:
    """As TestCase puts it around a test, or around a class."""
    block: Any = transaction.atomic()
    block._from_testcase = True
    with block:
        yield
        transaction.set_rollback(True)
