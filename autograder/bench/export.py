"""3,000 students, 10 assignments, 12 exercises in; the seconds that their export takes out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert

from autograder.bench.row import Bench, Row, Watch
from autograder.records import Attempt, Ledger
from autograder.records import schema as t
from autograder.records.exporting import rows, write_csv

_START = datetime(2026, 9, 1, tzinfo=UTC)
_LIMIT_S = 5.0


def measure(bench: Bench) -> Row:
    """Export to CSV from a SQLite ledger of full size."""
    n_students, n_assignments, n_exercises = max(1, int(3000 * bench.scale)), 10, 12
    with Ledger.open(f"sqlite:///{bench.folder}/ledger.sqlite") as ledger:
        with ledger.writing() as db:
            fill(db, n_students, n_assignments, n_exercises)
        watch = Watch()
        with (bench.folder / "out.csv").open("w", newline="") as file:
            n = write_csv(rows(ledger), file)
        wall_s, cpu_s = watch.wall_s, watch.cpu_s
    whole = n == n_students * n_assignments * n_exercises
    return Row(
        "3000 x 10 x 12 exported in under 5 s", whole and cpu_s < _LIMIT_S, f"{n} rows, {wall_s:.1f} s wall, {cpu_s:.1f} CPU s"
    )


def fill(db: Connection, n_students: int, n_assignments: int, n_exercises: int) -> None:
    """Rows as appends would leave them, in bulk."""
    events, students, names, attempts, gradings, verdicts = (list[dict[str, Any]]() for _ in range(6))

    def event(kind: str, at: datetime, subject: str) -> int:
        events.append({"id": len(events) + 1, "kind": kind, "at": at, "actor": "bench", "subject": subject, "payload": {}})
        return len(events)

    for s in range(n_students):
        p = f"s{s:06}"
        students.append({"pseudonym": p, "cohort": f"c{s % 3}", "joined_at": _START, "event": event("student.enrolled", _START, p)})
        names.append({"name": f"student {s}", "pseudonym": p})
        for a in range(n_assignments):
            at = _START + timedelta(days=a, seconds=s)
            made = Attempt.of(p, f"a{a:02}", f"{s * 100 + a:064x}", at)
            attempts.append({**vars(made), "event": event("attempt.received", at, p)})
            graded = event("attempt.graded", at, p)
            gradings.append(_grading(graded, made.id, at))
            verdicts += [_verdict(graded, f"a{a:02}.e{e:02}", e, float((s + e) % 5)) for e in range(n_exercises)]
    tables = ((t.event, events), (t.student, students), (t.identity, names), (t.attempt, attempts), (t.grading, gradings))
    for table, found in (*tables, (t.verdict, verdicts)):
        for start in range(0, len(found), 20_000):
            db.execute(insert(table), found[start : start + 20_000])


def _grading(event: int, attempt: str, at: datetime) -> dict[str, Any]:
    fixed = {"grader_build": "b", "tier": "B", "origin": "graded", "try_no": 1, "complete": True, "cpu_s": 0.1}
    return {"event": event, "attempt": attempt, "graded_at": at, "error": "", "notes": [], "output": "", **fixed}


def _verdict(grading: int, exercise: str, position: int, points: float) -> dict[str, Any]:
    fixed = {"max_points": 4.0, "evidence": "verified", "cpu_s": 0.01, "hint": "", "notes": [], "checks": [], "key": None}
    what = {"status": "pass" if points == 4 else "fail", "points": points, "fraction": points / 4}
    return {"grading": grading, "exercise": exercise, "position": position, **what, **fixed}
