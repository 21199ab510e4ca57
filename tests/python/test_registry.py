"""Which classes are made of stored bytes: those of the return annotation, and registered ones."""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    TypedDict,
    TypeVar,
)

import msgspec
import pydantic
import pytest
import typing_extensions

import zoocache
from zoocache import _registry, _zoocache, register_type
from zoocache._registry import registry_of

if typing.TYPE_CHECKING:
    from nowhere import Missing  # type: ignore[import-not-found]

T = TypeVar("T")


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Item:
    color: Color
    next: Item | None = None


class Pair(NamedTuple):
    left: Item
    right: int


class Row(msgspec.Struct):
    pair: Pair


class User(pydantic.BaseModel, arbitrary_types_allowed=True):
    rows: list[Row]


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


@dataclasses.dataclass
class ItemBox(Box[Item]):
    pass


@dataclasses.dataclass
class Late:
    good: Color
    bad: Missing


class Info(TypedDict, total=False):
    item: Item
    note: typing_extensions.NotRequired[Pair]


class OtherInfo(typing_extensions.TypedDict):
    color: typing_extensions.ReadOnly[Color]


class Plain:
    item: Item


ItemId = NewType("ItemId", Item)
B = TypeVar("B", bound=Pair)
C = TypeVar("C", Color, Item)

ITEM = {"Item", "Color"}
PAIR = {"Pair", *ITEM}
ROW = {"Row", *PAIR}

QUOTED = ITEM if sys.version_info >= (3, 11) else set()  # 3.10 takes it for a text

ANNOTATIONS: list[tuple[Any, set[str]]] = [
    *((None, set()), (int, set()), (Any, set()), (Plain, set()), ("int", set())),
    *((Color, {"Color"}), (Item, ITEM), (Pair, PAIR), (Row, ROW), (User, {"User", *ROW})),
    *(("Item", ITEM), (list[Item], ITEM), ("dict[str, list[Item]]", ITEM), (list["Item"], QUOTED)),
    *(("typing.List[Item]", ITEM), ("typing.Dict[str, 'Item']", ITEM), (tuple[Item, ...], ITEM)),
    *(("typing.Optional[Item]", ITEM), ("typing.Union[int, Item]", ITEM), ("Item | None", ITEM)),
    *(
        (Annotated[Item, Pair], ITEM),
        (Literal[Color.RED, 1], {"Color"}),
        (Mapping[int, Item], ITEM),
    ),
    *((Info, PAIR), ("list[Info]", PAIR), (OtherInfo, {"Color"}), (Callable[[Item], int], ITEM)),
    *((Box[int], {"Box"}), (Box[Item], {"Box", *ITEM}), (ItemBox, {"ItemBox", *ITEM})),
    *((ItemId, ITEM), (B, PAIR), (C, ITEM), (Late, {"Late", "Color"})),
    *(
        ("Missing", set()),
        ("list[Missing]", set()),
        ("Item +", set()),
        ("1 / 0", set()),
        (5, set()),
    ),
    *(("Item()", set()), ("typing.ClassVar[Item]", ITEM), ("typing.Final[Item]", ITEM)),
]


def names_of(registry: Mapping[str, type]) -> set[str]:
    for name, cls in registry.items():
        assert name == f"{cls.__module__}:{cls.__qualname__}"
    return {cls.__qualname__ for cls in registry.values()}


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_registry, "_registered", {})


@pytest.mark.parametrize(("annotation", "names"), ANNOTATIONS)
def test_the_classes_that_a_return_annotation_names(annotation: Any, names: set[str]) -> None:
    def f() -> Any: ...

    f.__annotations__["return"] = annotation
    assert names_of(registry_of(f)) == names


def test_parameters_name_no_classes_and_spoil_none() -> None:
    def f(a: Missing, b: Row) -> Item: ...

    assert names_of(registry_of(f)) == ITEM


def loads() -> Item: ...


async def loads_async() -> Item: ...


class Service:
    def load(self) -> Item: ...

    @classmethod
    def of_class(cls) -> Item: ...

    @staticmethod
    def of_nobody() -> Item: ...

    def __call__(self) -> Item: ...


def wrapped(fn: Any) -> Any:
    @functools.wraps(fn)
    def wrapper() -> Any: ...

    return wrapper


@pytest.mark.parametrize(
    "fn",
    [
        *(loads, loads_async, wrapped(loads), wrapped(wrapped(loads))),
        *(functools.partial(loads), functools.partial(functools.partial(Service.load, 1))),
        *(Service.load, Service().load, Service.of_class, Service.of_nobody, Service()),
        *(Service.__dict__["of_class"], Service.__dict__["of_nobody"], functools.lru_cache(loads)),
        *(zoocache.cacheable(loads), Item),
    ],
)
def test_what_is_called_is_looked_into(fn: Any) -> None:
    assert names_of(registry_of(fn)) == ITEM


def test_annotations_of_what_is_wrapped_are_meant_in_its_module() -> None:
    namespace: dict[str, Any] = {"functools": functools, "__name__": "elsewhere"}
    exec(
        "def decorate(fn):\n    @functools.wraps(fn)\n    def wrapper(): ...\n    return wrapper",
        namespace,
    )
    assert names_of(registry_of(namespace["decorate"](loads))) == ITEM


@pytest.mark.parametrize("fn", [len, print, object(), Plain, lambda: 1, type])
def test_what_says_nothing_gives_nothing(fn: Any) -> None:
    assert registry_of(fn) == {}


def test_a_broken_annotation_of_a_class_is_no_error() -> None:
    class Broken(type):
        @property
        def __annotations__(cls) -> Any:
            raise RuntimeError("broken")

    @dataclasses.dataclass
    class Good:
        item: Item

    broken = Broken("Broken", (Good,), {})

    def f() -> Any: ...

    f.__annotations__["return"] = broken
    assert {"Color", "Item"} < names_of(registry_of(f))


def test_registered_and_extra_classes_are_added_with_what_they_name() -> None:
    assert names_of(registry_of(len, [Pair])) == PAIR
    assert names_of(registry_of(len, [Plain, int])) == set()
    register_type(Row)
    assert names_of(registry_of(len)) == ROW
    assert names_of(registry_of(loads)) == ROW


def test_registering_gives_the_class_back_and_does_it_once() -> None:
    @register_type
    @dataclasses.dataclass
    class Known:
        x: int

    assert register_type(Known) is Known
    assert zoocache.register_type(Known)(1) == Known(1)
    assert list(registry_of(len).values()) == [Known]


def two_of_one_name() -> Iterator[type]:
    for _ in range(2):

        class Twin(NamedTuple):
            x: int

        yield Twin


def test_of_two_classes_of_one_name_the_last_registered_counts() -> None:
    first, second = two_of_one_name()
    register_type(first)
    register_type(second)
    assert list(registry_of(len).values()) == [second]


def test_an_annotation_counts_before_a_registered_class_of_the_same_name() -> None:
    first, second = two_of_one_name()
    register_type(first)

    def f() -> Any: ...

    f.__annotations__["return"] = second
    assert list(registry_of(f, [first]).values()) == [second]


@pytest.mark.parametrize("wrong", [1, None, "Item", Item(Color.RED), Box[int], list[Item], loads])
def test_what_is_no_class_is_not_registered(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"register_type\(.*it must be a class"):
        register_type(wrong)


@pytest.mark.parametrize("wrong", [int, dict, Plain, type, Info, Exception])
def test_a_class_that_cannot_be_kept_is_not_registered(wrong: type) -> None:
    with pytest.raises(TypeError, match=rf"register_type\(.*{wrong.__name__}\): only an Enum"):
        register_type(wrong)
    assert registry_of(len) == {}


def test_the_codec_makes_objects_of_the_registry() -> None:
    registry = registry_of(lambda: 1, [User])
    value = User(rows=[Row(Pair(Item(Color.RED, Item(Color.RED)), 1))])
    assert _zoocache.decode(_zoocache.encode(value, registry, False), registry) == value


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is of 3.12")
def test_aliases_and_parameters_of_newer_syntax() -> None:
    namespace: dict[str, Any] = {"Item": Item, "Pair": Pair}
    source = """
type Items = list[Item]
type Broken = list[Nothing]
def items() -> Items: ...
def broken() -> Broken: ...
def generic[V: Pair]() -> V: ...
def quoted[V: Pair]() -> "list[V]": ...
"""
    exec(compile(source, "newer", "exec", dont_inherit=True), namespace)
    assert names_of(registry_of(namespace["items"])) == ITEM
    assert names_of(registry_of(namespace["broken"])) == set()
    assert names_of(registry_of(namespace["generic"])) == PAIR
    assert names_of(registry_of(namespace["quoted"])) == PAIR
