"""What is known about a function when it is decorated: its parameters and how they make a key.

`analyse` gives the extension plain data for its Signature (src/python/binding.h). The text of
dependency templates is in `_template`; its names are importable from here too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from zoocache._errors import InvalidOption, shown
from zoocache._template import Template, as_tags, compile_deps, encode_segment, parse_template

__all__ = [
    "SignatureData",
    "Template",
    "analyse",
    "as_tags",
    "compile_deps",
    "encode_segment",
    "parameter_names",
    "parse_template",
]

# names, kinds (as inspect numbers them), defaults ((value,) or None), ignored, key=, is_method
SignatureData = tuple[
    tuple[str, ...],
    tuple[int, ...],
    tuple[tuple[Any] | None, ...],
    tuple[bool, ...],
    Callable[..., Any] | None,
    bool,
]

_Parameter = inspect.Parameter


def analyse(
    fn: Callable[..., Any],
    *,
    ignore: str | Iterable[str] = (),
    key: Callable[..., Any] | None = None,
    is_method: bool = False,
) -> SignatureData:
    """Looks at a function that is being decorated.

    Args:
        fn: a function, method, partial, class, callable object or builtin. One whose signature
            Python does not know takes `*args, **kwargs`.
        ignore: names of parameters that are no part of the key; a bare str is one name.
        key: called with the call's own arguments; what it returns is the whole key.
        is_method: the first parameter is the instance, which is keyed by identity.

    Returns:
        What Signature::load takes.

    Raises:
        TypeError: `fn` is not callable, or a generator or async generator function.
        InvalidOption: `ignore` names no parameter, or an option has the wrong type.
    """
    target = fn.__func__ if isinstance(fn, classmethod | staticmethod) else fn
    _refuse_generators(target)
    if key is not None and not callable(key):
        raise InvalidOption(f"key={shown(key)}: it must be a callable of the call's arguments")
    parameters = _parameters(target)
    if is_method:
        parameters = _with_instance(parameters)
    ignored = _ignored(ignore, parameters, target)
    return (
        tuple(parameter.name for parameter in parameters),
        tuple(int(parameter.kind) for parameter in parameters),
        tuple(
            None if parameter.default is _Parameter.empty else (parameter.default,)
            for parameter in parameters
        ),
        tuple(parameter.name in ignored for parameter in parameters),
        key,
        is_method,
    )


def parameter_names(signature: SignatureData) -> tuple[str, ...]:
    """The names of all parameters, in order."""
    return signature[0]


def _parameters(fn: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(fn).parameters.values())
    except (ValueError, TypeError):  # a builtin that does not tell
        return [
            _Parameter("args", _Parameter.VAR_POSITIONAL),
            _Parameter("kwargs", _Parameter.VAR_KEYWORD),
        ]


def _with_instance(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """`def method(*args)` takes its instance as the first of them: make it a parameter."""
    positional = (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)
    if parameters and parameters[0].kind in positional:
        return parameters
    if not parameters or parameters[0].kind is not _Parameter.VAR_POSITIONAL:
        raise TypeError("a cached method must take its instance as first positional parameter")
    name = "self"
    while any(parameter.name == name for parameter in parameters):
        name += "_"
    return [_Parameter(name, _Parameter.POSITIONAL_ONLY), *parameters]


def _ignored(
    ignore: Any, parameters: list[inspect.Parameter], fn: Callable[..., Any]
) -> frozenset[str]:
    try:
        names = [ignore] if isinstance(ignore, str) else list(ignore)
    except TypeError:
        names = [ignore]
    known = [parameter.name for parameter in parameters]
    for name in names:
        if not isinstance(name, str):
            raise InvalidOption(f"ignore={shown(ignore)}: it must be names of parameters")
        if name not in known:
            raise InvalidOption(
                f"ignore={shown(ignore)}: {shown(fn)} has no parameter {name!r}; "
                f"its parameters are {', '.join(known) or 'none'}"
            )
    return frozenset(names)


def _refuse_generators(fn: Callable[..., Any]) -> None:
    if not callable(fn):
        raise TypeError(f"{shown(fn)} is not callable, so there is nothing to cache")
    inner: Any = fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    candidates = [inner]
    if not inspect.isroutine(inner) and not inspect.isclass(inner):
        candidates.append(type(inner).__call__)
    for candidate in candidates:
        if inspect.isgeneratorfunction(candidate):
            kind, remedy = "generator", "list"
        elif inspect.isasyncgenfunction(candidate):
            kind, remedy = "async generator", "list"
        else:
            continue
        raise TypeError(
            f"{shown(fn)} is {'an' if kind[0] == 'a' else 'a'} {kind} function and cannot be "
            f"cached: what it returns is used up by its first reader; return a {remedy} instead"
        )
