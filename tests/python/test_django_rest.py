"""Django REST framework: serializers and views whose results are cached, and whose they are."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_support import database, queries

pytest.importorskip("rest_framework")

# isort: split
from django.db import connection, transaction
from django.test import Client, override_settings
from django.urls import include, path
from django.utils import translation
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import action, api_view
from rest_framework.exceptions import NotFound
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer, StaticHTMLRenderer
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView
from rest_framework.viewsets import ModelViewSet

import zoocache
from django_shop.models import Book, Publisher, Tag
from zoocache import cacheable
from zoocache.contrib.django import (
    BaseCacheableSerializerMixin,
    CacheableListSerializerMixin,
    CacheableSerializerMixin,
    cache_endpoint,
    cacheable_serializer,
    cached_model_serializers,
    instance_tag,
    model_tag,
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Any]:
    given = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "one.db")}
    with database("default", given) as wrapper:
        first = Publisher.objects.create(name="first")
        for at in range(3):
            Book.objects.create(title=f"book {at}", price=at, publisher=first)
        yield wrapper


class TagSerializer(serializers.ModelSerializer):
    class Meta:
        model = Tag
        fields = ("name",)


class PlainBookSerializer(serializers.ModelSerializer):
    """A book with what it refers to."""

    publisher = serializers.CharField(source="publisher.name")
    tags = TagSerializer(many=True)
    link = serializers.SerializerMethodField()

    class Meta:
        model = Book
        fields = ("id", "title", "publisher", "tags", "extra", "link")

    def get_link(self, book: Book) -> str:
        request = self.context.get("request")
        path = f"/books/{book.pk}/{translation.get_language()}"
        return path if request is None else request.build_absolute_uri(path) + who(request)


BookSerializer = cacheable_serializer(PlainBookSerializer)


def who(request: Any) -> str:
    return str(request.user.pk) if hasattr(request, "user") else ""


def book(key: int = 1) -> Book:
    return Book.objects.get(pk=key)


def test_instances(db: Any) -> None:
    def show(one: Book) -> Any:
        return BookSerializer(one).data

    seen = show(book())
    assert (seen["publisher"], seen["tags"], seen["title"]) == ("first", [], "book 0")
    one = book()
    with queries(0):
        assert show(one) == seen
    book().tags.add(Tag.objects.create(name="new"))
    assert show(one)["tags"] == [{"name": "new"}]
    Publisher.objects.update(name="other")
    assert show(book())["publisher"] == "other"


def test_what_is_in_memory_alone_is_shown(db: Any) -> None:
    BookSerializer(book()).data
    one = book()
    one.title = "not saved"
    assert BookSerializer(one).data["title"] == "not saved"
    assert BookSerializer(book()).data["title"] == "book 0"
    with transaction.atomic():
        one.save()
        assert BookSerializer(book()).data["title"] == "not saved"
        transaction.set_rollback(True)
    assert BookSerializer(book()).data["title"] == "book 0"
    joined = Book.objects.select_related("publisher").prefetch_related("tags").get(pk=1)
    joined.publisher.name = "in memory"
    assert BookSerializer(joined).data["publisher"] == "in memory"
    assert BookSerializer(book()).data["publisher"] == "first"


def test_callers_own_what_they_get(db: Any) -> None:
    for _ in range(3):
        data = BookSerializer(book()).data
        assert data["extra"] == {}
        data["extra"]["mine"] = 1
        data["tags"].append("mine")


def test_lists(db: Any) -> None:
    def show(rows: Any) -> list[str]:
        return [one["title"] for one in BookSerializer(rows, many=True).data]

    rows = Book.objects.order_by("id")
    assert show(rows.all()) == ["book 0", "book 1", "book 2"]
    with queries(0):
        assert show(rows.all()) == ["book 0", "book 1", "book 2"]
    assert show(rows.filter(pk=2)) == ["book 1"]
    assert show(list(rows.all())) == ["book 0", "book 1", "book 2"]
    assert show(rows.none()) == []
    assert show(Book.objects)[0] == "book 0"
    Book.objects.filter(pk=2).update(title="new")
    assert show(rows.all()) == ["book 0", "new", "book 2"]
    listed = list(rows.all())
    show(listed)
    with queries(0):
        assert show(listed) == ["book 0", "new", "book 2"]


def test_lists_for_a_user(db: Any) -> None:
    request = APIRequestFactory().get("/")
    request.user = Publisher.objects.get()  # read before
    for count in (7, 0):
        with queries(count):
            data = BookSerializer(Book.objects.all(), many=True, context={"request": request}).data
        assert data[0]["link"] == "http://testserver/books/1/en-us1"


class User:
    is_authenticated = True
    is_anonymous = False

    def __init__(self, pk: int) -> None:
        self.pk = pk


def test_the_context_is_in_the_key(db: Any) -> None:
    def link(one: Any = None, user: Any = None, **context: Any) -> str:
        request = APIRequestFactory().get("/", SERVER_NAME=one) if one else None
        if user is not None:
            request.user = user
        context = {**context, "request": request} if one else context
        return BookSerializer(book(), context=context).data["link"]

    for _ in range(2):
        assert link() == "/books/1/en-us"
        with translation.override("de"):
            assert link() == "/books/1/de"
        assert link("a.test") == "http://a.test/books/1/en-us"
        assert link("b.test") == "http://b.test/books/1/en-us"
        assert link("b.test", Publisher.objects.get()) == "http://b.test/books/1/en-us1"
        assert link("b.test", User(7)) == "http://b.test/books/1/en-us7"  # not cached
        assert link("b.test", User(8)) == "http://b.test/books/1/en-us8"
        assert link(other=object()) == "/books/1/en-us"


def test_the_context_of_classes_and_fields(db: Any) -> None:
    @cacheable_serializer
    class Plain(CacheableSerializerMixin, serializers.ModelSerializer):
        zoocache_ttl = 60

        class Meta:
            model = Book
            fields = ("title", "price")

        def __init__(self, *args: Any, fields: Any = None, mark: str = "", **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.mark = mark
            for name in fields or ():
                self.fields.pop(name)

        def zoocache_key(self, instance: Any) -> object:
            return self.mark

        def to_representation(self, instance: Any) -> Any:
            return {
                **super().to_representation(instance),
                **({"m": self.mark} if self.mark else {}),
            }

    class Sub(Plain):
        def get_field_names(self, *args: Any) -> Any:
            return ["title"]

    for _ in range(2):
        assert Plain(book()).data == {"title": "book 0", "price": 0}
        assert Plain(book(), fields=["title"]).data == {"price": 0}
        assert Sub(book()).data == {"title": "book 0"}
        for mark in "ab":
            first = Plain(Book.objects.order_by("id"), many=True, mark=mark).data[0]
            assert first == {"title": "book 0", "price": 0, "m": mark}
        assert Plain({"title": "t", "price": 1}).data == {"title": "t", "price": 1}
    assert isinstance(Plain(), BaseCacheableSerializerMixin)
    listed = BookSerializer(Book.objects.all(), many=True)
    assert isinstance(listed, CacheableListSerializerMixin)
    assert BookSerializer.__doc__ == "A book with what it refers to."
    for wrong in (Book, 7, cacheable):
        with pytest.raises(TypeError, match="serializer class"):
            cacheable_serializer(wrong)
        with pytest.raises(TypeError, match="a view with"):
            cached_model_serializers(wrong)


def test_tags(db: Any) -> None:
    loads = []

    @cacheable(deps=[model_tag(Book)])
    def of_model() -> None:
        loads.append("model")

    @cacheable(deps=lambda: [instance_tag(Book(pk=1))])
    def of_row() -> None:
        loads.append("row")

    def call() -> list[str]:
        loads.clear()
        of_model(), of_row()
        return loads

    assert call() == ["model", "row"]
    assert call() == []
    Book.objects.filter(pk=2).update(title="new")
    assert call() == ["model"]
    Book.objects.filter(pk=1).update(title="new")
    assert call() == ["model", "row"]
    zoocache.invalidate(instance_tag(book()))
    assert call() == ["row"]
    assert model_tag("text") == "text"
    for wrong in (Book, "text", None):
        with pytest.raises(TypeError, match="an instance of a model is wanted"):
            instance_tag(wrong)
    BookSerializer(book()).data
    zoocache.invalidate(instance_tag(book()))
    with queries(3):
        BookSerializer(book()).data


class Token(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        found = request.headers.get("x-user")
        return (User(int(found)), None) if found else None


class NotBanned(BasePermission):
    def has_permission(self, request: Any, view: Any) -> bool:
        return "banned" not in request.query_params


runs: list[str] = []


@cached_model_serializers
class BookViews(ModelViewSet):
    queryset = Book.objects.order_by("id")
    serializer_class = PlainBookSerializer
    authentication_classes = (Token,)
    permission_classes = (NotBanned,)
    renderer_classes = (JSONRenderer, StaticHTMLRenderer, BrowsableAPIRenderer)

    list = cache_endpoint(ModelViewSet.list)

    @cache_endpoint(cache_status=[404])
    def retrieve(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        runs.append("retrieve")
        return super().retrieve(request, *args, **kwargs)

    @action(detail=False)
    @cache_endpoint(user=lambda request: getattr(request.user, "pk", None))
    def mine(self, request: Any) -> Any:
        runs.append("mine")
        return Response({"mine": getattr(request.user, "pk", None)}, headers={"X-Mine": "1"})


class Plain(APIView):
    authentication_classes = ()

    @cache_endpoint(deps=["plain"], cache_status=[404])
    def get(self, request: Any, item: int) -> Any:
        runs.append("plain")
        if item == 9:
            raise NotFound
        return Response({"item": item}, status=203)

    def post(self, request: Any, item: int) -> Any:
        return Response({"posted": request.data})


@api_view(["GET"])
@cache_endpoint(vary="x-tenant")
def function(request: Any) -> Any:
    runs.append("function")
    return Response({"tenant": request.headers.get("x-tenant"), "q": request.query_params})


router = SimpleRouter()
router.register("books", BookViews)
urls: Any = types.ModuleType("urls")
urls.urlpatterns = [
    path("", include(router.urls)),
    path("plain/<int:item>", Plain.as_view()),
    path("function", function),
]


@pytest.fixture
def client(db: Any) -> Iterator[Client]:
    runs.clear()
    with override_settings(ROOT_URLCONF=urls, DEBUG_PROPAGATE_EXCEPTIONS=False):
        yield Client()


def test_a_view_set(client: Client) -> None:
    first = client.get("/books/")
    assert [one["title"] for one in first.json()] == ["book 0", "book 1", "book 2"]
    with queries(0):
        second = client.get("/books/")
        again = client.get("/books/", headers={"If-None-Match": first["ETag"]})
    assert (second.content, second["Age"], "Age" in first) == (first.content, "0", False)
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert first["Vary"] == second["Vary"] == "Accept"
    assert first["Allow"] == second["Allow"] == "GET, POST, HEAD, OPTIONS"
    assert first["Content-Type"] == second["Content-Type"] == "application/json"
    assert client.get("/books/?banned").status_code == 403
    Book.objects.filter(pk=2).update(title="new")
    assert client.get("/books/").json()[1]["title"] == "new"
    assert client.head("/books/")["Age"] == "0"


def test_details_and_errors(client: Client) -> None:
    for _ in range(2):
        assert client.get("/books/1/").json()["title"] == "book 0"
        assert client.get("/books/2/").json()["title"] == "book 1"
        assert client.get("/books/7/").status_code == 404
        assert client.get("/plain/9").json() == {"detail": "Not found."}
        assert (client.get("/plain/1").status_code, client.get("/plain/1").json()["item"]) == (
            203,
            1,
        )
    assert runs == ["retrieve", "retrieve", "retrieve", "plain", "plain"]
    Book.objects.create(pk=7, title="seven", publisher_id=1)
    assert client.get("/books/7/").json()["title"] == "seven"
    zoocache.invalidate("plain")
    client.get("/plain/1")
    assert len(runs) == 7
    assert client.post("/plain/1", {"a": 1}).json()["posted"] == {"a": "1"}
    assert client.delete("/books/7/").status_code == 204
    assert client.get("/books/7/").status_code == 404


def test_users_and_credentials_are_never_shared(client: Client) -> None:
    for headers in ({"X-User": "7"}, {"Authorization": "x"}, {"Cookie": "a=b"}):
        assert "Age" not in client.get("/books/", headers=headers)
        assert "Age" not in client.get("/books/", headers=headers)
    client.get("/books/")
    for headers in ({"X-User": "7"}, {"Authorization": "x"}, {"Cookie": "a=b"}):
        assert "ETag" not in client.get("/books/", headers=headers)
    for _ in range(2):
        for user in (7, 8):
            found = client.get("/books/mine/", headers={"X-User": str(user), "Cookie": "a=b"})
            assert (found.json(), found["X-Mine"]) == ({"mine": user}, "1")
        assert client.get("/books/mine/").json() == {"mine": None}
    assert runs == ["mine", "mine", "mine"]


def test_renderers_are_apart(client: Client) -> None:
    for _ in range(2):
        assert client.get("/plain/1", headers={"Accept": "application/json"}).json()["item"] == 1
        found = client.get("/books/1/", headers={"Accept": "text/html"})
        assert found["Content-Type"].startswith("text/html")
        found = client.get("/books/mine/?format=api")
        assert b"<html" in found.content
        assert "Age" not in found
        assert client.get("/books/mine/").json() == {"mine": None}
    indented = client.get("/plain/1", headers={"Accept": "application/json; indent=4"})
    assert b"\n" in indented.content


def test_functions(client: Client) -> None:
    for _ in range(2):
        assert client.get("/function?a=1").json() == {"tenant": None, "q": {"a": "1"}}
        found = client.get("/function", headers={"X-Tenant": "t"})
        assert (found.json()["tenant"], found["Vary"].lower()) == ("t", "x-tenant, accept")
    assert runs == ["function", "function"]
