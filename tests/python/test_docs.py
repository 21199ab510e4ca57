"""The documents name all that there is: public names with docstrings, options, pages, tests."""

from __future__ import annotations

import ast
import asyncio
import builtins
import importlib
import inspect
import re
import sys
from pathlib import Path, PurePath
from typing import Any

import pytest

import zoocache
from redis_server import RedisServer
from zoocache import _zoocache
from zoocache._options import _OBSOLETE, CONFIGURE_DEFAULTS
from zoocache._types import ConfigureOptions, LruOptions
from zoocache.contrib._web import EndpointOptions

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "python/zoocache"
STUB = PACKAGE / "_zoocache.pyi"
sys.path.insert(0, str(ROOT / "scripts/site"))

import check_site  # noqa: E402
import headers  # noqa: E402
import run_peers  # noqa: E402

MODULES = ["zoocache", "zoocache.dashboard", "zoocache.testing", "zoocache.telemetry"]
MODULES += [f"zoocache.contrib.{name}" for name in ("sqlalchemy", "fastapi", "prometheus")]
MODULES += [f"zoocache.contrib.{name}" for name in ("flask", "litestar", "django", "opentelemetry")]


def import_framework(module: str) -> None:
    """Leaves the test out where what an integration is for is not installed."""
    name = module.rpartition(".")[2]
    if module.startswith("zoocache.contrib."):
        pytest.importorskip({"prometheus": "prometheus_client"}.get(name, name))
    if name == "telemetry":  # whose adapters are imported when they are named
        pytest.importorskip("prometheus_client")


def referenced() -> set[str]:
    """The names that the pages of the reference show."""
    texts = [page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md")]
    return {name for text in texts for name in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("name", check_site.public_names())
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert name in referenced(), f"add '::: {name}' to a page in docs/reference"


def test_the_reference_names_nothing_that_is_gone() -> None:
    known = {*check_site.public_names(), "zoocache._zoocache.Cached"}
    known |= {"zoocache._zoocache.CachedFunction", "zoocache.contrib._web.EndpointOptions"}
    known |= {"zoocache.contrib.django.outbox.create_outbox"}
    assert referenced() <= known


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def defined(path: Path) -> dict[str, Definition]:
    """What a module defines, and the members of its classes as `Class.member`."""
    found: dict[str, Definition] = {}
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, Definition):
            found[node.name] = node
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{node.name}.{inner.name}"] = inner
    return found


def is_shown(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_a_docstring(module: str) -> None:
    import_framework(module)
    if module.endswith("django"):
        pytest.importorskip("rest_framework")
        names = {name.rpartition(".")[2] for name in check_site.public_names() if module in name}
        sources = [defined(path) for path in (PACKAGE / "contrib/django").glob("*.py")]
        texts = {name: ast.get_docstring(node) for one in sources for name, node in one.items()}
        assert [name for name in names if not texts.get(name)] == []
        return
    made = importlib.import_module(module)
    for name in made.__all__:
        thing = getattr(made, name)
        # A class without one would show that of its base, an exception Python's.
        told = thing.__dict__["__doc__"] if inspect.isclass(thing) else thing.__doc__
        assert told and len(told) > 20, f"{module}.{name} has no docstring"


PUBLIC_CLASSES = {
    PACKAGE / "_cache.py": ("Cache",),
    PACKAGE / "_telling.py": ("Telling",),
    PACKAGE / "_blocks.py": ("Invalidating", "AtLeast"),
    PACKAGE / "_receipt.py": ("Receipt",),
    PACKAGE / "_raw_keys.py": ("RawKeys",),
    PACKAGE / "_told.py": ("Stats", "Explanation", "FunctionInfo", "InvalidationInfo", "Told"),
    PACKAGE / "testing.py": ("ZoocacheTestCase", "Zoocache"),
    PACKAGE / "telemetry/base.py": ("TelemetryAdapter",),
    PACKAGE / "telemetry/manager.py": ("TelemetryManager",),
    PACKAGE / "contrib/prometheus.py": ("ZoocacheCollector",),
    PACKAGE / "contrib/opentelemetry.py": ("Instrumentation",),
    STUB: ("Cached", "CachedFunction"),
    PACKAGE / "dashboard/_app.py": ("Dashboard",),
    PACKAGE / "dashboard/_http.py": ("Request",),
    PACKAGE / "dashboard/_server.py": ("Server",),
}
# The stub's members for the rest of the package, and overloads, whose first one has the docstring.
OURS = {"CachedFunction.update_options", "CachedFunction.replace"}


@pytest.mark.parametrize("path", PUBLIC_CLASSES, ids=lambda path: path.name)
def test_every_public_member_has_a_docstring(path: Path) -> None:
    for name, node in defined(path).items():
        owner = name.partition(".")[0]
        if owner not in PUBLIC_CLASSES[path] or not is_shown(name) or name in OURS:
            continue
        is_overload = any("overload" in ast.unparse(one) for one in node.decorator_list)
        assert is_overload or ast.get_docstring(node), f"{path.name}: {name} has no docstring"


@pytest.mark.parametrize("name", ["invalidate", "clear"])
def test_the_stub_says_what_the_extension_says(name: str) -> None:
    stub = ast.get_docstring(defined(STUB)[f"Core.{name}"])
    told = inspect.getdoc(getattr(_zoocache.Core, name))
    assert stub is not None and told is not None and stub.split() == told.split()


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_name_every_parameter(module: str) -> None:
    import_framework(module)
    if module.endswith("django"):
        return  # needs settings; its functions take a thing and options
    made = importlib.import_module(module)
    functions = {name: getattr(made, name) for name in made.__all__}
    for name, function in functions.items():
        told = inspect.getdoc(function) or ""
        is_python = inspect.isroutine(function) and not inspect.isbuiltin(function)
        if not is_python or told.startswith("As `") or name == "prune":  # which ignores its own
            continue
        for parameter in inspect.signature(function).parameters.values():
            known = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            assert known or re.search(rf"\b{parameter.name}\b", told), f"{name}({parameter.name})"


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_name_every_attribute(module: str) -> None:
    """Of records: what they hold is all that they are."""
    import_framework(module)
    if module.endswith(("django", "dashboard")):
        return  # the one needs settings; of a Request `authorize=` sees less than there is
    made = importlib.import_module(module)
    for name in made.__all__:
        thing = getattr(made, name)
        if not inspect.isclass(thing):
            continue
        fields = [*getattr(thing, "_fields", ()), *getattr(thing, "__dataclass_fields__", ())]
        text = (inspect.getdoc(thing) or "").partition("Attributes:")[2]
        missing = [one for one in fields if not re.search(rf"^    {one}: ", text, re.MULTILINE)]
        assert missing == [], f"{module}.{name}"


def test_the_options_of_endpoints_are_documented() -> None:
    text = inspect.getdoc(EndpointOptions) or ""
    listed = re.findall(r"^    (\w+): ", text, re.MULTILINE)
    assert listed == list(EndpointOptions.__annotations__)


def documented_errors() -> list[tuple[str, str]]:
    """Functions of the reference, and the names of errors after `Raises`."""
    found = []
    for name in zoocache.__all__:
        text = inspect.getdoc(getattr(zoocache, name)) or ""
        for block in re.findall(r"^Raises.*?:\n((?: +.*\n?|\n)+)", text, re.MULTILINE):
            heads = re.findall(r"^    ([A-Z][\w, ]+):", block, re.MULTILINE)
            found += [(name, error) for head in heads for error in head.split(", ")]
    return found


def test_errors_that_are_documented_exist() -> None:
    found = documented_errors()
    assert len(found) >= 20
    for name, error in found:
        known: Any = getattr(zoocache, error, None) or getattr(builtins, error, None)
        assert inspect.isclass(known) and issubclass(known, Exception), f"{name}: {error}"


def test_what_raises_without_the_server_says_so(server: RedisServer) -> None:
    given: Any = {"command_timeout": 0.05, "connect_timeout": 0.05}
    cache = zoocache.Cache(bus_url=server.url, **given)
    load = cache.cacheable(lambda: 1)
    load()
    server.kill()
    stub = {name: ast.get_docstring(node) for name, node in defined(STUB).items()}
    calls = {
        "Cached.refresh": load.refresh,
        "Cached.invalidate": load.invalidate,
        "Cached.cache_clear": load.cache_clear,
        "Core.invalidate": lambda: cache.invalidate("t"),
        "set": lambda: cache.set("key", 1),
        "get_tag_version": lambda: cache.get_tag_version("t"),
        "clear_async": lambda: asyncio.run(cache.clear_async()),
        "invalidate_async": lambda: asyncio.run(cache.invalidate_async("t")),
        "Invalidating": cache.invalidating("t").__enter__,
    }
    for name, call in calls.items():
        with pytest.raises(zoocache.HomeUnreachable):
            call()
        told = stub[name] if "." in name else inspect.getdoc(getattr(zoocache, name))
        assert "HomeUnreachable" in (told or ""), name


def rows(heading: str) -> dict[str, str]:
    """The options in the tables below a heading of OPTIONS.md, with their default as it is told."""
    text = (DOCS / "OPTIONS.md").read_text("utf-8")
    part = re.split(r"^## ", text, flags=re.MULTILINE)
    section = next(one for one in part if one.startswith(heading))
    found = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^\n]+) \|$", section, re.MULTILINE)
    assert len(found) == section.count("\n| `"), "a row with too few or too many columns"
    return {name: default.strip() for name, _, default, _ in found}


def test_every_option_of_configure_is_documented_with_its_default() -> None:
    told = rows("`configure`")
    known = {name: value for name, value in CONFIGURE_DEFAULTS.items() if name not in _OBSOLETE}
    assert set(told) == set(known) == set(ConfigureOptions.__annotations__) - set(_OBSOLETE)
    for name, default in told.items():
        if default.startswith("`"):
            assert ast.literal_eval(default.strip("`")) == known[name], name
        else:  # none, or in words what the engine takes instead
            assert known[name] is None, name


def test_every_option_of_cacheable_is_documented() -> None:
    assert set(rows("`cacheable`")) == {*LruOptions.__annotations__}


def test_options_of_the_older_package_are_named() -> None:
    text = (DOCS / "OPTIONS.md").read_text("utf-8")
    assert [name for name in _OBSOLETE if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (zoocache.configure, set(ConfigureOptions.__annotations__) - set(_OBSOLETE)),
        (zoocache.cacheable, set(LruOptions.__annotations__)),
    ],
    ids=["configure", "cacheable"],
)
def test_docstrings_name_every_option(function: Any, options: set[str]) -> None:
    text = inspect.getdoc(function) or ""
    assert sorted(name for name in options if not re.search(rf"\b{name}\b", text)) == []


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *DOCS.rglob("*.md")], ids=lambda p: p.name)
def test_no_block_of_code_escapes_the_tests(page: Path) -> None:
    """Those without a title are run by test_readme.py, those with one by run_peers.py."""
    for fence in re.findall(r"^ *```+ *(\S.*)$", page.read_text("utf-8"), re.MULTILINE):
        title = re.fullmatch(r'python title="(.*)"', fence)
        if title is not None:
            assert title.group(1) in run_peers.NEEDED and page.name == run_peers.PAGE.name
        else:
            assert fence in {"python", "cpp", "console", "text"}, f"who runs a block of {fence!r}?"


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "scripts/site/mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    listed = set(re.findall(r": ([\w./-]+\.md)$", nav, re.MULTILINE))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    outside = {"index.md", "contributing.md", "security-policy.md", "changes.md"}
    assert listed - outside == pages


def test_what_is_to_be_watched_exists(tmp_path: Path) -> None:
    text = (DOCS / "OPERATIONS.md").read_text("utf-8")
    table = text.partition("| look at | normal |")[2].partition("\n\n")[0]
    firsts = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    named = {name for cell in firsts for name in re.findall(r"[a-z][a-z0-9_]+", cell)}
    cache = zoocache.Cache(storage_url=f"lmdb://{tmp_path}")
    home, storage = cache.home(), cache.storage()
    assert home is not None and storage is not None
    known = {*home, *home["counters"], *storage, *storage["counters"], *cache.stats().as_dict()}
    assert len(named) > 20
    assert named - known <= {"home", "stats", "storage", "beside"}


@pytest.mark.parametrize("page", ["GUARANTEES.md", "SECURITY-MODEL.md"])
def test_tests_that_documents_name_exist(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    named = set(re.findall(r"`(tests/[\w./]+)`", text))
    named |= {f"tests/models/{name}" for name in re.findall(r"`(\w+\.pml)`", text)}
    assert named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/ARCHITECTURE.md"])
def test_files_that_documents_name_exist(page: str) -> None:
    """What has a suffix of ours, or a folder in front, is one; `*` stands for many."""
    named = set(re.findall(r"`([\w./*-]+)`", (ROOT / page).read_text("utf-8")))
    suffixes = r"\.(py|h|cpp|md|pml|yml|toml|txt|json|js)"
    paths = [one for one in named if re.search(rf"\w{suffixes}$|^\w+/", one)]
    assert len(paths) > 20
    known: list[PurePath] = []
    for top in ROOT.iterdir():
        if top.name not in {"build", ".git", ".venv"}:
            known += [top, *top.rglob("*")]
    wanted = [one for one in paths if not one.startswith("build/")]
    assert [one for one in wanted if not any(path.match(one) for path in known)] == []


def test_headers_keep_their_lines_for_doxygen() -> None:
    for path in (ROOT / "include/zoocache").glob("*.h"):
        lines = path.read_text("utf-8").splitlines()
        assert len(headers.documented(lines)) == len(lines), path.name


def test_what_doxygen_is_told_of_a_comment() -> None:
    lines = [
        "// A thing.",
        "#pragma once",
        "// Of it:",
        "//   f(1 < 2);",
        "// Errors: none.",
        "struct A {",
        "  int a;  // in <s>",
        "  void f() {",
        "    // left alone",
        "  }",
        "  A(const A&) = delete;",
        "};",
        "namespace detail {",
        "// hidden",
        "struct B {};",
        "}  // namespace detail",
    ]
    assert headers.documented(lines) == [
        "/// \\file",
        "/// A thing.",
        "/// Of it: \\code{.cpp}",
        "///   f(1 < 2);",
        "/// \\endcode <br><b>Errors:</b> none.",
        "struct A {",
        "  int a;  ///< in \\<s\\>",
        "  void f() {",
        "    // left alone",
        "  }",
        "",
        "};",
        *[""] * 4,
    ]


def test_what_a_page_fetches_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<a href="https://a/">a link</a><script src="https://b/x.js"></script>'
        '<link rel="preconnect" href="//c"><img src="own.png">'
        "<style>@import url(https://d/x.css);</style>",
        "utf-8",
    )
    (tmp_path / "x.css").write_text("a { background: url('//e/x.png') }", "utf-8")
    found = list(check_site.outside(tmp_path))
    assert [one.rpartition("//")[2][0] for one in found] == ["b", "c", "d", "e"]
