"""Endpoints that read through SQLAlchemy: nobody writes a tag, in any framework."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

pytest.importorskip("sqlalchemy", reason="beside the oldest frameworks there is none")

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

import web_apps
import zoocache
from sqlalchemy_fixtures import cache, engine, nothing_said
from sqlalchemy_support import Author, Book, commit, rename
from support import run
from web_apps import Reply, Request, Site
from web_client import Answer, Asked, ask_asgi

SITES = pytest.mark.parametrize("kind", web_apps.THERE)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/shop.db"


@pytest.fixture
def site(kind: str, cache: zoocache.Cache, engine: Any) -> Site:
    """Serves an author's name, and how many there are; /seen writes before it reads."""

    def author(request: Request) -> Reply:
        with Session(engine) as session:
            found = session.get(Author, int(request.item))
            return Reply("", 404) if found is None else Reply(found.name)

    def count(_: Request) -> Reply:
        with Session(engine) as session:
            return Reply(str(session.scalar(select(func.count()).select_from(Author))))

    def seen(_: Request) -> Reply:
        with Session(engine) as session:
            session.execute(rename(2, "seen"))
            reply = Reply(session.scalar(select(Author.name).where(Author.id == 2)) or "")
            session.rollback()
            return reply

    made = Site(kind)
    made.add("/authors/{item}", author, cache=cache, cache_status=[404])
    made.add("/count", count, cache=cache)
    made.add("/seen", seen, cache=cache)
    return made


def kept(site: Site, path: str) -> str:
    """The text of a response, which is kept from now on."""
    first, second = site.ask(path), site.ask(path)
    assert not first.is_hit
    assert second.is_hit or first.status == 404
    assert first.text == second.text
    return first.text


@SITES
def test_a_response_dies_with_the_rows_that_it_shows(site: Site, engine: Any) -> None:
    assert [kept(site, path) for path in ("/authors/1", "/authors/2", "/count")] == [
        "author 1",
        "author 2",
        "2",
    ]
    commit(engine, rename(1, "new"))
    assert kept(site, "/authors/1") == "new"
    assert site.ask("/authors/2").is_hit
    assert kept(site, "/count") == "2"
    assert site.ask("/authors/7").status == 404
    commit(engine, insert(Author).values(id=7, name="seven"))
    assert site.ask("/authors/7").text == "seven"
    assert site.ask("/authors/2").is_hit


@SITES
def test_what_was_not_committed_is_not_kept(site: Site) -> None:
    for _ in range(2):
        answer = site.ask("/seen")
        assert (answer.text, answer.is_hit) == ("seen", False)
    assert site.ask("/authors/2").text == "author 2"


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_dependency_had_read_counts_too(
    cache: zoocache.Cache, engine: Any, is_async: bool
) -> None:
    """The endpoint gets an object that was read before it ran, and shows a row that it holds."""
    fastapi = pytest.importorskip("fastapi")
    pydantic = pytest.importorskip("pydantic")
    cache_endpoint = pytest.importorskip("zoocache.contrib.fastapi").cache_endpoint

    class Title(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(from_attributes=True)
        title: str

    class Shown(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(from_attributes=True)
        name: str
        books: list[Title]

    def author(author_id: int) -> Iterator[Author]:
        with Session(engine) as session:
            yield session.get_one(Author, author_id)

    def show(who: Any) -> Any:
        return who  # FastAPI reads its attributes, and its books from the database

    async def show_async(who: Any) -> Any:
        return who

    endpoint = show_async if is_async else show
    endpoint.__annotations__["who"] = Annotated[Author, fastapi.Depends(author)]
    app = fastapi.FastAPI()
    cached = cache_endpoint(key="who.id", cache=cache)(endpoint)
    app.get("/{author_id}", response_model=Shown)(cached)

    def ask(path: str) -> Answer:
        return run(ask_asgi(app, Asked(path)))

    assert [ask(path).is_hit for path in ("/1", "/1", "/2", "/2")] == [False, True] * 2
    commit(engine, rename(1, "new"))
    assert ask("/2").is_hit
    assert ask("/1").json() == {"name": "new", "books": [{"title": "first"}]}
    assert ask("/1").is_hit
    commit(engine, insert(Book).values(author_id=1, title="second"))
    assert [one["title"] for one in ask("/1").json()["books"]] == ["first", "second"]
