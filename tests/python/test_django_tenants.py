"""Django: `key_context`, with two tenants in one PostgreSQL by search_path and by row security."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_support import Counted, database, database_settings

# isort: split
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test import override_settings

import zoocache
from django_shop.models import Pending
from zoocache import cacheable
from zoocache.contrib import _context
from zoocache.contrib.django import _connections

tenant: contextvars.ContextVar[Any] = contextvars.ContextVar("tenant", default=None)
current_tenant = tenant.get
SCHEMA = """
CREATE SCHEMA tenant_a; CREATE SCHEMA tenant_b;
CREATE TABLE tenant_a.django_shop_pending (LIKE public.django_shop_pending INCLUDING ALL);
CREATE TABLE tenant_b.django_shop_pending (LIKE public.django_shop_pending INCLUDING ALL);
INSERT INTO tenant_a.django_shop_pending VALUES (1, 10);
INSERT INTO tenant_b.django_shop_pending VALUES (1, 20);
"""


@pytest.fixture
def db(postgres: Any, postgres_database: str, tmp_path: Path) -> Iterator[Any]:
    given = database_settings("postgresql", tmp_path, postgres, postgres_database)
    with database("default", given) as wrapper, postgres.connect(postgres_database) as connection:
        connection.execute(SCHEMA)
        yield wrapper


@pytest.fixture
def context() -> Iterator[None]:
    core = zoocache._default.core
    options = {"default": {"key_context": "test_django_tenants.current_tenant"}}
    with override_settings(ZOOCACHE_DATABASES=options):
        apps.get_app_config("zoocache").ready()
        yield
    del _context._parts[core]
    core.set_key_context(None)


def of(name: str, call: Callable[[], Any]) -> Any:
    def run() -> Any:
        tenant.set(name)
        with connection.cursor() as cursor:
            cursor.execute(f"SET search_path TO tenant_{name}, public")
        return call()

    return contextvars.copy_context().run(run)


@pytest.mark.usefixtures("context", "db")
def test_tenants_by_search_path() -> None:
    counted = Counted(lambda: [one.value for one in Pending.objects.filter(pk=1)])
    value = cacheable(counted)
    for name, expected in (("a", 10), ("b", 20), ("a", 10), ("b", 20)):
        assert of(name, value) == [expected]
    assert counted.loads == 2
    of("a", lambda: Pending.objects.filter(pk=1).update(value=11))
    assert of("b", value) == [20]
    assert counted.loads == 2
    assert of("a", value) == [11]

    def fails() -> None:
        with transaction.atomic():
            Pending.objects.filter(pk=1).update(value=12)
            with connection.cursor() as cursor:
                cursor.execute("SET search_path TO tenant_a, public")
            transaction.set_rollback(True)

    of("b", fails)
    of("b", lambda: Pending.objects.create(pk=7, value=7))
    loads = counted.loads
    assert of("a", value) == [11]
    assert counted.loads == loads, "back in its path, that was a row of b's"


@pytest.mark.usefixtures("context")
def test_the_first_call_is_of_a_context_already() -> None:
    """Also before a database is connected to: else two tenants would share its load."""
    name = cacheable(lambda: tenant.get())

    def call(given: str) -> Any:
        tenant.set(given)
        return name()

    assert [contextvars.copy_context().run(call, one) for one in ("a", "b")] == ["a", "b"]


def test_without_a_context_nothing_is_kept(db: Any) -> None:
    counted = Counted(lambda: [one.value for one in Pending.objects.filter(pk=1)])
    value = cacheable(counted)
    for name, expected in (("a", 10), ("b", 20), ("a", 10)):
        assert of(name, value) == [expected]
    assert counted.loads == 3


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("nowhere.at_all", ImproperlyConfigured),
        (7, zoocache.InvalidOption),
    ],
)
def test_bad_options(given: Any, error: type[Exception]) -> None:
    with (
        override_settings(ZOOCACHE_DATABASES={"default": {"key_context": given}}),
        pytest.raises(error, match="key_context"),
    ):
        _connections.add_contexts()
