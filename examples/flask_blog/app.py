"""A blog on Flask and SQLite: pages in HTML.

Usage: BLOG_DATABASE=blog.sqlite flask --app examples/flask_blog/app.py run

    GET  /                    the titles
    GET  /posts/3             one post
    PUT  /posts/3?text=new    changes it

ZOOCACHE_OFF=1 leaves the cache out, for comparisons.
"""

import os
from typing import Any

import flask
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import zoocache
from zoocache.contrib.flask import cache_endpoint

engine = create_engine(f"sqlite:///{os.environ.get('BLOG_DATABASE', 'blog.sqlite')}")
app = flask.Flask("blog", static_folder=None)

INDEX = "<h1>Blog</h1>{% for post in posts %}<p>{{ post.id }}: {{ post.text }}</p>{% endfor %}"
PAGE = "<h1>Post {{ post.id }}</h1><p>{{ post.text }}</p>"


class Base(DeclarativeBase):
    pass


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


# Who reads names it, who writes invalidates it.
POST = "posts:{post_id}"


def cached(**options: Any) -> Any:
    return (lambda fn: fn) if "ZOOCACHE_OFF" in os.environ else cache_endpoint(**options)


@app.get("/")
@cached(deps="post-list")
def index() -> str:
    with Session(engine) as database:
        posts = database.scalars(select(Post).order_by(Post.id)).all()
        return flask.render_template_string(INDEX, posts=posts)


@app.get("/posts/<int:post_id>")
@cached(deps=POST, cache_status=[404])
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
    zoocache.invalidate(zoocache.tag("posts", post_id), "post-list")
    return text


Base.metadata.create_all(engine)
with Session(engine) as first:
    if first.get(Post, 1) is None:
        first.add_all(Post(id=n, text=f"text {n}") for n in range(1, 51))
        first.commit()
