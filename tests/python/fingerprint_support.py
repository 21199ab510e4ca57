"""What the tests of fingerprints share: functions made of source text, and their identities."""

from __future__ import annotations

import itertools
import sys
import textwrap
import types
from typing import Any

from zoocache._fingerprint import identity
from zoocache._registry import registry_of

_numbers = itertools.count()


def identity_of(fn: Any, namespace: str | None = "test", version: str | None = None) -> bytes:
    return identity(fn, namespace=namespace, version=version, types=registry_of(fn))


def load_module(source: str, name: str = "zoocache_sample") -> types.ModuleType:
    """A module of its own with this source; the last of its name is the one that is imported."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    code = compile(textwrap.dedent(source), f"/{next(_numbers)}.py", "exec", dont_inherit=True)
    exec(code, module.__dict__)
    return module


def of_source(source: str) -> bytes:
    """The identity of the function `f` of this source."""
    return identity_of(load_module(source).f)
