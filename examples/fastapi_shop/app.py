"""A shop on FastAPI and async SQLAlchemy: products that everybody sees, a basket for each customer.

Needs zoocache[fastapi,sqlalchemy], aiosqlite, greenlet and uvicorn.
Usage: SHOP_DATABASE=shop.sqlite uvicorn --app-dir examples/fastapi_shop app:app

    GET  /products            all of them
    GET  /products/3          one
    PUT  /products/3?price=5  changes it
    GET  /basket              the basket of the customer whom the header X-Customer names
    PUT  /basket/3?count=2    puts something into it

No tag is written: a response depends on what its endpoint reads through SQLAlchemy, and dies with
the commit that changes that. SHOP_CACHE=lmdb:///path/of/a/folder lets several processes share
responses and invalidations (uvicorn's --workers); ZOOCACHE_OFF=1 leaves the cache out.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from sqlalchemy import Connection, ForeignKey, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import CreateTable

import zoocache
from zoocache.contrib.fastapi import cache_endpoint
from zoocache.contrib.sqlalchemy import install

engine = create_async_engine(
    f"sqlite+aiosqlite:///{os.environ.get('SHOP_DATABASE', 'shop.sqlite')}"
)
new_session = async_sessionmaker(engine, expire_on_commit=False)

if "ZOOCACHE_OFF" in os.environ:

    def cached(**_: Any) -> Any:
        return lambda endpoint: endpoint
else:
    zoocache.configure(storage_url=os.environ.get("SHOP_CACHE"))
    install(engine, alias="shop")
    cached = cache_endpoint


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "products"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[int]


class InBasket(Base):
    __tablename__ = "baskets"
    customer: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id), primary_key=True)
    count: Mapped[int]


def make_tables(connection: Connection) -> None:
    """Several processes may do it at once."""
    if inspect(connection).has_table("products"):
        return
    for table in Base.metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
    rows = [{"id": n, "name": f"product {n}", "price": 10 * n} for n in range(1, 51)]
    connection.execute(insert(Product).prefix_with("OR IGNORE"), rows)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(make_tables)
    yield
    await engine.dispose()


async def session() -> AsyncIterator[AsyncSession]:
    async with new_session() as made:
        yield made


async def who(x_customer: Annotated[str, Header()] = "") -> str:
    if not x_customer:
        raise HTTPException(401, "say who you are: X-Customer")
    return x_customer


Database = Annotated[AsyncSession, Depends(session)]
Customer = Annotated[str, Depends(who)]
app = FastAPI(lifespan=lifespan)


@app.get("/products")
@cached(ignore="database")
async def products(database: Database) -> list[dict[str, Any]]:
    return [shown(one) for one in await database.scalars(select(Product).order_by(Product.id))]


@app.get("/products/{product_id}")
@cached(ignore="database", cache_status=[404])
async def product(product_id: int, database: Database) -> dict[str, Any]:
    found = await database.get(Product, product_id)
    if found is None:
        raise HTTPException(404, "no such product")
    return shown(found)


@app.put("/products/{product_id}")
async def change(product_id: int, price: int, database: Database) -> dict[str, Any]:
    found = await database.get(Product, product_id)
    if found is None:
        found = Product(id=product_id, name=f"product {product_id}")
        database.add(found)
    found.price = price
    await database.commit()
    return shown(found)


@app.get("/basket")
@cached(user="customer", ignore="database")
async def basket(customer: Customer, database: Database) -> dict[str, Any]:
    chosen = select(Product, InBasket.count).join(InBasket).where(InBasket.customer == customer)
    rows = (await database.execute(chosen)).all()
    return {
        "customer": customer,
        "products": [{**shown(one), "count": count} for one, count in rows],
        "total": sum(one.price * count for one, count in rows),
    }


@app.put("/basket/{product_id}")
async def put(product_id: int, count: int, customer: Customer, database: Database) -> None:
    await database.merge(InBasket(customer=customer, product_id=product_id, count=count))
    await database.commit()


def shown(one: Product) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "price": one.price}
