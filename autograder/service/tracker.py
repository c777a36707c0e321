"""The ledger in, the tracker's newest report of a cohort out; computed again only when something has been graded since."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from autograder.course import Course
from autograder.progress import CourseItems, Policy, Report, course_items, inputs
from autograder.records import Ledger


@dataclass(frozen=True)
class _Known:
    as_of: int
    items: CourseItems
    report: Report


class Tracker:
    """Reports of cohorts. Safe to ask from several threads: who comes second waits for the first one's answer."""

    def __init__(self, course: Course, ledger: Ledger, policy: Policy) -> None:
        self._course, self._ledger, self._policy = course, ledger, policy
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def use(self, course: Course) -> None:
        """Evaluate this course from now on."""
        with self._lock:
            self._course = course

    def report(self, cohort: str) -> Report:
        """Return what the tracker says of everybody in the cohort. A cohort of 24 takes a second, when it has changed."""
        with self._lock:
            items, known = course_items(self._course), self._known.get(cohort)
            if known and known.items == items and not self._ledger.events(known.as_of, inputs.CHANGES, limit=1):
                return known.report
            as_of = self._ledger.last_event()
            report = inputs.read(self._ledger, cohort, as_of).evaluate(items, self._policy)
            self._known[cohort] = _Known(as_of, items, report)
            return report
