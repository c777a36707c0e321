"""A size in; a course on disk and a ledger that holds a term of that size out, as appends would have left it, but in bulk.

Abilities and difficulties decide who passes, from a fixed seed, so that the tracker has something to find.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Table, text

from autograder.course import Course, Exercise, Manifest, ManifestCell, load
from autograder.records import Attempt, Ledger
from autograder.records import schema as t

START = datetime(2026, 9, 1, 9, tzinfo=UTC)
COHORT, BUILD = "2026", "bench"
_TRACKS = ("foundations", "transformers", "interpretability", "robustness")
_CHUNK = 20_000


@dataclass(frozen=True)
class Size:
    """How large a term is."""

    n_students: int
    n_assignments: int = 17
    n_exercises: int = 12
    n_tries: int = 2

    @property
    def end(self) -> datetime:
        return START + timedelta(weeks=self.n_assignments)


def write_course(root: Path, size: Size) -> Course:
    """Write course.toml and the built manifests of a made-up course."""
    lines = ['title = "A large bootcamp"']
    for k in range(size.n_assignments):
        name, week = f"a{k:02}_topic", k + 1
        due = (START + timedelta(weeks=week)).isoformat()
        lines += ["[[assignment]]", f'id = "{name}"', f'title = "Topic {k}"', f'track = "{_TRACKS[k % 4]}"']
        lines += [f"week = {week}", f"due = {due}"]
        release = root / "release" / name
        release.mkdir(parents=True)
        (release / "assignment.json").write_text(json.dumps(_manifest(name, size.n_exercises).as_json()), "utf-8")
    (root / "assignments").mkdir()
    (root / "assignments" / "course.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return load(root)


def fill(ledger: Ledger, size: Size) -> None:
    """Write the term into an empty ledger, table by table, so that every row finds what it refers to."""
    for table, rows in (
        (t.event, _events(size)),
        (t.student, _students(size)),
        (t.identity, ({"name": f"student{s:05}", "pseudonym": _who(s)} for s in range(size.n_students))),
        (t.attempt, ({**vars(a), "event": e} for a, e in _attempts(size))),
        (t.grading, (_grading(a, e + 1) for a, e in _attempts(size))),
        (t.verdict, _verdicts(size)),
        # Links that say nothing: the chain is not what is measured, and the first page would pay for half a million of them.
        (t.link, ({"event": e["id"], "cohort": COHORT, "facts": "0" * 64, "hash": "0" * 64} for e in _events(size))),
    ):
        _write(ledger, table, rows)
    with ledger.reading() as db:
        if db.dialect.name == "postgresql":
            # Its own numbers go on after ours.
            db.execute(text("SELECT setval(pg_get_serial_sequence('event', 'id'), (SELECT max(id) FROM event))"))
        db.execute(text("ANALYZE"))
        db.commit()


def _manifest(name: str, n: int) -> Manifest:
    made = [
        Exercise(f"{name}.e{k:02}", (f"e{k:02}",), f"Exercise {k}", 4.0, 10, 3, 3, f"x-{name}-{k}", f"def e{k:02}(): ...", ())
        for k in range(n)
    ]
    return Manifest(name, tuple(made), tuple(ManifestCell("answer", e.cell_id, e.stub, e.id) for e in made))


def _who(s: int) -> str:
    return f"s{s:08x}"


def _students(size: Size) -> Iterator[dict[str, Any]]:
    for s in range(size.n_students):
        yield {"pseudonym": _who(s), "cohort": COHORT, "joined_at": START, "left_at": None, "event": s + 1}


def _attempts(size: Size) -> Iterator[tuple[Attempt, int]]:
    """All attempts by time of arrival, each with the number of its event; the next number is that of its grading."""
    event = size.n_students + 1
    for k in range(size.n_assignments):
        for n in range(size.n_tries):
            for s in range(size.n_students):
                at = START + timedelta(weeks=k, days=1 + 2 * n, seconds=s)
                yield Attempt(f"{k:02}{n}{s:08x}", _who(s), f"a{k:02}_topic", f"{(k * 10 + n) << 32 | s:064x}", at), event
                event += 2


def _events(size: Size) -> Iterator[dict[str, Any]]:
    def event(id: int, kind: str, at: datetime, subject: str) -> dict[str, Any]:
        return {"id": id, "kind": kind, "at": at, "actor": "bench", "subject": subject, "payload": {}}

    for s in range(size.n_students):
        yield event(s + 1, "student.enrolled", START, _who(s))
    for a, e in _attempts(size):
        yield event(e, "attempt.received", a.received_at, a.pseudonym)
        yield event(e + 1, "attempt.graded", a.received_at, a.pseudonym)


def _grading(a: Attempt, event: int) -> dict[str, Any]:
    fixed = {"grader_build": BUILD, "tier": "B", "origin": "graded", "try_no": 1, "complete": True, "cpu_s": 0.1}
    return {"event": event, "attempt": a.id, "graded_at": a.received_at, "error": "", "notes": [], "output": "", **fixed}


def _verdicts(size: Size) -> Iterator[dict[str, Any]]:
    rng = random.Random(7)
    ability = [rng.gauss(0, 1) for _ in range(size.n_students)]
    hard = [[rng.gauss(-0.4, 0.9) for _ in range(size.n_exercises)] for _ in range(size.n_assignments)]
    passed: set[int] = set()
    fixed = {"max_points": 4.0, "evidence": "verified", "cpu_s": 0.01, "hint": "", "notes": [], "checks": [], "key": None}
    last = ""
    for a, e in _attempts(size):
        k, s = int(a.id[:2]), int(a.id[3:], 16)
        if a.assignment != last:
            last, passed = a.assignment, set()
        for j in range(size.n_exercises):
            at = s * size.n_exercises + j
            done = at in passed or rng.random() < 1 / (1 + math.exp(hard[k][j] - ability[s]))
            if done:
                passed.add(at)
            what = {"status": "pass" if done else "fail", "points": 4.0 * done, "fraction": float(done)}
            yield {"grading": e + 1, "exercise": f"{a.assignment}.e{j:02}", "position": j, **what, **fixed}


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
