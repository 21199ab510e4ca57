"""A shop on FastAPI and SQLite: products that everybody sees, a basket for each customer.

Usage: SHOP_DATABASE=shop.sqlite uvicorn --app-dir examples/fastapi_shop app:app

    GET  /products            all of them
    GET  /products/3          one
    PUT  /products/3?price=5  changes it
    GET  /basket              the basket of the customer whom the header X-Customer names
    PUT  /basket/3?count=2    puts something into it

ZOOCACHE_OFF=1 leaves the cache out, for comparisons.
"""

import os
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import zoocache
from zoocache.contrib.fastapi import cache_endpoint

engine = create_engine(f"sqlite:///{os.environ.get('SHOP_DATABASE', 'shop.sqlite')}")
app = FastAPI()


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


# Who reads names these, who writes invalidates them.
PRODUCT, BASKET = "products:{product_id}", "baskets:{customer}"


def cached(**options: Any) -> Any:
    return (lambda fn: fn) if "ZOOCACHE_OFF" in os.environ else cache_endpoint(**options)


def session() -> Iterator[Session]:
    with Session(engine) as made:
        yield made


def who(x_customer: Annotated[str, Header()] = "") -> str:
    if not x_customer:
        raise HTTPException(401, "say who you are: X-Customer")
    return x_customer


Database = Annotated[Session, Depends(session)]
Customer = Annotated[str, Depends(who)]


@app.get("/products")
@cached(deps="product-list", ignore="database")
def products(database: Database) -> list[dict[str, Any]]:
    return [shown(one) for one in database.scalars(select(Product).order_by(Product.id))]


@app.get("/products/{product_id}")
@cached(deps=PRODUCT, ignore="database", cache_status=[404])
def product(product_id: int, database: Database) -> dict[str, Any]:
    found = database.get(Product, product_id)
    if found is None:
        raise HTTPException(404, "no such product")
    return shown(found)


@app.put("/products/{product_id}")
def change(product_id: int, price: int, database: Database) -> dict[str, Any]:
    found = database.get(Product, product_id)
    if found is None:
        found = Product(id=product_id, name=f"product {product_id}")
        database.add(found)
    found.price = price
    answer = shown(found)
    database.commit()
    zoocache.invalidate(zoocache.tag("products", product_id), "product-list")
    return answer


@app.get("/basket")
@cached(deps=["product-list", BASKET], user="customer", ignore="database")
def basket(customer: Customer, database: Database) -> dict[str, Any]:
    rows = database.execute(
        select(Product, InBasket.count).join(InBasket).where(InBasket.customer == customer)
    ).all()
    return {
        "customer": customer,
        "products": [{**shown(one), "count": count} for one, count in rows],
        "total": sum(one.price * count for one, count in rows),
    }


@app.put("/basket/{product_id}")
def put(product_id: int, count: int, customer: Customer, database: Database) -> None:
    database.merge(InBasket(customer=customer, product_id=product_id, count=count))
    database.commit()
    zoocache.invalidate(zoocache.tag("baskets", customer))


def shown(one: Product) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "price": one.price}


Base.metadata.create_all(engine)
with Session(engine) as first:
    if first.get(Product, 1) is None:
        first.add_all(Product(id=n, name=f"product {n}", price=10 * n) for n in range(1, 51))
        first.commit()
