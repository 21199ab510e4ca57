"""Notes on Litestar and async SQLAlchemy.

Needs zoocache[litestar,sqlalchemy], aiosqlite, greenlet and uvicorn.
Usage: NOTES_DATABASE=notes.sqlite uvicorn --app-dir examples/litestar_notes app:app

    GET  /notes               all titles
    GET  /notes/3             one
    PUT  /notes/3?title=new   changes it

No tag is written: a response depends on what its handler reads through SQLAlchemy, and dies with
the commit that changes that. NOTES_CACHE=lmdb:///path/of/a/folder lets several processes share
responses and invalidations (uvicorn's --workers); ZOOCACHE_OFF=1 leaves the cache out.
"""

import os
from typing import Any

from litestar import Litestar, get, put
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery
from sqlalchemy import Connection, insert, inspect, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

import zoocache
from zoocache.contrib.litestar import cache_endpoint
from zoocache.contrib.sqlalchemy import install

path = os.environ.get("NOTES_DATABASE", "notes.sqlite")
engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
new_session = async_sessionmaker(engine)

if "ZOOCACHE_OFF" in os.environ:

    def cached(**_: Any) -> Any:
        return lambda handler: handler
else:
    zoocache.configure(storage_url=os.environ.get("NOTES_CACHE"))
    install(new_session, alias="notes")
    cached = cache_endpoint


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


@get("/notes")
@cached()
async def notes() -> list[str]:
    async with new_session() as database:
        return list(await database.scalars(select(Note.title).order_by(Note.id)))


@get("/notes/{note_id:int}")
@cached(cache_status=[404])
async def note(note_id: FromPath[int]) -> dict[str, Any]:
    async with new_session() as database:
        found = await database.get(Note, note_id)
        if found is None:
            raise NotFoundException("no such note")
        return {"id": found.id, "title": found.title}


@put("/notes/{note_id:int}")
async def change(note_id: FromPath[int], title: FromQuery[str]) -> dict[str, Any]:
    async with new_session() as database:
        await database.merge(Note(id=note_id, title=title))
        await database.commit()
    return {"id": note_id, "title": title}


def make_table(connection: Connection) -> None:
    """Several processes may do it at once."""
    if not inspect(connection).has_table("notes"):
        connection.execute(CreateTable(Base.metadata.tables["notes"], if_not_exists=True))
        rows = [{"id": n, "title": f"note {n}"} for n in range(1, 51)]
        connection.execute(insert(Note).prefix_with("OR IGNORE"), rows)


async def start() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(make_table)


app = Litestar([notes, note, change], on_startup=[start], on_shutdown=[engine.dispose])
