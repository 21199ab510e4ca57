"""A real headless Chromium, and pages of a dashboard in it that must not complain."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
expect.set_options(timeout=15_000)  # milliseconds: of a machine that does much else


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of this machine; none is downloaded."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, f"none of {NAMES} is installed; scripts/setup installs Debian's"
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # its sandbox refuses root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


class Visit:
    """A window in which a dashboard is open; what goes wrong in it is kept."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.url = url
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dialog)
        self.page.on("console", self._console)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _console(self, message: Any) -> None:
        # Answers that say no are the page's to show; anything else has to be told here.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def open(self, token: str | None = None) -> Page:
        """The page, once it is live."""
        self.page.goto(self.url if token is None else f"{self.url}#token={token}")
        expect(self.page.locator("#connection")).to_have_text("live")
        return self.page

    def check(self) -> None:
        """Nothing complained, and nothing was asked from elsewhere."""
        assert self.complaints == []
        outside = [url for url in self.requests if not url.startswith(self.url)]
        assert outside == []


@contextmanager
def visit(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """A window of its own, 1280 by 900 pixels unless said otherwise."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    made = Visit(context, url)
    yield made
    made.check()
    context.close()


def row(page: Page, name: str) -> Any:
    """The line of the tree whose segment is exactly this one."""
    exactly = re.compile(f"^{re.escape(name)}$")
    return page.locator(".row", has=page.locator(".name", has_text=exactly))


def widths(page: Page) -> tuple[int, int]:
    """Of what there is to see, and of the window."""
    found = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return found[0], found[1]
