"""What `key=` and `user=` of an endpoint read of its arguments."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from zoocache._errors import InvalidOption, shown
from zoocache._options import check_callable

__all__ = ["Key", "key_of", "names_of", "user_of"]


@dataclass(frozen=True, slots=True)
class Key:
    """What `key=` adds; `names` are the parameters that it reads."""

    names: frozenset[str]
    of: Callable[[Mapping[str, Any]], object]


def names_of(option: str, given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{option}: {shown(name)} is no name; a name is a str")
    return names


def _path(
    option: str, text: str, parameters: tuple[str, ...]
) -> Callable[[Mapping[str, Any]], Any]:
    """Reads `parameter.attribute.attribute` of the arguments."""
    name, _, attributes = text.partition(".")
    if name not in parameters:
        raise InvalidOption(
            f"{option}={text!r}: there is no such parameter; there are "
            f"{', '.join(parameters) or 'none'}"
        )
    if not attributes:
        return lambda values: values.get(name)
    if not all(part.isidentifier() for part in attributes.split(".")):
        raise InvalidOption(
            f"{option}={text!r} is not allowed: a parameter and attributes, as in 'user.id'; for "
            "anything else give a callable"
        )
    read = operator.attrgetter(attributes)
    return lambda values: read(values[name])


def key_of(given: Any, parameters: tuple[str, ...]) -> Key:
    if given is None:
        return Key(frozenset(), lambda _: ())
    if callable(given):
        make = cast("Callable[..., object]", check_callable("key", given))
        wanted = inspect.signature(make).parameters.values()
        if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in wanted):
            return Key(frozenset(parameters), lambda values: make(**values))
        names = [one.name for one in wanted]
        for name in names:
            _path("key", name, parameters)
        return Key(
            frozenset(names), lambda values: make(**{name: values.get(name) for name in names})
        )
    texts = names_of("key", given)
    reads = [_path("key", text, parameters) for text in texts]
    return Key(
        frozenset(text.partition(".")[0] for text in texts),
        lambda values: tuple([read(values) for read in reads]),
    )


def user_of(
    given: Any, parameters: tuple[str, ...]
) -> tuple[Callable[[Any, Mapping[str, Any]], Any] | None, tuple[str, ...]]:
    if given is None:
        return None, ()
    if isinstance(given, str):
        read = _path("user", given, parameters)
        return (lambda _, values: read(values)), (given.partition(".")[0],)
    if not callable(given):
        raise InvalidOption(
            f"user={shown(given)} is not allowed: a callable of the request, or a parameter as in "
            "'user.id'"
        )
    return (lambda request, _: given(request)), ()
