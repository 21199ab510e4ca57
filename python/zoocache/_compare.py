"""Where two values differ: for `configure(verify=)` and `configure(debug=True)`.

Containers are compared item by item and records (dataclasses, pydantic, msgspec, attrs, objects of
ORMs, plain objects) field by field, because an `==` of theirs may look at no more than a key;
everything else by `==`. NaN is equal to NaN. What has nothing to compare by, such as a lock or a
generator, is neither equal nor different: it is left out and named.

Users' code runs (`__eq__`, properties); what it raises makes its object one of those.
Thread-safety: none needed, one Comparison belongs to one call.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from zoocache._errors import shown

__all__ = ["Comparison"]

_MOST_DIFFERENCES = 5
_DEEPEST = 100  # below, `==` decides
_HEAP_TYPE = 1 << 9  # made by a class statement, not by an interpreter's or library's C code
_ABSENT = object()


class Comparison:
    """The differences of two values, at most five, and what could not be compared.

    Args:
        old: a value.
        new: another.

    Attributes:
        differences: texts such as "['items'][3].price: 10, now 12".
        unknown: texts such as "['lock'] (a lock)".
    """

    def __init__(self, old: Any, new: Any) -> None:
        self.differences: list[str] = []
        self.unknown: list[str] = []
        self._seen: set[tuple[int, int]] = set()
        self._compare("", old, new, 0)

    def _compare(self, path: str, old: Any, new: Any, depth: int) -> None:
        if old is new or len(self.differences) >= _MOST_DIFFERENCES:
            return
        pair = (id(old), id(new))
        if pair in self._seen:
            return
        self._seen.add(pair)
        try:
            self._compare_kinds(path, old, new, depth)
        except Exception as error:  # noqa: BLE001 - users' code, which raises what it likes
            self._cannot(path, old, f"{type(error).__name__}: {error}")

    def _compare_kinds(self, path: str, old: Any, new: Any, depth: int) -> None:
        if depth >= _DEEPEST or type(old) is not type(new):
            self._compare_leaves(path, old, new)
        elif isinstance(old, dict):
            self._compare_items(path, old, new, depth)
        elif isinstance(old, list | tuple):
            self._compare_rows(path, old, new, depth)
        elif (fields := _fields(old)) is not None:
            self._compare_fields(path, old, fields, _fields(new) or {}, depth)
        else:
            self._compare_leaves(path, old, new)

    def _compare_items(
        self, path: str, old: Mapping[Any, Any], new: Mapping[Any, Any], depth: int
    ) -> None:
        for key in {**old, **new}:
            place = f"{path}[{shown(key)}]"
            before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
            if before is _ABSENT or after is _ABSENT:
                self._differ(place, before, after)
            else:
                self._compare(place, before, after, depth + 1)

    def _compare_rows(self, path: str, old: Any, new: Any, depth: int) -> None:
        names = getattr(type(old), "_fields", None)  # of a named tuple
        for index, (before, after) in enumerate(zip(old, new, strict=False)):
            place = f".{names[index]}" if names else f"[{index}]"
            self._compare(path + place, before, after, depth + 1)
        if len(old) != len(new):
            self._tell(f"len({path or 'the value'}): {len(old)}, now {len(new)}")

    def _compare_fields(
        self, path: str, old: Any, before: dict[str, Any], after: dict[str, Any], depth: int
    ) -> None:
        # What an ORM has not loaded of one of them is not known to differ.
        names: Iterable[str] = before.keys() & after.keys() if _is_of_orm(old) else before | after
        for name in sorted(names):
            place = f"{path}.{name}"
            if name in before and name in after:
                self._compare(place, before[name], after[name], depth + 1)
            else:
                self._differ(place, before.get(name, _ABSENT), after.get(name, _ABSENT))

    def _compare_leaves(self, path: str, old: Any, new: Any) -> None:
        if _is_equal(old, new):
            return
        if type(old) is type(new) and not _has_eq(type(old)):
            self._cannot(path, old, "it has no == and no fields")
        else:
            self._differ(path, old, new)

    def _differ(self, path: str, old: Any, new: Any) -> None:
        before = "absent" if old is _ABSENT else shown(old)
        after = "absent" if new is _ABSENT else shown(new)
        self._tell(f"{path or 'the value'}: {before}, now {after}")

    def _tell(self, difference: str) -> None:
        if len(self.differences) < _MOST_DIFFERENCES:
            self.differences.append(difference)

    def _cannot(self, path: str, value: Any, why: str) -> None:
        if len(self.unknown) < _MOST_DIFFERENCES:
            self.unknown.append(f"{path or 'the value'} (a {type(value).__qualname__}: {why})")


def _is_equal(old: Any, new: Any) -> bool:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(old, numpy.ndarray):
        if not isinstance(new, numpy.ndarray) or old.dtype != new.dtype or old.shape != new.shape:
            return False
        return bool(numpy.all((old == new) | ((old != old) & (new != new))))  # noqa: PLR0124 - NaN
    equals = getattr(type(old), "equals", None)  # data frames, whose == is one for each cell
    if callable(equals) and type(old) is type(new):
        return bool(equals(old, new))
    # Also numbers that are not one.
    return bool(old == new) or bool(old != old and new != new)  # noqa: PLR0124


def _has_eq(cls: Any) -> bool:
    return cls.__eq__ is not object.__eq__


def _is_of_orm(value: Any) -> bool:
    return "_sa_instance_state" in _vars(value) or hasattr(type(value), "_meta")


def _vars(value: Any) -> dict[str, Any]:
    found = getattr(value, "__dict__", None)
    return found if isinstance(found, dict) else {}


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of a record by their names; None for what is none."""
    cls = type(value)
    if isinstance(value, BaseException):
        return {"args": value.args, **_vars(value)}
    if isinstance(value, type) or not cls.__flags__ & _HEAP_TYPE:
        return None
    state: Any = _vars(value).get("_state")
    if state is not None and hasattr(cls, "_meta"):  # of Django
        loaded = {name: part for name, part in _vars(value).items() if not name.startswith("_")}
        prefetched = _vars(value).get("_prefetched_objects_cache", {})
        rows = {name: getattr(query, "_result_cache", None) for name, query in prefetched.items()}
        return {**loaded, **state.fields_cache, **rows}
    if "_sa_instance_state" in _vars(value):
        return {name: part for name, part in _vars(value).items() if name != "_sa_instance_state"}
    if dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls) if field.compare]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    for attribute in ("__pydantic_fields__", "__struct_fields__"):
        if (declared := getattr(cls, attribute, None)) is not None:
            more = getattr(value, "__pydantic_extra__", None) or {}
            return {**{name: getattr(value, name) for name in declared}, **more}
    if (attributes := getattr(cls, "__attrs_attrs__", None)) is not None:
        return {one.name: getattr(value, one.name) for one in attributes if one.eq}
    if _has_eq(cls):
        return None
    slots = [name for base in cls.__mro__ for name in _slots(base) if hasattr(value, name)]
    if slots or hasattr(value, "__dict__"):
        return {**{name: getattr(value, name) for name in slots}, **_vars(value)}
    return None


def _slots(cls: type) -> list[str]:
    declared = cls.__dict__.get("__slots__", ())
    names = [declared] if isinstance(declared, str) else list(declared)
    return [name for name in names if not name.startswith("__")]
