"""Model instances as what a load gives: kept as column values, made anew for each caller.

An instance remembers in which load it came from the database. One that is older says what the
database said before the load began, so that a value with it is returned and not stored; and so is
what is computed from an instance among the arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db.models import Model, QuerySet
from django.db.models.base import ModelState
from django.db.models.fields.files import FieldFile
from django.db.models.signals import class_prepared

from zoocache import _zoocache
from zoocache.contrib._models import Kind, Portable, add_kind, once, own, refuse_type

_STAMP = "_zoocache_load"
_PREFETCHED = "_prefetched_objects_cache"


@functools.cache
def follow() -> None:
    """Begins, once all models are there. Called any number of times."""
    for model in apps.get_models(include_auto_created=True):
        watch(model)
    class_prepared.connect(_watch_sender, dispatch_uid="zoocache")
    refuse_type(QuerySet, "return list(queryset), which is what it gives now")
    plain = Model.from_db.__func__

    def from_db(cls: type[Any], /, db: Any, field_names: Any, values: Any, **more: Any) -> Any:
        made = plain(cls, db, field_names, values, **more)
        load = _zoocache.in_load()
        if load:
            setattr(made._state, _STAMP, load)  # noqa: SLF001  there is no public place
        return made

    from_db.__doc__ = plain.__doc__
    setattr(Model, "from_db", classmethod(from_db))  # noqa: B010  its type is not told


def watch(model: type[Model]) -> None:
    """From now on instances of the model are kept in values."""
    add_kind(model, _KIND)


def _watch_sender(sender: Any, **_: Any) -> None:
    watch(sender)


def _tell_of_argument(instance: Any, is_keyed: bool) -> None:
    del is_keyed
    _zoocache.distrust()
    once(
        f"{type(instance).__name__} instances as arguments: such calls are not cached, since an "
        "instance may be older than its row; pass the primary key"
    )


def _take_apart(instance: Any, portable: Portable) -> Any:
    state = instance._state  # noqa: SLF001
    # Loads are numbered as they begin: one with a higher number is this one, or inside of it.
    if not state.adding and getattr(state, _STAMP, 0) < _zoocache.in_load():
        _zoocache.distrust()
    values: dict[str, Any] = {}
    prefetched: dict[str, Any] = {}
    for name, value in vars(instance).items():
        if name == _PREFETCHED:
            prefetched = {key: portable.take(list(rows)) for key, rows in value.items()}
        elif isinstance(value, FieldFile):
            values[name] = value.name
        elif name != "_state":
            values[name] = portable.take(value)
    related = {name: portable.take(value) for name, value in state.fields_cache.items()}
    return (type(instance), state.db, state.adding, values, related, prefetched)


def _put_together(content: Any, portable: Portable) -> tuple[Any, Callable[[], None]]:
    model, db, adding, values, related, prefetched = content
    instance = model.__new__(model)
    state: Any = ModelState()
    instance._state = state  # noqa: SLF001
    state.db, state.adding = db, adding
    load = _zoocache.in_load()
    if load:
        setattr(state, _STAMP, load)

    # The key is there at once: sets and dicts ask for the hash while they are put together.
    key = model._meta.pk.attname  # noqa: SLF001
    if key in values:
        vars(instance)[key] = own(values[key])

    def complete() -> None:
        for name, value in values.items():
            if name != key:
                vars(instance)[name] = own(portable.put(value))
        for name, value in related.items():
            state.fields_cache[name] = portable.put(value)
        for name, rows in prefetched.items():
            _prefetch(instance, name, portable.put(rows))

    return instance, complete


def _prefetch(instance: Any, name: str, rows: list[Any]) -> None:
    """What prefetch_related leaves: a queryset that has been evaluated."""
    manager = getattr(instance, name, None)
    if manager is None or not hasattr(manager, "get_queryset"):
        return  # it is read again when it is asked for
    queryset = manager.get_queryset()
    queryset._result_cache = rows  # noqa: SLF001
    queryset._prefetch_done = True  # noqa: SLF001
    vars(instance).setdefault(_PREFETCHED, {})[name] = queryset


_KIND = Kind(_take_apart, _put_together, _tell_of_argument)
