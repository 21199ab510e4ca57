"""Texts that others wrote, made fit for a terminal; and numbers for people.

Whoever can write to a home can name a tag as he likes: with escape sequences of terminals, line
breaks, characters that turn the direction of writing. None of it reaches the terminal.
"""

from __future__ import annotations

__all__ = ["cut", "human_bytes", "human_seconds", "redacted", "safe", "text_of"]


def text_of(raw: bytes) -> str:
    """The bytes as text; those that are no UTF-8 as lone surrogates, which `safe` shows."""
    return raw.decode("utf-8", "surrogateescape")


def safe(text: str) -> str:
    """The text with everything escaped that is no printable character, as Python writes it."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def cut(text: str, most: int = 120) -> str:
    """`safe`, and no longer than `most` characters."""
    shown = safe(text[: most + 1])
    return shown if len(text) <= most and len(shown) <= most else shown[: most - 1] + "…"


def redacted(url: str) -> str:
    """The URL without user and password, and without what is behind a question mark."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "(no URL)"
    _, at, place = rest.rpartition("@")
    place = place.partition("?")[0] if scheme != "lmdb" else rest
    return safe(f"{scheme}://{'***@' if at and scheme != 'lmdb' else ''}{place}")


def human_bytes(count: float) -> str:
    """For example "1.5 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def human_seconds(seconds: float) -> str:
    """For example "850 ms", "42 s", "3.5 h"."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h" if seconds < 172_800 else f"{seconds / 86_400:.3g} d"
