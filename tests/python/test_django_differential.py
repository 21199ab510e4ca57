"""Random reads and writes through Django: cached answers beside uncached ones, and no difference.

Two connections to one database take turns, inside and outside of transactions, with savepoints and
rollbacks. After each step random reads are asked twice, from the cache and from the database on the
same connection. The seed is in the message of a failure; ZOOCACHE_SEED runs that one again.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from django_support import database, other_connection, settings_of, using

# isort: split
from django.db import connection, transaction
from django.db.models import Count, F, Sum

from django_shop.models import Book, Comic, Pending, Publisher, Tag
from zoocache import cacheable
from zoocache.contrib.django import cached

STEPS = 40
SEEDS = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with database("default", settings_of(request, tmp_path)) as wrapper:
        yield wrapper


def rows(queryset: Any) -> list[Any]:
    values = queryset.values_list()
    return sorted(map(repr, cached(values) if asks_cached.get() else values))


asks_cached: ContextVar[bool] = ContextVar("asks_cached", default=False)


def through_the_cache(number: int, key: int) -> Any:
    """The read by a query that is cached itself, where it is one of rows()."""
    token = asks_cached.set(True)
    try:
        return READS[number](key)
    finally:
        asks_cached.reset(token)


READS: list[Callable[[int], Any]] = [
    lambda key: rows(Book.objects.filter(pk=key)),
    lambda key: rows(Book.objects.filter(pk__in=[key, key + 1, key + 2])),
    lambda key: rows(Publisher.objects.filter(pk=key)),
    lambda key: rows(Pending.objects.filter(pk=key)),
    lambda key: rows(Book.objects.filter(price__lt=key)),
    lambda key: rows(Comic.objects.filter(pk=key)),
    lambda key: rows(Tag.objects.filter(book=key)),
    lambda key: rows(Book.objects.filter(tags=key)),
    lambda key: rows(Book.objects.filter(publisher__name=f"name {key}")),
    lambda key: Book.objects.filter(publisher=key).count(),
    lambda key: Book.objects.filter(pk=key).exists(),
    lambda key: Book.objects.aggregate(Sum("price")),
    lambda key: rows(Publisher.objects.annotate(n=Count("book")).filter(n__gte=key % 3)),
    lambda key: sorted(
        (one.pk, one.name, sorted(book.title for book in one.book_set.all()))
        for one in Publisher.objects.prefetch_related("book_set")
    ),
    lambda key: sorted(
        (one.pk, one.title, one.publisher and one.publisher.name)
        for one in Book.objects.select_related("publisher").filter(pk__lte=key)
    ),
    lambda key: sorted(
        one.name for one in Publisher.objects.raw("SELECT * FROM django_shop_publisher")
    ),
]


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


class Run:
    """One seed's steps; counts loads that gave what the last one for those arguments gave."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.numbers = random.Random(seed)
        self.loads = self.needless = self.calls = 0
        self.last: dict[tuple[int, int], Any] = {}
        self.read = cacheable(self.load)

    def load(self, number: int, key: int) -> Any:
        found = READS[number](key)
        self.loads += 1
        self.needless += self.last.get((number, key)) == found
        self.last[number, key] = found
        return found

    def key(self) -> int:
        return self.numbers.randrange(1, 8)

    def compare(self, step: int, count: int = 8) -> None:
        for _ in range(count):
            number, key = self.numbers.randrange(len(READS)), self.key()
            self.calls += 1
            from_function, plain = self.read(number, key), READS[number](key)
            where = f"ZOOCACHE_SEED={self.seed}: read {number}({key}), step {step}"
            assert from_function == plain, where
            assert through_the_cache(number, key) == plain, where

    def write(self) -> None:
        self.numbers.choice(WRITES)(self.numbers, self.key())

    def block(self, step: int, depth: int = 0) -> None:
        """Some writes and reads in a transaction or a savepoint, half of them rolled back."""
        try:
            with transaction.atomic():
                for _ in range(self.numbers.randrange(1, 4)):
                    if depth < 2 and self.numbers.random() < 0.3:
                        self.block(step, depth + 1)
                    else:
                        self.write()
                    self.compare(step, 3)
                if self.numbers.random() < 0.5:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        self.compare(step, 3)


def seeds() -> list[int]:
    given = os.environ.get("ZOOCACHE_SEED")
    return [int(given)] if given else list(range(1, SEEDS + 1))


@pytest.mark.parametrize("seed", seeds())
def test_no_cached_answer_differs(db: Any, seed: int) -> None:
    run = Run(seed)
    with other_connection("default") as other:
        for step in range(STEPS):
            turn = using(other) if run.numbers.random() < 0.5 else contextlib.nullcontext()
            with turn:
                if run.numbers.random() < 0.4:
                    run.block(step)
                else:
                    run.write()
                run.compare(step)
            run.compare(step)
    print(f"{run.calls} calls, {run.loads} loads, {run.needless} of them needless")  # pytest -rP
    assert run.loads < run.calls


@pytest.mark.parametrize("seed", seeds()[:1])
def test_no_cached_answer_differs_in_a_test_case(db: Any, seed: int) -> None:
    run = Run(seed)
    for step in range(2):
        run.write()
        with case():
            run.write()
            for _ in range(2):
                with case():
                    for _ in range(4):
                        run.block(step) if run.numbers.random() < 0.5 else run.write()
                        run.compare(step)
                run.compare(step)
        run.compare(step)


@contextlib.contextmanager
def case() -> Iterator[None]:
    """As TestCase puts it around a test, or around a class."""
    block: Any = transaction.atomic()
    block._from_testcase = True
    with block:
        yield
        transaction.set_rollback(True)
