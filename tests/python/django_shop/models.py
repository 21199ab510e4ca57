"""Every kind of relation that reads and writes of the ORM take apart."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from zoocache.contrib.django import CacheableQuerySet, ZooCacheManager


class Publisher(models.Model):
    name = models.CharField(max_length=20)


class Tag(models.Model):
    name = models.CharField(max_length=20)


class Book(models.Model):
    title = models.CharField(max_length=20)
    price = models.IntegerField(default=0)
    publisher = models.ForeignKey(Publisher, null=True, on_delete=models.CASCADE)
    tags = models.ManyToManyField(Tag)
    extra = models.JSONField(default=dict)


class Comic(Book):
    """Inherits by a table of its own."""

    colour = models.CharField(max_length=20, default="")


class Code(models.Model):
    """A key that is no integer."""

    code = models.CharField(max_length=20, primary_key=True)
    value = models.IntegerField(default=0)


class Pending(models.Model):
    """A second table with an integer key, to see that one leaves the other alone."""

    value = models.IntegerField(default=0)

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]


class Shelf(models.Model):
    """Whose queries are cached when they are asked of `cached`."""

    name = models.CharField(max_length=20)
    room = models.ForeignKey("Room", null=True, on_delete=models.CASCADE, related_name="shelves")
    extra = models.JSONField(default=dict)

    cached = ZooCacheManager()


class RoomQuerySet(CacheableQuerySet):
    def called(self, name: str) -> RoomQuerySet:
        return self.filter(name=name)


class Room(models.Model):
    name = models.CharField(max_length=20)

    objects = RoomQuerySet.as_manager()
    cached = ZooCacheManager.from_queryset(RoomQuerySet)(ttl=60, prefix="rooms")
