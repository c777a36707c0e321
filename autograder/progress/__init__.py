"""The progression tracker: first tries in, whom to look at next and how sure that is out.

Doors: `evaluate(first_tries, course_items(course), load_policy()) -> Report`. The pieces: what an exercise is (items),
the thresholds (policy, policy_v3.toml), what counts (scores) and what people decided (decisions), the two estimators behind
one door (engine: the hierarchical partial-credit model of irt/, and the Gaussian estimate over mixed_model, its fallback and
cross-check), bar and ranks (ranks), states that last (transitions), why and what next (reasons, settle), invitations
(shortlist), the records (report), and how all of it is measured on made-up cohorts (simulator).

`evaluate` is pure and deterministic: the same ledger as of the same event, course and policy give the same report, bit
for bit, in whatever order the inputs come.
"""

from __future__ import annotations

from autograder.progress.evaluate import Background, evaluate
from autograder.progress.items import CourseItems, Item, course_items
from autograder.progress.policy import Policy, State, load_policy
from autograder.progress.report import Finding, Report

__all__ = ["Background", "CourseItems", "Finding", "Item", "Policy", "Report", "State", "course_items", "evaluate", "load_policy"]
