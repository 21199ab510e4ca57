"""Griffe extension: the package's functions are methods of its default cache.

`zoocache.cacheable = _default.cacheable` says to griffe nothing but that there is a name. Here each
such name becomes the function that it is, documented as the method is. Sections of options become
the ones that griffe knows.
"""

from __future__ import annotations

import copy

import griffe

_CACHE = "_cache.Cache"
_CORE = "_zoocache.Core"


class PublicNames(griffe.Extension):
    """Makes functions of the names that are bound to methods of `_default`."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Called when the whole package was read."""
        if pkg.path != "zoocache":
            return
        for name in ("cacheable", "configure"):
            pkg[_CACHE].set_member(name, _copy(pkg[f"{_CACHE}.{name}"]))
        for name in ("invalidate", "clear"):  # attributes of each cache, for speed
            pkg[_CACHE].set_member(name, _copy(pkg[f"{_CORE}.{name}"]))
        cached = pkg["_zoocache.Cached"]
        for name, shapes in cached.overloads.items():  # in a stub there is nothing but overloads
            if shapes:
                cached.set_member(name, shapes[0])
        for name, member in list(pkg.members.items()):
            value = "" if member.is_alias or not member.is_attribute else str(member.value)
            if value == f"_default.{name}":
                method = pkg[_CACHE].all_members[name]  # its own, or a base's
                pkg.set_member(name, _function(method.final_target if method.is_alias else method))


def _told(method: griffe.Function) -> griffe.Docstring | None:
    if method.docstring is None:
        return None
    made = copy.copy(method.docstring)
    made.value = made.value.replace("\nOptions:\n", "\nKeyword Args:\n")
    if [one.name for one in method.parameters] == ["self", "options"]:
        made.value = made.value.replace("\nArgs:\n", "\nKeyword Args:\n")
    return made


def _copy(method: griffe.Function) -> griffe.Function:
    made = copy.copy(method)
    made.docstring = _told(method)
    if made.docstring is not None:
        made.docstring.parent = made
    return made


def _function(method: griffe.Function) -> griffe.Function:
    made = _copy(method)
    kept = [one for one in method.parameters if one.name != "self"]
    made.parameters = griffe.Parameters(*kept)
    made.labels = method.labels - {"staticmethod"}
    return made
