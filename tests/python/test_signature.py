"""What is read from a function at its decoration, and how its calls are bound."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from zoocache import InvalidOption, cacheable
from zoocache._signature import analyse

POSITIONAL, VAR_POSITIONAL, VAR_KEYWORD = 1, 2, 4


def names_of(fn: Any, **options: Any) -> tuple[str, ...]:
    return analyse(fn, **options)[0]


def test_everything_that_is_read() -> None:
    def load(a: int, /, b: int = 2, *rest: int, c: Any, d: str = "x", **options: Any) -> None: ...

    assert analyse(load, ignore=["c", "rest"]) == (
        ("a", "b", "rest", "c", "d", "options"),
        (0, 1, 2, 3, 3, 4),
        (None, (2,), None, None, ("x",), None),
        (False, False, True, True, False, False),
        None,
        False,
    )
    assert analyse(load, key=len)[4] is len


def test_what_is_called_decides() -> None:
    def load(a: int, b: int, c: int = 3) -> int:
        return a

    @functools.wraps(load)
    def wrapper(*args: Any, **kwargs: Any) -> int:
        return load(*args, **kwargs)

    class Service:
        def __init__(self, url: str) -> None: ...

        def __call__(self, x: int) -> int:
            return x

        def method(self, y: int) -> int:
            return y

        @classmethod
        def make(cls, z: int) -> int:
            return z

        @staticmethod
        def plain(w: int) -> int:
            return w

    assert names_of(wrapper) == ("a", "b", "c")
    assert names_of(functools.partial(load, 1)) == ("b", "c")
    assert names_of(functools.partial(load, b=1)) == ("a", "b", "c")
    assert names_of(Service) == ("url",)
    assert names_of(Service("")) == ("x",)
    assert names_of(Service("").method) == ("y",)
    assert names_of(Service.__dict__["make"]) == ("cls", "z")
    assert names_of(Service.__dict__["plain"]) == ("w",)


def test_builtins_that_do_not_tell_take_anything() -> None:
    names, kinds, *_ = analyse(max)
    assert (names, kinds) == (("args", "kwargs"), (VAR_POSITIONAL, VAR_KEYWORD))


def test_instances_of_methods() -> None:
    assert analyse(lambda self, x: 1, is_method=True)[5]
    names, kinds, *_ = analyse(lambda *args: 1, is_method=True)
    assert (names, kinds) == (("self", "args"), (0, VAR_POSITIONAL))
    names, *_ = analyse(lambda *self: 1, is_method=True)
    assert names == ("self_", "self")
    for function in (lambda: 1, lambda *, x: 1, lambda **x: 1):
        with pytest.raises(TypeError, match="instance"):
            analyse(function, is_method=True)


@pytest.mark.parametrize("ignore", ["nobody", ("a", "nobody"), ["nobody"], {"nobody"}])
def test_unknown_names_in_ignore_are_refused_with_those_there_are(ignore: Any) -> None:
    with pytest.raises(InvalidOption, match=r"ignore=.*'nobody'.*a, b"):
        analyse(lambda a, b: 1, ignore=ignore)


@pytest.mark.parametrize("ignore", [5, [5], None, [None], b"a"], ids=repr)
def test_ignore_is_names(ignore: Any) -> None:
    with pytest.raises(InvalidOption, match="ignore="):
        analyse(lambda a, b: 1, ignore=ignore)


def test_a_bare_str_is_one_name() -> None:
    assert analyse(lambda session, s: 1, ignore="session")[3] == (True, False)


@pytest.mark.parametrize("key", ["a", 5, ("a",)], ids=repr)
def test_key_is_a_callable(key: Any) -> None:
    with pytest.raises(InvalidOption, match="key="):
        analyse(lambda a: 1, key=key)


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


class Generating:
    def __call__(self) -> Any:
        yield 1


@pytest.mark.parametrize(
    "fn",
    [
        generator,
        async_generator,
        functools.partial(generator),
        Generating(),
        Generating().__call__,
        staticmethod(generator),
        functools.partial(functools.partial(Generating())),
    ],
    ids=["function", "async", "partial", "object", "method", "static", "partial of object"],
)
def test_generators_are_refused_with_the_reason(fn: Any) -> None:
    with pytest.raises(TypeError, match=r"generator function.*used up.*return a list"):
        analyse(fn)


@pytest.mark.parametrize("thing", [None, 5, "load", [len]], ids=repr)
def test_what_is_not_callable_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="not callable"):
        analyse(thing)


def new_str(*parts: str) -> str:
    """A str that is not interned."""
    return "".join(parts)


def counted(fn: Any, **options: Any) -> Any:
    """The cached function; it returns a new object at every execution."""

    @functools.wraps(fn)
    def load(*args: Any, **kwargs: Any) -> Any:
        fn(*args, **kwargs)
        return object()

    return cacheable(load, **options) if not options else cacheable(**options)(load)


def test_keywords_are_found_by_equality_too() -> None:
    class Name(str):
        __slots__ = ()

    load = counted(lambda name, *, other_name=1: None)
    stored = load(1)
    made = new_str("na", "me")
    assert load(**{made: 1}) is stored
    assert load(**{Name("name"): 1}) is stored
    assert load(**{made: 1, new_str("other_", "name"): 1}) is stored
    assert load(**{Name("name"): 1, Name("other_name"): 2}) is not stored


def test_positional_only_names_are_free_for_options() -> None:
    load = counted(lambda a, /, **options: None)
    assert load(1, a=2) is load(1, a=2)
    assert load(1, a=2) is not load(1)
    with pytest.raises(TypeError):
        load(a=2)


def test_an_argument_given_twice_is_an_error_on_hits_too() -> None:
    load = cacheable(lambda a, b=2: object())
    load(1, 3)
    load(2, 3)
    for args, kwargs in (
        ((1,), {"a": 2, "b": 3}),
        ((1, 3), {"b": 3}),
        ((1, 3, 4), {}),
        ((1, 3), {"c": 3}),
        ((), {"b": 3}),
    ):
        with pytest.raises(TypeError):
            load(*args, **kwargs)


def test_star_arguments_and_options_do_not_mix() -> None:
    load = counted(lambda *args, **kwargs: None)
    calls = [
        load(),
        load(()),
        load({}),
        load(("a", 1)),
        load("a", 1),
        load(a=1),
        load((), a=1),
        load(a=(1,)),
        load(1),
        load((1,)),
        load([1]),
        load(a=1, b=2),
    ]
    assert len(set(calls)) == len(calls)
    assert load(b=2, a=1) is calls[-1]
    options = {new_str("a"): 1}
    assert load(*[], **options) is calls[5]


def test_many_parameters() -> None:
    names = [f"p{i}" for i in range(40)]
    environment: dict[str, Any] = {}
    exec(f"def load({', '.join(f'{name}={i}' for i, name in enumerate(names))}): pass", environment)
    load = counted(environment["load"])
    stored = load()
    assert load(*range(40)) is stored
    assert load(**dict(zip(reversed(names), reversed(range(40)), strict=True))) is stored
    assert load(*range(20), **{name: int(name[1:]) for name in names[20:]}) is stored
    assert load(p39=0) is not stored
    many = counted(lambda *args, **kwargs: None)
    options = {f"x{i}": i for i in range(5000)}
    assert many(*range(5000), **options) is many(*range(5000), **dict(reversed(options.items())))


def test_a_mutable_default_is_read_at_every_call() -> None:
    default = [1]

    @cacheable
    def load(x: list[int] = default) -> int:
        return sum(x)

    assert load() == 1
    default.append(2)
    assert load() == 3
    assert load([1]) == 1


def test_key_gets_the_arguments_of_the_call() -> None:
    seen = []

    def key(*args: Any, **kwargs: Any) -> Any:
        seen.append((args, kwargs))
        return [args[0] % 2]

    load = cacheable(key=key)(lambda number, unit="m": object())
    assert load(1) is load(3, unit="ft")
    assert load(1) is not load(2)
    assert seen[:2] == [((1,), {}), ((3,), {"unit": "ft"})]


def test_a_wrapper_that_adds_arguments_still_works() -> None:
    """Its declared signature is not that of its calls: what does not bind is just called."""

    def load(session: Any, user_id: int) -> tuple[Any, int]:
        return session, user_id

    @functools.wraps(load)
    def with_session(*args: Any) -> Any:
        return load("session", *args)

    cached = cacheable(with_session)
    assert [cached(1), cached(2), cached(1)] == [("session", 1), ("session", 2), ("session", 1)]
