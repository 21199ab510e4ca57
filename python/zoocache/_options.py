"""Checks of what users pass to `cacheable` and `configure`: clear errors, nothing half done."""

from __future__ import annotations

import inspect
import math
import os
import warnings
from collections.abc import Callable
from typing import Any

from zoocache._errors import InvalidOption, redacted, shown

__all__ = [
    "CONFIGURE_DEFAULTS",
    "aging_options",
    "check_callable",
    "check_count",
    "check_error_classes",
    "check_flag",
    "check_seconds",
    "check_text",
    "configured",
    "fixed_options",
    "merged_options",
    "shown_options",
    "warn_of_obsolete",
]

# Options of the published package that have no meaning here, and why.
_OBSOLETE: dict[str, tuple[Any, str]] = {
    "prune_after": (None, "unused tags are freed with their last entry, so nothing needs pruning"),
    "tti_flush_secs": (30, "reads extend a time to live in place, so there is nothing to flush"),
    "auto_prune_secs": (None, "unused tags are freed with their last entry"),
    "auto_prune_interval": (3600, "unused tags are freed with their last entry"),
    "lru_update_interval": (30, "a hit sets a counter in its entry, so there is no list to update"),
    "channel_capacity": (1_000_000, "there is no background thread and so no channel to it"),
    "batch_size": (1000, "there is no background thread that writes in batches"),
    "lru_cache_size": (10_000, "the only bound is max_entries"),
}

CONFIGURE_DEFAULTS: dict[str, Any] = {
    "storage_url": None,
    "bus_url": None,
    "prefix": None,
    "default_ttl": None,
    "read_extend_ttl": True,
    "max_entries": None,
    "max_bytes": None,
    "lmdb_map_size": None,
    "flight_timeout": 60,
    "max_tag_length": 256,
    "ring_records": 65_536,
    "explain_records": 4_096,
    "invalidation_records": 256,
    "debug": False,
    "enabled": True,
    "verify": 0,
    "on_finding": None,
    "max_findings": 100,
    "max_log_tags": 1_000_000,
    "lock_timeout": 1,
    "max_commit_time": 60,
    "max_storage_bytes": 2**30,
    "max_value_bytes": None,
    "storage_ttl": 604_800,
    "claim_timeout": 2,
    "secret": None,
    "lease": 2,
    "command_timeout": 0.25,
    "connect_timeout": 1,
    "on_unreachable": "raise",
    "replicas_ack": 0,
    "inspect_interval": 0.5,
    "mode": "full",
    "allow_eviction": False,
    "telemetry": None,
    **{name: default for name, (default, _) in _OBSOLETE.items()},
}


# Can be changed while the cache is in use.
_ANYTIME = frozenset({"enabled", "verify", "on_finding", "max_findings"})


def _refuse(name: str, value: object, rule: str) -> InvalidOption:
    return InvalidOption(f"{name}={shown(value)} is not allowed: {rule}")


def check_count(name: str, value: Any, least: int) -> int | None:
    """An int of at least `least`, or None.

    Raises:
        InvalidOption: it is anything else.
    """
    if value is None:
        return None
    if type(value) is not int or not least <= value < 2**63:
        raise _refuse(name, value, f"a whole number, {least} or more, or None for no bound of it")
    return value


def check_seconds(name: str, value: Any) -> float | None:
    """Seconds above 0, `math.inf` included, or None.

    Raises:
        InvalidOption: it is anything else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise _refuse(name, value, "a time in seconds above 0, math.inf for none, or None")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _check_pause(name: str, value: Any) -> float | None:
    """Seconds, 0 for never, or None. Raises InvalidOption."""
    is_never = type(value) in (int, float) and value == 0
    return 0.0 if is_never else check_seconds(name, value)


def check_share(name: str, value: Any) -> float | None:
    """A number from 0 to below 1, or None. Raises InvalidOption."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise _refuse(name, value, "a share, 0 to below 1, or None")
    return float(value)


def aging_options(options: dict[str, Any]) -> dict[str, Any]:
    """Takes what `cacheable` was told about values past their time out of `options`.

    Returns:
        What the engine takes.

    Raises:
        InvalidOption: a value is not allowed, or needs another option that is not there.
    """
    made: dict[str, Any] = {
        f"{name}_s": _at_most_a_century(check_seconds(name, options.pop(name, None)))
        for name in ("grace", "stale_if_error", "soft_timeout", "refresh_ahead")
    }
    made["jitter"] = check_share("jitter", options.pop("jitter", None))
    for name in ("stale_while_revalidate", "stale_if_error_invalidated"):
        made[name] = check_flag(name, options.pop(name, False))
    for name, needed in (
        ("stale_while_revalidate", "grace"),
        ("soft_timeout", "grace"),
        ("stale_if_error_invalidated", "stale_if_error"),
    ):
        wanted = made.get(name) or made.get(f"{name}_s") is not None
        if wanted and made[f"{needed}_s"] is None:
            raise InvalidOption(f"{name} says how {needed} is used: give {needed}=, in seconds")
    return made


def _at_most_a_century(seconds: float | None) -> float | None:
    return None if seconds is None else min(seconds, 3.2e9)


def _check_share_of_hits(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _refuse("verify", value, "a share of the hits, 0 (none) to 1 (all)")
    return float(value)


def check_flag(name: str, value: Any) -> bool:
    """True or False. Raises InvalidOption."""
    if not isinstance(value, bool):
        raise _refuse(name, value, "True or False")
    return value


def check_text(name: str, value: Any) -> str | None:
    """A str or None. Raises InvalidOption."""
    if value is not None and not isinstance(value, str):
        raise _refuse(name, value, "a str or None")
    return value


def check_secrets(value: Any) -> list[bytes] | None:
    """A secret, or several in a tuple or list: each a str or bytes of 16 bytes or more.

    Returns:
        Their bytes; None for none.

    Raises:
        InvalidOption: it is anything else. The message does not show them.
    """
    if value is None:
        return None
    given = value if isinstance(value, tuple | list) else [value]
    secrets = [one.encode() if isinstance(one, str) else one for one in given]
    if not secrets or not all(isinstance(one, bytes) and len(one) >= 16 for one in secrets):
        raise InvalidOption(
            "secret is not allowed as it is: a str or bytes of 16 bytes or more, drawn at random "
            "(for example secrets.token_bytes(32)), or a tuple of such; the first of them signs"
        )
    return secrets


def check_telemetry(value: Any) -> None:
    """A TelemetryManager, or None. Raises InvalidOption."""
    if value is None:
        return
    from zoocache.telemetry import TelemetryManager  # noqa: PLC0415 - few programs have one

    if not isinstance(value, TelemetryManager):
        raise _refuse(
            "telemetry", value, "a zoocache.telemetry.TelemetryManager([adapters]), or None"
        )


def check_callable(name: str, value: Any) -> Callable[..., Any] | None:
    """A callable or None, and no async one. Raises InvalidOption."""
    if value is not None and not callable(value):
        raise _refuse(name, value, "a callable or None")
    if inspect.iscoroutinefunction(value):
        raise _refuse(name, value, "its answer is needed at once, so it cannot be an async def")
    return value  # type: ignore[no-any-return]


def check_error_classes(name: str, value: Any) -> tuple[type[Exception], ...] | None:
    """A class of exceptions or a tuple of them, or None. Raises InvalidOption."""
    if value is None:
        return None
    classes = value if isinstance(value, tuple) else (value,)
    if not all(inspect.isclass(one) and issubclass(one, Exception) for one in classes):
        raise _refuse(name, value, "subclasses of Exception, one or a tuple of them")
    return classes or None


_REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel", "redis+unix")


def _homes(storage_url: str | None, bus_url: str | None) -> dict[str, Any]:
    """Where the log and the values live, as the engine takes it. Raises InvalidOption."""
    storage = _place("storage_url", storage_url)
    bus = _place("bus_url", bus_url)
    if bus is None:
        bus = storage  # values are no use without their log
    made = {}
    if bus is not None:
        scheme, place = bus
        made["lmdb_path" if scheme == "lmdb" else "redis_url"] = place
    if storage is not None:
        scheme, place = storage
        if scheme == "lmdb":
            made["storage_lmdb_path"] = place
        elif bus == storage:
            made["storage_redis_url"] = place
        else:
            # The URLs may hold passwords, so neither is shown.
            raise InvalidOption(
                f"storage_url='{scheme}://...' with another bus_url is not allowed: values on a "
                "Redis server need their log on the same one; leave bus_url out, or keep the "
                "values in 'lmdb://<folder>'"
            )
    return made


def _place(name: str, url: str | None) -> tuple[str, str] | None:
    """The scheme of a URL, and the folder or the server; None for the process itself.

    Raises:
        InvalidOption: it is none of the schemes, or names no folder.
    """
    if url is not None and not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _refuse(name, type(url), "a str or None")  # its value may hold a password
    if url in (None, "memory://"):
        return None
    scheme, separator, rest = url.partition("://")
    if scheme not in ("lmdb", *_REDIS_SCHEMES) or not separator:
        raise _refuse(
            name,
            redacted(url),
            "'lmdb://<folder>', 'redis://<host>', 'rediss://', 'redis+sentinel://', "
            "'redis+unix://', 'memory://' or None",
        )
    if not rest or "\0" in url:
        raise _refuse(name, redacted(url), "it names no place; say for example 'lmdb://./cache'")
    # './x' stays as it is
    return scheme, os.path.expanduser(rest) if scheme == "lmdb" else url  # noqa: PTH111


def _is_writer(mode: object, homes: dict[str, Any]) -> bool:
    """Whether the process only declares. Raises InvalidOption."""
    if mode not in ("full", "writer"):
        raise _refuse("mode", mode, "'full' or 'writer'")
    stores = "storage_redis_url" in homes or "storage_lmdb_path" in homes
    if mode == "writer" and (stores or "redis_url" not in homes):
        raise _refuse("mode", mode, "a writer has a bus_url on a Redis server and no storage_url")
    return mode == "writer"


def configured(given: dict[str, Any]) -> dict[str, Any]:
    """Checks the options of `configure`.

    Returns:
        What the engine takes: only what differs from its defaults.

    Raises:
        TypeError: an unknown option.
        InvalidOption: a value that is not allowed.
    """
    for name in given:
        if name not in CONFIGURE_DEFAULTS:
            known = ", ".join(name for name in CONFIGURE_DEFAULTS if name not in _OBSOLETE)
            raise TypeError(f"configure() has no option {name!r}; it has {known}")
    made: dict[str, Any] = {}
    made.update(_homes(given.get("storage_url"), given.get("bus_url")))
    made["prefix"] = check_text("prefix", given.get("prefix"))
    made["max_log_tags"] = check_count("max_log_tags", given.get("max_log_tags"), 16)
    made["lock_timeout"] = check_seconds("lock_timeout", given.get("lock_timeout"))
    made["max_commit_time"] = check_seconds("max_commit_time", given.get("max_commit_time"))
    for name in ("lock_timeout", "max_commit_time"):
        if made[name] == math.inf:
            raise _refuse(name, math.inf, "a time in seconds above 0")
    for name in ("lease", "command_timeout", "connect_timeout", "storage_ttl", "claim_timeout"):
        made[name] = check_seconds(name, given.get(name))
    made["inspect_interval"] = _check_pause("inspect_interval", given.get("inspect_interval"))
    on_unreachable = given.get("on_unreachable", "raise")
    if on_unreachable not in ("raise", "journal"):
        raise _refuse("on_unreachable", on_unreachable, "'raise' or 'journal'")
    made["keeps_silently"] = on_unreachable == "journal"
    made["is_writer"] = _is_writer(given.get("mode", "full"), made)
    made["replicas_ack"] = check_count("replicas_ack", given.get("replicas_ack"), 0)
    made["allow_eviction"] = check_flag("allow_eviction", given.get("allow_eviction", False))
    made["max_storage_bytes"] = check_count(
        "max_storage_bytes", given.get("max_storage_bytes"), 2**20
    )
    made["max_value_bytes"] = check_count("max_value_bytes", given.get("max_value_bytes"), 1)
    check_telemetry(given.get("telemetry"))
    made["secrets"] = check_secrets(given.get("secret"))
    made["lmdb_map_size"] = check_count("lmdb_map_size", given.get("lmdb_map_size"), 1)
    for name in ("max_entries", "max_bytes", "max_tag_length", "ring_records"):
        made[name] = check_count(name, given.get(name), 1)
    for name in ("explain_records", "invalidation_records"):
        made[name] = check_count(name, given.get(name), 0)
    for name in ("default_ttl", "flight_timeout"):
        made[name] = check_seconds(name, given.get(name))
    made["verify"] = _check_share_of_hits(given.get("verify", 0))
    made["on_finding"] = check_callable("on_finding", given.get("on_finding"))
    made["max_findings"] = check_count("max_findings", given.get("max_findings"), 1)
    for name in ("read_extend_ttl", "debug", "enabled"):
        default = CONFIGURE_DEFAULTS[name]
        made[name] = check_flag(name, given.get(name, default))
    if made["default_ttl"] == math.inf:
        made["default_ttl"] = None
    if made["flight_timeout"] == math.inf:
        made["flight_timeout"] = 1e9
    return {name: value for name, value in made.items() if value is not None}


def shown_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of `configure` as messages may show them."""
    shown_as = {name: redacted(value) for name, value in options.items() if name.endswith("_url")}
    return {**options, **shown_as, **({"secret": "***"} if "secret" in options else {})}


def merged_options(old: dict[str, Any] | None, given: dict[str, Any]) -> dict[str, Any]:
    """What earlier calls of `configure` gave and what this one gives, without the defaults.

    A default takes nothing back, except of the options that can be changed at any time.
    """
    merged = dict(old or {})
    for name, value in given.items():
        if value != CONFIGURE_DEFAULTS[name]:
            merged[name] = value
        elif name in _ANYTIME:
            merged.pop(name, None)
    return merged


def fixed_options(given: dict[str, Any] | None) -> dict[str, Any]:
    """Those that cannot be changed while the cache is in use."""
    return {name: value for name, value in (given or {}).items() if name not in _ANYTIME}


def warn_of_obsolete(given: dict[str, Any], stacklevel: int) -> None:
    """Warns of each option of the older package that means nothing here.

    Args:
        given: what the user passed.
        stacklevel: of the user's line, as `warnings.warn` counts it here.
    """
    for name, (default, why) in _OBSOLETE.items():
        if given.get(name, default) != default:
            warnings.warn(
                f"configure({name}=…) has no meaning in this package: {why}",
                DeprecationWarning,
                stacklevel=stacklevel,
            )
