"""What a regrade would do in; the newest preview per assignment, kept in the home for pages to show, out.

A preview leaves the ledger as it is, so it is a file: newer ones take its place. It holds pseudonyms, and no name.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from autograder.records.regrading import Change, Regrade

_ASSIGNMENT = re.compile(r"[a-z0-9_]{1,64}")


@dataclass(frozen=True)
class Flip:
    """A state of the tracker that the regrade would change."""

    pseudonym: str
    before: str
    after: str


@dataclass(frozen=True)
class Preview:
    """What `bootcamp regrade` would append, as of `event`; `n_faults` attempts could not be replayed, by our fault."""

    assignment: str
    at: datetime
    by: str
    event: int
    rule: str
    grader_build: str
    n_attempts: int
    n_kept: int
    n_faults: int
    changes: tuple[Change, ...] = ()
    flips: tuple[Flip, ...] = field(default=())


def preview_of(
    found: Regrade, assignment: str, rule: str, build: str, n_faults: int, flips: Sequence[Flip], at: datetime, by: str, event: int
) -> Preview:
    """Return what is kept of a regrade that was only shown."""
    return Preview(assignment, at, by, event, rule, build, found.n_attempts, found.n_kept, n_faults, found.changes, tuple(flips))


def keep(folder: Path, preview: Preview) -> None:
    """Write the preview in place of an older one of the same assignment."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = {**asdict(preview), "at": preview.at.isoformat()}
    path = folder / f"{preview.assignment}.json"
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(data), "utf-8")
    draft.replace(path)


def forget(folder: Path, assignment: str) -> None:
    """Remove what is kept of the assignment: it was committed."""
    (folder / f"{assignment}.json").unlink(missing_ok=True)


def kept(folder: Path, assignment: str) -> Preview | None:
    """Return the newest preview, None when there is none that can be read."""
    path = folder / f"{assignment}.json"
    if not _ASSIGNMENT.fullmatch(assignment) or not path.is_file():
        return None
    try:
        data = json.loads(path.read_text("utf-8"))
        changes, flips = (tuple(kind(**x) for x in data[name]) for kind, name in ((Change, "changes"), (Flip, "flips")))
        return Preview(**{**data, "at": datetime.fromisoformat(data["at"]), "changes": changes, "flips": flips})
    except (ValueError, KeyError, TypeError):  # of another version of ours
        return None
