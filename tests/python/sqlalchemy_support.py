"""A schema, and cached functions that read it without a tag, for the tests of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ForeignKey, String, func, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

import zoocache


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship(
        back_populates="author", passive_deletes=True, order_by="Book.id"
    )


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("authors.id", ondelete="SET NULL"))
    title: Mapped[str]
    author: Mapped[Author | None] = relationship(back_populates="books")


class Note(Base):
    """A key of text."""

    __tablename__ = "notes"
    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    body: Mapped[str]


class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Employee(Person):
    __tablename__ = "employees"
    id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
    wage: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "employee"}


def author_name(session: Session, author_id: int) -> Any:
    found = session.get(Author, author_id)
    return found and found.name


def author_column(session: Session, author_id: int) -> Any:
    return session.scalar(select(Author.name).where(Author.id == author_id))


def titles(session: Session, author_id: int) -> Any:
    found = session.get(Author, author_id)
    return found and [book.title for book in found.books]


def titles_joined(session: Session, author_id: int) -> Any:
    chosen = select(Book.title).join(Book.author).where(Author.id == author_id).order_by(Book.id)
    return list(session.scalars(chosen))


def book_count(session: Session, author_id: int) -> Any:
    return session.scalar(select(func.count()).select_from(Book).where(Book.author_id == author_id))


def has_books(session: Session, author_id: int) -> Any:
    inner = select(Book.id).where(Book.author_id == Author.id).exists()
    return session.scalar(select(Author.id).where(Author.id == author_id, inner)) is not None


def some_authors(session: Session, author_id: int) -> Any:
    ids = [author_id, author_id + 1]
    rows = session.execute(select(Author.id, Author.name).where(Author.id.in_(ids)).order_by("id"))
    return [tuple(row) for row in rows]


def by_text(session: Session, author_id: int) -> Any:
    asked = text("SELECT title FROM books WHERE author_id = :a ORDER BY id")
    return [row[0] for row in session.execute(asked, {"a": author_id})]


def note_body(session: Session, author_id: int) -> Any:
    found = session.get(Note, f"n{author_id}")
    return found and found.body


def wage(session: Session, author_id: int) -> Any:
    found = session.get(Employee, author_id)
    return found and (found.name, found.wage)


READS: list[Callable[[Session, int], Any]] = [
    author_name,
    author_column,
    titles,
    titles_joined,
    book_count,
    has_books,
    some_authors,
    by_text,
    note_body,
    wage,
]


class Counted:
    """A cached function, and how often it ran."""

    def __init__(self, cache: zoocache.Cache, call: Callable[..., Any], **options: Any) -> None:
        self.runs = 0

        def load(*args: Any) -> Any:
            self.runs += 1
            return call(*args)

        self.load = cache.cacheable(**options)(load) if options else cache.cacheable(load)

    def __call__(self, *args: Any) -> Any:
        return self.load(*args)

    def hits(self, *args: Any) -> bool:
        """Whether a call is answered by the cache."""
        before = self.runs
        self.load(*args)
        return self.runs == before

    def is_kept(self, *args: Any) -> bool:
        """Whether what a call gives is there for the next."""
        self.load(*args)
        return self.hits(*args)


def reading(cache: zoocache.Cache, engine: Any, read: Callable[..., Any]) -> Counted:
    def call(*args: Any) -> Any:
        with Session(engine) as session:
            return read(session, *args)

    return Counted(cache, call)


def commit(engine: Any, *statements: Any) -> None:
    with Session(engine) as session:
        for statement in statements:
            session.execute(statement)
        session.commit()


def rename(author_id: int, name: str) -> Any:
    return update(Author).where(Author.id == author_id).values(name=name)
