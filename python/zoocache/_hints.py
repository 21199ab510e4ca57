"""Annotations as objects: each is resolved by itself, so that a bad one spoils no other.

An annotation that cannot be resolved (a name that only type checkers import, a class that is not
defined yet, a class of a function's own) is given as it was written. So is, before Python 3.11,
what is quoted inside of a builtin's brackets: `list["Item"]`.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, cast

from zoocache._codec_records import record_of

__all__ = ["callable_hints", "class_hints", "is_typed_dict", "typing_attribute", "underlying"]

_MODEL = 11  # the kind of pydantic's models in `zoocache._codec`


def underlying(fn: Any) -> Any:
    """The function, or the class, that runs when `fn` is called; `fn` itself if it is neither."""
    while True:
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif isinstance(fn, classmethod | staticmethod | types.MethodType):
            fn = fn.__func__
        elif isinstance(fn, types.FunctionType | type):
            return fn
        else:
            call = inspect.getattr_static(type(fn), "__call__", None)
            return call if isinstance(call, types.FunctionType) else fn


def callable_hints(fn: Any) -> dict[str, Any]:
    """The annotations of what `fn` runs, by the name of the parameter or "return".

    A wrapper made with `functools.wraps` has the annotations of what it wraps, which are meant in
    the module of the latter.
    """
    inner = fn = underlying(fn)
    while isinstance(wrapped := getattr(inner, "__wrapped__", None), types.FunctionType):
        inner = wrapped
    if not isinstance(inner, types.FunctionType):
        return {}
    return _resolved(_annotations(fn), inner.__globals__, _type_parameters(inner))


def class_hints(cls: type) -> list[tuple[str, Any]]:
    """The fields of a class whose objects the codec keeps, or of a TypedDict, and their types.

    A field without an annotation has the type None. Enums have no fields.
    """
    if is_typed_dict(cls):
        return list(_own_hints(cls).items())
    record = record_of(cls)
    if record is None:
        return []
    if record.kind == _MODEL:  # pydantic has resolved them, with what its own rules add
        fields = cast("Any", cls).model_fields
        return [(name, fields[name].annotation) for name in record.names]
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        hints.update(_own_hints(base, set(record.names)))
    return [(name, hints.get(name)) for name in record.names]


def is_typed_dict(cls: type) -> bool:
    """Is it a TypedDict, be it of `typing` or of `typing_extensions`?"""
    return issubclass(cls, dict) and "__total__" in cls.__dict__


def typing_attribute(hint: Any, name: str) -> Any:
    """An attribute of something of `typing`, or None; other objects are not asked."""
    if type(hint).__module__ not in ("typing", "typing_extensions"):
        return None
    try:
        return getattr(hint, name, None)
    except Exception:  # noqa: BLE001 - what an alias stands for is found out only now
        return None


def _own_hints(cls: type, names: set[str] | None = None) -> dict[str, Any]:
    written = _annotations(cls)
    if names is not None:
        written = {name: hint for name, hint in written.items() if name in names}
    namespace = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    return _resolved(written, namespace, {**vars(cls), **_type_parameters(cls)})


def _annotations(owner: type | Callable[..., Any]) -> dict[str, Any]:
    try:
        return inspect.get_annotations(owner)
    except Exception:  # noqa: BLE001 - newer Pythons run the annotations' code only now
        return {}


def _type_parameters(owner: Any) -> dict[str, Any]:
    return {parameter.__name__: parameter for parameter in getattr(owner, "__type_params__", ())}


def _resolved(
    written: Mapping[str, Any], namespace: dict[str, Any], local: dict[str, Any]
) -> dict[str, Any]:
    return {name: _resolved_one(hint, namespace, local) for name, hint in written.items()}


def _resolved_one(hint: Any, namespace: dict[str, Any], local: dict[str, Any]) -> Any:
    # Of a class: only there may a hint be a Final, a ReadOnly or the like.
    holder = cast("Any", type("Holder", (), {"__annotations__": {"hint": hint}}))
    try:
        return typing.get_type_hints(holder, namespace, local, include_extras=True)["hint"]
    except Exception:  # noqa: BLE001 - resolving runs what the user wrote
        return hint
