"""Values whose type needs no registration, because what they are made of says all.

Each kind takes its values apart into parts and builds them of parts that may be anything; what the
kinds are is said in `zoocache._codec`. numpy is looked for among what is imported: without it there
is no array.
"""

from __future__ import annotations

import dataclasses
import decimal
import fractions
import importlib
import math
import sys
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

from zoocache._errors import Refused, shown

__all__ = ["PLAIN_BY_KIND", "Plain", "plain_of"]


@dataclasses.dataclass(frozen=True)
class Plain:
    """How the values of one type are taken apart and built."""

    kind: int
    take: Callable[[Any], tuple[Any, ...]]
    build: Callable[..., Any]


def plain_of(cls: type) -> Plain | None:
    """How values of exactly this class are taken apart; None if it is no such class."""
    return _BY_CLASS.get(cls) or (_NDARRAY if _is_ndarray(cls) else None)


def _decimal_text(value: decimal.Decimal) -> str:
    return str(value).upper()  # the current context chooses the case


def _decimal(text: str) -> decimal.Decimal:
    if type(text) is not str or _decimal_text(value := decimal.Decimal(text)) != text:
        raise Refused(f"no Decimal is written {shown(text)}")
    return value


def _uuid(number: bytes) -> uuid.UUID:
    if type(number) is not bytes:
        raise Refused(f"no UUID is made of {shown(number)}")
    return uuid.UUID(bytes=number)


_MOST_FRACTION_BITS = 65_536  # the greatest common divisor of larger numbers takes long


def _fraction_parts(value: fractions.Fraction) -> tuple[Any, ...]:
    parts = value.numerator, value.denominator
    if max(part.bit_length() for part in parts) > _MOST_FRACTION_BITS:
        raise Refused(f"its numerator or denominator has more than {_MOST_FRACTION_BITS:,} bits")
    return parts


def _fraction(numerator: int, denominator: int) -> fractions.Fraction:
    if type(numerator) is not int or type(denominator) is not int:
        raise Refused("a Fraction is made of two ints")
    if max(numerator.bit_length(), denominator.bit_length()) > _MOST_FRACTION_BITS:
        raise Refused("a Fraction is made of smaller ints")
    value = fractions.Fraction(numerator, denominator)
    if (value.numerator, value.denominator) != (numerator, denominator):
        raise Refused("a Fraction is stored in lowest terms")
    return value


def _zone_parts(value: zoneinfo.ZoneInfo) -> tuple[Any, ...]:
    value.__reduce__()  # raises for one that was read from a file of the user's
    return (value.key,)


def _zone(key: str) -> zoneinfo.ZoneInfo:
    if type(key) is not str or not key.isascii() or not key.translate(_ZONE_MARKS).isalnum():
        raise Refused(f"no time zone has the key {shown(key)}")
    return zoneinfo.ZoneInfo(key)


_ZONE_MARKS = str.maketrans("", "", "/_-+")


_KEPT_DTYPES = "biufcmMSUV"  # no objects, and none whose bytes are pointers


def _is_ndarray(cls: type) -> bool:
    return cls is getattr(sys.modules.get("numpy"), "ndarray", None)


def _dtype_parts(dtype: Any) -> Any:
    numpy: Any = sys.modules["numpy"]
    with_fields = [dtype, *(field for field, *_ in (dtype.fields or {}).values())]
    for one in with_fields:
        base = one.base
        if base.kind not in _KEPT_DTYPES or base.hasobject or one.metadata is not None:
            raise Refused(f"arrays of dtype {one} have no bytes of their own")
        if base is not dtype and base.fields is not None:
            _dtype_parts(base)
    parts = numpy.lib.format.dtype_to_descr(dtype)
    made = numpy.lib.format.descr_to_dtype(parts)
    if dtype.itemsize == 0 or dtype.subdtype is not None or made != dtype:
        raise Refused(f"the dtype {dtype} cannot be written down")
    return parts


def _array_parts(value: Any) -> tuple[Any, ...]:
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    dtype_parts = _dtype_parts(value.dtype)
    if value.dtype.names is not None:
        value = _without_gaps(value, order)
    return dtype_parts, value.shape, order, value.tobytes(order=order)


def _without_gaps(value: Any, order: str) -> Any:
    """A copy in which nothing but 0 lies between the fields."""
    numpy: Any = sys.modules["numpy"]
    copy = numpy.zeros(value.shape, value.dtype, order=order)
    copy[...] = value
    return copy


def _array(parts: Any, shape: tuple[int, ...], order: str, content: bytes) -> Any:
    numpy: Any = importlib.import_module("numpy")
    dtype = numpy.lib.format.descr_to_dtype(parts)
    _dtype_parts(dtype)
    sizes_fit = (
        type(content) is bytes
        and type(shape) is tuple
        and all(type(size) is int and size >= 0 for size in shape)
        and math.prod(shape) * dtype.itemsize == len(content)
    )
    if not sizes_fit or order not in ("C", "F"):
        raise Refused("the bytes of an array are not those of its shape")
    if not content:
        return numpy.zeros(shape, dtype, order=order)
    value = _without_gaps(numpy.ndarray(shape, dtype, buffer=content, order=order), order)
    _check_items(value)
    return value


def _check_items(value: Any) -> None:
    """Refuses bytes that are no bool and no character, which numpy would take as they are."""
    numpy: Any = sys.modules["numpy"]
    for name in value.dtype.names or ():
        _check_items(value[name])
    if value.dtype.kind in "bU":
        unit = "u1" if value.dtype.kind == "b" else f"{value.dtype.byteorder}u4"
        most = 1 if value.dtype.kind == "b" else sys.maxunicode
        if numpy.frombuffer(value.tobytes(), unit).max(initial=0) > most:
            raise Refused(f"an array of dtype {value.dtype} has items that are none")


_NDARRAY = Plain(5, _array_parts, _array)
_BY_CLASS: dict[type, Plain] = {
    decimal.Decimal: Plain(1, lambda value: (_decimal_text(value),), _decimal),
    uuid.UUID: Plain(2, lambda value: (value.bytes,), _uuid),
    fractions.Fraction: Plain(3, _fraction_parts, _fraction),
    zoneinfo.ZoneInfo: Plain(4, _zone_parts, _zone),
}
PLAIN_BY_KIND = {plain.kind: plain for plain in (*_BY_CLASS.values(), _NDARRAY)}
