"""A made-up cohort into a real ledger, evaluated as the weeks go by; then every recorded flag is rebuilt from the log."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import numpy as np

from autograder.grading.verdict import Graded, Status, Verdict
from autograder.progress import audit
from autograder.progress.inputs import BANK
from autograder.progress.irt import hierarchy
from autograder.progress.irt.bank import bank_of
from autograder.progress.items import CourseItems, Item
from autograder.progress.policy import Policy
from autograder.progress.simulator.cohort import N_ITEMS, N_TRACKS, N_WEEKS, Cohort, Setting, draw_cohort, draw_items
from autograder.records import Attempt, Ledger

_START = datetime(2026, 1, 5, tzinfo=UTC)
_WEEKS = (4, 5, 12)
_N_BANK = 200


def course() -> CourseItems:
    """Return the simulator's course as the tracker sees one."""
    places = [(b, k) for b in range(N_WEEKS) for k in range(N_ITEMS)]
    items = [
        Item(f"E{n:03d}", f"b{b:02d}", f"track {b % N_TRACKS}", b + 1, 1.0, f"Exercise {b + 1}.{k + 1}", n)
        for n, (b, k) in enumerate(places)
    ]
    return CourseItems({i.exercise: i for i in items}, N_WEEKS)


def rebuilt_flags(ledger: Ledger, policy: Policy, seed: int, n: int, warm: bool = False) -> tuple[int, int, int]:
    """Return how many rows and flags were recorded over three evaluations, and how many rows came out otherwise.

    `warm`: the cohort is measured against the bank of an earlier one.
    """
    rng = np.random.default_rng(seed)
    items = draw_items(rng)
    if warm:
        _adopt_bank(ledger, draw_cohort(rng, items, _N_BANK, Setting.ALL))
    cohort = draw_cohort(rng, items, n, Setting.ALL)
    names = [ledger.enrol(f"student {i}", "made up", _START) for i in range(n)]
    evaluations = []
    for week in range(1, N_WEEKS + 1):
        _hand_in(ledger, cohort, names, week)
        if week in _WEEKS:
            at = _START + timedelta(weeks=week)
            evaluations.append(audit.record(ledger, "made up", course(), policy, at, "simulator")[0])
    found = [audit.rebuild(ledger, event) for event in evaluations]
    return sum(r.n_rows for r in found), sum(r.n_flags for r in found), sum(len(r.differ) for r in found)


def _adopt_bank(ledger: Ledger, earlier: Cohort) -> None:
    fitted = hierarchy.fit(earlier.scores(N_WEEKS))
    if fitted is not None:
        found = bank_of(fitted, "an earlier cohort")
        payload = {"cohort": "made up", "version": found.version, "bank": found.as_json()}
        ledger.record(BANK, _START, "simulator", None, payload)


def _hand_in(ledger: Ledger, cohort: Cohort, names: list[str], week: int) -> None:
    """Append this week's notebooks, with what the simulator says that the checks said."""
    at = _START + timedelta(weeks=week, hours=-1)
    for i, pseudonym in enumerate(names):
        tried = np.flatnonzero(cohort.week[i] == week)
        for book in np.unique(tried // N_ITEMS).tolist():
            own = [j for j in range(book * N_ITEMS, (book + 1) * N_ITEMS) if cohort.week[i, j] <= week]
            said = tuple(_verdict(f"E{j:03d}", bool(cohort.first[i, j])) for j in own)
            sha = hashlib.sha256(f"{i} {book} {week}".encode()).hexdigest()
            attempt = Attempt.of(pseudonym, f"b{book:02d}", sha, at)
            ledger.append(attempt, Graded(f"b{book:02d}", sha, said, "made-up", "B"), at)


def _verdict(exercise: str, is_right: bool) -> Verdict:
    return Verdict(exercise, Status.PASS if is_right else Status.FAIL, float(is_right), 1.0)
