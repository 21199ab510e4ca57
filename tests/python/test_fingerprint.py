"""What names a function in a shared store: the same everywhere, another when its code changes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoocache
from fingerprint_support import identity_of, load_module, of_source
from zoocache._fingerprint import identity

# --- the code ---------------------------------------------------------------------------------

CIRCLE = """
from typing import NamedTuple
class Left(NamedTuple):
    right: 'Right'
class Right(NamedTuple):
    left: 'Left'
"""

SAME = {
    "lines": (
        "def f(a):\n    return a + 1",
        "\n\n# more\ndef f(a):\n\n    # why\n    return a + 1",
    ),
    "docstring": ("def f():\n    'old'\n    return 1", "def f():\n    'new'\n    return 1"),
    "docstring added": ("def f():\n    return 1", "def f():\n    'new'\n    return 1"),
    "docstring of an inner function": (
        "def f():\n    def g():\n        'old'\n        return 1\n    return g()",
        "def f():\n    def g():\n        'new'\n        return 1\n    return g()",
    ),
    "a set in another order": ("def f(a={'x', 'y', 'z'}): 0", "def f(a={'z', 'y', 'x'}): 0"),
    "a literal in another order": (
        "from typing import Literal\ndef f() -> Literal[1, 'a', 'b']: 0",
        "from typing import Literal\ndef f() -> Literal['b', 1, 'a']: 0",
    ),
    "a union in another order": ("def f() -> int | str: 0", "def f() -> str | int: 0"),
    "a union of classes that name each other": (
        CIRCLE + "def f(a: 'Left | Right'): 0",
        CIRCLE + "def f(a: 'Right | Left'): 0",
    ),
    "an Optional": (
        "from typing import Optional\ndef f() -> Optional[int]: 0",
        "def f() -> None | int: 0",
    ),
    "quoted annotations": ("def f(a: list[int]): 0", "def f(a: 'list[int]'): 0"),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_function_has_the_same_identity(case: str) -> None:
    old, new = SAME[case]
    assert of_source(old) == of_source(new)


DIFFERENT = {
    "code": ("def f(a): return a + 1", "def f(a): return a - 1"),
    "a name": ("def f(a): return a.x", "def f(a): return a.y"),
    "a constant": ("def f(): return 'a'", "def f(): return 'b'"),
    "a constant that is the docstring": (
        "def f():\n    'a'\n    return 'a'",
        "def f():\n    'b'\n    return 'b'",
    ),
    "constants that are equal: 1 and True": ("def f(): return [1]", "def f(): return [True]"),
    "constants that are equal: 1 and 1.0": ("def f(a): return a + 1", "def f(a): return a + 1.0"),
    "constants that are equal: 0.0 and -0.0": ("def f(): return 0.0", "def f(): return -0.0"),
    "str and bytes": ("def f(): return 'a'", "def f(): return b'a'"),
    "a nested constant": ("def f(): return (1, (2, 3))", "def f(): return (1, (2, 4))"),
    "where a tuple ends": ("def f(): return ((1, 2), 3)", "def f(): return ((1,), 2, 3)"),
    "a member of a set": ("def f(a): return a in {1, 2}", "def f(a): return a in {1, 3}"),
    "a keyword": ("def f(g): return g(a=1)", "def f(g): return g(b=1)"),
    "an inner function": ("def f(): return (lambda: 1)()", "def f(): return (lambda: 2)()"),
    "a comprehension": ("def f(a): return {'x' for _ in a}", "def f(a): return {'y' for _ in a}"),
    "a default": ("def f(a=1): return a", "def f(a=2): return a"),
    "the type of a default": ("def f(a=1): return a", "def f(a=True): return a"),
    "a nested default": ("def f(a=({'k': [1]},)): 0", "def f(a=({'k': [2]},)): 0"),
    "a keyword default": ("def f(*, a=1): return a", "def f(*, a=2): return a"),
    "a default of a type that cannot be kept": (
        "def f(a=object()): 0",
        "class C: pass\ndef f(a=C()): 0",
    ),
    "a default of another class": (
        "from decimal import Decimal\ndef f(a=Decimal(1)): 0",
        "from decimal import Decimal\ndef f(a=Decimal(2)): 0",
    ),
    "the kind of a variable number of arguments": (
        "def f(*a): return a",
        "def f(**a): return a",
    ),
    "kinds of parameters": ("def f(a, b): return a", "def f(a, /, b): return a"),
    "async": ("def f(): return 1", "async def f(): return 1"),
    "where an exception is handled": (
        "def f(g):\n    try:\n        g(1)\n        g(2)\n    except OSError:\n        pass",
        "def f(g):\n    g(1)\n    try:\n        g(2)\n    except OSError:\n        pass",
    ),
    "an annotation": ("def f() -> list[int]: 0", "def f() -> list[str]: 0"),
    "an annotation that means nothing": ("def f() -> 'A': 0", "def f() -> 'B': 0"),
    "a literal": (
        "from typing import Literal\ndef f() -> Literal[1]: 0",
        "from typing import Literal\ndef f() -> Literal[True]: 0",
    ),
    "what a NewType is": (
        "from typing import NewType\nN = NewType('N', int)\ndef f() -> N: 0",
        "from typing import NewType\nN = NewType('N', str)\ndef f() -> N: 0",
    ),
    "the bound of a type variable": (
        "from typing import TypeVar\nT = TypeVar('T', bound=int)\ndef f() -> T: 0",
        "from typing import TypeVar\nT = TypeVar('T', bound=str)\ndef f() -> T: 0",
    ),
    "a closure": (
        "def make(n):\n    return lambda: n\nf = make(1)",
        "def make(n):\n    return lambda: n\nf = make(2)",
    ),
    "a function in a closure": (
        "def make(g):\n    return lambda: g()\nf = make(lambda: 1)",
        "def make(g):\n    return lambda: g()\nf = make(lambda: 2)",
    ),
    "what a partial binds": (
        "from functools import partial\ndef g(a): return a\nf = partial(g, 1)",
        "from functools import partial\ndef g(a): return a\nf = partial(g, 2)",
    ),
    "what a partial binds by name": (
        "from functools import partial\ndef g(a): return a\nf = partial(g, a=1)",
        "from functools import partial\ndef g(a): return a\nf = partial(g, a=2)",
    ),
    "the code of a partial": (
        "from functools import partial\ndef g(a): return a\nf = partial(g, 1)",
        "from functools import partial\ndef g(a): return -a\nf = partial(g, 1)",
    ),
    "the code of a callable object": (
        "class C:\n    def __call__(self): return 1\nf = C()",
        "class C:\n    def __call__(self): return 2\nf = C()",
    ),
    "the code of a method": (
        "class C:\n    def g(self): return 1\nf = C().g",
        "class C:\n    def g(self): return 2\nf = C().g",
    ),
    "what a wrapper wraps": (
        "from functools import lru_cache\n@lru_cache\ndef f(): return 1",
        "from functools import lru_cache\n@lru_cache\ndef f(): return 2",
    ),
    "what a class does when it is made": (
        "class f:\n    def __init__(self): self.a = 1",
        "class f:\n    def __init__(self): self.a = 2",
    ),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_another_function_has_another_identity(case: str) -> None:
    old, new = DIFFERENT[case]
    assert of_source(old) == of_source(old)
    assert of_source(old) != of_source(new)


WRAPPED = """
    import functools

    def wraps(fn):
        @functools.wraps(fn)
        def wrapper(*args):
            return %s
        return wrapper

    @wraps
    def f(a):
        return %s
"""


def test_a_wrapper_and_what_it_wraps_both_count() -> None:
    texts = [WRAPPED % pair for pair in itertools.product(("fn(*args)", "fn(0)"), ("a", "-a"))]
    assert len({of_source(text) for text in texts}) == 4


def test_wrapped_code_counts_where_the_closure_does_not_hold_it() -> None:
    sources = ("def g(): return 1", "def g(): return 2")
    made = [load_module(f"{source}\ndef f(): return 0\nf.__wrapped__ = g").f for source in sources]
    assert identity_of(made[0]) != identity_of(made[1])


def test_a_cached_function_in_a_closure_counts_by_its_code() -> None:
    text = """
        import zoocache
        @zoocache.cacheable
        def inner(): return {}
        def make(inner):
            return lambda: inner()
        f = make(inner)
    """
    assert of_source(text.format("1")) != of_source(text.format("2"))


def test_running_a_function_does_not_change_its_identity() -> None:
    def f(values: list[int]) -> int:
        total = 0
        for value in values:
            total += value if value > 1 else len(str(value)) + sys.maxsize
        return total

    before = identity_of(f)
    for _ in range(200):
        f([1, 2, 3])
    assert identity_of(f) == before


@pytest.mark.skipif(sys.version_info < (3, 11), reason="handlers are instructions there")
def test_the_table_of_exception_handlers_counts() -> None:
    def f(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except OSError:
            return None

    before = identity_of(f)
    f.__code__ = f.__code__.replace(co_exceptiontable=b"")
    assert identity_of(f) != before


def test_a_method_that_uses_super_is_the_same_before_and_after_its_class_is_made() -> None:
    seen: list[bytes] = []

    def note(fn: Callable[..., Any]) -> Callable[..., Any]:
        seen.append(identity_of(fn))
        return fn

    class Sub(dict[str, Any]):
        @note
        def f(self) -> int:
            return super().__len__()

    assert identity_of(Sub.__dict__["f"]) == seen[0]


def test_objects_that_contain_themselves_have_an_identity() -> None:
    def make() -> Callable[..., Any]:
        loop: list[Any] = []
        loop.append(loop)
        deep: Any = ()
        for _ in range(5000):
            deep = (deep,)

        def f(a: Any = loop, b: Any = deep) -> Any:
            return f(a, b)

        return f

    assert identity_of(make()) == identity_of(make())


def test_broken_objects_are_no_trouble() -> None:
    class Broken:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError("asked for " + name)

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        def __hash__(self) -> int:
            raise RuntimeError("hashed")

        def __repr__(self) -> str:
            raise RuntimeError("shown")

    assert identity_of(lambda a=Broken(): a) == identity_of(lambda a=Broken(): a)


# --- the classes ------------------------------------------------------------------------------

CLASSES = {
    "dataclass": "@dataclasses.dataclass\nclass A:\n    {name}: {type}",
    "named tuple": "class A(typing.NamedTuple):\n    {name}: {type}",
    "struct": "class A(msgspec.Struct):\n    {name}: {type}",
    "model": "class A(pydantic.BaseModel):\n    {name}: {type}",
    "enum": "class A(enum.Enum):\n    {name} = {type!r}",
    "flag": "class A(enum.IntFlag):\n    {name} = len({type!r})",
    "typed dict": "class A(typing.TypedDict):\n    {name}: {type}",
    "class inside": (
        "@dataclasses.dataclass\nclass B:\n    {name}: {type}\n"
        "class A(typing.NamedTuple):\n    b: 'dict[str, B | None]'"
    ),
    "base class": (
        "@dataclasses.dataclass\nclass B:\n    {name}: {type}\n"
        "@dataclasses.dataclass\nclass A(B):\n    z: int"
    ),
    "quoted": "@dataclasses.dataclass\nclass A:\n    {name}: '{type}'",
    "final": "@dataclasses.dataclass\nclass A:\n    {name}: 'typing.Final[{type}]'",
}


def of_class(
    form: str, name: str, type_: str, function: str = "def f() -> list[A]: return []"
) -> bytes:
    header = "import dataclasses, enum, typing, msgspec, pydantic"
    return of_source(f"{header}\n{form.format(name=name, type=type_)}\n{function}")


@pytest.mark.parametrize("kind", CLASSES)
def test_a_change_of_a_class_is_another_identity(kind: str) -> None:
    form = CLASSES[kind]
    old = of_class(form, "x", "str")
    assert of_class(form, "x", "str") == old
    assert of_class(form, "y", "str") != old
    assert of_class(form, "x", "bytes") != old


def test_a_registered_class_counts_though_nothing_names_it() -> None:
    def f() -> None:
        pass

    def of_types(form: str) -> bytes:
        module = load_module(f"import dataclasses\n{form}")
        return identity(f, namespace="n", version=None, types={"zoocache_sample:A": module.A})

    old, new = (f"@dataclasses.dataclass\nclass A:\n    x: {type_}" for type_ in ("int", "str"))
    assert of_types(old) == of_types(old)
    assert of_types(old) != of_types(new)
    assert of_types(old) != identity(f, namespace="n", version=None, types={})


def test_classes_that_name_each_other_have_an_identity() -> None:
    form = """
        import dataclasses
        @dataclasses.dataclass
        class A:
            b: 'B | None'
        @dataclasses.dataclass
        class B:
            a: 'list[A]'
            x: {}
        def f() -> A: 0
    """
    assert of_source(form.format("int")) == of_source(form.format("int"))
    assert of_source(form.format("int")) != of_source(form.format("str"))


def test_the_order_in_which_classes_are_given_is_none() -> None:
    module = load_module("import enum\nclass A(enum.Enum): X = 1\nclass B(enum.Enum): X = 1")
    given = [("zoocache_sample:A", module.A), ("zoocache_sample:B", module.B)]
    made = {
        identity(module.A, namespace="n", version=None, types=dict(order))
        for order in (given, given[::-1])
    }
    assert len(made) == 1


# --- other processes --------------------------------------------------------------------------

SHARED = """
    from __future__ import annotations
    import dataclasses, enum, functools, typing
    from zoocache import cacheable

    class Color(enum.Enum):
        RED = "red"
        BLUE = frozenset({"a", "b", "c", "d"})

    @dataclasses.dataclass
    class Item:
        colors: set[Color]
        mark: typing.Literal["a", "b", 1]
        parent: Item | None = None

    class Other:
        pass

    INNER = 1, frozenset({"p", "q", "r"})
    CYCLE = frozenset({Item, Color, Other, "x", 1, 2.5, None, INNER})

    def plain(a, b=frozenset({"x", "y", "z"}), *, c={"one", "two", "three"}) -> list[Item]:
        "doc"
        if a in {"k1", "k2", "k3", (1, "k4")}:
            return [i for i in b if i not in {"r", "s", "t"}]
        return c

    def make(things, other):
        def inner(a):
            return things, other, a
        return inner

    class Service:
        def load(self, a: int) -> Item:
            return super().load(a)

        @classmethod
        def of(cls) -> Item: ...

    closure = make(CYCLE, Other())
    with_cached = make(cacheable(plain), functools.lru_cache(plain))
    load = Service.load
    of = Service.of
    partial = functools.partial(plain, 1, c=CYCLE)
    builtin = len
    NAMES = ["plain", "closure", "with_cached", "load", "of", "partial", "builtin", "Item"]
"""

PRINT = """
    import json, shared
    from zoocache._fingerprint import identity
    from zoocache._registry import registry_of
    print(json.dumps([
        identity(fn, namespace="n", version=None, types=registry_of(fn)).hex()
        for fn in (getattr(shared, name) for name in shared.NAMES)
    ]))
"""


def run_with_seed(folder: Path, seed: str) -> list[str]:
    path = os.pathsep.join([str(folder), str(Path(zoocache.__file__).parent.parent)])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PRINT)],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_processes_with_other_hash_seeds_agree(tmp_path: Path) -> None:
    results = []
    for number, seed in enumerate(("0", "1", "2", "12345")):
        folder = tmp_path / str(number)  # another path, too: 0 and 1 compile, the others may not
        folder.mkdir()
        (folder / "shared.py").write_text(textwrap.dedent(SHARED))
        results.append(run_with_seed(folder, seed))
    results.append(run_with_seed(folder, "77"))  # from its .pyc
    assert all(result == results[0] for result in results), results
    assert len(set(results[0])) == len(results[0])
