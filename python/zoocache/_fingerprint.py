"""What names a function in a store that processes share.

Two processes may use each other's results if they run the same code and mean the same classes. So a
function is named by the name under which both find it and by a fingerprint, a hash of

    the minor version of Python, whose bytecode it is,
    its bytecode, with each constant in its place, the names it uses, and its parameters,
    its defaults, the contents of its closure, and its annotations,
    the same of every function that these contain, such as what a decorator wraps,
    the fields and their types, or the members, of every class that may be rebuilt for it.

Nothing of this depends on the process: sets are sorted by the hashes of their members, and no
address, hash seed, file name, line number or docstring goes in. A value that the codec cannot keep
counts by the name of its type.

What a function finds in its module when it runs (other functions, global constants) is not part of
it. Who changes only that gives the function another `version=`.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from zoocache import _zoocache
from zoocache._codec_records import class_name, record_of
from zoocache._errors import InvalidOption, SerializationError, shown
from zoocache._hints import (
    callable_hints,
    class_hints,
    is_typed_dict,
    typing_attribute,
    underlying,
)

__all__ = ["identity", "own_name"]

_MOST_LEVELS = 100  # what lies deeper counts by the name of its type
_HAS_DOCSTRING = 0x4000000  # a flag of code objects, from 3.13 on
_CONSTANT_OPS = frozenset(dis.hasconst)
_MODULES_OF_HINTS = ("typing", "typing_extensions", "types", "collections.abc")
_SCALARS = {type(None), bool, int, float, complex, str, bytes}


def identity(
    fn: Any, *, namespace: str | None, version: str | None, types: Mapping[str, type]
) -> bytes:
    """What names a function in a store that processes share: its name and its fingerprint.

    Ask when the function is first called: at its decoration, the classes that annotations name and
    the cells of its closure need not be there yet.

    Args:
        fn: what was decorated.
        namespace: its name; None takes the name of its module and its own.
        version: stands for the fingerprint; then different minor versions of Python share, too.
        types: the classes that may be rebuilt for it, as `registry_of` gives them.

    Raises:
        InvalidOption: there is no namespace, and other processes do not find `fn` by its own name.
    """
    name = ("module", own_name(fn)) if namespace is None else ("namespace", namespace)
    fingerprint = _hash("version", _text(version)) if version is not None else _of_code(fn, types)
    return _zoocache.encode((*name, fingerprint), None, True)


def _of_code(fn: Any, types: Mapping[str, type]) -> bytes:
    hashes = _Hashes()
    parts = [hashes.of(sys.version_info[:2]), hashes.of(fn)]
    if isinstance(run := underlying(fn), type):  # a class is called: what makes its objects counts
        makers = ("__new__", "__init__", "__post_init__")
        parts.extend(hashes.of(getattr(run, maker, None)) for maker in makers)
    for name in sorted(types):
        parts += [_text(name), hashes.of(types[name])]
    return _hash("code", *parts)


def own_name(fn: Any) -> str:
    """The name under which every process finds `fn`.

    Raises:
        InvalidOption: there is none; says why.
    """
    while isinstance(fn, classmethod | staticmethod):
        fn = fn.__func__
    owner = getattr(fn, "__self__", None)
    module: Any = getattr(fn, "__module__", None)
    name: Any = getattr(fn, "__qualname__", None)
    if isinstance(owner, type):  # a class method that is bound; it may be one of a base class
        module, name = owner.__module__, f"{owner.__qualname__}.{fn.__name__}"
    if isinstance(fn, functools.partial):
        reason = "it is a partial"
    elif owner is not None and not isinstance(owner, type | types.ModuleType):
        reason = "it is bound to an object"
    elif not isinstance(module, str) or not isinstance(name, str):
        reason = "it has no name of its own"
    elif module in ("__main__", "__mp_main__"):
        reason = "the module __main__ is another one in each program"
    elif "<" in name:
        reason = "it is a lambda, or was defined inside another function"
    else:
        return f"{module}:{name}"
    raise InvalidOption(
        f"namespace=None is not allowed for {shown(fn)}: other processes cannot find it by its "
        f"name, because {reason}. Give it a name that nothing else has: namespace='...'"
    )


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hash(kind: str, *parts: bytes) -> bytes:
    """The hash of a list of parts; lists that differ in any part, or in their kind, differ."""
    result = hashlib.blake2b(digest_size=16)
    for part in (kind.encode(), *parts):
        result.update(len(part).to_bytes(8, "little"))
        result.update(part)
    return result.digest()


def _encoded(value: Any) -> bytes:
    try:
        return _zoocache.encode(value, None, True)
    except SerializationError:
        return b""


class _Hashes:
    """The hashes of objects, each computed once.

    Objects are asked for their type and never for `__class__`, and nothing of users' classes runs:
    a proxy would ask for what it stands for.

    An object that is met inside itself counts by its type and name. What was met on the way to an
    object therefore decides what it is hashed as, and the way is the same in every process: where
    the order of members is not, each of them is hashed as if it came first.
    """

    def __init__(self) -> None:
        # By id, with the object, so that no id is used again.
        self._known: dict[int, tuple[bytes, Any]] = {}
        self._level = 0

    def of(self, value: Any) -> bytes:
        """The hash of any object."""
        if type(value) in _SCALARS:
            return _hash("value", _text(type(value).__name__), _encoded(value))
        known = self._known.get(id(value))
        if known is not None:
            return known[0]
        again = _hash("again", _text(class_name(type(value))), _text(_name_of(value)))
        if self._level == _MOST_LEVELS:
            return again
        self._known[id(value)] = again, value
        self._level += 1
        try:
            result = self._of_object(value)
        finally:
            self._level -= 1
        self._known[id(value)] = result, value
        return result

    def _all(self, kind: str, values: Iterable[Any]) -> bytes:
        return _hash(kind, *map(self.of, values))

    def _unordered(self, kind: str, values: Iterable[Any]) -> bytes:
        return _hash(kind, *sorted(map(self._as_if_first, values)))

    def _as_if_first(self, value: Any) -> bytes:
        if type(value) in _SCALARS:
            return self.of(value)
        known = self._known.copy()
        try:
            return self.of(value)
        finally:
            self._known = known

    def _of_object(self, value: Any) -> bytes:
        cls = type(value)
        if cls in (tuple, list):
            return self._all(cls.__name__, value)
        if cls in (set, frozenset):
            return self._unordered(cls.__name__, value)
        if cls is dict:
            return self._all("dict", value.items())
        if cls is types.CodeType:
            return self._of_code(value)
        if cls is types.FunctionType:
            return self._of_function(value)
        if cls is types.MethodType:
            owner = type(value.__self__)
            owner = value.__self__ if issubclass(owner, type) else owner
            return self._all("method", (value.__func__, owner))
        if issubclass(cls, functools.partial):
            return self._all("partial", (value.func, value.args, value.keywords))
        if issubclass(cls, classmethod | staticmethod):
            return self._all(cls.__name__, (value.__func__,))
        if cls.__module__ in _MODULES_OF_HINTS and typing.get_origin(value) is not None:
            return self._of_alias(value)
        if issubclass(cls, type):
            return self._of_class(value)
        if cls.__module__ in ("typing", "typing_extensions"):
            return self._of_typing(value)
        if cls in (types.ModuleType, types.BuiltinFunctionType):
            return _hash("named", _text(str(value.__name__)))
        return self._of_other(value)

    def _of_code(self, code: types.CodeType) -> bytes:
        """Constants are taken where they are used: a docstring is one that is not."""
        instructions = [
            (step.opcode, code.co_consts[step.arg])
            if step.opcode in _CONSTANT_OPS and step.arg is not None
            else (step.opcode, step.arg, None)
            for step in dis.get_instructions(code)
        ]
        counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
        names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
        flags = code.co_flags & ~_HAS_DOCSTRING
        handlers = getattr(code, "co_exceptiontable", b"")  # from 3.11 on
        return self._all("code", (code.co_name, flags, counts, names, handlers, instructions))

    def _of_function(self, fn: types.FunctionType) -> bytes:
        cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)
        # The cell of super() is filled only when its class has been made.
        closure = [self._of_cell(cell) for name, cell in cells if name != "__class__"]
        about = fn.__code__, fn.__defaults__, fn.__kwdefaults__, callable_hints(fn)
        wrapped = fn.__dict__.get("__wrapped__")
        return _hash("function", self._all("about", (*about, wrapped)), *closure)

    def _of_cell(self, cell: types.CellType) -> bytes:
        try:
            return self.of(cell.cell_contents)
        except ValueError:
            return _hash("empty")

    def _of_class(self, cls: type) -> bytes:
        parts = [_text(class_name(cls))]
        if record_of(cls) is not None or is_typed_dict(cls):
            members = getattr(cls, "__members__", {})
            values = {name: member.value for name, member in members.items()}
            parts += [self.of(class_hints(cls)), self.of(values)]
        return _hash("class", *parts)

    def _of_alias(self, alias: Any) -> bytes:
        origin, arguments = typing.get_origin(alias), typing.get_args(alias)
        # `typing` gives one object for unions, or literals, that differ in the order of members.
        if origin in (typing.Union, types.UnionType):
            return self._unordered("union", arguments)
        if origin is typing.Literal:
            return self._unordered("literal", arguments)
        return self._all("alias", (origin, *arguments))

    def _of_typing(self, value: Any) -> bytes:
        """A type variable, a NewType, an alias, a reference to what is not there yet, Any."""
        parts = ("__bound__", "__constraints__", "__supertype__", "__value__", "__forward_arg__")
        name = _text(class_name(type(value))), _text(_name_of(value))
        return _hash("typing", *name, *(self.of(typing_attribute(value, part)) for part in parts))

    def _of_other(self, value: Any) -> bytes:
        """By its bytes if it has such, and by the code it runs if it is called."""
        cls = type(value)
        call = inspect.getattr_static(cls, "__call__", None)
        call = call if type(call) is types.FunctionType else None
        try:
            wrapped = object.__getattribute__(value, "__dict__").get("__wrapped__")
        except AttributeError:
            wrapped = None
        return _hash("object", _encoded(value), *map(self.of, (cls, call, wrapped)))


def _name_of(value: Any) -> str:
    """The name of what has one in its definition; objects of users' classes are not asked."""
    if issubclass(type(value), type):
        return class_name(value)
    if type(value) is types.FunctionType:
        return value.__qualname__
    if type(value).__module__ in ("typing", "typing_extensions"):
        return str(getattr(value, "__name__", None) or getattr(value, "_name", None))
    return ""
