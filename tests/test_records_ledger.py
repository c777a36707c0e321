"""The ledger appends once, tells duplicates, never scores our own fault, and forgets nothing. On every database it serves."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from autograder.grading.verdict import CheckResult, Graded, Status, Verdict
from autograder.records import Attempt, Ledger, LedgerError, Outcome
from tests.ledger_world import START, graded, handed_in, minute, postgres_ledger, sqlite_ledger, verdict


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with postgres_ledger() if request.param == "postgresql" else sqlite_ledger(tmp_path) as opened:
        yield opened


@pytest.fixture
def ann(ledger: Ledger) -> str:
    return ledger.enrol("ann", "2026", START)


def test_a_grading_is_recorded_with_its_attempt_and_two_events(ledger: Ledger, ann: str) -> None:
    """One append records attempt, grading, verdicts and their events."""
    attempt = handed_in(ann, 1)
    before = ledger.last_event()

    appended = ledger.append(attempt, graded(attempt, mask=4, rope=1), minute(2))

    assert appended.outcome is Outcome.RECORDED
    assert appended.complete
    assert [e.kind for e in ledger.events(after=before)] == ["attempt.received", "attempt.graded"]
    assert ledger.attempts(ann) == [attempt]
    assert ledger.last_event() == appended.grading == before + 2


def test_verdicts_come_back_as_they_were_appended(ledger: Ledger, ann: str) -> None:
    """Nothing of a verdict is lost or reordered on its way through the database."""
    attempt = handed_in(ann, 1)
    checks = (CheckResult("shape", Status.PASS, 1.0, core=True), CheckResult("values", Status.FAIL, 3.0, hint="Row 0?", cpu_s=0.25))
    said = (
        Verdict("T1.rope", Status.FAIL, 1.0, 4.0, checks, "Row 0 sums to 0.25", ("found by name",), 0.5),
        Verdict("T1.mask", Status.PASS, 0.1 + 0.2, 0.1 + 0.2),
    )
    ledger.append(attempt, Graded("t1", attempt.sha256, said, "b1", "B", ("note",), "printed", cpu_s=1.5), minute(2))

    (result,) = ledger.results(ann)
    (grading,) = ledger.gradings(attempt.id)

    assert result.latest.verdicts == said
    assert result.latest.notes == grading.notes == ("note",)
    assert (grading.output, grading.cpu_s, grading.graded_at) == ("printed", 1.5, minute(2))


def test_a_late_duplicate_changes_nothing_and_says_so(ledger: Ledger, ann: str) -> None:
    """The same build's second word on a fully scored attempt is not written, even if it differs."""
    attempt = handed_in(ann, 1)
    first = ledger.append(attempt, graded(attempt, mask=4), minute(2))
    before = (ledger.last_event(), ledger.results(ann))

    again = ledger.append(attempt, graded(attempt, mask=0), minute(3))

    assert again.outcome is Outcome.DUPLICATE
    assert not again.is_new
    assert again.grading == first.grading
    assert "nothing changed" in str(again)
    assert (ledger.last_event(), ledger.results(ann)) == before


def test_our_own_fault_is_visible_and_never_a_score(ledger: Ledger, ann: str) -> None:
    """An INFRA verdict is recorded with points None and yields no first try."""
    attempt = handed_in(ann, 1)

    appended = ledger.append(attempt, graded(attempt, mask=None), minute(2))

    assert not appended.complete
    (result,) = ledger.results(ann)
    assert result.latest.verdicts[0].points is None
    assert result.latest.n_infra == 1
    assert ledger.first_tries() == []


def test_a_retry_of_the_same_build_completes_and_loses_nothing(ledger: Ledger, ann: str) -> None:
    """A retry adds what was missing; what the first try scored stays although the retry failed on it."""
    attempt = handed_in(ann, 1)
    ledger.append(attempt, graded(attempt, mask=4, rope=None), minute(2))

    retry = ledger.append(attempt, graded(attempt, mask=None, rope=3), minute(3))

    assert retry.outcome is Outcome.COMPLETED
    assert retry.complete
    assert {v.exercise: v.points for v in ledger.results(ann)[0].latest.verdicts} == {"T1.mask": 4, "T1.rope": 3}
    assert ledger.append(attempt, graded(attempt, mask=0, rope=0), minute(4)).outcome is Outcome.DUPLICATE


def test_a_retry_that_fails_like_the_first_is_a_duplicate(ledger: Ledger, ann: str) -> None:
    """INFRA twice is one fact; the retry after it can still complete."""
    attempt = handed_in(ann, 1)
    ledger.append(attempt, graded(attempt, mask=None), minute(2))

    assert ledger.append(attempt, graded(attempt, mask=None), minute(3)).outcome is Outcome.DUPLICATE
    assert ledger.append(attempt, graded(attempt, mask=2), minute(4)).complete


def test_an_unreadable_file_is_recorded_with_its_reason(ledger: Ledger, ann: str) -> None:
    """A grading without verdicts is incomplete, shows why, and a repaired reader of the same build may complete it."""
    attempt = handed_in(ann, 1)
    appended = ledger.append(attempt, graded(attempt, error="line 3: not JSON"), minute(2))

    assert not appended.complete
    assert ledger.results(ann)[0].latest.error == "line 3: not JSON"
    assert ledger.cohort_table()[0].error == "line 3: not JSON"
    assert ledger.append(attempt, graded(attempt, error="line 3: not JSON"), minute(3)).outcome is Outcome.DUPLICATE
    assert ledger.append(attempt, graded(attempt, mask=4), minute(4)).complete
    assert ledger.results(ann)[0].latest.error == ""
    assert ledger.cohort_table(as_of=appended.grading)[0].error == "line 3: not JSON"


def test_a_regrade_appends_and_the_newest_word_stands(ledger: Ledger, ann: str) -> None:
    """Another build's verdicts replace the older ones in results, and the older ones stay readable as of their event."""
    attempt = handed_in(ann, 1)
    old = ledger.append(attempt, graded(attempt, "b1", mask=1), minute(2))

    ledger.append(attempt, graded(attempt, "b2", mask=4), minute(3))

    assert ledger.results(ann)[0].latest.points == 4
    assert ledger.results(ann)[0].latest.grader_build == "b2"
    assert [g.grader_build for g in ledger.gradings(attempt.id)] == ["b1", "b2"]
    assert ledger.cohort_table(as_of=old.grading)[0].points == 1


def test_a_regrade_that_fails_by_our_fault_leaves_the_score(ledger: Ledger, ann: str) -> None:
    """INFRA under a new build does not take away what an older build scored."""
    attempt = handed_in(ann, 1)
    ledger.append(attempt, graded(attempt, "b1", mask=4), minute(2))

    ledger.append(attempt, graded(attempt, "b2", mask=None), minute(3))

    assert ledger.results(ann)[0].latest.points == 4
    assert ledger.first_tries()[0].status is Status.PASS


def test_a_regrade_can_be_taken_back(ledger: Ledger, ann: str) -> None:
    """Restoring the older build makes results and first tries equal to those before the regrade, by another append."""
    attempt = handed_in(ann, 1)
    ledger.append(attempt, graded(attempt, "b1", mask=None, rope=1), minute(2))
    ledger.append(attempt, graded(attempt, "b1", mask=3, rope=None), minute(3))
    before = (ledger.first_tries(), ledger.results(ann)[0].latest.verdicts, ledger.last_event())
    ledger.append(attempt, graded(attempt, "b2", mask=4, rope=4), minute(4))

    event = ledger.restore(attempt.id, "b1", minute(5), "prof", "the new check was wrong")

    assert (ledger.first_tries(), ledger.results(ann)[0].latest.verdicts) == before[:2]
    assert ledger.events(after=event - 1)[0].payload["reason"] == "the new check was wrong"
    assert ledger.first_tries(as_of=event - 1)[0].fraction == 1.0
    ledger.append(attempt, graded(attempt, "b3", mask=4, rope=4), minute(6))
    ledger.restore(attempt.id, "b1", minute(7), "prof", "again")
    assert ledger.first_tries() == before[0]


def test_restoring_what_was_never_said_is_refused(ledger: Ledger, ann: str) -> None:
    """An unknown build or attempt is an error and writes nothing."""
    attempt = handed_in(ann, 1)
    ledger.append(attempt, graded(attempt, mask=1), minute(2))
    before = ledger.last_event()

    with pytest.raises(LedgerError, match="never graded"):
        ledger.restore(attempt.id, "b9", minute(3), "prof", "?")
    with pytest.raises(LedgerError, match="no attempt"):
        ledger.restore("x", "b1", minute(3), "prof", "?")

    assert ledger.last_event() == before


def test_a_weaker_box_repeats_nothing_and_a_stronger_one_may(ledger: Ledger, ann: str) -> None:
    """A tier C verdict may be superseded by tier B of the same build; after that tier C is a duplicate."""
    attempt = handed_in(ann, 1)
    ledger.append(attempt, graded(attempt, tier="C", mask=1), minute(2))

    stronger = ledger.append(attempt, graded(attempt, tier="B", mask=4), minute(3))
    weaker = ledger.append(attempt, graded(attempt, tier="C", mask=1), minute(4))

    assert stronger.outcome is Outcome.RECORDED
    assert weaker.outcome is Outcome.DUPLICATE
    assert ledger.first_tries()[0].tier == "B"
    other = handed_in(ann, 5)
    ledger.append(other, graded(other, tier="A", mask=4), minute(6))
    assert ledger.append(other, graded(other, tier="B", mask=1), minute(7)).outcome is Outcome.DUPLICATE


def test_restoring_a_build_restores_its_scores_before_its_faults(ledger: Ledger, ann: str) -> None:
    """Where a build scored in one box and failed by our fault in a stronger one, the score is what it said."""
    attempt = handed_in(ann, 1)
    ledger.append(attempt, graded(attempt, "b1", tier="C", mask=3), minute(2))
    ledger.append(attempt, graded(attempt, "b1", tier="B", mask=None), minute(3))
    ledger.append(attempt, graded(attempt, "b2", mask=4), minute(4))

    ledger.restore(attempt.id, "b1", minute(5), "prof", "wrong check")

    assert ledger.results(ann)[0].latest.points == 3


def _bad_gradings(a: Attempt) -> list[tuple[Graded, str]]:
    def said(*verdicts: Verdict) -> Graded:
        return Graded("t1", a.sha256, verdicts, "b1", "B")

    nan = float("nan")
    return [
        (Graded("t2", a.sha256, (), "b1", "B"), "it is of t2"),
        (Graded("t1", "0" * 64, (), "b1", "B"), "000000000000"),
        (Graded("t1", a.sha256, (), "", "B"), "no grader build"),
        (said(verdict("T1.x", 1), verdict("T1.x", 2)), "twice"),
        (said(Verdict("T1.x", Status.INFRA, 0.0, 4.0)), "Exactly INFRA has none"),
        (said(Verdict("T1.x", Status.FAIL, None, 4.0)), "Exactly INFRA has none"),
        (said(verdict("T1.x", 5)), "5.0 of 4.0"),
        (said(Verdict("T1.x", Status.FAIL, -1.0, 4.0)), "-1.0 of"),
        (said(Verdict("T1.x", Status.FAIL, nan, 4.0)), "nan of"),
        (said(Verdict("T1.x", Status.FAIL, 1.0, float("inf"))), "of inf"),
    ]


def test_contradictions_are_refused_and_leave_no_trace(ledger: Ledger, ann: str) -> None:
    """A grading that contradicts its attempt or the rules of points is an error; its attempt is rolled back with it."""
    attempt = handed_in(ann, 1)
    before = ledger.last_event()

    for grading, message in _bad_gradings(attempt):
        with pytest.raises(LedgerError, match=message):
            ledger.append(attempt, grading, minute(2))

    assert ledger.last_event() == before
    assert ledger.attempts() == []


def test_an_attempt_id_names_one_hand_in(ledger: Ledger, ann: str) -> None:
    """The same id with other facts is refused; the same facts are recognised."""
    attempt = Attempt("a1", ann, "t1", "0" * 64, minute(1))

    assert ledger.receive(attempt) is True
    assert ledger.receive(attempt) is False
    with pytest.raises(LedgerError, match="recorded with other facts"):
        ledger.receive(Attempt("a1", ann, "t1", "1" * 64, minute(1)))


def test_an_attempt_of_a_stranger_is_refused(ledger: Ledger) -> None:
    """Only who is enrolled can hand in."""
    with pytest.raises(LedgerError, match="Enrol first"):
        ledger.receive(handed_in("nobody", 1))


def test_times_without_a_zone_are_refused(ledger: Ledger, ann: str) -> None:
    """A naive time is an error at the door, wherever it enters."""
    naive = datetime(2026, 9, 1)
    attempt = handed_in(ann, 1)

    with pytest.raises(LedgerError, match="no time zone"):
        Attempt.of(ann, "t1", "0" * 64, naive)
    with pytest.raises(LedgerError, match="no time zone"):
        ledger.append(attempt, graded(attempt, mask=1), naive)
    assert ledger.attempts() == []


def test_pseudonyms_are_random_and_names_stay_out_of_the_log(ledger: Ledger) -> None:
    """A pseudonym does not follow from the name, and no event holds the name."""
    pseudonym = ledger.enrol("annabel", "2026", START)
    with_other_draw = Ledger(ledger._engine, draw=lambda: "drawn")

    assert with_other_draw.enrol("bob", "2026", START) == "drawn"
    assert ledger.enrol("annabel", "2026", START) == pseudonym
    assert "annabel" not in repr(ledger.events())
    assert ledger.names("2026") == {pseudonym: "annabel", "drawn": "bob"}
    student = ledger.student("annabel")
    assert student is not None
    assert (student.pseudonym, student.joined_at) == (pseudonym, START)
    assert ledger.student("carol") is None


def test_a_name_belongs_to_one_cohort(ledger: Ledger, ann: str) -> None:
    """Enrolling a known name elsewhere is an error that names both cohorts."""
    with pytest.raises(LedgerError, match='cohort "2026", not "2027"'):
        ledger.enrol("ann", "2027", START)
    with pytest.raises(LedgerError, match="neither may be empty"):
        ledger.enrol("", "2027", START)


def test_who_was_enrolled_can_be_asked_for_the_past(ledger: Ledger, ann: str) -> None:
    """A later enrolment does not change the list as of an earlier event."""
    then = ledger.last_event()
    ledger.enrol("bob", "2026", minute(1))

    assert [s.pseudonym for s in ledger.students("2026", as_of=then)] == [ann]
    assert len(ledger.students("2026")) == 2
    assert ledger.students(as_of=0) == []


def test_leaving_is_recorded(ledger: Ledger, ann: str) -> None:
    """Who left keeps their record, and the log says when."""
    ledger.leave(ann, minute(9))

    assert ledger.students("2026")[0].left_at == minute(9)
    assert ledger.events()[-1].kind == "student.left"
    with pytest.raises(LedgerError, match="no student"):
        ledger.leave("nobody", minute(9))


def test_identical_bytes_are_recognised(ledger: Ledger, ann: str) -> None:
    """find returns the newest attempt with the same bytes, and only of that student and assignment."""
    bob = ledger.enrol("bob", "2026", START)
    first, second = (Attempt.of(ann, "t1", "a" * 64, minute(n)) for n in (1, 2))
    ledger.receive(second)
    ledger.receive(first)

    assert ledger.find(ann, "t1", "a" * 64) == second
    assert ledger.find(bob, "t1", "a" * 64) is None
    assert ledger.find(ann, "t2", "a" * 64) is None


def test_latest_goes_by_the_time_of_receipt(ledger: Ledger, ann: str) -> None:
    """The newest attempt is the one received last, in whatever order attempts were appended."""
    early, late = handed_in(ann, 1), handed_in(ann, 2)
    ledger.receive(late)
    ledger.receive(early)

    assert ledger.latest(ann, "t1") == late
    assert ledger.latest(ann, "t2") is None
    assert ledger.attempts(ann, "t1") == [early, late]
    assert ledger.attempt(early.id) == early


def test_text_that_databases_refuse_is_made_storable(ledger: Ledger, ann: str) -> None:
    """NUL and lone surrogates in a student's output do not lose the grading."""
    attempt = handed_in(ann, 1)
    said = (Verdict("T1.x", Status.ERROR, 0.0, 4.0, (CheckResult("c", Status.ERROR, 1.0, hint="\x00"),), "a\x00b", ("\ud800",)),)

    ledger.append(attempt, Graded("t1", attempt.sha256, said, "b1", "B", output="x\x00\udfff"), minute(2))

    assert ledger.gradings(attempt.id)[0].output == "x\ufffd?"
    assert ledger.results(ann)[0].latest.verdicts[0].hint == "a\ufffdb"


def test_other_events_are_appended_and_filtered(ledger: Ledger, ann: str) -> None:
    """Evaluations and decisions stand in the same log and are found by kind and subject."""
    ledger.record("progress.evaluated", minute(5), "organizer", None, {"state": "none"})
    event = ledger.record("progress.evaluated", minute(5), "organizer", ann, {"state": "watch"})

    assert [e.payload for e in ledger.events(kinds=["progress.evaluated"], subject=ann)] == [{"state": "watch"}]
    assert ledger.events(after=event) == []
    assert len(ledger.events(limit=1)) == 1


def test_events_that_belong_together_are_appended_together(ledger: Ledger, ann: str) -> None:
    """All of them with consecutive numbers, or none when one of them cannot be stored."""
    before = ledger.last_event()

    numbers = ledger.record_all([("x.run", None, {"n": 1}), ("x.row", ann, {"n": 2})], minute(5), "organizer")
    with pytest.raises((sa.exc.StatementError, TypeError)):
        ledger.record_all([("x.run", None, {}), ("x.row", ann, {"n": object()})], minute(6), "organizer")

    assert numbers == [before + 1, before + 2]
    assert [(e.kind, e.subject) for e in ledger.events(before)] == [("x.run", None), ("x.row", ann)]


@pytest.mark.parametrize("table", ["event", "attempt", "grading", "verdict"])
def test_the_database_refuses_to_change_or_remove_facts(ledger: Ledger, ann: str, table: str) -> None:
    """UPDATE and DELETE fail in the database itself, whoever sends them."""
    attempt = handed_in(ann, 1)
    ledger.append(attempt, graded(attempt, mask=1), minute(2))
    before = (ledger.events(), ledger.results(ann))
    column = {"event": "actor", "attempt": "sha256", "grading": "output", "verdict": "status"}[table]

    for statement in (f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), ledger._engine.begin() as db:
            db.execute(sa.text(statement))

    assert (ledger.events(), ledger.results(ann)) == before


@pytest.mark.parametrize("table", ["event", "attempt", "grading", "verdict"])
def test_sqlite_replace_is_refused_on_a_bare_connection(tmp_path: Path, table: str) -> None:
    """INSERT OR REPLACE fires no DELETE trigger, and is refused all the same, also without our settings."""
    with sqlite_ledger(tmp_path) as ledger:
        attempt = handed_in(ledger.enrol("ann", "2026", START), 1)
        ledger.append(attempt, graded(attempt, mask=1), minute(2))
    bare = sqlite3.connect(tmp_path / "ledger.sqlite")
    try:
        assert bare.execute("PRAGMA recursive_triggers").fetchone() == (0,)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            bare.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    finally:
        bare.close()


def test_opening_a_current_ledger_loads_neither_torch_nor_alembic(tmp_path: Path) -> None:
    """The hot path pays for SQLAlchemy only."""
    with sqlite_ledger(tmp_path):
        pass
    heavy = "{'torch', 'nbformat', 'jsonschema', 'alembic', 'numpy', 'nbgrader'}"
    program = (
        "import sys; from autograder.records import Ledger\n"
        f"with Ledger.open('sqlite:///{tmp_path}/ledger.sqlite') as ledger: assert ledger.last_event() == 0\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"
