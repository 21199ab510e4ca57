"""Foreign keys, a relation of many to many, and a table that inherits."""

from __future__ import annotations

from django.db import models


class Publisher(models.Model):
    name = models.CharField(max_length=40)


class Tag(models.Model):
    name = models.CharField(max_length=40)


class Book(models.Model):
    title = models.CharField(max_length=40)
    price = models.IntegerField(default=0)
    publisher = models.ForeignKey(Publisher, null=True, on_delete=models.CASCADE)
    tags = models.ManyToManyField(Tag)


class Comic(Book):
    colour = models.CharField(max_length=40, default="")
