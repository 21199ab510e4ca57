"""What decides beside the arguments what a database shows: a tenant, a role, a schema.

The key of a call is looked up before its load says which databases it reads. So what the callables
given as `key_context=` return is a part of every key of their cache: entries computed under one
context are never hit, joined or refreshed under another. Where there is none, keys are as ever.
Thread-safety: everything from any thread.
"""

from __future__ import annotations

import inspect
import threading
import uuid
import weakref
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from zoocache._errors import InvalidOption, shown
from zoocache.contrib._models import is_model

if TYPE_CHECKING:
    from zoocache._zoocache import Core

__all__ = ["add_context"]

_Part = tuple[str, Callable[[], object]]  # the database's alias and its callable
_lock = threading.Lock()
_parts: weakref.WeakKeyDictionary[Core, tuple[_Part, ...]] = weakref.WeakKeyDictionary()
_PLAIN = frozenset({str, int, type(None), uuid.UUID})
_REMEDY = "a str, an int, None or a tuple of such is wanted"


def add_context(core: Core, alias: str, key_context: Callable[[], object]) -> None:
    """From now on what the callable returns is a part of the keys of a cache.

    Args:
        core: of the cache.
        alias: the database's name, for messages.
        key_context: called without arguments in the caller's context, at every call.

    Raises:
        InvalidOption: it cannot be called, or is async.
    """
    given: Any = key_context
    if not callable(given) or inspect.iscoroutinefunction(given):
        raise InvalidOption(
            f"key_context={shown(given)}: a function without arguments is wanted, not async, that "
            "returns what decides which rows are seen, as in key_context=current_tenant.get"
        )
    with _lock:
        parts = _parts.get(core, ())
        if (alias, given) in parts:
            return
        _parts[core] = parts = (*parts, (alias, given))
        if len(parts) == 1:
            core.set_key_context(lambda: _ask(alias, given))
        else:
            core.set_key_context(lambda: tuple([_ask(*part) for part in parts]))


def _ask(alias: str, key_context: Callable[[], object]) -> Hashable:
    try:
        told = key_context()
    except Exception as error:
        raise RuntimeError(
            f"key_context={shown(key_context)} of the database {shown(alias)} raised "
            f"{shown(error)}, so that the call has no key: it must answer in every cached call, "
            "with None where there is no tenant"
        ) from error
    kind: Any = type(told)
    if kind in _PLAIN:  # as a rule; every hit comes by here
        return told
    if inspect.isawaitable(told):
        if inspect.iscoroutine(told):
            told.close()
        raise TypeError(f"key_context={shown(key_context)} returned an awaitable: {_REMEDY}")
    if is_model(told):
        raise TypeError(
            f"key_context={shown(key_context)} returned a {type(told).__name__}, which changes "
            "while it is held: return its primary key"
        )
    try:
        hash(told)
    except TypeError as error:
        raise TypeError(
            f"key_context={shown(key_context)} returned {shown(told)}, which is not hashable: "
            f"{_REMEDY}"
        ) from error
    return told
