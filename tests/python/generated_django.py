"""Models of a generated schema, and what can be read and written through them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import django_support  # noqa: F401  settings come first

# isort: split
from django.apps import apps
from django.db import connection, models
from django.db.models import Count, F, Max

from generated_schema import Schema, Table
from zoocache.contrib.django import cached

APP = "django_shop"
Models = dict[str, Any]


def make_models(schema: Schema, prefix: str) -> Models:
    made: Models = {}
    for table in schema.tables:
        meta = type("Meta", (), {"app_label": APP})
        fields: dict[str, Any] = {"__module__": f"{APP}.models", "Meta": meta}
        if table.parent is None and table.key != "int":
            field = models.CharField(max_length=20, primary_key=True)
            fields["key"] = field if table.key == "text" else models.UUIDField(primary_key=True)
        for column in table.columns:
            kind: Any = models.CharField if column.is_text else models.IntegerField
            options = {"max_length": 20} if column.is_text else {}
            fields[column.name] = kind(null=column.is_nullable, **options)
        for key in table.foreign_keys:
            act = models.CASCADE if key.cascades else models.SET_NULL
            to = "self" if key.to == table.name else made[key.to]
            fields[key.name] = models.ForeignKey(
                to, on_delete=act, null=key.is_nullable, related_name=f"of_{key.name}"
            )
        for left, right in schema.many_to_many:
            if right == table.name:
                fields[f"m_{left}_{right}"] = models.ManyToManyField(
                    made[left], related_name=f"of_m_{left}_{right}"
                )
        base = made[table.parent] if table.parent else models.Model
        made[table.name] = type(f"{prefix}{table.name}", (base,), fields)
    return made


@contextlib.contextmanager
def generated_models(schema: Schema, prefix: str) -> Iterator[Models]:
    """With their tables in the database, for the time of the block."""
    try:
        made = make_models(schema, prefix)
        with connection.schema_editor() as editor:
            for model in made.values():
                editor.create_model(model)
        yield made
    finally:
        for name in [name for name in apps.all_models[APP] if name.startswith(prefix.lower())]:
            del apps.all_models[APP][name]
        apps.clear_cache()


asks_cached: ContextVar[bool] = ContextVar("asks_cached", default=False)


@contextlib.contextmanager
def cached_queries() -> Iterator[None]:
    """In the block, the queries of `rows` are cached themselves."""
    token = asks_cached.set(True)
    try:
        yield
    finally:
        asks_cached.reset(token)


def rows(queryset: Any) -> list[str]:
    values = queryset.values_list()
    return sorted(map(repr, cached(values) if asks_cached.get() else values))


def shown(one: Any, columns: list[str]) -> Any:
    return one and (one.pk, *(getattr(one, name) for name in columns))


def reads_of(schema: Schema, made: Models) -> dict[str, Callable[[int], Any]]:
    found: dict[str, Callable[[int], Any]] = {}
    for table in schema.tables:
        found |= reads_of_table(table, made[table.name])
        for key in table.foreign_keys:
            target = next(one for one in schema.tables if one.name == key.to)
            found |= reads_of_relation(table, key.name, target, made)
    for left, right in schema.many_to_many:
        found |= reads_of_pair(schema, left, right, made)
    return found


def reads_of_table(table: Table, model: Any) -> dict[str, Callable[[int], Any]]:
    name, column = table.name, table.columns[0]
    every, key_of = model.objects, table.key_of
    return {
        f"row {name}": lambda key: rows(every.filter(pk=key_of(key))),
        f"rows {name}": lambda key: rows(every.filter(pk__in=[key_of(key), key_of(key % 5 + 1)])),
        f"filter {name}": lambda key: rows(every.filter(**{column.name: column.value(key)})),
        f"null {name}": lambda key: rows(
            every.filter(**{f"{column.name}__isnull": True}).order_by("pk")[: key % 3]
        ),
        f"count {name}": lambda key: every.exclude(**{column.name: column.value(key)}).count(),
        f"exists {name}": lambda key: every.filter(pk=key_of(key)).exists(),
        f"aggregate {name}": lambda key: every.aggregate(last=Max(column.name)),
        f"raw {name}": lambda key: (
            sorted(str(one.pk) for one in every.raw(f"SELECT * FROM {model._meta.db_table}"))
            if table.parent is None
            else None
        ),
    }


def reads_of_relation(
    table: Table, name: str, target: Table, made: Models
) -> dict[str, Callable[[int], Any]]:
    model, other, column = made[table.name], made[target.name], target.columns[0]
    mine, theirs = [one.name for one in table.columns], [one.name for one in target.columns]
    where = {f"{name}__{column.name}": None}
    return {
        f"join {name}": lambda key: rows(
            model.objects.filter(**dict.fromkeys(where, column.value(key)))
        ),
        f"subquery {name}": lambda key: rows(
            model.objects.filter(
                **{f"{name}__in": other.objects.filter(**{column.name: column.value(key)})}
            )
        ),
        f"select_related {name}": lambda key: [
            (shown(one, mine), shown(getattr(one, name), theirs))
            for one in model.objects.select_related(name).filter(pk=table.key_of(key))
        ],
        f"prefetch_related {name}": lambda key: [
            (one.pk, sorted(repr(shown(child, mine)) for child in getattr(one, f"of_{name}").all()))
            for one in other.objects.prefetch_related(f"of_{name}").filter(pk=target.key_of(key))
        ],
        f"annotate {name}": lambda key: sorted(
            other.objects.annotate(n=Count(f"of_{name}")).values_list("n", flat=True)
        ),
    }


def reads_of_pair(
    schema: Schema, left: str, right: str, made: Models
) -> dict[str, Callable[[int], Any]]:
    table = next(one for one in schema.tables if one.name == left)
    return {
        f"m2m {left}-{right}": lambda key: rows(
            made[right].objects.filter(**{f"m_{left}_{right}": table.key_of(key)})
        ),
        f"m2m_back {left}-{right}": lambda key: [
            sorted(str(other.pk) for other in getattr(one, f"of_m_{left}_{right}").all())
            for one in made[left].objects.filter(pk=table.key_of(key))
        ],
    }


class Fields:
    """Random values for a model's columns and relations."""

    def __init__(self, schema: Schema, made: Models, table: Table) -> None:
        self.schema, self.made, self.table = schema, made, table

    def __call__(self, numbers: random.Random) -> dict[str, Any] | None:
        """None if a relation that must be there has nothing to refer to."""
        values: dict[str, Any] = {}
        table: Table | None = self.table
        while table is not None:
            for column in table.columns:
                values[column.name] = column.value(numbers.randrange(10))
            for key in table.foreign_keys:
                there = list(self.made[key.to].objects.order_by("pk").values_list("pk", flat=True))
                if not there and not key.is_nullable:
                    return None
                is_null = not there or (key.is_nullable and numbers.random() < 0.3)
                values[f"{key.name}_id"] = None if is_null else numbers.choice(there)
            table = next((one for one in self.schema.tables if one.name == table.parent), None)
        return values


def writes_of(schema: Schema, made: Models) -> tuple[list[Any], list[Any]]:
    """What fills the tables, and all."""
    fill: list[Any] = []
    found: list[Any] = []
    for table in schema.tables:
        mine = writes_of_table(table, made[table.name], Fields(schema, made, table))
        fill.append(mine[0])
        found += mine
    pairs = [set_pair(schema, left, right, made) for left, right in schema.many_to_many]
    return [*fill, *pairs], [*found, *pairs]


def writes_of_table(table: Table, model: Any, fields: Fields) -> list[Any]:
    column, every, key_of = table.columns[0], model.objects, table.key_of

    def create(numbers: random.Random, key: int) -> None:
        values = fields(numbers)
        if values is None:
            return
        own = {} if table.key == "int" and numbers.random() < 0.3 else {"pk": key_of(key)}
        every.create(**own, **values)

    def save(numbers: random.Random, key: int) -> None:
        values = fields(numbers)
        for one in every.filter(pk=key_of(key)):
            for name, value in (values or {}).items():
                setattr(one, name, value)
            one.save()

    def replace(numbers: random.Random, key: int) -> None:
        values = fields(numbers)
        if values is not None:
            every.update_or_create(pk=key_of(key), defaults=values)

    def bulk(numbers: random.Random, key: int) -> None:
        listed = [fields(numbers) for _ in range(2)]
        if table.parent is None and None not in listed:
            ids = [key_of(key), key_of(key % 5 + 1)]
            every.bulk_create(
                [model(pk=one, **(values or {})) for one, values in zip(ids, listed, strict=True)],
                ignore_conflicts=numbers.random() < 0.5,
            )

    def text(numbers: random.Random, key: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {model._meta.db_table} SET {column.name} = %s WHERE {column.name} = %s",
                [column.value(numbers.randrange(4)), column.value(key)],
            )

    def add(numbers: random.Random, key: int) -> None:
        if not column.is_text:
            every.filter(pk=key_of(key)).update(**{column.name: F(column.name) + 1})

    def update(numbers: random.Random, key: int) -> None:
        value = column.value(numbers.randrange(4))
        every.filter(**{column.name: column.value(key)}).update(**{column.name: value})

    def delete_some(numbers: random.Random, key: int) -> None:
        some = every.filter(**{column.name: column.value(key)}).order_by("pk").values("pk")[:2]
        every.filter(pk__in=[one["pk"] for one in some]).delete()

    def delete(numbers: random.Random, key: int) -> None:
        every.filter(pk=key_of(key)).delete()

    return [create, create, create, save, replace, bulk, text, add, update, delete, delete_some]


def set_pair(schema: Schema, left: str, right: str, made: Models) -> Any:
    table = next(one for one in schema.tables if one.name == right)

    def change(numbers: random.Random, key: int) -> None:
        some = made[left].objects.order_by("pk")[: numbers.randrange(3)]
        for one in made[right].objects.filter(pk=table.key_of(key)):
            way = numbers.choice(["set", "add", "clear"])
            related = getattr(one, f"m_{left}_{right}")
            if way == "set":
                related.set(some)
            elif way == "add":
                related.add(*some)
            else:
                related.clear()

    return change
