"""By which name other processes find a function, and what stands in for its code."""

from __future__ import annotations

import functools
import math
import sys
from typing import Any

import pytest

from fingerprint_support import identity_of, load_module
from zoocache import InvalidOption, _zoocache
from zoocache._fingerprint import identity


def named(fn: Any, version: str | None = None) -> tuple[Any, ...]:
    made = identity(fn, namespace=None, version=version, types={})
    return tuple(_zoocache.decode(made, None))


class Service:
    def load(self, a: int) -> int:
        return a

    @classmethod
    def of_class(cls) -> str:
        return cls.__name__

    @staticmethod
    def of_nobody() -> int:
        return 1

    class Inner:
        def load(self) -> int:
            return 1


class SubService(Service):
    pass


def test_a_function_is_named_by_its_module_and_its_name() -> None:
    for fn, name in [
        (test_a_function_is_named_by_its_module_and_its_name, None),
        (Service.load, "Service.load"),
        (Service.Inner.load, "Service.Inner.load"),
        (Service.of_class, "Service.of_class"),
        (SubService.of_class, "SubService.of_class"),
        (Service.__dict__["of_class"], "Service.of_class"),
        (Service.__dict__["of_nobody"], "Service.of_nobody"),
        (Service, "Service"),
    ]:
        assert named(fn)[:2] == ("module", f"{__name__}:{name or fn.__name__}")
    assert named(math.sqrt)[:2] == ("module", "math:sqrt")
    assert named(dict.fromkeys)[:2] == ("module", "builtins:dict.fromkeys")
    assert named(functools.lru_cache(Service.load))[:2] == ("module", f"{__name__}:Service.load")


def test_functions_of_one_code_differ_by_their_names() -> None:
    module = load_module("def f(): return 1\ndef g(): return 1")
    assert named(module.f) != named(module.g)
    assert identity_of(module.f, "a") != identity_of(module.f, "b")


def test_a_namespace_is_no_name_of_a_function() -> None:
    name = f"{__name__}:Service.load"
    assert identity_of(Service.load, name, "1") != identity_of(Service.load, None, "1")


def test_the_subclass_of_a_bound_class_method_counts() -> None:
    assert identity_of(Service.of_class) != identity_of(SubService.of_class)


class Callable_:
    def __call__(self) -> int:
        return 1


def nested() -> Any:
    def inner() -> int:
        return 1

    return inner


NAMELESS: list[tuple[Any, str]] = [
    (lambda: 1, "a lambda, or was defined inside another function"),
    (nested(), "inside another function"),
    (functools.partial(Service.load, 1), "a partial"),
    (functools.update_wrapper(functools.partial(Service.load, 1), Service.load), "a partial"),
    (Service().load, "bound to an object"),
    ([].append, "bound to an object"),
    (Callable_(), "no name of its own"),
]


@pytest.mark.parametrize(("fn", "reason"), NAMELESS)
def test_what_others_cannot_find_needs_a_namespace(fn: Any, reason: str) -> None:
    for version in (None, "1"):
        with pytest.raises(InvalidOption, match=rf"namespace=.*{reason}.*namespace='...'"):
            identity(fn, namespace=None, version=version, types={})
    assert identity_of(fn) == identity_of(fn)


@pytest.mark.parametrize("module", ["__main__", "__mp_main__"])
def test_functions_of_main_need_a_namespace(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fn = load_module("def f(): return 1").f
    monkeypatch.setattr(fn, "__module__", module)
    with pytest.raises(InvalidOption, match="__main__ is another one in each program"):
        named(fn)
    assert identity_of(fn)


def test_a_function_of_no_module_needs_a_namespace() -> None:
    fn = load_module("def f(): return 1").f
    fn.__module__ = None
    with pytest.raises(InvalidOption, match="no name of its own"):
        named(fn)


def test_a_version_stands_for_the_code() -> None:
    old, new = (load_module(f"def f(): return {number}").f for number in (1, 2))
    assert identity_of(old, version="1") == identity_of(new, version="1")
    assert identity_of(old, version="1") != identity_of(old, version="2")
    assert identity_of(old, version="1") != identity_of(old, version=None)
    assert identity_of(old, version="1") != identity_of(old, "another", version="1")


def test_minor_versions_of_python_share_only_by_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def f() -> int:
        return 1

    here = identity_of(f), identity_of(f, version="1")
    other = (sys.version_info[0], sys.version_info[1] + 1, *sys.version_info[2:])
    monkeypatch.setattr(sys, "version_info", other)
    assert identity_of(f) != here[0]
    assert identity_of(f, version="1") == here[1]
