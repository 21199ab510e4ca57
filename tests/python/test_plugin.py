"""The pytest plugin, on real runs of pytest, and the mixin for `unittest`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

import pytest

import zoocache
from zoocache.testing import (
    ZoocacheTestCase,
    assert_cached,
    assert_invalidates,
    assert_no_findings,
    assert_not_cached,
    fresh_caches,
)

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = ROOT / "pyproject.toml"

APP = """
import zoocache
from zoocache import cacheable

zoocache.configure(max_entries=7)
other = zoocache.Cache(max_entries=5)
data = {"user": "ann"}


@cacheable(deps=["user:{key}"])
def get_user(key):
    return dict(data)


@other.cacheable
def own(key):
    return key
"""


def run_pytest(folder: Path, tests: str, *arguments: str, plugins: tuple[str, ...] = ()) -> str:
    """The output of a run of pytest with no plugins but ours and these, in a folder of its own."""
    (folder / "app.py").write_text(APP)
    (folder / "test_it.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    for plugin in ("pytest_zoocache", *plugins):
        command += ["-p", plugin]
    paths = [str(folder), *(path for path in sys.path if path)]
    environment = {"PYTHONPATH": os.pathsep.join(paths), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, *arguments, "test_it.py"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return done.stdout + done.stderr


def test_pytest_finds_the_plugin_by_itself() -> None:
    declared = PYPROJECT.read_text(encoding="utf-8").split("[project.entry-points.pytest11]\n")[1]
    assert declared.split("\n")[0] == 'zoocache = "pytest_zoocache"'
    assert '"python/pytest_zoocache"' in PYPROJECT.read_text(encoding="utf-8")


FIXTURE = """
import os

import pytest
import zoocache as package
from app import data, get_user, other, own


def test_caches_are_fresh_and_options_stay(zoocache):
    assert get_user.cache_info().currsize == 0
    assert package.Cache.given(package._default) == {"max_entries": 7}
    assert other.options["max_entries"] == 5
    zoocache.reset()
    zoocache.configure(debug=True)
    get_user(1), own(1)


def test_the_next_one_is_fresh_too(zoocache):
    assert get_user.cache_info() == (0, 0, None, 0)
    assert own.cache_info().currsize == 0
    assert package._default.given() == {"max_entries": 7}


def test_assertions(zoocache):
    zoocache.assert_not_cached(get_user, 1)
    get_user(1)
    zoocache.assert_cached(get_user, 1)
    with zoocache.assert_invalidates("user:1"):
        zoocache.invalidate("user:1")
    with pytest.raises(AssertionError, match="user:1 was not .*; invalidated was 'user:2' at"):
        with zoocache.assert_invalidates("user:1"):
            zoocache.invalidate("user:2")


def test_missing_tag(zoocache):
    zoocache.configure(verify=1.0)
    get_user(1)
    data["user"] = "bob"
    get_user(1)


@pytest.mark.zoocache_off
class TestOff:
    def test_off(self):
        assert get_user(1) is not get_user(1)
        assert own.cache_info().maxsize == 0

    def test_off_with_fixture(self, zoocache):
        zoocache.configure(verify=1.0)
        assert get_user(1) is not get_user(1)


def test_on_again():
    assert "ZOOCACHE_DISABLED" not in os.environ
    assert get_user(2) is get_user(2)
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_the_fixture_and_the_marker(tmp_path: Path, workers: int) -> None:
    plugins: tuple[str, ...] = ()
    arguments = ["--strict-markers"]
    if workers:
        pytest.importorskip("xdist")
        plugins = ("xdist.plugin",)
        arguments += ["-n", str(workers)]
    told = run_pytest(tmp_path, FIXTURE, *arguments, plugins=plugins)
    assert "1 failed, 6 passed" in told, told
    assert "FAILED test_it.py::test_missing_tag" in told
    assert "get_user(1) changed without an invalidation of user:1: ['user']: 'ann'" in told


def test_nothing_is_imported_for_who_does_not_use_it(tmp_path: Path) -> None:
    tests = """
    import sys
    import pytest

    def test_it():
        assert "pytest_zoocache" in sys.modules
        assert "zoocache" not in sys.modules

    @pytest.mark.zoocache_off
    def test_off():
        import os
        assert os.environ["ZOOCACHE_DISABLED"] == "1"
        assert "zoocache" not in sys.modules
    """
    told = run_pytest(tmp_path, "\n".join(line[4:] for line in tests.splitlines()))
    assert "2 passed" in told, told


ASYNC = """
import asyncio

import pytest
from app import data, get_user
from zoocache import cacheable


@cacheable(deps=["page"])
async def page():
    await asyncio.sleep(0)
    return get_user(1)["user"]


@pytest.mark.asyncio
async def test_async(zoocache):
    await page()
    zoocache.assert_cached(page)
    with zoocache.assert_invalidates("page", "user:1"):
        await zoocache.invalidate_async("page", "user")
    zoocache.assert_not_cached(page)


@pytest.mark.asyncio
async def test_missing_tag(zoocache):
    zoocache.configure(verify=1.0)
    await asyncio.gather(page(), page())
    data["user"] = "bob"
    await page()
"""


def test_under_pytest_asyncio(tmp_path: Path) -> None:
    if importlib.util.find_spec("pytest_asyncio") is None:
        pytest.skip("pytest-asyncio is not installed")
    loop = "asyncio_default_fixture_loop_scope=function"
    told = run_pytest(tmp_path, ASYNC, "-o", loop, plugins=("pytest_asyncio.plugin",))
    assert "1 failed, 1 passed" in told, told
    assert "page() changed without an invalidation of page, user:1" in told


class Outcome(unittest.TestResult):
    """What unittest made of a test."""

    def messages(self) -> list[str]:
        return [text for _, text in [*self.failures, *self.errors]]


def run_case(case: type[unittest.TestCase]) -> Outcome:
    outcome = Outcome()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(outcome)
    return outcome


def make_case(base: type[unittest.TestCase]) -> type[unittest.TestCase]:
    data = {"user": "ann"}

    @zoocache.cacheable(deps=["user:{key}"])
    def get_user(key: int) -> Any:
        return dict(data)

    class Case(ZoocacheTestCase, base):  # type: ignore[misc,valid-type]
        def setUp(self) -> None:  # and does not call the one above it
            self.assertNotCached(get_user, 1)

        def test_1_assertions(self) -> None:
            get_user(1)
            self.assertCached(get_user, 1)
            with self.assertInvalidates("user:1"):
                zoocache.invalidate("user")

        def test_2_fails(self) -> None:
            get_user(1)
            with self.assertInvalidates("user:1"):
                pass

        def test_3_missing_tag(self) -> None:
            zoocache.configure(verify=1.0)
            get_user(1)
            data["user"] = "bob"
            get_user(1)

    return Case


@pytest.mark.parametrize("base", [unittest.TestCase, unittest.IsolatedAsyncioTestCase])
def test_the_mixin(base: type[unittest.TestCase]) -> None:
    outcome = run_case(make_case(base))
    assert outcome.testsRun == 3
    assert outcome.errors == []
    first, second = outcome.messages()
    assert "user:1 was not invalidated; nothing was" in first
    assert "changed without an invalidation of user:1" in second
    assert zoocache.findings() == []


DJANGO = """
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "zoocache.contrib.django"],
)
django.setup()

import unittest
from django.contrib.contenttypes.models import ContentType
from django.test import TestCase
from django.test.runner import DiscoverRunner
from zoocache import cacheable, configure, stats
from zoocache.testing import ZoocacheTestCase


@cacheable
def labels():
    return list(ContentType.objects.order_by("id").values_list("app_label", flat=True))


class Tests(ZoocacheTestCase, TestCase):
    def test_1_cached(self):
        assert stats().entries == 0
        configure(verify=1.0)
        before = labels()
        self.assertCached(labels)
        with self.assertInvalidates("db:default:django_content_type:~scan"):
            ContentType.objects.create(app_label="new", model="one")
        self.assertNotCached(labels)
        assert labels() == [*before, "new"] == labels()

    def test_2_rolled_back(self):
        assert stats().entries == 0
        assert "new" not in labels()


class Runner(DiscoverRunner):
    def build_suite(self, *args, **kwargs):
        return unittest.defaultTestLoader.loadTestsFromTestCase(Tests)


raise SystemExit(Runner(verbosity=0).run_tests([]))
"""


def test_under_the_runner_of_django(tmp_path: Path) -> None:
    pytest.importorskip("django")
    (tmp_path / "run.py").write_text(DJANGO)
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True, timeout=50,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 2 tests" in done.stderr


def test_what_is_above_a_tag_reaches_it() -> None:
    for what in ("org", "org:acme", "org:acme:user:1"):
        with assert_invalidates("org:acme:user:1"):
            zoocache.invalidate(what)
    with assert_invalidates("org:acme"):
        zoocache.clear()
    for what in ("org:acme:user:1:name", "org:ac", "user:1"):
        with (
            pytest.raises(
                AssertionError, match=f"was not invalidated; invalidated was '{what}' at"
            ),
            assert_invalidates("org:acme:user:1"),
        ):
            zoocache.invalidate(what)


def test_an_invalidation_before_the_block_does_not_count() -> None:
    zoocache.invalidate("user:1")
    with pytest.raises(AssertionError, match="nothing was"), assert_invalidates("user:1"):
        pass


def test_another_cache_and_a_block_that_raises() -> None:
    cache = zoocache.Cache()
    with assert_invalidates("user:1", cache=cache):
        cache.invalidate("user:1")
    with pytest.raises(AssertionError), assert_invalidates("user:1", cache=cache):
        zoocache.invalidate("user:1")
    with pytest.raises(ZeroDivisionError), assert_invalidates("user:1"):
        1 / 0  # noqa: B018


def test_bad_tags_and_functions_are_refused() -> None:
    with pytest.raises(TypeError, match="at least one tag"), assert_invalidates():
        pass
    with pytest.raises(zoocache.InvalidTag), assert_invalidates("a b"):
        pass
    with pytest.raises(TypeError, match="a function decorated with cacheable is wanted"):
        assert_cached(len, "a")


def test_the_assertions_say_why() -> None:
    get = zoocache.cacheable(deps=["user:{key}"])(lambda key: key)
    with pytest.raises(AssertionError, match=r"<lambda>\(1\) is not in the cache: .*never loaded"):
        assert_cached(get, 1)
    get(1)
    with pytest.raises(AssertionError, match=r"is in the cache: .*depends on user:1"):
        assert_not_cached(get, 1)


def test_findings_are_forgotten_once_they_were_raised() -> None:
    zoocache.configure(verify=1.0)
    values = iter([1, 2])
    get = zoocache.cacheable(deps=["user"])(lambda: next(values))
    get(), get()
    with pytest.raises(AssertionError, match="the value: 1, now 2"):
        assert_no_findings()
    assert_no_findings()


def test_fresh_caches_gives_back_what_was_configured() -> None:
    zoocache.configure(max_entries=7)
    with fresh_caches():
        zoocache.configure(debug=True)
        made = zoocache.Cache(max_entries=3)
    assert zoocache._default.given() == {"max_entries": 7}
    assert made.given() == {"max_entries": 3}
