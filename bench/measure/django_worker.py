"""One process of `django_part`: a shop on SQLite, with a cache or without; prints a line of JSON.

times     what queries and writes take, in microseconds
compare   a seed's reads and writes; what was asked twice, and what was stale: other than what
          the same connection reads at that moment without the cache
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import django
from django.conf import settings

BOOKS, PUBLISHERS, TAGS = 60, 8, 10
MORE = 4000  # books that nobody has asked for
READS_A_STEP = 10
SECONDS = {True: 0.05, False: 0.5}  # quick: for one measurement

Read = Callable[[int], Any]
Write = Callable[[random.Random, int], Any]


def set_up(peer: str, database: str, redis: str) -> None:
    options: dict[str, Any] = {}
    apps = ["django_shop"]
    if peer == "cacheops":
        apps.append("cacheops")
        options = {"CACHEOPS_REDIS": redis, "CACHEOPS": {"*.*": {"ops": "all", "timeout": 3600}}}
    elif peer != "plain":
        apps.append("zoocache.contrib.django")
    settings.configure(
        INSTALLED_APPS=apps,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        SECRET_KEY="bench",
        **options,
    )
    django.setup()
    if peer == "zoocache-redis":
        import zoocache

        zoocache.configure(bus_url=redis)


# ruff: noqa: E402  the models come after the settings
parser = argparse.ArgumentParser()
parser.add_argument("--peer", required=True)
parser.add_argument("--task", required=True)
parser.add_argument("--database", required=True)
parser.add_argument("--redis", default="")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--steps", type=int, default=100)
parser.add_argument("--writes", default="")
parser.add_argument("--quick", action="store_true")
given = parser.parse_args()
set_up(given.peer, given.database, given.redis)

from django.db import connection, transaction
from django.db.models import Count, F, QuerySet, Sum

from django_shop.models import Book, Comic, Publisher, Tag


def fill(more: int = 0) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode = wal")
        cursor.execute("PRAGMA synchronous = off")
    with connection.schema_editor() as editor:
        for model in (Publisher, Tag, Book, Comic):
            editor.create_model(model)
    for at in range(PUBLISHERS):
        Publisher.objects.create(name=f"publisher {at}")
    tags = [Tag.objects.create(name=f"tag {at}") for at in range(TAGS)]
    for at in range(BOOKS):
        model = Comic if at % 4 == 0 else Book
        book = model.objects.create(title=f"book {at}", price=at, publisher_id=1 + at % PUBLISHERS)
        book.tags.set([tags[at % TAGS], tags[(at + 1) % TAGS]])
    Book.objects.bulk_create([Book(title=f"more {at}") for at in range(more)])


def listed(books: Any) -> list[Any]:
    return [(book.pk, book.title, book.price, book.publisher_id) for book in books]


READS: dict[str, Read] = {
    "get": lambda key: Book.objects.filter(pk=key).first(),
    "list": lambda key: list(Book.objects.filter(publisher=1 + key % PUBLISHERS).order_by("pk")),
    "values": lambda key: list(Book.objects.filter(price__lt=key).values("pk", "title")),
    "count": lambda key: Book.objects.filter(publisher=1 + key % PUBLISHERS).count(),
    "exists": lambda key: Book.objects.filter(title=f"book {key}").exists(),
    "aggregate": lambda key: Book.objects.filter(tags=1 + key % TAGS).aggregate(Sum("price")),
    "join": lambda key: list(Book.objects.filter(publisher__name=f"publisher {key % PUBLISHERS}")),
    "select_related": lambda key: list(Book.objects.select_related("publisher").filter(pk=key)),
    "prefetch_related": lambda key: list(
        Publisher.objects.filter(pk=1 + key % PUBLISHERS).prefetch_related("book_set")
    ),
    "annotate": lambda key: list(
        Publisher.objects.filter(pk=1 + key % PUBLISHERS).annotate(n=Count("book"))
    ),
    "m2m": lambda key: list(Tag.objects.filter(book=key).order_by("pk")),
    "inherited": lambda key: list(Comic.objects.filter(pk=key)),
}


def shown(value: Any) -> Any:
    """What a reader sees of it, in a form that can be compared."""
    if isinstance(value, list):
        return sorted(str(shown(one)) for one in value)
    if isinstance(value, Book):
        seen = [value.pk, value.title, value.price, value.publisher_id]
        cached = value._state.fields_cache.get("publisher")
        return [*seen, cached and cached.name, getattr(value, "colour", "")]
    if isinstance(value, Publisher):
        related = getattr(value, "_prefetched_objects_cache", {}).get("book_set")
        found = None if related is None else listed(value.book_set.all())
        return [value.pk, value.name, getattr(value, "n", None), found]
    return value.name if isinstance(value, Tag) else value


def save(numbers: random.Random, key: int) -> None:
    for book in Book.objects.filter(pk=key):
        book.price = numbers.randrange(50)
        book.publisher_id = numbers.randrange(1, 1 + PUBLISHERS)
        book.save()


def save_comic(numbers: random.Random, key: int) -> None:
    for comic in Comic.objects.filter(pk=key):
        comic.title = f"book {numbers.randrange(50)}"
        comic.save()


def rename(numbers: random.Random, key: int) -> None:
    publisher = Publisher.objects.get(pk=1 + key % PUBLISHERS)
    publisher.name = f"publisher {numbers.randrange(PUBLISHERS)}"
    publisher.save()


def retag(numbers: random.Random, key: int) -> None:
    for book in Book.objects.filter(pk=key):
        book.tags.set(Tag.objects.filter(pk__in=numbers.sample(range(1, 1 + TAGS), 2)))


def create(numbers: random.Random, key: int) -> None:
    Book.objects.create(title=f"book {key}", price=key, publisher_id=1 + key % PUBLISHERS)


def in_text(numbers: random.Random, key: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_shop_book SET title = %s WHERE id = %s", ["raw", key])


# Of instances, one at a time, as signals tell of them.
INSTANCES: dict[str, Write] = {
    "save": save,
    "save_comic": save_comic,
    "rename": rename,
    "m2m": retag,
    "create": create,
    "delete": lambda numbers, key: [book.delete() for book in Book.objects.filter(pk=key + 40)],
}
EVERYTHING: dict[str, Write] = {
    **INSTANCES,
    "update": lambda numbers, key: Book.objects.filter(pk=key).update(price=F("price") + 1),
    "update_some": lambda numbers, key: Book.objects.filter(price__gt=40 + key % 10).update(
        price=numbers.randrange(40)
    ),
    "bulk_create": lambda numbers, key: Book.objects.bulk_create(
        [Book(title=f"book {key}", price=at, publisher_id=1) for at in range(2)]
    ),
    "bulk_update": lambda numbers, key: Book.objects.bulk_update(
        [Book(pk=key, title=f"book {numbers.randrange(50)}")], ["title"]
    ),
    "raw": in_text,
}
WRITES = {"instances": INSTANCES, "everything": EVERYTHING}


class Queries:
    """How many statements reached the database."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Any, sql: str, *rest: Any) -> Any:
        self.count += 1
        return execute(sql, *rest)


def reader(peer: str) -> Callable[[str, int], Any]:
    def read(name: str, key: int) -> Any:
        return READS[name](key)

    if peer.startswith("zoocache"):
        import zoocache

        return zoocache.cacheable(read)
    return read  # cacheops caches the queries themselves


class Uncached:
    """In its blocks, django-cacheops caches no queries; it goes on invalidating."""

    def __init__(self) -> None:
        self.is_on = False
        if given.peer == "cacheops":
            plain = QuerySet._should_cache
            QuerySet._should_cache = lambda queryset, op: not self.is_on and plain(queryset, op)

    def __enter__(self) -> None:
        self.is_on = True

    def __exit__(self, *_: object) -> None:
        self.is_on = False


class Comparison:
    """A seed's steps."""

    def __init__(self) -> None:
        self.numbers = random.Random(given.seed)
        self.writes = WRITES[given.writes]
        self.read = reader(given.peer)
        self.queries = Queries()
        self.uncached = Uncached()
        self.last: dict[tuple[str, int], Any] = {}
        self.found = dict.fromkeys(("reads", "hits", "loads", "needless", "stale"), 0)
        self.stale_in: dict[str, int] = {}

    def ask(self) -> None:
        for _ in range(READS_A_STEP):
            name, key = self.numbers.choice(list(READS)), self.numbers.randrange(1, 20)
            before = self.queries.count
            answer = shown(self.read(name, key))
            loads = self.queries.count - before
            self.found["reads"] += 1
            self.found["hits"] += not loads
            self.found["loads"] += bool(loads)
            self.found["needless"] += bool(loads) and self.last.get((name, key)) == answer
            self.last[name, key] = answer
            with self.uncached:
                truth = shown(READS[name](key))
            if answer != truth:
                self.found["stale"] += 1
                self.stale_in[name] = self.stale_in.get(name, 0) + 1

    def write(self) -> None:
        write = self.numbers.choice(list(self.writes.values()))
        with self.uncached:  # or what is stale would be saved
            write(self.numbers, self.numbers.randrange(1, 20))

    def step(self) -> None:
        if self.numbers.random() < 0.7:
            self.write()
        else:
            try:
                with transaction.atomic():
                    self.write()
                    self.ask()
                    if self.numbers.random() < 0.5:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                pass
        self.ask()

    def go(self) -> dict[str, Any]:
        with connection.execute_wrapper(self.queries):
            for _ in range(given.steps):
                self.step()
        return {**self.found, "stale_in": self.stale_in}


SAMPLE_S = 0.002


def per_call_us(call: Callable[[], Any]) -> float:
    """The best of samples of a few milliseconds, in which nobody else had the core."""
    call()
    count, best = 1, float("inf")
    until = time.perf_counter() + SECONDS[given.quick]
    while time.perf_counter() < until:
        began = time.perf_counter()
        for _ in range(count):
            call()
        spent = time.perf_counter() - began
        if spent < SAMPLE_S:
            count *= 2
        best = min(best, spent / count)
    return best * 1e6


def missed_us(read: Callable[[str, int], Any], fresh: Iterator[int]) -> float:
    """Of a few calls for what nobody has asked for."""
    began = time.perf_counter()
    for _ in range(20):
        read("get", next(fresh))
    return (time.perf_counter() - began) / 20 * 1e6


def times() -> dict[str, float]:
    read, found = reader(given.peer), {}
    direct: Any = Book.objects.all()
    if given.peer == "cacheops":
        direct = direct.nocache()
    found["uncached_get"] = per_call_us(lambda: direct.get(pk=7))
    found["uncached_list"] = per_call_us(lambda: list(direct.filter(publisher=3)))
    for name in ("get", "list", "count", "select_related", "prefetch_related"):
        found[f"hit_{name}"] = per_call_us(lambda name=name: read(name, 7))
    fresh = iter(range(BOOKS + 1, BOOKS + MORE))
    found["miss_get"] = min(missed_us(read, fresh) for _ in range(10 if given.quick else 100))
    book = direct.get(pk=7)
    found["write_save"] = per_call_us(book.save)

    def ten() -> None:
        with transaction.atomic():
            for _ in range(10):
                book.save()

    found["write_ten"] = per_call_us(ten)
    found["write_bulk"] = per_call_us(
        lambda: Book.objects.bulk_create([Book(title="bulk") for _ in range(100)])
    )
    return found


if given.task == "times":
    fill(MORE)
    results: dict[str, Any] = times()
else:
    fill()
    results = Comparison().go()
connection.close()
names = {"cacheops": "django-cacheops", "plain": "Django"}
distribution = names.get(given.peer, "zoocache")
print(json.dumps({"version": version(distribution), "results": results}))
