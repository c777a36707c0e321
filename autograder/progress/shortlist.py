"""Chances in, invitations out: the largest list whose expected share of false names stays below alpha; and a draw beside it.

If the chances are calibrated, the expected share of names on the list that do not belong to the top is the mean of 1 - p:
Bayesian control of the false discovery rate. Sorting by p and cutting where that mean reaches alpha gives the largest list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autograder.progress.policy import Policy
from autograder.progress.policy import Shortlist as Rule

# The list as a whole, and one event for everybody on it.
SHORTLIST, SHORTLISTED = "progress.shortlist", "progress.shortlisted"


@dataclass(frozen=True)
class Candidate:
    """Who may be invited, by pseudonym."""

    pseudonym: str
    p: float
    sd: float


@dataclass(frozen=True)
class Shortlist:
    """`invited` in order of p; `explored` were drawn from the middle; `expected_false` counts among the invited."""

    invited: tuple[Candidate, ...]
    explored: tuple[Candidate, ...]
    expected_false: float

    def __str__(self) -> str:
        text = f"expected false: {self.expected_false:.1f} of {len(self.invited)}"
        return f"{text}, and {len(self.explored)} drawn from the middle" if self.explored else text


def choose(candidates: Sequence[Candidate], rule: Rule, seed: str) -> Shortlist:
    """Return the invitations. The draw follows from `seed` (say, the decision date) and nothing else."""
    n_explore = round(rule.explore_share * rule.seats)
    invited = largest(candidates, rule.alpha, rule.seats - n_explore)
    chosen = {c.pseudonym for c in invited}
    middle = [c for c in candidates if c.pseudonym not in chosen and rule.explore_low <= c.p < rule.explore_high]
    drawn = sorted(middle, key=lambda c: _hash(f"{seed}\n{c.pseudonym}"))[:n_explore]
    return Shortlist(tuple(invited), tuple(drawn), sum(1 - c.p for c in invited))


def largest(candidates: Sequence[Candidate], alpha: float, seats: int) -> list[Candidate]:
    """Return the largest set with mean(1 - p) <= alpha, at most `seats`; ties by lower SD, then by the pseudonym's hash."""
    ordered = sorted(candidates, key=lambda c: (-c.p, c.sd, _hash(c.pseudonym)))[:seats]
    total, n = 0.0, 0
    for k, one in enumerate(ordered, 1):
        total += 1 - one.p
        # 1 - p grows along the list, and so does its mean: the first excess is the last.
        if total > alpha * k + 1e-12:
            break
        n = k
    return ordered[:n]


def events(
    made: Shortlist, date: str, evaluation: int, cohort: str | None, policy: Policy
) -> list[tuple[str, str | None, dict[str, Any]]]:
    """Return the events that record a shortlist: what it is as a whole, and one for everybody on it."""
    rule = policy.shortlist
    whole = {"date": date, "evaluation": evaluation, "cohort": cohort, "policy": policy.version, "alpha": rule.alpha}
    whole |= {"seats": rule.seats, "n_invited": len(made.invited), "n_explored": len(made.explored)}
    rows = [(c, "invited") for c in made.invited] + [(c, "explored") for c in made.explored]
    said = [(SHORTLISTED, c.pseudonym, {"date": date, "as": what, "p": c.p, "sd": c.sd}) for c, what in rows]
    return [(SHORTLIST, None, {**whole, "expected_false": round(made.expected_false, 6)}), *said]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
