"""The dashboard in a real browser: what its reader sees and does."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import zoocache
from browser import Visit, chromium, row, visit, widths
from cli_support import served, worker
from dashboard_support import TOKEN
from zoocache import Cache, _zoocache
from zoocache.cli._words import CANNOT_SEE
from zoocache.dashboard import start

pytestmark = pytest.mark.no_asan  # the browser would be preloaded with its runtime

HOSTILE = (
    "<img/src=x/onerror=alert(1)>",
    "'\"><script>alert(1)</script>",
    "{{7*7}}${7*7}",
    "\u05e9\u05dc\u05d5\u05dd",  # written from right to left
    "exe.\u202egnp",  # turns what follows around
    "a\u200bb",  # has a character without width
    "\U0001f98e" * 50,
    "x" * 3000,
)

Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture
def cache() -> Cache:
    return Cache(max_tag_length=4096)


@pytest.fixture
def opened(browser: Browser, cache: Cache) -> Iterator[Open]:
    """Serves a cache and makes a window: `opened(token, served, interval, **context_options)`."""
    with ExitStack() as stack:

        def make(
            token: str | None = None,
            served: Cache | None = None,
            interval: float = 0.3,
            **options: Any,
        ) -> Visit:
            which = cache if served is None else served
            server = stack.enter_context(start(port=0, cache=which, token=token, interval=interval))
            return stack.enter_context(visit(browser, server.url, **options))

        yield make


def users(cache: Cache, *names: str) -> Any:
    """A function with an entry for each name."""
    load = cache.cacheable(deps=lambda name: [f"org:acme:user:{zoocache.tag(name)}"])(lambda n: n)
    for name in names:
        load(name)
    return load


def number(page: Page, name: str) -> Any:
    return page.locator("#numbers > div", has_text=name).locator("dd")


def test_an_empty_cache_says_so(opened: Open) -> None:
    page = opened().open()
    for text in (
        *("No calls since somebody looked.", "No misses so far.", "Nothing depends on a tag."),
        *("Nothing was loaded so far.", "Nothing was invalidated so far."),
        "No home: invalidations stay in this process.",
    ):
        expect(page.get_by_text(text)).to_be_visible()
    expect(number(page, "Hit rate")).to_have_text("–")
    expect(page.locator("#trouble")).to_be_hidden()


def test_what_happens_is_seen_without_a_reload(opened: Open, cache: Cache) -> None:
    page = opened().open()
    expect(number(page, "Calls")).to_have_text("0")
    load = users(cache, "ada", "grace")
    load("ada"), load("ada")
    expect(number(page, "Calls")).to_have_text("4")
    expect(number(page, "Hit rate")).to_have_text("50.0 %")
    expect(page.locator("#rate svg")).to_have_attribute(
        "aria-label", "50.0 % of 4 calls were hits; the lowest point is 50.0 %."
    )
    expect(row(page, "org").locator(".count")).to_have_text("2")
    cache.invalidate("org:acme")
    load("ada")
    newest = page.locator("#invalidations tbody tr").first
    expect(newest.locator("th")).to_have_text("org:acme")
    expect(newest.locator("td").first).to_have_text("2")
    expect(newest).to_contain_text("python/test_dashboard_browser.py:")
    expect(page.locator("#misses tbody tr", has_text="invalidated")).to_contain_text("33.3 %")
    expect(page.locator("#functions tbody tr")).to_contain_text("users")


def test_nothing_is_asked_while_nobody_sees_the_page(opened: Open) -> None:
    seen = opened()
    seen.page.clock.install()
    page = seen.open()

    def hide(hidden: bool) -> None:
        page.evaluate(
            """hidden => {
              Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
              document.dispatchEvent(new Event("visibilitychange"));
            }""",
            hidden,
        )

    with page.expect_response("**/api/overview"):
        page.clock.run_for(5_000)
    hide(True)
    expect(page.locator("#connection")).to_have_text("paused")
    page.wait_for_load_state("networkidle")
    before = len(seen.requests)
    page.clock.run_for(60_000)
    assert len(seen.requests) == before
    with page.expect_response("**/api/overview"):
        hide(False)
    expect(page.locator("#connection")).to_have_text("live")


def test_the_tree_is_opened_and_searched(opened: Open, cache: Cache) -> None:
    load = users(cache, "ada", "grace", "zoe")
    price = cache.cacheable(deps=["price"])(lambda: load("ada"))
    price()
    page = opened().open()
    expect(page.locator(".row")).to_have_count(2)
    for name, count in (("org", "4"), ("acme", "4"), ("user", "4")):
        line = row(page, name)
        expect(line).to_have_attribute("aria-expanded", "false")
        expect(line.locator(".count")).to_have_text(count)
        line.locator(".twisty").click()
        expect(row(page, name)).to_have_attribute("aria-expanded", "true")
    zoe = row(page, "zoe")
    for name, value in (("level", "4"), ("setsize", "3"), ("posinset", "3")):
        expect(zoe).to_have_attribute(f"aria-{name}", value)
    assert zoe.get_attribute("aria-expanded") is None
    zoe.click()
    expect(page.locator("#detail h3")).to_have_text("org:acme:user:zoe")
    expect(page.locator("#detail")).to_contain_text("Read-only")
    expect(page.locator("#invalidate")).to_have_count(0)
    page.fill("#search", "GR")
    expect(page.locator(".row .name")).to_have_text(["org:acme:user:grace"])
    page.fill("#search", "nobody")
    expect(page.locator("#tree-note")).to_have_text("No tag has this text in it.")
    page.fill("#search", "")
    expect(row(page, "zoe")).to_be_visible()
    row(page, "org").locator(".twisty").click()
    expect(page.locator(".row")).to_have_count(2)
    page.select_option("#order", "entries")
    expect(page.locator(".row .name")).to_have_text(["org", "price"])


def test_an_invalidation_is_confirmed_and_told(opened: Open, cache: Cache) -> None:
    load = users(cache, "ada", "grace", "zoe")
    page = opened(token=TOKEN).open(TOKEN)
    assert TOKEN not in page.url, "it does not stay where it is shown"
    row(page, "org").click()
    page.click("#invalidate")
    dialog = page.locator("#confirm")
    expect(dialog).to_contain_text("3 entries of this process would die.")
    expect(dialog).to_contain_text("3 of ")
    expect(page.locator("#confirm-tag")).to_have_text("org")
    page.click("#confirm-no")
    expect(dialog).to_be_hidden()
    assert cache.stats().clock == 0
    page.click("#invalidate")
    page.click("#confirm-yes")
    expect(dialog).to_be_hidden()
    expect(page.locator("#said")).to_have_text("org was invalidated at epoch 1.")
    assert load.peek("ada") is None
    expect(page.locator("#detail")).to_contain_text("0 entries")
    expect(page.locator("#invalidations tbody th").first).to_have_text("org")


def test_the_token_is_asked_for(opened: Open) -> None:
    seen = opened(token=TOKEN)
    page = seen.page
    page.goto(seen.url)
    expect(page.locator("#door")).to_be_visible()
    expect(page.locator("#panels")).to_be_hidden()
    page.fill("#token", "a wrong one")
    page.click("#door button")
    expect(page.locator("#door-why")).to_have_text("The token is not the right one.")
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#door")).to_be_hidden()
    page.reload()
    expect(page.locator("#connection")).to_have_text("live")  # this tab keeps it
    assert page.context.cookies() == []


def test_a_home_that_cannot_be_reached_is_told(opened: Open) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{bound.getsockname()[1]}"
        lost = Cache(bus_url=url, connect_timeout=0.1, command_timeout=0.1)
        page = opened(token=TOKEN, served=lost).open(TOKEN)
        expect(page.get_by_role("alert").first).to_contain_text("The home cannot be reached")
        expect(page.locator("#home")).to_contain_text("not reachable")


def test_home_storage_and_nodes_are_shown(
    opened: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(str(os.getpid()).encode(), 0, 0, True, True), (b"<b>7</b>", 0, 0, True, False)]
    monkeypatch.setattr(_zoocache, "home_nodes", lambda core: rows)
    shared = Cache(storage_url=url)
    shared.invalidate("a")
    place = opened(served=shared).open().locator("#home")
    expect(place.get_by_text("Home: a folder of this machine reachable")).to_be_visible()
    expect(place.get_by_text("Storage: a folder of this machine reachable")).to_be_visible()
    clock = (shared.home() or {})["clock"]
    expect(place.get_by_text(f"{clock} (0 behind)", exact=True)).to_be_visible()
    expect(place.locator("tbody th")).to_have_text([f"{os.getpid()} (this one)", "<b>7</b>"])
    summary = place.locator("summary").first
    summary.click()
    shared.invalidate("b")
    expect(place.get_by_text(f"{clock + 1} (0 behind)", exact=True)).to_be_visible()
    expect(place.locator("details").first).to_have_attribute("open", "")
    expect(summary).to_be_focused()


def test_a_server_that_is_gone_and_comes_back(browser: Browser, cache: Cache) -> None:
    server = start(port=0, cache=cache, interval=0.1)
    port = int(server.url.rstrip("/").rpartition(":")[2])
    with visit(browser, server.url) as seen:
        page = seen.open()
        server.close()
        expect(page.locator("#connection")).to_have_text("no answer; trying again")
        expect(page.locator("#said")).to_have_text("no answer; trying again")
        with start(port=port, cache=cache, interval=0.1):
            expect(page.locator("#connection")).to_have_text("live")


def test_a_home_from_outside(browser: Browser, url: str) -> None:
    with worker(url) as other, served(url, token=TOKEN) as http:
        with visit(browser, str(http.base_url)) as seen:
            page = seen.open(TOKEN)
            expect(page.locator("#process")).to_contain_text("cache, seen from outside")
            for panel in ("#rate", "#misses"):
                expect(page.locator(panel)).to_have_text(CANNOT_SEE)
            expect(number(page, "Stored values")).to_have_text("8")
            expect(number(page, "Hit rate")).to_have_count(0)
            expect(page.locator("#functions tbody tr")).to_have_count(2)
            expect(page.locator("#home")).to_contain_text(f"{other.process.pid}")
            expect(page.locator("#home")).to_contain_text("Storage: a folder of this machine")
            row(page, "org").locator(".twisty").click()
            row(page, "acme").click()
            expect(page.locator("#detail")).to_contain_text("8 stored values")
            page.click("#invalidate")
            expect(page.locator("#confirm")).to_contain_text("Would die: 8 stored values.")
            expect(page.locator("#confirm")).to_contain_text("5 of shop.user")
            page.click("#confirm-yes")
            expect(page.locator("#detail")).to_contain_text("0 stored values")
            expect(number(page, "Valid")).to_have_text("0")
            expect(page.locator("#invalidations tbody th").first).to_have_text("org:acme")
            shown = page.locator("main").inner_text()
            assert not re.search("NaN|null|undefined", shown), "what is not known has words"
            assert widths(page)[0] == widths(page)[1]


def test_hostile_names_are_text(opened: Open, cache: Cache) -> None:
    load = cache.cacheable(deps=lambda name: [name], namespace="<b>hostile</b>")(lambda name: name)
    for name in (*HOSTILE, "a:" + "y" * 4000):
        load(name)
    cache.invalidate(HOSTILE[0], HOSTILE[3])
    page = opened(token=TOKEN, viewport={"width": 360, "height": 800}).open(TOKEN)
    expect(page.locator(".row")).to_have_count(len(HOSTILE) + 1)
    shown = page.locator(".row .name").all_inner_texts()
    assert HOSTILE[0] in shown and HOSTILE[2] in shown
    assert "exe.⟨U+202E⟩gnp" in shown and "a⟨U+200B⟩b" in shown
    for line in page.locator(".row").all():
        line.click()
        expect(page.locator("#detail h3")).to_be_visible()
        assert widths(page) == (360, 360)
    assert page.locator("main img, main script, main b").count() == 0
    row(page, HOSTILE[0]).click()
    page.click("#invalidate")
    expect(page.locator("#confirm-tag")).to_have_text(HOSTILE[0])
    page.click("#confirm-no")


def test_what_would_be_injected_does_not_run(opened: Open) -> None:
    """Should a text become markup some day, the policy still stands before it."""
    seen = opened()
    page = seen.open()
    ran = page.evaluate(
        """async () => {
          let ran = [];
          window.ran = (what) => ran.push(what);
          const script = document.createElement("script");
          try { script.textContent = "window.ran('inline')"; } catch { }
          document.body.append(script);
          try { document.body.innerHTML += "<img src=x onerror=\\"window.ran('handler')\\">"; }
          catch { ran.push("refused"); }
          await fetch("https://attacker.invalid/").catch(() => ran.push("no fetch"));
          return ran;
        }"""
    )
    assert ran == ["refused", "no fetch"]
    assert any("Content Security Policy" in one for one in seen.complaints)
    seen.complaints.clear()
    seen.requests.clear()


def test_light_and_dark(opened: Open) -> None:
    seen = opened(color_scheme="dark")
    page = seen.open()

    def brightness() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(","))

    assert brightness() < 200
    page.select_option("#theme", "light")
    assert brightness() > 600
    page.reload()
    assert page.locator("#theme").input_value() == "light" and brightness() > 600
    page.select_option("#theme", "auto")
    assert brightness() < 200
    page.emulate_media(color_scheme="light")
    assert brightness() > 600
    page.select_option("#theme", "dark")
    assert brightness() < 200


def test_on_a_telephone_nothing_is_cut_off(opened: Open, cache: Cache) -> None:
    load = users(cache, "ada", "grace")
    cache.invalidate("org:acme:user:ada", *(f"some:longer:tag:number:{n}" for n in range(9)))
    load("ada")
    page = opened(token=TOKEN, viewport={"width": 360, "height": 740}, has_touch=True).open(TOKEN)
    assert widths(page) == (360, 360)
    row(page, "org").tap()
    page.locator("#invalidate").tap()
    expect(page.locator("#confirm-yes")).to_be_enabled()
    assert widths(page) == (360, 360)
    box = page.locator("#confirm").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_by_keyboard_alone(opened: Open, cache: Cache) -> None:
    load = users(cache, "ada", "grace")
    page = opened(token=TOKEN).open(TOKEN)
    keys = page.keyboard

    def focused() -> str:
        return str(page.evaluate("document.activeElement.id"))

    def active() -> str:
        name = page.locator("#tree").get_attribute("aria-activedescendant")
        return str(page.locator(f"#{name} .name").inner_text())

    seen = []
    while focused() != "tree":
        keys.press("Tab")
        seen.append(focused())
        assert len(seen) < 10, seen
    assert seen[1:] == ["theme", "search", "order", "tree"], "the link to the numbers first"
    for key, name, lines in (
        *(("ArrowRight", "org", 2), ("ArrowRight", "acme", 2), ("ArrowRight", "acme", 3)),
        *(("ArrowDown", "user", 3), ("ArrowLeft", "acme", 3), ("ArrowLeft", "acme", 2)),
        *(("ArrowLeft", "org", 2), ("End", "acme", 2), ("ArrowRight", "acme", 3)),
        *(("End", "user", 3), ("ArrowRight", "user", 5), ("ArrowRight", "ada", 5)),
        *(("ArrowDown", "grace", 5), ("ArrowDown", "grace", 5), ("Home", "org", 5)),
        *(("PageDown", "grace", 5), ("ArrowUp", "ada", 5), ("Enter", "ada", 5)),
    ):
        keys.press(key)
        expect(page.locator(".row")).to_have_count(lines)  # what is opened comes from the server
        assert active() == name, key
    expect(page.locator("#invalidate")).to_be_visible()
    keys.press("Tab")
    assert focused() == "invalidate"
    keys.press("Enter")
    expect(page.locator("#confirm-yes")).to_be_enabled()
    assert focused() == "confirm-no", "the harmless answer first"
    keys.press("Escape")
    expect(page.locator("#confirm")).to_be_hidden()
    assert focused() == "invalidate", "where it was before"
    keys.press("Enter")
    expect(page.locator("#confirm-yes")).to_be_enabled()
    keys.press("Tab")
    assert focused() == "confirm-yes"
    keys.press("Enter")
    expect(page.locator("#said")).to_have_text("org:acme:user:ada was invalidated at epoch 1.")
    assert (load.peek("ada"), load.peek("grace")) == (None, "grace")


def test_a_hundred_thousand_tags(opened: Open, cache: Cache) -> None:
    load = cache.cacheable(deps=["user:{x}"])(lambda x: x)
    for x in range(100_000):
        load(x)
    page = opened(interval=3600).open()  # what comes into view is asked for at once
    expect(row(page, "user").locator(".count")).to_have_text("100,000")
    row(page, "user").locator(".twisty").click()
    expect(row(page, "0")).to_be_visible()
    page.keyboard.press("End")
    expect(row(page, "99999")).to_be_visible()
    assert page.locator(".row").count() < 60
    page.evaluate("document.querySelector('#tree').scrollTop = 1500000")
    expect(row(page, sorted(map(str, range(100_000)))[50_003])).to_be_visible()
    page.fill("#search", "4242")
    expect(page.locator("#tree-note")).to_contain_text("20 tags found")
    assert len(page.locator("#tree").inner_html()) < 60_000


def without_violations(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]})
    told = [
        (one["id"], [node["html"][:200] for node in one["nodes"]])
        for one in found.response["violations"]
    ]
    assert told == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_a_checker_of_accessibility_finds(opened: Open, cache: Cache, scheme: Any) -> None:
    """Names, roles, contrast, order of headings: of every part of the page."""
    load = users(cache, "ada", "grace")
    cache.invalidate("org:acme:user:ada")
    load("ada")
    seen = opened(token=TOKEN, color_scheme=scheme)
    seen.page.goto(seen.url)
    expect(seen.page.locator("#door")).to_be_visible()
    without_violations(seen.page)
    seen.page.fill("#token", TOKEN)
    seen.page.keyboard.press("Enter")
    page = seen.page
    row(page, "org").locator(".twisty").click()
    row(page, "acme").click()
    expect(page.locator("#invalidate")).to_be_visible()
    without_violations(page)
    page.click("#invalidate")
    expect(page.locator("#confirm-yes")).to_be_enabled()
    without_violations(page)
