"""Under Django's TestCase: cached calls are as in production, and no test sees another's rows."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_support import Counted, database, settings_of

# isort: split
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase

from django_shop.models import Book, Pending, Publisher, Shelf
from zoocache import cacheable


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with database("default", settings_of(request, tmp_path)) as wrapper:
        yield wrapper


def titles() -> list[str]:
    return list(Book.objects.order_by("id").values_list("title", flat=True))


counted = Counted(titles)
read = cacheable(counted.__call__)
seen_at_setup: list[list[str]] = []


class Cases(TestCase):
    __test__ = False  # run by test_cases

    @classmethod
    def setUpTestData(cls) -> None:
        assert read() == []
        cls.book = Book.objects.create(title="class")
        seen_at_setup.append(read())
        with transaction.atomic():
            Book.objects.create(title="class 2")
            assert read() == ["class", "class 2"]

    def loads(self, count: int, expected: list[str]) -> None:
        """The call loads so many times when it is made twice."""
        before = counted.loads
        assert (read(), read()) == (expected, expected) == (titles(), titles())
        assert counted.loads - before == count

    def setUp(self) -> None:
        self.loads(1, ["class", "class 2"])  # whatever the test before it did

    def test_statements_commit_themselves(self) -> None:
        Book.objects.create(title="mine")
        self.loads(1, ["class", "class 2", "mine"])
        self.book.title = "saved"
        self.book.save()
        self.loads(1, ["saved", "class 2", "mine"])
        Book.objects.bulk_create([Book(title="more"), Book(title="most")])
        Book.objects.filter(title="more").delete()
        self.loads(1, ["saved", "class 2", "mine", "most"])
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_shop_book WHERE title = 'most'")
        self.loads(1, ["saved", "class 2", "mine"])
        Publisher.objects.create(name="other")
        self.loads(0, ["saved", "class 2", "mine"])

    def test_blocks_are_transactions(self) -> None:
        with transaction.atomic():
            self.loads(0, ["class", "class 2"])
            with transaction.atomic():
                Book.objects.create(title="mine")
            self.loads(2, ["class", "class 2", "mine"])  # it is not committed
        self.loads(1, ["class", "class 2", "mine"])
        with transaction.atomic(savepoint=False), transaction.atomic(durable=False):
            Book.objects.update(title="all")
        self.loads(1, ["all", "all", "all"])

    def test_blocks_that_are_rolled_back(self) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Book.objects.create(title="mine")
            self.loads(2, ["class", "class 2", "mine"])
            raise ZeroDivisionError
        self.loads(0, ["class", "class 2"])
        with transaction.atomic():
            Book.objects.create(title="mine")
            transaction.set_rollback(True)
        self.loads(0, ["class", "class 2"])
        with transaction.atomic():
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                Book.objects.create(title="mine")
                raise ZeroDivisionError
            Book.objects.create(title="kept")
        self.loads(1, ["class", "class 2", "kept"])

    def test_callbacks(self) -> None:
        seen = []
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            with transaction.atomic():
                Book.objects.create(title="mine")
                transaction.on_commit(lambda: seen.append(read()))
            self.loads(1, ["class", "class 2", "mine"])
        assert len(callbacks) == 1
        assert seen == [["class", "class 2", "mine"]]

    def test_queries_that_are_cached(self) -> None:
        Shelf.objects.create(name="a")
        assert Shelf.cached.count() == 1
        with self.assertNumQueries(0):
            assert Shelf.cached.count() == 1
        with transaction.atomic():
            Shelf.objects.create(name="b")
            assert Shelf.cached.count() == 2
        assert Shelf.cached.count() == len(Shelf.cached.all()) == 2

    def test_queries_of_the_test_before(self) -> None:
        assert Shelf.cached.count() == len(Shelf.cached.all()) == 0

    def test_a_load_around_a_write_is_not_stored(self) -> None:
        @cacheable
        def load() -> int:
            found = Pending.objects.count()
            Pending.objects.create(value=1)
            return found

        assert (load(), load()) == (0, 1)


class Nested(Cases):
    """The same once more, after a class that was rolled back; with a transaction around each."""

    def test_everything_in_one_block(self) -> None:
        with transaction.atomic():
            Book.objects.create(title="mine")
        with transaction.atomic():
            self.loads(1, ["class", "class 2", "mine"])


class Real(TransactionTestCase):
    __test__ = False
    available_apps = None

    def _fixture_teardown(self) -> None:
        Book.objects.all().delete()  # the tables of few models are there

    def test_commits(self) -> None:
        assert read() == []
        with transaction.atomic():
            Book.objects.create(title="real")
            assert read() == ["real"]
        assert (read(), read()) == (["real"], ["real"])


def test_cases(db: Any) -> None:
    suite = unittest.TestSuite()
    for case in (Cases, Nested, Real, Cases):
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    result = unittest.TestResult()
    suite.run(result)
    problems = [text for _, text in (*result.errors, *result.failures)]
    assert not problems, "\n".join(problems)
    assert result.testsRun == 23
    assert seen_at_setup[-1] == ["class"]
    assert read() == titles() == []
