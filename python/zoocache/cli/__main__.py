"""`python -m zoocache.cli`, where the command itself is not on the path."""

from __future__ import annotations

from zoocache.cli import main

main()
