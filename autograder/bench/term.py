"""A size in; a course on disk and a ledger that holds a term of that size out, as appends would have left it, but in bulk.

Abilities and difficulties decide who passes, from a fixed seed, so that the tracker has something to find. A smaller cohort took
the same course a year earlier. What people decide and ask for is not here: `deeds` does that through the running service.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Table, text

from autograder.course import Course, Exercise, Manifest, ManifestCell, load
from autograder.records import Attempt, Ledger
from autograder.records import schema as t

COHORT, EARLIER, BUILD = "2026", "2025", "bench"
_TRACKS = ("foundations", "transformers", "interpretability", "robustness")
_CHUNK = 20_000
_TIMED_OUT = 0.02  # of the answers that do not pass
_YEAR = timedelta(weeks=52)
_SLIP = "Which axis do you reduce?"
_HINTS = ("The result differs from the definition at shape (2, 3, 4).", "Row 0 sums to 0.25, not 1 (t=4).", _SLIP)


@dataclass(frozen=True)
class Size:
    """How large a term is."""

    n_students: int
    n_assignments: int = 17
    n_exercises: int = 12
    n_tries: int = 2

    @property
    def n_before(self) -> int:
        """How many took the course a year earlier."""
        return self.n_students // 10

    def start(self, end: datetime) -> datetime:
        """Return when a term that ends then began."""
        return end - timedelta(weeks=self.n_assignments)


@dataclass(frozen=True)
class _Cohort:
    """Students `first` to `first + n`, whose events come after so many others."""

    name: str
    size: Size
    first: int
    n: int
    start: datetime
    shift: float  # of their abilities
    n_events_before: int

    @property
    def students(self) -> range:
        return range(self.first, self.first + self.n)

    @property
    def n_events(self) -> int:
        return self.n * (1 + 2 * self.size.n_assignments * self.size.n_tries)


def write_course(root: Path, size: Size, end: datetime) -> Course:
    """Write course.toml and the built manifests of a made-up course whose last assignment is due then."""
    lines = ['title = "A large bootcamp"']
    for k in range(size.n_assignments):
        name, week = f"a{k:02}_topic", k + 1
        due = (size.start(end) + timedelta(weeks=week)).isoformat()
        lines += ["[[assignment]]", f'id = "{name}"', f'title = "Topic {k}"', f'track = "{_TRACKS[k % 4]}"']
        lines += [f"week = {week}", f"due = {due}"]
        release = root / "release" / name
        release.mkdir(parents=True)
        (release / "assignment.json").write_text(json.dumps(_manifest(name, size.n_exercises).as_json()), "utf-8")
    (root / "assignments").mkdir()
    (root / "assignments" / "course.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return load(root)


def end_of(course: Course) -> datetime:
    """Return when the last assignment of a course that `write_course` wrote is due."""
    return max(a.due for a in course if a.due)


def fill(ledger: Ledger, size: Size, end: datetime) -> None:
    """Write the terms of both cohorts into an empty ledger; the newer one ends then."""
    start = size.start(end)
    before = _Cohort(EARLIER, size, size.n_students, size.n_before, start - _YEAR, -0.4, 0)
    for cohort in (before, _Cohort(COHORT, size, 0, size.n_students, start, 0.0, before.n_events)):
        _fill(ledger, cohort)
    with ledger.reading() as db:
        if db.dialect.name == "postgresql":
            # Its own numbers go on after ours.
            db.execute(text("SELECT setval(pg_get_serial_sequence('event', 'id'), (SELECT max(id) FROM event))"))
        db.execute(text("ANALYZE"))
        db.commit()


def name_of(s: int) -> str:
    return f"student{s:05}"


def pseudonym_of(s: int) -> str:
    return f"s{s:08x}"


def attempt_of(s: int, assignment: int, n: int) -> str:
    """Return the id of a student's n-th attempt, from 0."""
    return f"{assignment:02}{n}{s:08x}"


def _fill(ledger: Ledger, cohort: _Cohort) -> None:
    """Write table by table, so that every row finds what it refers to."""
    for table, rows in (
        (t.event, _events(cohort)),
        (t.student, _students(cohort)),
        (t.identity, ({"name": name_of(s), "pseudonym": pseudonym_of(s)} for s in cohort.students)),
        (t.attempt, ({**vars(a), "event": e} for a, e in _attempts(cohort))),
        (t.grading, (_grading(a, e + 1) for a, e in _attempts(cohort))),
        (t.verdict, _verdicts(cohort)),
        # Links that say nothing: the chain is not what is measured, and the first page would pay for half a million of them.
        (t.link, ({"event": e["id"], "cohort": cohort.name, "facts": "0" * 64, "hash": "0" * 64} for e in _events(cohort))),
    ):
        _write(ledger, table, rows)


def _manifest(name: str, n: int) -> Manifest:
    made = [
        Exercise(f"{name}.e{k:02}", (f"e{k:02}",), f"Exercise {k}", 4.0, 10, 3, 3, f"x-{name}-{k}", f"def e{k:02}(): ...", ())
        for k in range(n)
    ]
    return Manifest(name, tuple(made), tuple(ManifestCell("answer", e.cell_id, e.stub, e.id) for e in made))


def _students(cohort: _Cohort) -> Iterator[dict[str, Any]]:
    for k, s in enumerate(cohort.students):
        joined = {"joined_at": cohort.start, "left_at": None, "event": cohort.n_events_before + k + 1}
        yield {"pseudonym": pseudonym_of(s), "cohort": cohort.name, **joined}


def _attempts(cohort: _Cohort) -> Iterator[tuple[Attempt, int]]:
    """All attempts by time of arrival, each with the number of its event; the next number is that of its grading."""
    event = cohort.n_events_before + cohort.n + 1
    for k in range(cohort.size.n_assignments):
        for n in range(cohort.size.n_tries):
            for s in cohort.students:
                at = cohort.start + timedelta(weeks=k, days=1 + 2 * n, seconds=s)
                sha256 = f"{(k * 10 + n) << 32 | s:064x}"
                yield Attempt(attempt_of(s, k, n), pseudonym_of(s), f"a{k:02}_topic", sha256, at), event
                event += 2


def _events(cohort: _Cohort) -> Iterator[dict[str, Any]]:
    def event(id: int, kind: str, at: datetime, subject: str) -> dict[str, Any]:
        return {"id": id, "kind": kind, "at": at, "actor": "bench", "subject": subject, "payload": {}}

    for k, s in enumerate(cohort.students):
        yield event(cohort.n_events_before + k + 1, "student.enrolled", cohort.start, pseudonym_of(s))
    for a, e in _attempts(cohort):
        yield event(e, "attempt.received", a.received_at, a.pseudonym)
        yield event(e + 1, "attempt.graded", a.received_at, a.pseudonym)


def _grading(a: Attempt, event: int) -> dict[str, Any]:
    place = int(a.id[3:], 16) % 100
    waited = 2 + 0.04 * place + (94 if place == 99 else 0)  # half are graded within 4 s, and one in a hundred waits for 100 s
    at = a.received_at + timedelta(seconds=waited)
    fixed = {"grader_build": BUILD, "tier": "B", "origin": "graded", "try_no": 1, "complete": True, "cpu_s": 0.1}
    return {
        "event": event,
        "attempt": a.id,
        "graded_at": at,
        "error": "",
        "notes": [],
        "output": "",
        **fixed,
    }


def _verdicts(cohort: _Cohort) -> Iterator[dict[str, Any]]:
    size, rng, items = cohort.size, random.Random(f"{cohort.name} 7"), random.Random(7)
    ability = {s: rng.gauss(cohort.shift, 1) for s in cohort.students}
    hard = [[items.gauss(-0.4, 0.9) for _ in range(size.n_exercises)] for _ in range(size.n_assignments)]
    passed: set[int] = set()
    fixed = {"max_points": 4.0, "evidence": "verified", "cpu_s": 0.01, "notes": [], "key": None}
    last = ""
    for a, e in _attempts(cohort):
        k, n, s = int(a.id[:2]), int(a.id[2]), int(a.id[3:], 16)
        if a.assignment != last:
            last, passed = a.assignment, set()
        for j in range(size.n_exercises):
            at = s * size.n_exercises + j
            done = at in passed or rng.random() < 1 / (1 + math.exp(hard[k][j] - ability[s]))
            if done:
                passed.add(at)
            word = "pass" if done else "timeout" if rng.random() < _TIMED_OUT else "fail"
            what = {"status": word, "points": 4.0 * done, "fraction": float(done)}
            # What somebody fails at in the end is looked at on pages; of four million verdicts it would only fill the disk.
            said = _said(rng) if not done and n == size.n_tries - 1 else {"hint": "", "checks": []}
            yield {"grading": e + 1, "exercise": f"{a.assignment}.e{j:02}", "position": j, **what, **said, **fixed}


def _said(rng: random.Random) -> dict[str, Any]:
    """Return what a failed answer is told: the hint of a check, or that of a known slip, and what every check said."""
    broken, plain = rng.randrange(3), {"weight": 1.0, "core": False, "evidence": "verified", "cpu_s": 0.003}
    words = ["" if i != broken else _HINTS[i] for i in range(3)]
    checks = [{"name": f"check_{i}", "status": "fail" if w else "pass", "hint": w, **plain} for i, w in enumerate(words)]
    return {"hint": _HINTS[broken] if rng.random() < 0.7 else f"This is what a known slip answers. {_SLIP}", "checks": checks}


def _write(ledger: Ledger, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    names = [c.name for c in table.columns]
    listed, marks = ", ".join(f'"{n}"' for n in names), ", ".join("?" for _ in names)
    with ledger.reading() as db:
        bind = [c.type.dialect_impl(db.dialect).bind_processor(db.dialect) or (lambda v: v) for c in table.columns]
        values = ([f(row[name]) for name, f in zip(names, bind, strict=True)] for row in rows)
        # SQLAlchemy's own insert takes ten times as long for four million rows.
        raw: Any = db.connection.driver_connection
        cursor = raw.cursor()
        if db.dialect.name == "postgresql":
            with cursor.copy(f"COPY {table.name} ({listed}) FROM STDIN") as copy:
                for row in values:
                    copy.write_row(row)
        else:
            cursor.execute("BEGIN")
            while part := list(islice(values, _CHUNK)):
                cursor.executemany(f"INSERT INTO {table.name} ({listed}) VALUES ({marks})", part)
        raw.commit()
