"""Django: cached functions depend on what they read through the ORM, and commits invalidate.

    INSTALLED_APPS = [..., "zoocache.contrib.django"]

    @cacheable
    def prices(product_id):
        return list(Price.objects.filter(product=product_id).values_list("amount", flat=True))

No tag is written: whatever changes a price through Django, in this process or in another that
shares the home, kills the entry when it is committed. Options are in `settings.ZOOCACHE_DATABASES`,
see `apps`; what is not stored, and what else there is, is said in docs/DJANGO.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoocache.contrib.django._backend import ZoocacheBackend
    from zoocache.contrib.django._endpoint import cache_endpoint
    from zoocache.contrib.django._querysets import (
        CacheableQuerySet,
        ZooCacheManager,
        ZooCacheQuerySet,
        cached,
    )
    from zoocache.contrib.django._serializers import (
        BaseCacheableSerializerMixin,
        CacheableListSerializerMixin,
        CacheableSerializerMixin,
        cacheable_serializer,
        cached_model_serializers,
        instance_tag,
        model_tag,
    )

__all__ = [
    "BaseCacheableSerializerMixin",
    "CacheableListSerializerMixin",
    "CacheableQuerySet",
    "CacheableSerializerMixin",
    "ZooCacheManager",
    "ZooCacheQuerySet",
    "ZoocacheBackend",
    "cache_endpoint",
    "cacheable_serializer",
    "cached",
    "cached_model_serializers",
    "instance_tag",
    "model_tag",
]

# Django imports this before there are models, and few programs need all of it.
_PLACES = {
    "CacheableQuerySet": "_querysets",
    "ZooCacheManager": "_querysets",
    "ZooCacheQuerySet": "_querysets",
    "ZoocacheBackend": "_backend",
    "cache_endpoint": "_endpoint",
    "cached": "_querysets",
    "BaseCacheableSerializerMixin": "_serializers",
    "CacheableListSerializerMixin": "_serializers",
    "CacheableSerializerMixin": "_serializers",
    "cacheable_serializer": "_serializers",
    "cached_model_serializers": "_serializers",
    "instance_tag": "_serializers",
    "model_tag": "_serializers",
}


def __getattr__(name: str) -> object:
    """Imports what a program names, when it names it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
