"""Verdicts in, rows of nbgrader's gradebook out: a projection of the ledger that can be made again at any time.

How it works. nbgrader has no interface that writes a score: its own code sets `grade.auto_score`, and commits after every
row. Importing it costs 3 s of CPU, which would be most of the time from a submission to its result. So the few rows are
written here by SQL, in one transaction for a whole batch, as nbgrader's autograde would leave them. A gradebook of another
schema version is refused.

What it never touches: manual scores, extra credit, manual comments, extensions, flags, maximum scores. An
exercise that could not be graded by our fault has no automatic score and is marked as needing a person; whatever an
earlier attempt earned there is taken away with it, because it was earned by other bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import sqlalchemy as sa

from autograder.course import Manifest
from autograder.errors import BootcampError
from autograder.grading.verdict import Status, Verdict
from autograder.nbgrader_bridge import tables as t
from autograder.nbgrader_bridge.outputs import score

_BUSY_TIMEOUT_S = 30


@contextmanager
def opened(path: Path) -> Iterator[sa.Connection]:
    """Hold one transaction of nbgrader's database: commit at the end, roll back on an exception.

    Raises: BootcampError if it cannot be used.
    """
    if not path.is_file():
        raise BootcampError(f"{path}: there is no gradebook yet. Run: bootcamp init")
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_TIMEOUT_S})
    try:
        with engine.begin() as connection:
            _check_version(connection, path)
            yield connection
    except sa.exc.OperationalError as e:
        raise BootcampError(f"{path}: {e.orig}. Is another program writing to it? Nothing was changed.") from None
    finally:
        engine.dispose()


@dataclass(frozen=True)
class Row:
    """What the gradebook is to hold of one student's submission. `submitted_at` is aware.

    `kept_share` of the points is kept of a late one.
    """

    student: str
    assignment: str
    submitted_at: datetime
    verdicts: tuple[Verdict, ...]
    kept_share: float = 1.0


@dataclass(frozen=True)
class _Registered:
    """An assignment as nbgrader registered it: ids of the rows, cells by their name."""

    id: str
    notebook: str
    max_scores: Mapping[str, float]  # of check cells, by id
    cells: Mapping[str, str]  # name -> id, of check and answer cells


class Gradebook:
    """nbgrader's database, open for one batch. Use as `with Gradebook.writing(path, manifests) as gradebook`."""

    def __init__(self, connection: sa.Connection, manifests: Mapping[str, Manifest]) -> None:
        self.db, self.manifests = connection, manifests
        self._registered: dict[str, _Registered] = {}

    @classmethod
    @contextmanager
    def writing(cls, path: Path, manifests: Mapping[str, Manifest]) -> Iterator[Self]:
        """Hold one transaction, see `opened`."""
        with opened(path) as connection:
            yield cls(connection, manifests)

    def submitted_at(self, student: str, assignment: str) -> datetime | None:
        """Return the time of the submission that the gradebook holds; None when there is none."""
        c = t.submitted_assignment.c
        query = sa.select(c.timestamp).where(c.assignment_id == self._find(assignment).id, c.student_id == student)
        found = self.db.execute(query).scalar_one_or_none()
        return found.replace(tzinfo=UTC) if found else None

    def write(self, row: Row) -> None:
        """Make the gradebook say what the verdicts say.

        Raises: BootcampError when the assignment is not registered, InfraError when its points were changed since.
        """
        known, manifest = self._find(row.assignment), self.manifests[row.assignment]
        scores = {known.cells[f"{manifest.exercise(v.exercise).cell_id}-check"]: v for v in row.verdicts}
        answers = {known.cells[manifest.exercise(v.exercise).cell_id]: v for v in row.verdicts}
        self._ensure(t.student, id=row.student)
        submission = self._ensure(t.submitted_assignment, assignment_id=known.id, student_id=row.student)
        at = row.submitted_at.astimezone(UTC).replace(tzinfo=None)
        self.db.execute(sa.update(t.submitted_assignment).where(t.submitted_assignment.c.id == submission).values(timestamp=at))
        notebook = self._ensure(t.submitted_notebook, assignment_id=submission, notebook_id=known.notebook)
        self._write_grades(notebook, {cell: _auto_score(v, known.max_scores[cell]) for cell, v in scores.items()})
        # nbgrader's own words for a stub that was handed in unchanged.
        comments = {cell: "No response." if v.status is Status.SKIPPED else None for cell, v in answers.items()}
        existing = self._rows(t.comment, notebook)
        self._write(t.comment, notebook, existing, {cell: {"auto_comment": text} for cell, text in comments.items()})
        self._take_late_points(notebook, row.kept_share)

    def _take_late_points(self, notebook: str, kept_share: float) -> None:
        """As nbgrader's autograde leaves it: of what the notebook's score is now, manual scores and extra credit included."""
        g, n = t.grade.c, t.submitted_notebook.c
        earned = sa.func.coalesce(g.manual_score, g.auto_score, 0.0) + sa.func.coalesce(g.extra_credit, 0.0)
        score = self.db.execute(sa.select(sa.func.coalesce(sa.func.sum(earned), 0.0)).where(g.notebook_id == notebook)).scalar_one()
        penalty = score * (1.0 - kept_share) if kept_share < 1.0 else None
        self.db.execute(sa.update(t.submitted_notebook).where(n.id == notebook).values(late_submission_penalty=penalty))

    def _write_grades(self, notebook: str, scores: Mapping[str, float | None]) -> None:
        existing = self._rows(t.grade, notebook)
        values = {}
        for cell, auto in scores.items():
            old = existing.get(cell)
            by_hand = old is not None and old["manual_score"] is not None
            # As nbgrader's autograde decides it: what a person scored is to be looked at again, if there is news.
            again = by_hand and (old["needs_manual_grade"] or old["auto_score"] != auto) if old else False
            values[cell] = {"auto_score": auto, "needs_manual_grade": bool(again) or auto is None}
        self._write(t.grade, notebook, existing, values)

    def _find(self, assignment: str) -> _Registered:
        if assignment not in self._registered:
            self._registered[assignment] = self._read_registered(assignment)
        return self._registered[assignment]

    def _read_registered(self, assignment: str) -> _Registered:
        n, a, c = t.notebook.c, t.assignment.c, t.base_cell.c
        where = (a.name == assignment, n.name == assignment, n.assignment_id == a.id)
        found = self.db.execute(sa.select(a.id, n.id).where(*where)).one_or_none()
        if found is None:
            raise BootcampError(f"{assignment} is not registered in nbgrader's gradebook. Run: bootcamp init")
        cells = {name: id for id, name in self.db.execute(sa.select(c.id, c.name).where(c.notebook_id == found[1]))}
        g = t.grade_cells.c
        rows = self.db.execute(sa.select(g.id, g.max_score).where(g.id.in_(cells.values())))
        points = {row.id: row.max_score for row in rows}
        ids = [e.cell_id for e in self.manifests[assignment].exercises]
        if not {f"{id}-check" for id in ids} | set(ids) <= set(cells):
            raise BootcampError(f"{assignment}: nbgrader's gradebook knows other exercises than the release. Run: bootcamp init")
        return _Registered(found[0], found[1], points, cells)

    def _rows(self, table: sa.Table, notebook: str) -> dict[str, dict[str, Any]]:
        found = self.db.execute(sa.select(table).where(table.c.notebook_id == notebook)).mappings()
        return {row["cell_id"]: dict(row) for row in found}

    def _write(
        self, table: sa.Table, notebook: str, existing: Mapping[str, Mapping[str, Any]], values: Mapping[str, dict[str, Any]]
    ) -> None:
        old = [{"row": existing[cell]["id"], **v} for cell, v in values.items() if cell in existing]
        new = [{"id": uuid4().hex, "notebook_id": notebook, "cell_id": c, **v} for c, v in values.items() if c not in existing]
        if old:
            columns: dict[str, Any] = {name: sa.bindparam(name) for name in old[0] if name != "row"}
            self.db.execute(sa.update(table).where(table.c.id == sa.bindparam("row")).values(columns), old)
        if new:
            self.db.execute(sa.insert(table), new)

    def _ensure(self, table: sa.Table, **key: str) -> str:
        """Return the id of the row with this key; make the row if there is none."""
        where = [table.c[name] == value for name, value in key.items()]
        found = self.db.execute(sa.select(table.c.id).where(*where)).scalar_one_or_none()
        if found is not None:
            return str(found)
        flagged = {"flagged": False} if "flagged" in table.c else {}
        row = {"id": uuid4().hex, **key}
        self.db.execute(sa.insert(table).values({**flagged, **row}))
        return row["id"]


def _auto_score(verdict: Verdict, max_score: float) -> float | None:
    return None if verdict.status is Status.INFRA else score(verdict, max_score)


def _check_version(connection: sa.Connection, path: Path) -> None:
    found = connection.execute(sa.select(t.version.c.version_num)).scalars().all()
    if found != [t.SCHEMA_VERSION]:
        raise BootcampError(
            f"{path}: schema {', '.join(found) or 'unknown'}, expected nbgrader's {t.SCHEMA_VERSION}. "
            "Back the file up, then run in its folder: nbgrader db upgrade"
        )
