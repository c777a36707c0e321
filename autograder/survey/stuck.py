"""First tries of a cohort in; who tried one exercise again and again without passing it out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autograder.records import FirstTry

LEAST_TRIES = 3
N_KEPT = 500


@dataclass(frozen=True)
class Stuck:
    """One student at one exercise."""

    pseudonym: str
    exercise: str
    assignment: str
    n_tries: int


@dataclass(frozen=True)
class StuckCount:
    """`n` in all; `kept` are those with the most tries, at most N_KEPT."""

    n: int
    kept: tuple[Stuck, ...]


def stuck(tries: Iterable[FirstTry], left: frozenset[str]) -> StuckCount:
    """Return who is stuck, of those who have not left the course."""
    found = [
        Stuck(f.pseudonym, f.exercise, f.assignment, f.n_tries)
        for f in tries
        if f.n_tries >= LEAST_TRIES and f.n_tries_to_pass is None and f.pseudonym not in left
    ]
    found.sort(key=lambda s: (-s.n_tries, s.exercise, s.pseudonym))
    return StuckCount(len(found), tuple(found[:N_KEPT]))
