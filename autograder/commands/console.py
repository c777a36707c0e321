"""The terminal that tables are drawn on: as wide as it is, or wide enough where the output goes to a file."""

from __future__ import annotations

from rich.console import Console

_FILE_COLUMNS = 150


def console(*, stderr: bool = False) -> Console:
    """Return the console; into a pipe or a file rich would squeeze every table into 80 columns."""
    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=_FILE_COLUMNS)
