"""The section on the example apps with and without the cache."""

from __future__ import annotations

from typing import Any

from tables import table


def web_section(results: dict[str, Any]) -> str:
    """Empty where nothing was measured."""
    web = results.get("web")
    if not web:
        return ""
    rows = [
        [name, f"{one['plain_per_s']:,}", f"{one['cached_per_s']:,}", f"{one['ratio']:.2f}"]
        for name, one in web["results"].items()
    ]
    return (
        "\n## Web\n\nRequests a second of one page of an app in `examples`, by wrk with two "
        f"connections to a server with one worker ({web['interpreter']}).\n\n"
        + table(["app", "without", "with cache_endpoint", "ratio"], rows)
    )
