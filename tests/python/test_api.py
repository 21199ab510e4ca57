"""The decorator's forms and the names that the package offers."""

from __future__ import annotations

import contextvars
import functools
import importlib.metadata
import inspect
import pickle
import re
import subprocess
import sys
from typing import Any

import pytest

import zoocache
from support import Versions, run
from zoocache import add_deps, cacheable, invalidate, no_store
from zoocache._options import _OBSOLETE, CONFIGURE_DEFAULTS
from zoocache._types import CacheableOptions, ConfigureOptions


def test_every_documented_name_is_public() -> None:
    names = """cacheable invalidate invalidate_async invalidating add_deps clear clear_async
        configure reset version prune explain stats tags tag get set get_async set_async
        get_tag_version no_store Cache ZoocacheError InvalidTag InvalidOption StorageIsFull
        HomeUnreachable FlightTimeout SerializationError""".split()
    assert [name for name in names if not hasattr(zoocache, name)] == []
    assert set(names) <= set(zoocache.__all__)


def test_errors_form_one_tree() -> None:
    for name in (
        "InvalidTag",
        "InvalidOption",
        "StorageIsFull",
        "HomeUnreachable",
        "FlightTimeout",
        "SerializationError",
    ):
        assert issubclass(getattr(zoocache, name), zoocache.ZoocacheError)
    assert issubclass(zoocache.ZoocacheError, Exception)


def test_version_is_that_of_the_installed_package() -> None:
    try:
        installed = importlib.metadata.version("zoocache")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("it is not installed but found by its path")
    assert zoocache.version() == installed


def test_bare_decorator_needs_neither_parentheses_nor_configure() -> None:
    calls = []

    @cacheable
    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    assert [double(2), double(2), double(3)] == [4, 4, 6]
    assert calls == [2, 3]


def test_decorator_with_empty_parentheses() -> None:
    calls = []

    @cacheable()
    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    assert [double(2), double(2)] == [4, 4]
    assert calls == [2]


def test_plain_call_with_a_function_and_options() -> None:
    calls = []

    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    cached = cacheable(double, deps=["numbers"])
    assert [cached(2), cached(2)] == [4, 4]
    assert calls == [2]
    invalidate("numbers")
    assert cached(2) == 4
    assert calls == [2, 2]


def test_function_without_arguments() -> None:
    source = Versions()
    cached = cacheable(source.next)
    assert [cached(), cached()] == [1, 1]


def test_two_closures_of_one_factory_are_two_caches() -> None:
    def factory(value: str) -> Any:
        @cacheable
        def constant() -> str:
            return value

        return constant

    first, second = factory("a"), factory("b")
    assert [first(), second(), first(), second()] == ["a", "b", "a", "b"]


def test_two_functions_of_one_name_are_two_caches() -> None:
    @cacheable
    def load(x: int) -> tuple[str, int]:
        return ("old", x)

    first = load

    @cacheable
    def load(x: int) -> tuple[str, int]:
        return ("new", x)

    assert [first(1), load(1), first(1)] == [("old", 1), ("new", 1), ("old", 1)]


def test_one_namespace_never_merges_two_functions() -> None:
    @cacheable(namespace="shared")
    def left(x: int) -> tuple[str, int]:
        return ("left", x)

    @cacheable(namespace="shared")
    def right(x: int) -> tuple[str, int]:
        return ("right", x)

    assert [left(1), right(1), left(1)] == [("left", 1), ("right", 1), ("left", 1)]


def test_decorating_one_function_twice_makes_two_caches() -> None:
    source = Versions()
    first, second = cacheable(source.next), cacheable(source.next)
    assert [first(), second(), first(), second()] == [1, 2, 1, 2]


def test_keywords_positions_and_defaults_are_one_call() -> None:
    calls = []

    @cacheable
    def area(a: int, b: int = 2, *, unit: str = "m") -> tuple[int, str]:
        calls.append((a, b, unit))
        return a * b, unit

    results = [area(1), area(1, 2), area(a=1), area(b=2, a=1), area(1, unit="m")]
    assert results == [(2, "m")] * 5
    assert calls == [(1, 2, "m")]
    assert area(1, unit="ft") == (2, "ft")
    assert len(calls) == 2


def test_variable_arguments_are_part_of_the_call() -> None:
    calls = []

    @cacheable
    def collect(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return args, kwargs

    assert collect(1, 2, a=3, b=4) == collect(1, 2, b=4, a=3) == ((1, 2), {"a": 3, "b": 4})
    assert len(calls) == 1
    assert collect((1, 2), a=3, b=4) == (((1, 2),), {"a": 3, "b": 4})
    assert collect(1, 2, ("a", 3), ("b", 4)) == ((1, 2, ("a", 3), ("b", 4)), {})
    assert len(calls) == 3


def test_wrong_arguments_fail_as_they_would_without_the_cache() -> None:
    @cacheable
    def add(a: int, /, b: int, *, c: int = 0) -> int:
        return a + b + c

    for args, kwargs in [
        ((), {}),
        ((1,), {}),
        ((1, 2, 3), {}),
        ((1, 2), {"b": 2}),
        ((1, 2), {"d": 1}),
        ((), {"a": 1, "b": 2}),
    ]:
        with pytest.raises(TypeError):
            add(*args, **kwargs)
        with pytest.raises(TypeError):
            add.__wrapped__(*args, **kwargs)
    assert add(1, 2) == 3


def test_ignored_arguments_are_passed_but_not_part_of_the_key() -> None:
    calls = []

    @cacheable(ignore=("session",))
    def load(session: object, user_id: int) -> int:
        calls.append((session, user_id))
        return user_id

    first, second = object(), object()
    assert [load(first, 1), load(second, 1), load(session=second, user_id=1)] == [1, 1, 1]
    assert calls == [(first, 1)]
    assert load(second, 2) == 2
    assert calls[-1] == (second, 2)


def test_ignored_arguments_may_be_unhashable() -> None:
    calls = []

    @cacheable(ignore=["trace"])
    def load(user_id: int, trace: Any = None) -> int:
        calls.append(user_id)
        return user_id

    assert load(1, trace=[object()]) == load(1) == 1
    assert calls == [1]


def test_key_function_replaces_the_arguments() -> None:
    calls = []

    @cacheable(key=lambda user: user["id"])
    def load(user: dict[str, Any]) -> str:
        calls.append(user)
        return user["name"]

    assert load({"id": 1, "name": "a"}) == "a"
    assert load({"id": 1, "name": "b"}) == "a"
    assert load(user={"id": 1, "name": "c"}) == "a"
    assert load({"id": 2, "name": "d"}) == "d"
    assert len(calls) == 2


def test_exception_in_the_key_function_reaches_the_caller() -> None:
    @cacheable(key=lambda user: user["id"])
    def load(user: dict[str, Any]) -> str:
        return "loaded"

    with pytest.raises(KeyError):
        load({})
    assert load({"id": 1}) == "loaded"


def test_store_if_decides_about_every_value() -> None:
    calls = []

    @cacheable(store_if=lambda value: value is not None)
    def find(key: str) -> str | None:
        calls.append(key)
        return key if len(calls) > 1 else None

    assert [find("k"), find("k"), find("k")] == [None, "k", "k"]
    assert len(calls) == 2


def test_no_store_inside_a_loader_keeps_the_value_out() -> None:
    calls = []

    @cacheable
    def load(x: int) -> int:
        calls.append(x)
        if len(calls) == 1:
            no_store()
        return x

    assert [load(1), load(1), load(1)] == [1, 1, 1]
    assert len(calls) == 2


def test_no_store_and_add_deps_outside_a_load_do_nothing() -> None:
    no_store()
    add_deps(["user:1"])
    source = Versions()
    cached = cacheable(source.next)
    assert [cached(), cached()] == [1, 1]


def test_every_value_is_cacheable() -> None:
    for value in (None, False, 0, "", (), NotImplemented, Ellipsis, object(), Exception("value")):
        calls = []

        @cacheable
        def load() -> Any:
            calls.append(1)
            return value  # noqa: B023 - called before the next turn

        assert load() is value
        assert load() is value
        assert len(calls) == 1


def test_the_same_object_is_handed_out() -> None:
    @cacheable
    def load() -> list[int]:
        return [1]

    assert load() is load()


def test_context_variables_set_by_a_loader_stay_set() -> None:
    """A loader runs in its caller's context, as if it were not cached."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    @cacheable
    def load() -> int:
        seen = variable.get()
        variable.set(2)
        return seen

    variable.set(1)
    assert [load(), variable.get()] == [1, 2]


def test_wrapper_looks_like_the_function() -> None:
    def load(user_id: int, *, deep: bool = False) -> str:
        """Loads a user."""
        return str(user_id)

    load.mark = "kept"  # type: ignore[attr-defined]
    cached = cacheable(deps=["users"])(load)
    assert cached.__name__ == "load"
    assert cached.__qualname__ == load.__qualname__
    assert cached.__module__ == __name__
    assert cached.__doc__ == "Loads a user."
    assert cached.__wrapped__ is load
    assert cached.__annotations__ == load.__annotations__
    assert cached.__kwdefaults__ == {"deep": False}
    assert cached.__defaults__ is None
    assert cached.__code__ is load.__code__
    assert cached.mark == "kept"
    assert inspect.signature(cached) == inspect.signature(load)
    assert inspect.unwrap(cached) is load
    assert callable(cached)
    assert not inspect.iscoroutinefunction(cached)
    assert "load" in repr(cached)


def test_wrapper_takes_attributes() -> None:
    @cacheable
    def load() -> int:
        return 1

    load.note = "mine"
    assert load.note == "mine"
    assert load() == 1


def test_async_wrapper_is_a_coroutine_function() -> None:
    @cacheable
    async def load(user_id: int = 1) -> int:
        return user_id

    assert inspect.iscoroutinefunction(load)
    assert str(inspect.signature(load)) == "(user_id: 'int' = 1) -> 'int'"
    assert run(load(3)) == 3


def test_wraps_of_a_cached_function_works() -> None:
    @cacheable
    def load(x: int) -> int:
        """Doc."""
        return x

    @functools.wraps(load)
    def outside(x: int) -> int:
        return load(x)

    assert outside.__name__ == "load"
    assert outside(1) == 1


@cacheable
def module_level(x: int) -> int:
    return x + 1


class Holder:
    @cacheable
    def method(self) -> int:
        return 1

    @staticmethod
    @cacheable
    def static(x: int) -> int:
        return x


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_goes_by_qualified_name(protocol: int) -> None:
    assert pickle.loads(pickle.dumps(module_level, protocol)) is module_level
    assert pickle.loads(pickle.dumps(Holder.method, protocol)) is Holder.method
    assert pickle.loads(pickle.dumps(Holder.static, protocol)) is Holder.static


def test_a_local_function_does_not_pickle_into_something_else() -> None:
    @cacheable
    def local() -> int:
        return 1

    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(local)


@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_generators_are_refused_with_the_reason(kind: str) -> None:
    def generator() -> Any:
        yield 1

    async def async_generator() -> Any:
        yield 1

    function = generator if kind == "generator" else async_generator
    with pytest.raises(TypeError, match="generator"):
        cacheable(function)
    with pytest.raises(TypeError, match="generator"):
        cacheable(deps=["x"])(function)


@pytest.mark.parametrize("thing", ["text", None, 3.5, [1]])
def test_only_callables_are_decorated(thing: Any) -> None:
    with pytest.raises(TypeError):
        cacheable(deps=["x"])(thing)


def test_classes_are_callables_too() -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    cached = cacheable(Point)
    assert cached(1) is cached(1)
    assert cached(1).x == 1


def test_builtins_without_a_signature_are_cacheable() -> None:
    cached = cacheable(max)
    assert cached(1, 2) == cached(1, 2) == 2
    assert cached.cache_info().hits == 1


def test_what_has_no_name_says_so_when_it_is_pickled() -> None:
    with pytest.raises(TypeError, match="qualified name"):
        pickle.dumps(cacheable(functools.partial(int, "5")))


def test_the_decorator_documents_its_options() -> None:
    text = inspect.getdoc(zoocache.cacheable) or ""
    for option in CacheableOptions.__annotations__:
        assert re.search(rf"\b{option}\b", text), option


def test_every_option_of_configure_has_a_type_and_is_documented() -> None:
    assert set(ConfigureOptions.__annotations__) == set(CONFIGURE_DEFAULTS)
    text = inspect.getdoc(zoocache.configure) or ""
    for option in set(CONFIGURE_DEFAULTS) - set(_OBSOLETE):
        assert re.search(rf"\b{option}\b", text), option


def test_importing_takes_along_only_what_every_program_needs() -> None:
    code = (
        "import sys; before = set(sys.modules); import zoocache; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(done.stdout.split())
    assert "zoocache._zoocache" in imported
    assert not imported & {"asyncio", "dataclasses", "inspect", "logging", "re", "typing"}


def test_every_public_name_is_there_and_listed() -> None:
    for name in zoocache.__all__:
        assert getattr(zoocache, name) is not None
        assert name in dir(zoocache)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        zoocache.nonsense  # noqa: B018
