"""Serializers of Django REST framework whose representations are cached.

A representation is computed of an instance that was read before: all that is in the instance, and
all of the context, is in the key, so that it does not matter how old it is. What is read while it
is computed is what it depends on. A list of an unevaluated queryset is cached as the query is, and
then nothing is read at all on a hit.

Thread-safety: a serializer belongs to one thread at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import Context
from typing import Any

from django.conf import settings
from django.db import router
from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager
from django.utils import timezone, translation
from django.utils.functional import LazyObject, empty

from zoocache import _zoocache
from zoocache._errors import SerializationError, shown
from zoocache.contrib._database import default_cache
from zoocache.contrib._models import Portable, RefusedError, once, own, part_number
from zoocache.contrib.django._connections import database_of
from zoocache.contrib.django._endpoint import origin_of
from zoocache.contrib.django._queries import Uncached, key_of, name_of
from zoocache.contrib.django._start import begin

__all__ = [
    "BaseCacheableSerializerMixin",
    "CacheableListSerializerMixin",
    "CacheableSerializerMixin",
    "cacheable_serializer",
    "cached_model_serializers",
    "instance_tag",
    "model_tag",
]


def model_tag(model: Any) -> str:
    """The tag that dies with every change of a model's table, for `deps=`.

    Args:
        model: a model or an instance of one; of anything else its text is the tag.

    Returns:
        "db:<alias>:<table>:~scan"; of a database that is not followed "<app>.<model>".

    Thread-safe.
    """
    if not hasattr(model, "_meta"):
        return str(model)
    meta = model._meta  # noqa: SLF001
    database = database_of(router.db_for_write(meta.model))
    return meta.label_lower if database is None else database.scan_tag(meta.db_table.lower())


def instance_tag(instance: Any) -> str:
    """The tag that dies with every change of an instance's row, for `deps=` and `invalidate`.

    Args:
        instance: of a model; one whose key is neither an integer nor a UUID, or that has none yet,
            has the model's tag.

    Returns:
        "db:<alias>:<table>:<key>"; of a database that is not followed "<app>.<model>:<key>".

    Raises:
        TypeError: it is no instance of a model.

    Thread-safe.
    """
    known: object = instance  # django has no types: its Model has no `_meta` for checkers
    if not isinstance(known, Model):
        raise TypeError(
            f"instance_tag({shown(instance)}): an instance of a model is wanted; of a model "
            "model_tag() gives the tag"
        )
    meta = instance._meta  # noqa: SLF001
    database = database_of(router.db_for_write(meta.model, instance=instance))
    if database is None:
        return default_cache().tag(meta.label_lower, instance.pk)
    return database.row_tag(meta.db_table.lower(), (instance.pk,)) or model_tag(instance)


def _load(key: object, run: Callable[[], Any]) -> Any:
    """What all representations are loaded by: a time to live, and the representation."""
    assert isinstance(key, tuple)  # noqa: S101 - for type checkers
    return key[0], run()


# In this process alone: another one may have other code under the same name.
_cached: Any = default_cache().cacheable(ignore="run", ttl=lambda value: value[0], storage="l1")(
    _load
)


class BaseCacheableSerializerMixin:
    """What cached serializers have in common.

    Attributes:
        zoocache_ttl: seconds that a representation lives at the most; None: `default_ttl`.
    """

    zoocache_ttl: float | None = None

    def zoocache_key(self, instance: Any) -> object:
        """What else a representation depends on: of the request, of the view, of what is set here.

        Args:
            instance: what is represented: an instance, or a queryset.

        Returns:
            Values of builtin types, and instances. Default: nothing.
        """
        del instance
        return ()

    def _cached_representation(
        self, subject: Any, key: Callable[[], object], run: Callable[[], Any]
    ) -> Any:
        begin()
        try:
            whole = (self.zoocache_ttl, key(), _content(_surroundings(self, subject)))
        except Uncached:
            return run()
        return own(_cached(whole, run)[1])


class CacheableSerializerMixin(BaseCacheableSerializerMixin):
    """Put before a ModelSerializer: the representation of each instance is cached."""

    def to_representation(self, instance: Any) -> Any:
        """As that of the serializer, cached for instances of models."""
        plain: Any = getattr(super(), "to_representation")  # noqa: B009  it is not typed
        if not isinstance(instance, Model):
            return plain(instance)

        def run() -> Any:
            _zoocache.add_deps(instance_tag(instance))
            return plain(instance)

        return self._cached_representation(instance, lambda: _content(instance), run)


class CacheableListSerializerMixin(BaseCacheableSerializerMixin):
    """Put before a ListSerializer: lists of querysets that nobody has evaluated are cached."""

    def to_representation(self, data: Any) -> Any:
        """As that of the serializer, cached for querysets."""
        plain: Any = getattr(super(), "to_representation")  # noqa: B009  it is not typed
        queryset: Any = data.all() if isinstance(data, BaseManager) else data
        if not _is_unread(queryset):
            return plain(queryset)
        return self._cached_representation(
            queryset, lambda: key_of(queryset), lambda: plain(queryset)
        )


def _is_unread(data: Any) -> bool:
    """Whether it is a query that has not been asked."""
    return isinstance(data, QuerySet) and vars(data)["_result_cache"] is None


def _surroundings(serializer: Any, subject: Any) -> object:
    """All that a representation may depend on besides what is represented."""
    child = getattr(serializer, "child", serializer)
    context = dict(serializer.context)
    request = context.pop("request", None)
    context.pop("view", None)
    asked: tuple[object, ...] = ()
    if request is not None:
        query = request.META.get("QUERY_STRING", "")
        user = _unwrapped(getattr(request, "user", None))
        asked = (*origin_of(request), query, _user(user))
    return (
        name_of(type(serializer)),
        name_of(type(child)),
        tuple(getattr(child, "fields", ())),
        translation.get_language() if settings.USE_I18N else None,
        timezone.get_current_timezone_name() if settings.USE_TZ else None,
        asked,
        {name: _unwrapped(value) for name, value in context.items()},
        child.zoocache_key(subject) if hasattr(child, "zoocache_key") else (),
        serializer.zoocache_key(subject),
    )


def _unwrapped(value: Any) -> Any:
    if not isinstance(value, LazyObject):
        return value
    lazy: Any = value
    if lazy._wrapped is empty:  # noqa: SLF001
        lazy._setup()  # noqa: SLF001
    return lazy._wrapped  # noqa: SLF001


def _user(user: Any) -> object:
    if user is None or isinstance(user, Model):
        return user
    if getattr(user, "is_anonymous", False) is True:
        return name_of(type(user))
    return user  # what is not of builtin types is refused


def _content(value: object) -> bytes:
    """All that is in a value, the columns and relations of instances among it.

    Raises:
        Uncached: something in it can only be told apart by looking at it.
    """
    walk = Portable()
    try:
        # Not as a part of the running load: what is in a key may be older than that.
        root = Context().run(walk.take, value)
        parts = [content for _, content in walk.parts]
        return _zoocache.encode(_told((root, parts)), {}, True)
    except (RefusedError, SerializationError, RecursionError) as error:
        once(f"a representation is not cached, since something is in no key: {error}")
        raise Uncached from None


def _told(value: Any) -> Any:
    number = part_number(value)
    if number is not None:
        return ("part", number)
    if isinstance(value, type):
        return name_of(value)
    kind = type(value)
    if kind is dict:
        return {_told(key): _told(one) for key, one in value.items()}
    if kind in {list, tuple}:
        return kind([_told(one) for one in value])
    return value


@functools.cache
def _cached_list_class(plain: Any) -> Any:
    if issubclass(plain, CacheableListSerializerMixin):
        return plain
    return type(plain.__name__, (CacheableListSerializerMixin, plain), {"__doc__": plain.__doc__})


def cacheable_serializer(cls: Any) -> Any:
    """A serializer class like this one, with cached representations; usable as a decorator.

    Args:
        cls: a serializer class of REST framework, which stays as it is.

    Returns:
        A class below it and `CacheableSerializerMixin`.

    Raises:
        TypeError: it is no serializer class.
    """
    if not isinstance(cls, type) or not hasattr(cls, "many_init"):
        raise TypeError(f"cacheable_serializer({shown(cls)}): a serializer class is wanted")
    bases = (cls,) if issubclass(cls, CacheableSerializerMixin) else (CacheableSerializerMixin, cls)
    body = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    meta: Any = type(cls)
    made: Any = meta(cls.__name__, bases, body)

    def many_init(owner: Any, *args: Any, **kwargs: Any) -> Any:
        listed: Any = super(made, owner).many_init(*args, **kwargs)
        kind: Any = type(listed)
        listed.__class__ = _cached_list_class(kind)
        return listed

    made.many_init = classmethod(many_init)
    return made


_made: Callable[[Any], Any] = functools.cache(cacheable_serializer)


def cached_model_serializers(cls: Any) -> Any:
    """Caches what a view's serializers make, whichever `get_serializer_class` names.

    Args:
        cls: a view or view set of REST framework, which is changed; or a serializer class, for
            which it is `cacheable_serializer`.

    Returns:
        The class, so that it is usable as a decorator.

    Raises:
        TypeError: it is neither.
    """
    if hasattr(cls, "many_init"):
        return cacheable_serializer(cls)
    plain: Any = getattr(cls, "get_serializer_class", None)
    if not isinstance(cls, type) or plain is None:
        raise TypeError(
            f"cached_model_serializers({shown(cls)}): a view with get_serializer_class or a "
            "serializer class is wanted"
        )

    @functools.wraps(plain)
    def get_serializer_class(self: Any) -> Any:
        found = plain(self)
        cached = isinstance(found, type) and issubclass(found, CacheableSerializerMixin)
        return found if cached else _made(found)

    setattr(cls, "get_serializer_class", get_serializer_class)  # noqa: B010  it is not typed
    return cls
