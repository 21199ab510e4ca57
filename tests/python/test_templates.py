"""Dependency templates: parsed at decoration, rendered so that values stay in their segment."""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoocache
from support import plain_id
from zoocache import InvalidOption, InvalidTag, cacheable, invalidate
from zoocache._signature import analyse, compile_deps, encode_segment, parse_template
from zoocache._template import as_tags, join_segments, make_tag

SIGNATURE = analyse(lambda order, row, user_id=5, *rest, **options: None)


def rendered(deps: Any, *values: Any) -> tuple[str, ...]:
    kind, made = compile_deps(deps, SIGNATURE)
    assert kind == "template"
    assert callable(made)
    return made([*values, *[None] * (5 - len(values))])


@pytest.mark.parametrize("deps", [None, (), [], set()], ids=repr)
def test_no_dependencies(deps: Any) -> None:
    assert compile_deps(deps, SIGNATURE) == ("none", None)


def test_constants_and_callables() -> None:
    assert compile_deps("orders", SIGNATURE) == ("constant", ("orders",))
    assert compile_deps(iter(["a", "b:c"]), SIGNATURE) == ("constant", ("a", "b:c"))
    assert compile_deps(len, SIGNATURE) == ("callable", len)


def test_parameters_attributes_and_indexes() -> None:
    order = SimpleNamespace(org=SimpleNamespace(name="acme"), tags=["x", "y"])
    assert rendered(
        ["all", "org:{order.org.name}", "{user_id}-{order.tags[1]}:{row[0]}{row[k]}"],
        order,
        {0: "a", "k": "b"},
        7,
    ) == ("all", "org:acme", "7-y:ab")
    assert rendered("o:{rest[0]}:{options[x]}", 1, 2, 3, ("r",), {"x": 4}) == ("o:r:4",)
    assert rendered("{{{user_id}}}", 1, 2, 3) == ("{3}",)


def test_values_are_formatted_as_in_an_f_string() -> None:
    class Level(str, enum.Enum):
        HIGH = "high"

    for value in (1, 1.5, None, True, "x", Level.HIGH):
        assert rendered("a:{user_id}", 1, 2, value) == (f"a:{value}",)


@pytest.mark.parametrize(
    "text",
    [
        "a:{nobody}",
        "a:{}",
        "a:{0}",
        "a:{nobody.x}",
        "a:{order .x}",
        "a:{order.}",
        "a:{order[}",
        "a:{order[]}",
        "a:{order.1}",
    ],
)
def test_unknown_parameters_are_refused_with_those_there_are(text: str) -> None:
    with pytest.raises((InvalidOption, InvalidTag)) as caught:
        compile_deps([text], SIGNATURE)
    assert text in str(caught.value)
    if isinstance(caught.value, InvalidOption):
        assert "order, row, user_id" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["a:{order", "a:}", "a:{order!r}", "a:{user_id:05d}", ":".join(["{order}"] * 65)]
)
def test_templates_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InvalidTag, match="deps"):
        parse_template(text, ("order", "user_id"))


@pytest.mark.parametrize(
    "deps", [5, 1.5, [5], ["a", None], object(), b"a", [b"a"], [["a"]], {"a": 1}], ids=plain_id
)
def test_what_is_no_tag_is_named(deps: Any) -> None:
    with pytest.raises(TypeError, match="deps: .*(5|None|object|b'a'|'a'|1).*tag"):
        compile_deps(deps, SIGNATURE)
    with pytest.raises(TypeError, match="add_deps: "):
        as_tags(deps, "add_deps")


def test_samples_are_tags_that_can_be_checked_beforehand() -> None:
    _, made = compile_deps(["a", "b:{order}", "x{row}y:z"], SIGNATURE)
    assert made.samples() == ("a", "b:%", "x%y:z")  # type: ignore[union-attr]


ENCODED = {
    "plain": "plain",
    "x@y.z": "x@y.z",
    "a/b_c-d~": "a/b_c-d~",
    "名前": "名前",
    "": "%",
    "a:b": "a%3Ab",
    "50%": "50%25",
    "a|b": "a%7Cb",
    "a b": "a%20b",
    "\n": "%0A",
    "\x00": "%00",
    "\x7f": "%7F",
    "\x85": "%C2%85",
    "\u2028": "%E2%80%A8",
    "\u3000": "%E3%80%80",
    "\ud800": "%ED%A0%80",
    "\x1f": "%1F",
}


@pytest.mark.parametrize("text", ENCODED, ids=ascii)
def test_encoding(text: str) -> None:
    assert encode_segment(text) == ENCODED[text]


def test_long_values_become_hashes_of_128_bits() -> None:
    assert encode_segment("x" * 256) == "x" * 256
    long = encode_segment("x" * 257)
    assert long.startswith("%~")
    assert len(bytes.fromhex(long[2:])) == 16
    assert long == encode_segment("x" * 257) != encode_segment("x" * 258)
    assert encode_segment(":" * 100) != encode_segment(":" * 101), "the limit is on what is encoded"
    assert encode_segment("x" * 11, 10).startswith("%~")


def test_the_limit_may_be_configured_after_the_decoration() -> None:
    limit = 40
    _, made = compile_deps("a:{user_id}", SIGNATURE, lambda: limit)
    values = [None, None, "x" * 60, (), {}]
    assert made(values)[0].startswith("a:%~")  # type: ignore[index, operator, misc]
    limit = 80
    assert made(values) == ("a:" + "x" * 60,)  # type: ignore[operator, misc]


def test_tags_made_by_hand_are_those_of_templates() -> None:
    for value in ("x", "", "a:b", 5, None, "x" * 300, "x" * 253, "\ud800"):
        assert (make_tag(["user", value]),) == rendered("user:{user_id}", 1, 2, value)
    for segments in ([], ["x"] * 65):
        with pytest.raises(InvalidTag, match="segments"):
            make_tag(segments)


@given(st.text(max_size=400))
def test_any_value_is_one_valid_segment(value: str) -> None:
    name = f"t:{encode_segment(value)}"
    if len(name) <= 256:
        invalidate(name)  # raises if it is no tag
    assert name.count(":") == 1


@given(st.text(max_size=6), st.text(max_size=6))
def test_different_values_are_different_segments(first: str, second: str) -> None:
    assert (encode_segment(first) == encode_segment(second)) == (first == second)


SEGMENTS = st.lists(
    st.integers(1, 300).map(lambda size: f"{size}".ljust(size, "x")) | st.sampled_from("abc"),
    min_size=1,
    max_size=12,
)


@given(SEGMENTS)
def test_every_parent_that_can_be_named_kills_what_a_template_made(segments: list[str]) -> None:
    names = [f"p{i}" for i in range(len(segments))]
    signature = analyse(eval(f"lambda {', '.join(names)}: 0"))
    _, made = compile_deps(":".join(f"{{{name}}}" for name in names), signature)
    tags = made(segments)  # type: ignore[operator, misc]
    assert all(len(tag) <= 256 for tag in tags)
    encoded = [encode_segment(segment) for segment in segments]
    for end in range(1, len(segments) + 1):
        for parent in (join_segments(encoded[:end]), ":".join(encoded[:end])):
            if len(parent) <= 256:
                assert any(tag == parent or tag.startswith(parent + ":") for tag in tags)
    if len(":".join(encoded)) <= 256:
        assert tags == (":".join(encoded),)


def test_a_long_value_beside_another_is_still_found_by_its_parents() -> None:
    calls = []

    @cacheable(deps="org:{org}:{path}")
    def load(org: str, path: str) -> int:
        calls.append(path)
        return len(calls)

    org, path = "o" * 200, "p" * 200
    assert [load(org, path), load(org, path)] == [1, 1]
    invalidate("org:other")
    assert load(org, path) == 1
    for count, parent in enumerate(("org", f"org:{org}", join_segments(["org", org, path])), 2):
        invalidate(parent)
        assert load(org, path) == count


@pytest.mark.parametrize("limit", [64, 1000])
def test_tags_made_by_hand_obey_the_configured_length_too(limit: int) -> None:
    zoocache.configure(max_tag_length=limit)
    load = zoocache.cacheable(deps=["t:{x}"])(lambda x: x)
    for length in (60, 100, 300, 2000):
        value = "x" * length
        load(value)
        zoocache.invalidate(zoocache.tag("t", value))
        assert zoocache.explain(load, value).reason == "invalidated"


def test_options_may_shrink_below_the_tags_of_functions_that_exist() -> None:
    zoocache.configure(max_tag_length=1000)
    load = zoocache.cacheable(deps=["x" * 500])(lambda: 1)
    other = zoocache.cacheable(deps=["t:{x}"])(lambda x: x)
    zoocache.reset()
    with pytest.raises(zoocache.InvalidTag, match="256"):
        load()
    other("y" * 500)
    assert zoocache.explain(other, "y" * 500).deps[0].startswith("t:%~")
