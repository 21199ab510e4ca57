"""What a cached function is in the second level: its name there and the classes of its values.

Imported by functions that have a part in it, when they are first asked for.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any

from zoocache._errors import InvalidOption, shown

if TYPE_CHECKING:
    from zoocache._cache import Cache
    from zoocache._errors import SerializationError

__all__ = ["LevelPlan"]

_log = logging.getLogger("zoocache")

# The functions that have a part in each cache's storage, by their identity.
_owners: weakref.WeakKeyDictionary[Cache, dict[bytes, weakref.ref[Any]]] = (
    weakref.WeakKeyDictionary()
)


class LevelPlan:
    """Of one function; called by the extension at the function's first miss.

    Not before: the classes that its annotations name may be defined after it.

    Args:
        cache: whose storage it is.
        fn: the function.
        namespace, version: as `cacheable` was told.
        required: whether storage="l2" asks for it by name.
    """

    def __init__(
        self, cache: Cache, fn: Any, namespace: str | None, version: str | None, required: bool
    ) -> None:
        self._cache = weakref.ref(cache)
        self._fn = fn
        self._namespace = namespace
        self._version = version
        self._required = required
        self._warned = False
        if required and namespace is None:
            from zoocache._fingerprint import own_name  # noqa: PLC0415 - imports much

            own_name(fn)  # says at once why it has none

    def __call__(self) -> tuple[bytes, dict[str, type]] | None:
        """The name and the classes that are made anew; None: values stay in this process."""
        from zoocache._fingerprint import identity  # noqa: PLC0415 - imports much
        from zoocache._registry import registry_of  # noqa: PLC0415

        types = registry_of(self._fn)
        try:
            name = identity(self._fn, namespace=self._namespace, version=self._version, types=types)
        except InvalidOption:
            if self._required:
                raise
            return None
        return (name, types) if self._is_owner(name) else None

    def _is_owner(self, name: bytes) -> bool:
        """Whether no other living function has the name: their values would be mixed up."""
        cache = self._cache()
        if cache is None:
            return False
        owners = _owners.setdefault(cache, {})
        known = owners.get(name)
        owner = None if known is None else known()
        if owner is None or owner is self._fn:
            owners[name] = weakref.ref(self._fn)
            return True
        _log.warning(
            "values of %s stay in this process: %s has the same name and the same code; give each "
            "of them a namespace= of its own",
            shown(self._fn),  # a record in the log must not keep functions alive
            shown(owner),
        )
        return False

    def tell_unserializable(self, error: SerializationError) -> None:
        """Warns once that values of the function stay in this process."""
        if not self._warned:
            self._warned = True
            name = getattr(self._fn, "__qualname__", None) or repr(self._fn)
            _log.warning(
                "values of %s stay in this process: %s; on_unserializable='raise' makes this an "
                "error, storage='l1' says that it is meant so",
                name,
                error,
            )
