"""Pictures of the dashboard for the documents: a shop's cache at work, in a real browser.

Usage: screenshots.py [--work URL SEED]: without arguments the pictures are taken; with them it is
one of the processes that share a home on one of them, until its input ends.
"""

from __future__ import annotations

import contextlib
import io
import random
import select
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from PIL import Image

import zoocache
from browser import chromium, row, visit
from redis_server import RedisServer
from zoocache.cli._home import Home, Place
from zoocache.cli._home_view import HomeView
from zoocache.cli._survey import Bounds
from zoocache.dashboard import start
from zoocache.dashboard._access import Access
from zoocache.dashboard._app import Dashboard
from zoocache.dashboard._server import Server

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
TOKEN = "for-pictures-and-nothing-else"
WORK_S = 20.0  # long enough for a line to be seen


class Shop:
    """Functions, and somebody who calls them and changes what they depend on."""

    def __init__(self, url: str, seed: int) -> None:
        self.cache = cache = zoocache.Cache(storage_url=url)
        self.random = random.Random(seed)

        def get_user(org: str, user: int) -> str:
            time.sleep(0.0004)
            return f"user {user} of {org}"

        def price(product: int) -> int:
            time.sleep(0.0012)
            return product * 100

        def monthly(org: str) -> int:
            time.sleep(0.03)
            return len(org)

        def cached(function: Any, module: str, *deps: str, **options: Any) -> Any:
            function.__module__, function.__qualname__ = module, function.__name__
            return cache.cacheable(deps=list(deps), **options)(function)

        self.functions: list[Any] = [
            cached(get_user, "shop.users", "org:{org}:user:{user}"),
            cached(price, "shop.products", "product:{product}", "prices", ttl=2),
            cached(monthly, "shop.reports", "org:{org}:report"),
        ]

    def work(self) -> None:
        """A tenth of a second of a day."""
        get_user, price, monthly = self.functions
        for _ in range(60):
            org = self.random.choice(["acme", "globex", "initech"])
            get_user(org, int(self.random.random() ** 2 * 300))
            price(int(self.random.random() ** 3 * 200))
        monthly(self.random.choice(["acme", "globex"]))
        if self.random.random() < 0.4:
            self.cache.invalidate(f"org:acme:user:{self.random.randrange(100)}")
        if self.random.random() < 0.04:
            self.cache.invalidate("org:globex")
        if self.random.random() < 0.06:
            self.cache.invalidate("prices")
        if self.random.random() < 0.03:
            monthly.invalidate("acme")


def take(browser: Any, url: str, name: str, **options: Any) -> None:
    height = options.pop("height", 1420)
    width = options.pop("width", 1280)
    with visit(browser, url, viewport={"width": width, "height": height}, **options) as seen:
        page = seen.open(TOKEN)
        row(page, "org").locator(".twisty").click()
        row(page, "acme").locator(".twisty").click()
        row(page, "acme").click()
        page.locator("#invalidate").wait_for()
        if name.endswith("confirm"):
            page.click("#invalidate")
            page.locator("#confirm-yes:enabled").wait_for()
        taken = page.screenshot(full_page=not name.endswith("confirm"), animations="disabled")
        path = IMAGES / f"{name}.png"
        Image.open(io.BytesIO(taken)).quantize(128).save(path, optimize=True)  # a third of the size
        print(path.relative_to(IMAGES.parents[1]), path.stat().st_size, "bytes")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    ends = threading.Event()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        shop = Shop(f"lmdb://{folder}/cache", 7)
        server = stack.enter_context(start(port=0, cache=shop.cache, token=TOKEN, interval=0.5))

        def work() -> None:
            while not ends.wait(0.1):
                shop.work()

        worker = threading.Thread(target=work)
        worker.start()
        stack.callback(worker.join)
        stack.callback(ends.set)
        browser = stack.enter_context(chromium())
        with visit(browser, server.url) as looks:  # the history is of what somebody saw
            looks.open(TOKEN).wait_for_timeout(WORK_S * 1000)
        take(browser, server.url, "dashboard", color_scheme="light")
        take(browser, server.url, "dashboard-dark", color_scheme="dark")
        take(browser, server.url, "dashboard-confirm", color_scheme="light", height=800)
        take(browser, server.url, "dashboard-phone", width=360, height=780, color_scheme="light")
        take_home(browser, Path(folder))


def take_home(browser: Any, folder: Path) -> None:
    """Of three processes that share a server, seen from outside of them."""
    with contextlib.ExitStack() as stack:
        server = RedisServer(folder)
        stack.callback(server.kill)
        for seed in range(3):
            words = [sys.executable, __file__, "--work", server.url, str(seed)]
            worker = stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE))
            stack.callback(worker.stdin.close if worker.stdin else worker.kill)
        view = HomeView(Home(Place(server.url)), Bounds(), 1)
        stack.callback(view.close)
        page = stack.enter_context(Server("127.0.0.1", 0, Dashboard(view, Access(TOKEN, None))))
        with visit(browser, page.url) as looks:
            looks.open(TOKEN).wait_for_timeout(WORK_S * 1000)
        take(browser, page.url, "dashboard-home", color_scheme="light")


def work(url: str, seed: int) -> None:
    """One of those processes."""
    shop = Shop(url, seed)
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        shop.work()


if __name__ == "__main__":
    sys.exit(work(sys.argv[2], int(sys.argv[3])) if "--work" in sys.argv else main())
