"""A blog on Flask and SQLAlchemy: pages in HTML.

Needs zoocache[flask,sqlalchemy].
Usage: BLOG_DATABASE=blog.sqlite flask --app examples/flask_blog/app.py run

    GET  /                         all posts
    GET  /posts/3                  one post with its comments
    PUT  /posts/3?text=new         changes it
    POST /posts/3/comments?text=x  comments on it

No tag is written: a response depends on what its view reads through SQLAlchemy, and dies with the
commit that changes that. BLOG_CACHE=lmdb:///path/of/a/folder lets several processes share responses
and invalidations (gunicorn's --workers); ZOOCACHE_OFF=1 leaves the cache out.
"""

import os
from typing import Any

import flask
from sqlalchemy import ForeignKey, create_engine, insert, inspect, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.schema import CreateTable

import zoocache
from zoocache.contrib.flask import cache_endpoint
from zoocache.contrib.sqlalchemy import install

engine = create_engine(f"sqlite:///{os.environ.get('BLOG_DATABASE', 'blog.sqlite')}")
app = flask.Flask("blog", static_folder=None)

if "ZOOCACHE_OFF" in os.environ:

    def cached(**_: Any) -> Any:
        return lambda view: view
else:
    zoocache.configure(storage_url=os.environ.get("BLOG_CACHE"))
    install(engine, alias="blog")
    cached = cache_endpoint

INDEX = "<h1>Blog</h1>{% for post in posts %}<p>{{ post.id }}: {{ post.text }}</p>{% endfor %}"
PAGE = (
    "<h1>Post {{ post.id }}</h1><p>{{ post.text }}</p>"
    "{% for comment in post.comments %}<p>{{ comment.text }}</p>{% endfor %}"
)


class Base(DeclarativeBase):
    pass


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    comments: Mapped[list["Comment"]] = relationship(order_by="Comment.id")


class Comment(Base):
    __tablename__ = "comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey(Post.id))
    text: Mapped[str]


@app.get("/")
@cached()
def index() -> str:
    with Session(engine) as database:
        posts = database.scalars(select(Post).order_by(Post.id)).all()
        return flask.render_template_string(INDEX, posts=posts)


@app.get("/posts/<int:post_id>")
@cached(cache_status=[404])
def post(post_id: int) -> str:
    with Session(engine) as database:
        found = database.get(Post, post_id) or flask.abort(404)
        return flask.render_template_string(PAGE, post=found)


@app.put("/posts/<int:post_id>")
def change(post_id: int) -> str:
    text = flask.request.args["text"]
    with Session(engine) as database:
        database.merge(Post(id=post_id, text=text))
        database.commit()
    return text


@app.post("/posts/<int:post_id>/comments")
def comment(post_id: int) -> str:
    text = flask.request.args["text"]
    with Session(engine) as database:
        database.add(Comment(post_id=post_id, text=text))
        database.commit()
    return text


with engine.begin() as connection:
    if not inspect(connection).has_table("posts"):
        for table in Base.metadata.sorted_tables:  # several processes may do it at once
            connection.execute(CreateTable(table, if_not_exists=True))
        rows = [{"id": n, "text": f"text {n}"} for n in range(1, 51)]
        connection.execute(insert(Post).prefix_with("OR IGNORE"), rows)
