"""Django: the outbox, and writers that are killed between COMMIT and invalidation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_support import database, settings_of
from outbox_support import killed, shared_home

# isort: split
from django.core import management
from django.db import connection, transaction
from django.test import override_settings

import zoocache
from django_shop.models import Pending
from support import wait_until
from zoocache import cacheable
from zoocache.contrib import _outbox
from zoocache.contrib.django import _connections
from zoocache.contrib.django.outbox import create_outbox

WRITER = """
import sys
import zoocache
from django.conf import settings

given, options, box, how, value = eval(sys.argv[1])
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django_shop", "zoocache.contrib.django"],
    DATABASES={"default": given},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    ZOOCACHE_DATABASES={"default": {"outbox": box}},
)
import django
django.setup()
from django.db import transaction
from django_shop.models import Pending

zoocache.configure(**options)
if how == "atomic":
    with transaction.atomic():
        Pending.objects.filter(pk=1).update(value=value)
else:
    Pending.objects.filter(pk=1).update(value=value)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    given = settings_of(request, tmp_path)
    options = {"default": {"outbox": True, "outbox_interval": 0.1}}
    with database("default", given) as wrapper, override_settings(ZOOCACHE_DATABASES=options):
        create_outbox()
        create_outbox()
        wrapper.close()
        _connections._databases.clear()
        Pending.objects.create(value=1)
        yield dict(wrapper.settings_dict)
    for drainer in list(_outbox._drainers):
        drainer.stop()


def rows() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tags, in_doubt FROM zoocache_outbox")
        return list(cursor.fetchall())


def value() -> Any:
    return Pending.objects.get(pk=1).value


def test_what_is_told_leaves_nothing(place: Any) -> None:
    cached = cacheable(value)
    assert cached() == 1
    with transaction.atomic():
        Pending.objects.filter(pk=1).update(value=2)
    assert rows() == []
    assert cached() == 2
    Pending.objects.filter(pk=1).update(value=3)
    Pending.objects.create(value=4)
    assert rows() == []
    assert cached() == 3
    with transaction.atomic():
        Pending.objects.filter(pk=1).update(value=5)
        transaction.set_rollback(True)
    assert rows() == []
    assert cached() == 3


def killed_beside(place: Any, home: dict[str, Any], box: bool, how: str) -> None:
    cached = cacheable(value)
    cached()
    hits = zoocache.stats().hits
    cached()
    assert zoocache.stats().hits > hits
    killed(WRITER, repr((place, home, box, how, 2)))
    assert value() == 2
    wait_until(lambda: cached() == 2)


@pytest.mark.parametrize("how", ["atomic", "autocommit"])
def test_a_killed_writer_is_found_out_by_a_process_without_its_home(place: Any, how: str) -> None:
    killed_beside(place, {}, True, how)
    wait_until(lambda: [row[1] for row in rows()] == [1] * (how == "autocommit"))


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["atomic", "autocommit"])
def test_a_killed_writer_whose_home_is_shared(
    place: Any, shared_home: dict[str, Any], how: str
) -> None:
    """Without an outbox: by its intent."""
    zoocache.configure(**shared_home)
    killed_beside(place, shared_home, False, how)


def test_migrations_make_the_table(place: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE zoocache_outbox")
    management.call_command("migrate", run_syncdb=True, verbosity=0)
    Pending.objects.update(value=9)
    assert rows() == []


def test_a_table_that_is_missing(place: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE zoocache_outbox")
    for written in (lambda: Pending.objects.update(value=9), atomically):
        with pytest.raises(zoocache.InvalidOption, match="create_outbox"):
            written()
        connection.close()
        assert value() == 1


def atomically() -> None:
    with transaction.atomic():
        Pending.objects.update(value=9)
