"""A ledger and a cohort in; everything about the cohort that is heavy to know, as of one event, out: a `Survey`.

Door: `take(ledger, cohort, course, policy, at)`. Pure but for the ledger that it reads; the service runs it in the background and
pages show the newest one. A survey is plain frozen data that can be pickled. It holds no name.
"""

from __future__ import annotations

from autograder.survey.taking import Survey, take

__all__ = ["Survey", "take"]
