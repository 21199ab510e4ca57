"""Notes on Litestar and SQLite.

Usage: NOTES_DATABASE=notes.sqlite uvicorn --app-dir examples/litestar_notes app:app

    GET  /notes               all titles
    GET  /notes/3             one
    PUT  /notes/3?title=new   changes it

ZOOCACHE_OFF=1 leaves the cache out, for comparisons.
"""

import os
from typing import Any

from litestar import Litestar, get, put
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import zoocache
from zoocache.contrib.litestar import cache_endpoint

engine = create_engine(f"sqlite:///{os.environ.get('NOTES_DATABASE', 'notes.sqlite')}")


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


# Who reads names it, who writes invalidates it.
NOTE = "notes:{note_id}"


def cached(**options: Any) -> Any:
    return (lambda fn: fn) if "ZOOCACHE_OFF" in os.environ else cache_endpoint(**options)


@get("/notes")
@cached(deps="note-list")
async def notes() -> list[str]:
    with Session(engine) as database:
        return list(database.scalars(select(Note.title).order_by(Note.id)))


@get("/notes/{note_id:int}")
@cached(deps=NOTE, cache_status=[404])
async def note(note_id: FromPath[int]) -> dict[str, Any]:
    with Session(engine) as database:
        found = database.get(Note, note_id)
        if found is None:
            raise NotFoundException("no such note")
        return {"id": found.id, "title": found.title}


@put("/notes/{note_id:int}")
async def change(note_id: FromPath[int], title: FromQuery[str]) -> dict[str, Any]:
    with Session(engine) as database:
        database.merge(Note(id=note_id, title=title))
        database.commit()
    zoocache.invalidate(zoocache.tag("notes", note_id), "note-list")
    return {"id": note_id, "title": title}


Base.metadata.create_all(engine)
with Session(engine) as first:
    if first.get(Note, 1) is None:
        first.add_all(Note(id=n, title=f"note {n}") for n in range(1, 51))
        first.commit()

app = Litestar([notes, note, change])
