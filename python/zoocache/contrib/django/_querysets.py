"""Querysets and managers whose queries are cached.

Thread-safety: a queryset belongs to one thread at a time, as those of Django; managers to all.
"""

from __future__ import annotations

import functools
from typing import Any

from django.db import models
from django.db.models.manager import BaseManager
from django.db.models.signals import class_prepared

from zoocache._errors import shown
from zoocache.contrib.django._queries import Options, answer, expression_key, owned
from zoocache.contrib.django._start import see_writes

__all__ = ["CacheableQuerySet", "ZooCacheManager", "ZooCacheQuerySet", "cached"]


_PlainQuerySet: Any = models.QuerySet  # it has no annotations


class CacheableQuerySet(_PlainQuerySet):
    """A queryset whose queries are cached after `cached()`."""

    _zoocache: Options | None = None
    _result_cache: Any

    def cached(self, *, ttl: float | None = None, prefix: str | None = None) -> Any:
        """The same query, answered from the cache as long as nothing that it reads has changed.

        Args:
            ttl: seconds to live at the most; default `default_ttl` of `configure`.
            prefix: part of the key.

        Raises:
            InvalidOption: a value that is not allowed.
        """
        return self._with_options(Options(ttl, prefix))

    def uncached(self) -> Any:
        """The same query, asked of the database."""
        return self._with_options(None)

    def _with_options(self, options: Options | None) -> Any:
        made = self._chain()
        made._zoocache = options  # noqa: SLF001
        return made

    def _clone(self) -> Any:
        made = super()._clone()
        made._zoocache = self._zoocache  # noqa: SLF001
        return made

    def _fetch_all(self) -> None:
        options = self._zoocache
        if self._result_cache is None and options is not None:
            rows = answer(self, options, "rows", self._plain_rows)
            self._result_cache = owned(self, rows)
            self._prefetch_done = True
            self._add_known_objects()
        super()._fetch_all()

    def _plain_rows(self) -> list[Any]:
        plain = self.uncached()
        plain._known_related_objects = {}  # noqa: SLF001  those are the caller's own
        return list(plain)

    def _add_known_objects(self) -> None:
        """Lets rows that a relation gave know the instance at its other end."""
        meta = self.model._meta  # noqa: SLF001
        for field, known in self._known_related_objects.items():
            names = [
                field.attname if name == "self" else meta.get_field(name).attname
                for name in field.from_fields
            ]
            for row in self._result_cache if self._fields is None else ():
                values = tuple([getattr(row, name) for name in names])
                found = known.get(values[0] if len(values) == 1 else values)
                if found is not None and not field.is_cached(row):
                    setattr(row, field.name, found)

    def count(self) -> int:
        """As that of Django, cached."""
        options = self._zoocache
        if self._result_cache is not None or options is None:
            return int(super().count())
        return int(answer(self, options, "count", super().count))

    def exists(self) -> bool:
        """As that of Django, cached."""
        options = self._zoocache
        if self._result_cache is not None or options is None:
            return bool(super().exists())
        return bool(answer(self, options, "exists", super().exists))

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As that of Django, cached."""
        plain = super().aggregate
        options = self._zoocache
        if options is None:
            return dict(plain(*args, **kwargs))
        return dict(
            answer(
                self,
                options,
                "aggregate",
                lambda: plain(*args, **kwargs),
                lambda: expression_key((args, tuple(kwargs.items()))),
            )
        )


class ZooCacheQuerySet(CacheableQuerySet):
    """A queryset whose queries are cached; those of `uncached()` are not."""

    _zoocache = Options()


@functools.cache
def _cacheable_class(plain: Any) -> Any:
    """A class between a queryset's and those of its like whose queries can be cached."""

    def reduce(self: Any) -> Any:  # its class is not found by its name
        return _unpickled, (plain,), self.__getstate__()

    body = {"__module__": plain.__module__, "__reduce__": reduce}
    return type(plain.__name__, (CacheableQuerySet, plain), body)


def _unpickled(plain: Any) -> Any:
    made = _cacheable_class(plain)
    return made.__new__(made)


def cached(queryset: Any, *, ttl: float | None = None, prefix: str | None = None) -> Any:
    """The same query, answered from the cache as long as nothing that it reads has changed.

    Args:
        queryset: a queryset of any class, or a manager.
        ttl: seconds to live at the most; default `default_ttl` of `configure`.
        prefix: part of the key.

    Raises:
        InvalidOption: a value that is not allowed.
        TypeError: it is neither; the result of `raw()` is not.

    Thread-safe.
    """
    return _with_options(queryset, Options(ttl, prefix))


def _with_options(queryset: Any, options: Options) -> Any:
    if not isinstance(queryset, models.QuerySet | BaseManager):
        raise TypeError(f"cached({shown(queryset)}): a queryset or a manager is wanted")
    made: Any = queryset.all()
    plain: Any = type(made)
    if not issubclass(plain, CacheableQuerySet):
        made.__class__ = _cacheable_class(plain)
    made._zoocache = options  # noqa: SLF001
    return made


_PlainManager: Any = BaseManager.from_queryset(ZooCacheQuerySet)


class ZooCacheManager(_PlainManager):
    """A manager whose querysets are cached: `cached = ZooCacheManager()` in a model.

    Args:
        ttl: seconds that results live at the most; default `default_ttl` of `configure`.
        prefix: part of the keys.
        ensure_objects_manager: whether a model without a manager `objects` gets one, of Django,
            which then is the model's default manager in place of this one.

    Raises:
        InvalidOption: a value that is not allowed.
    """

    def __init__(
        self,
        *,
        ttl: float | None = None,
        prefix: str | None = None,
        ensure_objects_manager: bool = True,
    ) -> None:
        super().__init__()
        self._options = Options(ttl, prefix)
        self.ensure_objects_manager = ensure_objects_manager

    def get_queryset(self) -> Any:
        """A queryset of all, cached."""
        options = self._options
        if self.name is None:  # of a relation: Django makes it of the class alone
            default = self.model._default_manager  # noqa: SLF001
            options = getattr(default, "_options", options)
        return _with_options(super().get_queryset(), options)


def _ensure_objects(sender: Any, **_: Any) -> None:
    """Gives a model the manager `objects` that it would have without ours."""
    meta = sender._meta  # noqa: SLF001
    ours = [one for one in meta.managers if isinstance(one, ZooCacheManager)]
    if not any(one.ensure_objects_manager for one in ours) or hasattr(sender, "objects"):
        return
    default = meta.default_manager
    meta.default_manager_name = "objects" if default in ours else default.name
    sender.add_to_class("objects", models.Manager())


class_prepared.connect(_ensure_objects, dispatch_uid="zoocache.objects")
see_writes()
