"""The `zoocache` command: what happens in a home, seen from outside of the processes that use it.

Needs the packages of the extra `zoocache[cli]`; docs/COMMAND.md has the commands and exit codes.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_NEEDED = {"typer", "rich", "textual"}


def main() -> None:
    """Runs the command with the arguments of this process, and ends it with an exit code.

    Raises:
        SystemExit: always.
    """
    try:
        from zoocache.cli._app import run  # noqa: PLC0415 - the packages may not be there
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(
            f"zoocache: the command needs the package {error.name!r}, which is not installed; "
            "install the extra: pip install 'zoocache[cli]'\n"
        )
        raise SystemExit(2) from None
    raise SystemExit(run())
