"""What was found about stored values, in sentences and for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoocache.cli import _output as output
from zoocache.cli._inspect import Memory
from zoocache.cli._survey import HIDDEN
from zoocache.cli._text import cut, human_bytes, human_seconds

if TYPE_CHECKING:
    from zoocache.cli._home import Home
    from zoocache.cli._survey import Entry, Survey

__all__ = ["CANNOT_SEE", "bounds_of", "entry_dict", "memory_note", "note_bounds", "sentence"]

CANNOT_SEE = "What is in the memory of processes cannot be seen from outside."


def memory_note(memory: Memory) -> str:
    """Whose memory was seen, and whose was not."""
    told = len(memory.processes)
    if memory.trouble:
        return f"The processes could not be asked what is in their memory: {memory.trouble}"
    if not memory.asked:
        return CANNOT_SEE
    if not told:
        silent = "they were silent, or are asked too often"
        return f"None of {memory.asked} processes told what is in their memory: {silent}."
    entries = sum(one.entries for one in memory.processes)
    size = human_bytes(sum(one.size_bytes for one in memory.processes))
    note = f"In the memory of processes: {entries:,} entries, {size}, "
    note += f"as {told} of {memory.asked} told."
    if told < memory.asked:
        note += " The others were silent, or asked too often."
    elif not memory.is_complete:
        note += " They have more functions or tags than they told."
    return note


def _shown_call(entry: Entry) -> str:
    arguments = entry.arguments()
    inside = "…" if arguments is None else ", ".join(repr(one) for one in arguments)
    return f"{cut(entry.function.name)}({cut(inside)})"


def _why(entry: Entry) -> str:
    if entry.state == "valid":
        return "valid"
    if entry.state == "invalidated":
        killer = entry.killer or ""
        by = "clear()" if not killer else cut(killer)
        if killer.startswith(HIDDEN):
            by = "cache_clear() of a function, or fn.invalidate() of a call, that it was made of"
        return f"invalidated by {by} at epoch {entry.killed_at}"
    return {
        "expired": "expired",
        "other generation": "of a log that is gone: the server was restarted or emptied, "
        "or the folder was",
        "forgotten": "older than what the log remembers",
    }.get(entry.state, "it makes no sense")


def sentence(entry: Entry) -> str:
    """What became of it."""
    lives = "" if entry.lives_s is None else f", {human_seconds(entry.lives_s)} to live"
    on = ", ".join(cut(tag, 60) for tag in entry.tags[:8]) or "no tag"
    more = "" if len(entry.tags) <= 8 else f" and {len(entry.tags) - 8} more"
    return (
        f"{_shown_call(entry)}: {_why(entry)}; loaded at epoch {entry.born}, "
        f"{human_bytes(entry.size_bytes)}{lives}; depends on {on}{more}"
    )


def entry_dict(entry: Entry) -> dict[str, Any]:
    """The same for JSON."""
    arguments = entry.arguments()
    return {
        "function": entry.function.name,
        "version": entry.function.version,
        "arguments": None if arguments is None else [repr(one) for one in arguments],
        "state": entry.state,
        "killer": entry.killer,
        "killed_at": entry.killed_at,
        "born": entry.born,
        "bytes": entry.size_bytes,
        "lives_s": entry.lives_s,
        "tags": list(entry.tags),
    }


def bounds_of(home: Home, found: Survey, memory: Memory | None = None) -> dict[str, Any]:
    """How much was looked at, and what cannot be."""
    memory = memory or Memory()
    return {
        "entries_seen": found.entries,
        "valid_seen": found.valid,
        "unreadable": found.unreadable,
        "complete": found.is_complete,
        "has_values": home.has_values,
        "cannot_see": "" if memory.processes else CANNOT_SEE,
        "memory": memory.as_dict() if memory.asked else None,
    }


def note_bounds(home: Home, found: Survey, memory: Memory | None = None) -> None:
    """Prints what was not looked at, and what cannot be."""
    if not home.has_values:
        output.note("There are no values beside this log.")
    if not found.is_complete:
        output.note(f"Only {found.entries:,} stored values were looked at; --most looks at more.")
    if found.unreadable:
        output.note(f"{found.unreadable:,} entries cannot be read.")
    output.note(memory_note(memory or Memory()))
