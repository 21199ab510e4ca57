"""None: tests give each request its own."""

urlpatterns: list[object] = []
