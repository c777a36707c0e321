"""A finished run of the gate in, a stamp for exactly these files out; and later, whether an assignment has one.

The stamp is named by a hash of everything that the gate looked at (engine, checks, mutants, reference, environment) and
everything that students would get, so an edit to any of them takes it away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from autograder.course import Assignment
from autograder.errors import BootcampError
from autograder.grading.bundle import build_id

MIN_SEEDS = 20
_LEFT_BY_TOOLS = {"__pycache__", ".ipynb_checkpoints"}


@dataclass(frozen=True)
class Stamp:
    """One run of the gate that found no fault. `seed` repeats it."""

    assignment: str
    key: str
    n_seeds: int
    seed: str
    at: str


class Stamps:
    """A folder of stamps, one per assignment: the newest run counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, assignment: Assignment, key: str, n_seeds: int, seed: str, at: datetime) -> None:
        """Record that the gate found no fault in the files that `key` names."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(assignment)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(Stamp(assignment.id, key, n_seeds, seed, at.isoformat())), indent=1) + "\n", "utf-8")
        part.replace(path)

    def drop(self, assignment: Assignment) -> None:
        """Record that the gate found a fault: what passed before counts no more."""
        self._path(assignment).unlink(missing_ok=True)

    def check(self, assignment: Assignment) -> Stamp:
        """Return the stamp of the assignment as it lies on the disk now.

        Raises: BootcampError that says what to type, when the gate has not passed exactly these files.
        """
        again = f"Run: bootcamp check {assignment.id}"
        try:
            stamp = Stamp(**json.loads(self._path(assignment).read_text("utf-8")))
        except FileNotFoundError:
            raise BootcampError(f"{assignment.id} is not released: it has not passed the gate here. {again}") from None
        except (OSError, ValueError, TypeError) as e:
            raise BootcampError(
                f"{assignment.id} is not released: {self._path(assignment)} cannot be read ({e}). {again}"
            ) from None
        if stamp.key != key_of(assignment):
            raise BootcampError(
                f"{assignment.id} is not released: files or engine have changed since the gate passed on {stamp.at[:16]}. {again}"
            )
        if stamp.n_seeds < MIN_SEEDS:
            raise BootcampError(
                f"{assignment.id} is not released: the gate ran {stamp.n_seeds} seeds; expected {MIN_SEEDS}. {again}"
            )
        return stamp

    def _path(self, assignment: Assignment) -> Path:
        return self.folder / f"{assignment.id}.json"


def key_of(assignment: Assignment) -> str:
    """Return the hash of what the gate looks at and of what students get. Raises: BootcampError when it is not built."""
    if not (assignment.release / f"{assignment.id}.ipynb").is_file():
        raise BootcampError(f"{assignment.id} is not built. Run: bootcamp build {assignment.id}")
    digest = hashlib.sha256(build_id(assignment).encode())
    for name, path in _files(assignment):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _files(assignment: Assignment) -> Iterator[tuple[str, Path]]:
    for path in sorted(assignment.folder.glob("mutants*.py")):
        yield path.name, path
    for path in sorted(assignment.release.rglob("*")):
        if path.is_file() and not _LEFT_BY_TOOLS & set(path.parts):
            yield path.relative_to(assignment.release).as_posix(), path
