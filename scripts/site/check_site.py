"""Checks the built site: complete, and at home everywhere.

Usage: check_site.py SITE. Prints what is wrong, a line each; exits with 1 if there is something.
  outside   a page or style sheet fetches something from another place when it is read
  names     a public name of the package is missing in the reference
  search    the index of the search lacks a page
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = re.compile(r"(https?:)?//")
IN_STYLES = re.compile(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]*")
FETCHED = {
    *(("script", "src"), ("img", "src"), ("img", "srcset"), ("iframe", "src"), ("source", "src")),
    *(("video", "src"), ("audio", "src"), ("embed", "src"), ("object", "data"), ("input", "src")),
}
LINKS_THAT_FETCH = {
    *("stylesheet", "icon", "shortcut", "preload", "prefetch", "modulepreload", "manifest"),
    *("preconnect", "dns-prefetch", "apple-touch-icon"),
}
# The modules that programs import from, besides the package itself.
MODULES = ("sqlalchemy", "fastapi", "litestar", "flask", "django/__init__")
MODULES += ("prometheus", "opentelemetry")


class Page(HTMLParser):
    """Collects what a page fetches by itself, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.add(given.get("id", ""))
        self.fetched += [value for name, value in given.items() if (tag, name) in FETCHED]
        if tag == "link" and LINKS_THAT_FETCH & set(given.get("rel", "").split()):
            self.fetched.append(given.get("href", ""))
        self.fetched += [found.group() for found in IN_STYLES.finditer(given.get("style", ""))]


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text("utf-8"))
    return page


def outside(site: Path) -> Iterator[str]:
    for path in sorted(site.rglob("*")):
        found: list[str] = []
        if path.suffix == ".html":
            styles = re.findall(r"<style.*?</style>", path.read_text("utf-8"), re.DOTALL)
            found = [one for one in read(path).fetched if OUTSIDE.match(one)]
            found += [one for style in styles for one in IN_STYLES.findall(style)]
        elif path.suffix in (".css", ".svg"):
            found = IN_STYLES.findall(path.read_text("utf-8"))
        for one in found:
            yield f"{path.relative_to(site)}: fetches {one}"


def public_names(root: Path = ROOT) -> list[str]:
    """The names in the `__all__` of the package and of what programs import beside it."""
    package = root / "python/zoocache"
    sources = {"zoocache": package / "__init__.py"}
    sources["zoocache.dashboard"] = package / "dashboard/__init__.py"
    sources["zoocache.testing"] = package / "testing.py"
    sources["zoocache.telemetry"] = package / "telemetry/__init__.py"
    for module in MODULES:
        name = module.removesuffix("/__init__").replace("/", ".")
        sources[f"zoocache.contrib.{name}"] = package / f"contrib/{module}.py"
    return [f"{module}.{name}" for module, path in sources.items() for name in listed(path)]


def listed(path: Path) -> list[str]:
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    raise ValueError(f"{path} has no __all__")


def missing_names(site: Path) -> Iterator[str]:
    anchors = {
        anchor for path in (site / "reference").glob("*.html") for anchor in read(path).anchors
    }
    for name in (*public_names(), "zoocache._zoocache.Cached.peek", "zoocache.Cache.invalidate"):
        if name not in anchors:
            yield f"reference: {name} is missing; add '::: {name}' to a page in docs/reference"


def missing_in_search(site: Path) -> Iterator[str]:
    index = json.loads((site / "search/search_index.json").read_text("utf-8"))
    found = {entry["location"].partition("#")[0] or "index.html" for entry in index["docs"]}
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site).as_posix()
        if not name.startswith("reference/cpp/") and name != "404.html" and name not in found:
            yield f"search: {name} is not in the index"


def main(site: Path) -> int:
    checks = (outside, missing_names, missing_in_search)
    found = [line for check in checks for line in check(site)]
    pages = len(list(site.rglob("*.html")))
    print(
        *found, f"{pages} pages, {len(public_names())} public names, {len(found)} faults", sep="\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
