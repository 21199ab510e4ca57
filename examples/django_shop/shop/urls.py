"""What is where."""

from django.urls import path

from shop import views

urlpatterns = [
    path("products", views.products),
    path("products/<int:product_id>", views.product),
    path("basket", views.basket),
    path("basket/<int:product_id>", views.put),
    path("loads", views.loads),
]
