"""The progression tracker: first tries in, whom to look at next and how sure that is out.

Doors: `evaluate(first_tries, course_items(course), load_policy()) -> Report`. The pieces: what an exercise is (items),
the thresholds (policy, policy_v1.toml), what counts (scores), the estimator (estimate, with its theory of operation,
over mixed_model), chances and ranks (ranks), why and what next (reasons), the records (report).

`evaluate` is pure and deterministic: the same ledger as of the same event, course and policy give the same report, bit
for bit, in whatever order the inputs come.
"""

from __future__ import annotations

from autograder.progress.evaluate import evaluate
from autograder.progress.items import CourseItems, Item, course_items
from autograder.progress.policy import Policy, State, load_policy
from autograder.progress.report import Finding, Report

__all__ = ["CourseItems", "Finding", "Item", "Policy", "Report", "State", "course_items", "evaluate", "load_policy"]
