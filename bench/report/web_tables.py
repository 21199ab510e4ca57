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
        [
            *name.split(),
            f"{one['plain_per_s']:,}",
            f"{one['cached_per_s']:,}",
            f"{one['ratio']:.2f}",
        ]
        for name, one in web["results"].items()
    ]
    absent = [f"- {name}: {why}" for name, why in web["absent"].items()]
    return (
        "\n## Web\n\n"
        "Requests a second of two pages of the apps in [examples](../../examples), one "
        "of fifty rows and one of a single row, by wrk with two connections to a server with one "
        f"worker ({web['interpreter']}). In the Django app the functions that a view calls are "
        "cached, in the others whole responses.\n\n"
        + table(["app", "page", "without the cache", "with it", "ratio"], rows)
        + ("\nAbsent:\n\n" + "\n".join(absent) + "\n" if absent else "")
    )
