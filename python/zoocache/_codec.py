"""How values that are not builtin become bytes, and how they come back.

The extension writes builtin values and the datetime family itself. For everything else it asks
`take_apart` for a kind and parts, which are values again; `put_together` makes the value of them.

    kind                parts
    1 Decimal           text
    2 UUID              16 bytes
    3 Fraction          numerator, denominator
    4 ZoneInfo          key
    5 ndarray           dtype, shape, order, bytes
    6 enum member       class, shape "", name
    7 flag              class, shape "", value
    8 dataclass         class, shape, fields...
    9 named tuple       class, shape, items...
    10 msgspec.Struct   class, shape, fields...
    11 pydantic model   class, shape, present fields, set fields, extra, private, fields...

A class is a name in the caller's registry. A shape is the names of the class's fields: what was
written of other fields is refused. Objects are made without their class's `__init__`, as `copy`
makes them; what their class cannot account for (an attribute that is no field) is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from zoocache._codec_plain import PLAIN_BY_KIND, plain_of
from zoocache._codec_records import class_name, record_of
from zoocache._errors import Refused, SerializationError, shown

__all__ = ["failure", "key_class", "put_together", "refusal", "take_apart"]

Parts = tuple[Any, ...]
Labels = tuple[str, ...]
Registry = dict[str, type]

_PATH_LENGTH = 120
_SHORT = {str, bytes, int, float, bool, type(None)}


def take_apart(value: Any, registry: Registry | None) -> tuple[int, Parts, Labels]:
    """The kind and the parts of a value, and the names of the last parts.

    Raises:
        Refused: the value cannot be kept.
    """
    cls = type(value)
    record = record_of(cls)
    if record is None:
        plain = plain_of(cls)
        if plain is not None:
            return plain.kind, plain.take(value), ()
        raise Refused("its type is none of those that can; keep what it is made of instead")
    name = _registered_name(cls, registry)
    parts, labels = record.take(value)
    return record.kind, (name, record.shape, *parts), labels


def key_class(cls: type) -> str:
    """The name in keys of a class whose instances are keyed by a copy.

    Raises:
        Refused: other processes would not find the class under this name.
    """
    return _registered_name(cls, None)


def put_together(kind: int, parts: Parts, registry: Registry | None) -> Any:
    """The value of a kind and its parts, which may be anything.

    Raises:
        Refused: no value has these parts.
    """
    plain = PLAIN_BY_KIND.get(kind)
    if plain is not None:
        return plain.build(*parts)
    if len(parts) < 2 or type(parts[0]) is not str:
        raise Refused("an object without a class")
    name, shape, *rest = parts
    cls = registry.get(name) if registry is not None else None
    if cls is None:
        raise Refused(f"the class {shown(name)} is not registered")
    record = record_of(cls)
    if record is None or record.kind != kind or record.shape != shape:
        raise Refused(f"{_name_of(cls)} has changed its fields since the value was stored")
    return record.build(cls, rest)


def refusal(path: Sequence[tuple[str, Any]], value: Any, reason: Any) -> SerializationError:
    """The error that says where in a value something cannot be kept, and why.

    The value is told by its path and its type: its repr may take for ever, or ask a database.

    Args:
        path: the steps from the whole value to this one.
        value: what cannot be kept.
        reason: a text, or the exception that taking it apart raised.
    """
    text = reason if isinstance(reason, str) else _told(reason)
    error = SerializationError(
        f"{_path_text(path)} ({_name_of(type(value))}) cannot be kept outside this process: {text}"
    )
    error.__cause__ = None if isinstance(reason, str | Refused) else reason
    return error


def failure(error: Exception, position: int) -> SerializationError:
    """The error for bytes of which no value could be made, because of another error."""
    failed = SerializationError(
        f"the bytes are no value of this process: {_told(error)} (up to byte {position})"
    )
    failed.__cause__ = None if isinstance(error, Refused) else error
    return failed


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, Refused) else shown(error)


def _path_text(path: Iterable[tuple[str, Any]]) -> str:
    text = "value" + "".join(_step_text(kind, label) for kind, label in path)
    half = _PATH_LENGTH // 2
    return text if len(text) <= _PATH_LENGTH else f"{text[:half]}...{text[-half:]}"


def _step_text(kind: str, label: Any) -> str:
    if kind in ("index", "value"):
        return f"[{shown(label) if type(label) in _SHORT else _name_of(type(label))}]"
    if kind == "name":
        return f".{label}"
    return {"key": ".<key>", "member": ".<member>"}.get(kind, "")


def _name_of(cls: type) -> str:
    prefix = "" if cls.__module__ == "builtins" else f"{cls.__module__}."
    return f"{prefix}{cls.__qualname__}"


def _registered_name(cls: type, registry: Registry | None) -> str:
    name = class_name(cls)
    if registry is None:
        if _is_found(cls):
            return name
        raise Refused("its class is not found in its module under its own name")
    if registry.get(name) is cls:
        return name
    for other, registered in registry.items():
        if registered is cls:
            return other
    raise Refused("its class is not registered, so that nobody could make it anew")


def _is_found(cls: type) -> bool:
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls
