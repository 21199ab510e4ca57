"""The tables, and fifty products."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations, models


def add_products(apps: Any, _: Any) -> None:
    product = apps.get_model("shop", "Product")
    product.objects.bulk_create(
        product(id=n, name=f"product {n}", price=10 * n) for n in range(1, 51)
    )


ID = models.BigAutoField("ID", primary_key=True, auto_created=True, serialize=False)


class Migration(migrations.Migration):
    initial = True
    operations: ClassVar[list[Any]] = [
        migrations.CreateModel(
            "Product",
            [
                ("id", ID),
                ("name", models.CharField(max_length=40)),
                ("price", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            "InBasket",
            [
                ("id", ID),
                ("customer", models.CharField(max_length=40)),
                ("count", models.IntegerField()),
                ("product", models.ForeignKey("shop.product", models.CASCADE)),
            ],
            {"unique_together": {("customer", "product")}},
        ),
        migrations.RunPython(add_products, migrations.RunPython.noop),
    ]
