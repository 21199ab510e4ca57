"""Any bytes whatsoever decode to a value or to a SerializationError, in bounded memory."""

from __future__ import annotations

import dataclasses
import random
import struct
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import codec_support as cs
from codec_support import decode, encode, same
from support import check_script
from zoocache._errors import SerializationError

VALID = [encode(value) for value in cs.VALUES if len(encode(value)) < 1000]


def check(data: bytes) -> None:
    """A value that is decoded can be encoded, and is what it was encoded from."""
    try:
        value = decode(data)
    except SerializationError:
        return
    try:
        again = encode(value)
    except SerializationError as error:  # a set of ints as a flag's value, say, is none of ours
        raise AssertionError(data) from error
    assert same(decode(again), value)


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=60))
def test_arbitrary_bytes(data: bytes) -> None:
    check(data)


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(range(256)), st.binary(max_size=30))
def test_arbitrary_bytes_behind_each_mark(first: int, rest: bytes) -> None:
    check(bytes([first]) + rest)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 12), st.lists(st.sampled_from(VALID), max_size=8))
def test_objects_of_arbitrary_parts(kind: int, parts: list[bytes]) -> None:
    check(bytes([0xE8, kind, len(parts)]) + b"".join(parts))


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(cs.CLASSES), st.integers(5, 12), st.lists(st.sampled_from(VALID), max_size=8)
)
def test_objects_of_arbitrary_fields(cls: type, kind: int, fields: list[bytes]) -> None:
    name = f"{cls.__module__}:{cls.__qualname__}"
    for shape in ("", "x,y", "first,second", "id,tags", "name,age", "root", "id"):
        head = bytes([0xE8, kind, len(fields) + 2]) + encode(name) + encode(shape)
        check(head + b"".join(fields))


@pytest.mark.parametrize("data", VALID, ids=map(str, range(len(VALID))))
def test_a_truncated_value_is_refused(data: bytes) -> None:
    for size in range(len(data)):
        with pytest.raises(SerializationError):
            decode(data[:size])
    with pytest.raises(SerializationError, match="more bytes follow the value"):
        decode(data + b"\0")


@pytest.mark.parametrize("data", VALID, ids=map(str, range(len(VALID))))
def test_a_damaged_value_is_a_value_or_refused(data: bytes) -> None:
    source = random.Random(len(data))
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(source.randint(1, 3)):
            at = source.randrange(len(damaged) + 1)
            change = source.randrange(4)
            if change == 0:
                damaged.insert(at, source.randrange(256))
            elif damaged and change == 1:
                del damaged[at % len(damaged)]
            elif damaged:
                damaged[at % len(damaged)] ^= 1 << source.randrange(8)
        check(bytes(damaged))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(VALID), st.sampled_from(VALID), st.integers(0, 1000), st.integers(0, 1000))
def test_a_value_with_another_spliced_in(one: bytes, other: bytes, at: int, start: int) -> None:
    check(one[: at % len(one)] + other[start % len(other) :])


def size_of(number: int) -> bytes:
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


COUNTED = [0xD7, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0xE0, 0xE1]


@pytest.mark.no_asan
@pytest.mark.parametrize("mark", COUNTED, ids=hex)
@pytest.mark.parametrize("count", [2**16, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, 2**100])
def test_a_size_beyond_the_bytes_takes_no_memory(mark: int, count: int) -> None:
    data = bytes([mark]) + size_of(count) + b"\0" * 100
    tracemalloc.start()
    with pytest.raises(SerializationError, match="end too early"):
        decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000


@pytest.mark.no_asan
@pytest.mark.parametrize("mark", [0xDD, 0xDE, 0xDF], ids=hex)
def test_nested_sizes_share_the_bytes(mark: int) -> None:
    """Each size alone would fit: together they ask for 200 times the bytes."""
    size = 1_000_000
    data = (bytes([mark]) + size_of(size // 2 - 2000)) * 150 + b"\0" * size
    tracemalloc.start()
    with pytest.raises(SerializationError):
        decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * size


def test_the_deepest_nesting_of_bytes_is_refused() -> None:
    for opening in (b"\xb1", b"\xa1", b"\xc1", b"\xe0\x01", b"\xe8\x08\x01", b"\xe2", b"\xe7" * 13):
        with pytest.raises(SerializationError):
            decode(opening * 100_000)


@dataclasses.dataclass(frozen=True)
class Sly:
    """Its hash raises when it was made of bytes."""

    x: Any

    def __hash__(self) -> int:
        if self.x == 1:
            raise ValueError("mine")
        return 0


REGISTRY = {"s": Sly}


def test_an_error_of_a_key_is_the_cause() -> None:
    key = encode(Sly(1), REGISTRY)
    for data in (b"\xc1" + key + b"\0", b"\xe0\x01" + key):
        with pytest.raises(SerializationError, match=r"ValueError\('mine'\)") as caught:
            decode(data, REGISTRY)
        assert isinstance(caught.value.__cause__, ValueError)


HOSTILE = {
    "a list as a key": b"\xc1\xb0\x00",
    "a list in a set": b"\xe0\x01\xb0",
    "a key twice": b"\xc2\x01\x00\x01\x00",
    "a key twice by ==": b"\xc2\x01\x00\xd2\x00",
    "a member twice": b"\xe0\x02\x01\x01",
    "UTF-8 that is none": b"\x81\xff",
    "a range of step 0": b"\xe2\x00\x05\x00",
    "a range of str": b"\xe2\x81a\x05\x01",
    "a month that is none": b"\xe4" + struct.pack("<HBB", 2024, 13, 1),
    "a day that is none": b"\xe4" + struct.pack("<HBB", 2023, 2, 29),
    "a year that is none": b"\xe4" + struct.pack("<HBB", 10_000, 1, 1),
    "a fold that is none": b"\xe5" + struct.pack("<BBBBI", 1, 1, 1, 2, 0) + b"\xd0",
    "a microsecond that is none": b"\xe5" + struct.pack("<BBBBI", 1, 1, 1, 0, 2**32 - 1) + b"\xd0",
    "a zone that is none": b"\xe5" + struct.pack("<BBBBI", 1, 1, 1, 0, 0) + b"\x05",
    "a timedelta beyond its range": b"\xe3" + struct.pack("<iii", 2**31 - 1, 0, 0),
    "an offset beyond a day": b"\xe7" + struct.pack("<iii", 1, 0, 0) + b"\xd0",
    "a name that is no str": b"\xe7" + struct.pack("<iii", 0, 0, 0) + b"\x05",
    "an object of no kind": b"\xe8\x00\x00",
    "a Decimal of an int": b"\xe8\x01\x01\x05",
    "a Decimal that is none": b"\xe8\x01\x01\x83abc",
    "a Decimal in other words": b"\xe8\x01\x01\x831_0",
    "a UUID of 15 bytes": b"\xe8\x02\x01\xdb\x0f" + b"x" * 15,
    "a Fraction over 0": b"\xe8\x03\x02\x01\x00",
    "a Fraction that can be reduced": b"\xe8\x03\x02\x02\x04",
    "a Fraction of large numbers": b"\xe8\x03\x02"
    + (b"\xd7" + size_of(2**20) + b"\x55" * 2**20) * 2,
    "a zone outside": b"\xe8\x04\x01" + encode("../../etc/passwd"),
    "a zone by its path": b"\xe8\x04\x01" + encode("/etc/localtime"),
    "a zone of nowhere": b"\xe8\x04\x01" + encode("Europe/Nowhere"),
    "an array of objects": b"\xe8\x05\x04"
    + encode("|O")
    + encode((1,))
    + encode("C")
    + encode(b"x" * 8),
    "an array of pointers": b"\xe8\x05\x04"
    + encode("|T16")
    + encode((1,))
    + encode("C")
    + encode(b"x" * 16),
    "a huge array": b"\xe8\x05\x04"
    + encode("<i8")
    + encode((2**40,))
    + encode("C")
    + encode(b"x" * 8),
    "an array with more bytes than its shape": (
        b"\xe8\x05\x04" + encode("<i8") + encode((1,)) + encode("C") + encode(b"x" * 16)
    ),
    "an array of no size": b"\xe8\x05\x04"
    + encode("<i8")
    + encode((-1, -1))
    + encode("C")
    + encode(b"x" * 8),
    "an empty array of a huge shape": (
        b"\xe8\x05\x04" + encode("<i8") + encode((2**62, 2**62, 0)) + encode("C") + encode(b"")
    ),
    "a bool that is none": b"\xe8\x05\x04"
    + encode("|b1")
    + encode((1,))
    + encode("C")
    + encode(b"\2"),
    "a character that is none": (
        b"\xe8\x05\x04" + encode("<U1") + encode((1,)) + encode("C") + encode(b"\0\0\x11\0")
    ),
}


def test_what_would_take_long_or_look_at_files_is_not_tried() -> None:
    with pytest.raises(SerializationError, match="no time zone has the key"):
        decode(HOSTILE["a zone outside"])
    with pytest.raises(SerializationError, match="made of smaller ints"):
        decode(HOSTILE["a Fraction of large numbers"])


@pytest.mark.parametrize("name", HOSTILE)
def test_what_has_no_value_is_refused(name: str) -> None:
    started = time.monotonic()
    with pytest.raises(SerializationError, match="the bytes are no value of this process"):
        decode(HOSTILE[name])
    assert time.monotonic() - started < 5


def test_code_of_a_class_sees_no_half_made_container() -> None:
    script = """
        import dataclasses, gc
        from zoocache import _zoocache

        @dataclasses.dataclass(frozen=True)
        class Peeking:
            x: int
            def __hash__(self):
                for found in gc.get_objects():
                    if type(found) in (list, tuple) and len(found) in (77, 78):
                        found[-1]
                return 0

        registry = {"p": Peeking}
        key = _zoocache.encode({Peeking(1): 2}, registry, False)
        filling = b"\\0" * 76
        for head in (b"\\xde\\x4d", b"\\xdd\\x4d", b"\\xde\\x4e\\xdd\\x4d"):
            more = b"\\0" * 77 if len(head) > 2 else b""
            value = _zoocache.decode(head + key + filling + more, registry)
            assert gc.is_tracked(value)
        print("survived")
    """
    assert check_script(script).strip() == "survived"


def test_a_decimal_does_not_depend_on_the_context() -> None:
    script = """
        import decimal
        from zoocache import _zoocache
        from zoocache._errors import SerializationError
        with decimal.localcontext() as context:
            context.traps[decimal.InvalidOperation] = False
            context.prec, context.capitals = 3, 0
            value = decimal.Decimal("1.23456e-70")
            data = _zoocache.encode(value, None, True)
            assert str(_zoocache.decode(data, None)).upper() == "1.23456E-70"
        assert data == _zoocache.encode(value, None, True)
        with decimal.localcontext() as context:
            context.traps[decimal.InvalidOperation] = False
            try:
                _zoocache.decode(b"\\xe8\\x01\\x01\\x83abc", None)
            except SerializationError:
                print("refused")
    """
    assert check_script(script).strip() == "refused"


def test_the_codec_is_imported_when_a_value_needs_it() -> None:
    script = """
        import sys
        import zoocache
        from zoocache import _zoocache
        wanted = {"zoocache._codec", "decimal", "datetime", "uuid", "numpy", "zoneinfo"}
        before = set(sys.modules)
        _zoocache.decode(_zoocache.encode([1, "a", {2.0: b""}, {3}, range(2)], None, True), None)
        assert not (set(sys.modules) - before), set(sys.modules) - before
        assert not wanted & set(sys.modules), wanted & set(sys.modules)
        import datetime
        _zoocache.decode(_zoocache.encode(datetime.datetime.now(), None, True), None)
        assert "zoocache._codec" not in sys.modules
    """
    check_script(script)
