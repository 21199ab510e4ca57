"""Cached functions that read through the ORM, and views that show what they return.

Each function depends on what it reads, and dies with the commit that changes that.
"""

from __future__ import annotations

import os
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET, require_http_methods

from shop.models import InBasket, Product
from zoocache import cacheable

if "ZOOCACHE_OFF" in os.environ:

    def cached(function: Any) -> Any:
        return function
else:
    cached = cacheable


@cached
def every_product() -> list[dict[str, Any]]:
    return list(Product.objects.order_by("id").values("id", "name", "price"))


@cached
def one_product(product_id: int) -> Product | None:
    """A model instance: each caller gets one of its own."""
    return Product.objects.filter(pk=product_id).first()


@cached
def basket_of(customer: str) -> list[InBasket]:
    return list(InBasket.objects.filter(customer=customer).select_related("product"))


@require_GET
def products(request: HttpRequest) -> HttpResponse:
    return JsonResponse(every_product(), safe=False)


@require_http_methods(["GET", "PUT"])
def product(request: HttpRequest, product_id: int) -> HttpResponse:
    if request.method == "PUT":
        price = int(request.GET["price"])
        Product(pk=product_id, name=f"product {product_id}", price=price).save()
    found = one_product(product_id)
    if found is None:
        raise Http404
    return JsonResponse({"id": found.pk, "name": found.name, "price": found.price})


@require_GET
def basket(request: HttpRequest) -> HttpResponse:
    customer = request.headers["X-Customer"]
    rows = basket_of(customer)
    products = [{"name": one.product.name, "count": one.count} for one in rows]
    total = sum(one.product.price * one.count for one in rows)
    return JsonResponse({"customer": customer, "products": products, "total": total})


@require_http_methods(["PUT"])
def put(request: HttpRequest, product_id: int) -> HttpResponse:
    InBasket.objects.update_or_create(
        customer=request.headers["X-Customer"],
        product_id=product_id,
        defaults={"count": int(request.GET["count"])},
    )
    return HttpResponse(status=204)


@require_GET
def loads(request: HttpRequest) -> HttpResponse:
    functions = (every_product, one_product, basket_of)
    return JsonResponse({one.__name__: one.cache_info().misses for one in functions})
