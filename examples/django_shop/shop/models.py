"""What the shop keeps."""

from __future__ import annotations

from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=40)
    price = models.IntegerField()


class InBasket(models.Model):
    customer = models.CharField(max_length=40)
    product = models.ForeignKey(Product, on_delete=models.CASCADE)
    count = models.IntegerField()

    class Meta:
        unique_together = ("customer", "product")
