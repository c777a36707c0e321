"""nbgrader's gradebook and the ledger, both ways: what people scored and remarked in formgrader becomes events; and back.

The ledger's newest word on each graded cell is what a rebuilt gradebook gets. Remarks are free text: they stand in a
table of their own, which an erasure empties; the event holds their hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from autograder.nbgrader_bridge import tables as t
from autograder.nbgrader_bridge.gradebook import opened
from autograder.records import Ledger
from autograder.records.remarks import remarks_of, with_remark

KIND = "manual.scored"
_NUMBERS = ("manual_score", "extra_credit")


@dataclass(frozen=True)
class Cell:
    """One cell of one student's submission, by nbgrader's names."""

    student: str
    assignment: str
    notebook: str
    cell: str


@dataclass(frozen=True)
class ByHand:
    """What a person gave a cell. None: nothing."""

    manual_score: float | None = None
    extra_credit: float | None = None
    remark: str | None = None


def collect(ledger: Ledger, path: Path, at: datetime, *, whole: bool = True) -> int:
    """Append what changed in the gradebook since the last time; return how many cells that were.

    What was given and is there no more was taken away by a person, unless the gradebook is not `whole`.
    """
    if not path.is_file():
        return 0
    with opened(path) as db:
        found = read(db)
    known, pseudonyms = newest(ledger), {name: p for p, name in ledger.names().items()}
    changed = {cell: given for cell, given in found.items() if given != known.get(cell, ByHand())}
    if whole:
        changed |= {cell: ByHand() for cell, given in known.items() if given != ByHand() and cell not in found}
    n = 0
    for cell, given in changed.items():
        if cell.student not in pseudonyms:
            continue
        numbers = {name: getattr(given, name) for name in _NUMBERS}
        where = {"assignment": cell.assignment, "notebook": cell.notebook, "cell": cell.cell}
        sha256 = hashlib.sha256(given.remark.encode()).hexdigest() if given.remark is not None else None
        payload = {**where, **numbers, "remark_sha256": sha256}
        with_remark(ledger, KIND, at, "formgrader", pseudonyms[cell.student], payload, given.remark)
        n += 1
    return n


def newest(ledger: Ledger) -> dict[Cell, ByHand]:
    """Return the ledger's newest word on every cell that a person ever touched."""
    names, found, last = ledger.names(), dict[Cell, ByHand](), 0
    while batch := ledger.events(last, (KIND,)):
        texts = remarks_of(ledger, [e.id for e in batch])
        for e in batch:
            last = e.id
            if e.subject in names:
                p = e.payload
                cell = Cell(names[e.subject], p["assignment"], p["notebook"], p["cell"])
                found[cell] = ByHand(p["manual_score"], p["extra_credit"], texts.get(e.id))
    return found


def restore(path: Path, by_hand: Mapping[Cell, ByHand]) -> int:
    """Write what people gave into a gradebook that lacks it; return how many cells were written.

    Cells of submissions that the gradebook does not hold are left out.
    """
    with opened(path) as db:
        ids, have, n = _places(db), read(db), 0
        for cell, given in by_hand.items():
            if given == have.get(cell, ByHand()) or cell not in ids:
                continue
            notebook, base = ids[cell]
            if (given.manual_score, given.extra_credit) != (None, None):
                numbers = {"manual_score": given.manual_score, "extra_credit": given.extra_credit, "needs_manual_grade": False}
                _write(db, t.grade, notebook, base, numbers)
            if given.remark is not None:
                _write(db, t.comment, notebook, base, {"manual_comment": given.remark})
            n += 1
    return n


def read(db: sa.Connection) -> dict[Cell, ByHand]:
    """Return what people gave, by cell."""
    found: dict[Cell, dict[str, Any]] = {}
    for table, names in ((t.grade, _NUMBERS), (t.comment, ("manual_comment",))):
        given = sa.or_(*(table.c[n].is_not(None) for n in names))
        for row in db.execute(_named(table).add_columns(*(table.c[n] for n in names)).where(given)):
            cell = Cell(row.student, row.assignment, row.notebook, row.cell)
            found.setdefault(cell, {}).update({"remark" if n == "manual_comment" else n: getattr(row, n) for n in names})
    # 0 extra credit is what nbgrader stores for none.
    return {c: ByHand(v.get("manual_score"), v.get("extra_credit") or None, v.get("remark")) for c, v in found.items()}


def _named(table: sa.Table) -> sa.Select[Any]:
    sn, sa_, a, n, b = t.submitted_notebook, t.submitted_assignment, t.assignment, t.notebook, t.base_cell
    return (
        sa.select(
            sa_.c.student_id.label("student"), a.c.name.label("assignment"), n.c.name.label("notebook"), b.c.name.label("cell")
        )
        .select_from(table)
        .join(sn, sn.c.id == table.c.notebook_id)
        .join(sa_, sa_.c.id == sn.c.assignment_id)
        .join(a, a.c.id == sa_.c.assignment_id)
        .join(n, n.c.id == sn.c.notebook_id)
        .join(b, b.c.id == table.c.cell_id)
    )


def _places(db: sa.Connection) -> dict[Cell, tuple[str, str]]:
    """Every cell of every submission -> (submitted notebook's id, cell's id)."""
    sn, sa_, a, n, b = t.submitted_notebook, t.submitted_assignment, t.assignment, t.notebook, t.base_cell
    query = (
        sa.select(sa_.c.student_id, a.c.name, n.c.name, b.c.name, sn.c.id, b.c.id)
        .select_from(sn)
        .join(sa_, sa_.c.id == sn.c.assignment_id)
        .join(a, a.c.id == sa_.c.assignment_id)
        .join(n, n.c.id == sn.c.notebook_id)
        .join(b, b.c.notebook_id == n.c.id)
    )
    return {Cell(*row[:4]): (row[4], row[5]) for row in db.execute(query)}


def _write(db: sa.Connection, table: sa.Table, notebook: str, cell: str, values: dict[str, Any]) -> None:
    mine = (table.c.notebook_id == notebook, table.c.cell_id == cell)
    if db.execute(sa.update(table).where(*mine).values(values)).rowcount == 0:
        db.execute(sa.insert(table).values(id=uuid4().hex, notebook_id=notebook, cell_id=cell, **values))
