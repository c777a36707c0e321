"""States last: a flag needs one strong or two good weeks, goes after two weak ones, and looking often is no second opinion."""

from __future__ import annotations

from datetime import timedelta

import pytest

from autograder.progress import State, load_policy
from autograder.progress.policy import Policy, decide
from autograder.progress.transitions import Past, recent, transition
from tests.ledger_world import START

POLICY = load_policy()
STRICT = POLICY.model_copy(update={"states": POLICY.states.model_copy(update={"strict": True})})
LITTLE, NONE, DROPPED, WATCH, FLAG = State.NEEDS_EVIDENCE, State.NONE, State.DROPPED, State.WATCH, State.PROVISIONAL


def follow(chances: list[float], days: float = 7.0, policy: Policy = POLICY) -> list[State]:
    """The states of somebody with enough evidence, evaluated every so many days."""
    past: list[Past] = []
    for n, p in enumerate(chances):
        at = START + timedelta(days=n * days)
        was = past[-1].state if past else None
        state = transition(policy, was, recent(past, at, policy), decide(policy, 99, 9, 0.5, p), p)
        past.append(Past(at, p, state))
    return [one.state for one in past]


@pytest.mark.parametrize(
    ("chances", "states"),
    [
        ([0.80], [FLAG]),
        ([0.79], [WATCH]),
        ([0.65, 0.65], [WATCH, FLAG]),
        ([0.65, 0.64, 0.65], [WATCH, WATCH, WATCH]),
        ([0.85, 0.45, 0.55, 0.45, 0.45], [FLAG, FLAG, FLAG, FLAG, DROPPED]),
        ([0.85, 0.49, 0.49], [FLAG, FLAG, DROPPED]),
        ([0.85, 0.50, 0.49], [FLAG, FLAG, FLAG]),
        ([0.85, 0.1, 0.1, 0.45, 0.5, 0.8], [FLAG, FLAG, DROPPED, DROPPED, WATCH, FLAG]),
        ([0.45, 0.35, 0.42, 0.35, 0.35], [WATCH, WATCH, WATCH, WATCH, NONE]),
        ([0.39], [NONE]),
    ],
)
def test_a_course_of_weekly_chances(chances: list[float], states: list[State]) -> None:
    """Section 3 of the tracker's design, week by week."""
    assert follow(chances) == states


def test_in_strict_mode_two_good_weeks_do_not_do() -> None:
    """Only one strong evaluation flags."""
    assert follow([0.7, 0.7, 0.7], policy=STRICT) == [WATCH, WATCH, WATCH]
    assert follow([0.7, 0.8], policy=STRICT) == [WATCH, FLAG]


def test_looking_twice_is_no_second_opinion() -> None:
    """Evaluations of the same days neither flag nor drop, and one good day among weak ones counts against dropping."""
    assert follow([0.65] * 5, days=1) == [WATCH] * 5
    assert follow([0.65] * 8, days=1)[-1] is FLAG
    assert follow([0.9, *[0.4] * 5], days=1) == [FLAG] * 6
    assert follow([0.9, *[0.4] * 8], days=1)[-1] is DROPPED
    assert follow([0.9, 0.4, 0.4, 0.4, 0.6, 0.4, 0.4, 0.4, 0.4], days=2)[6] is FLAG


def test_a_flag_outlasts_an_sd_that_went_up_by_a_hair() -> None:
    """Evidence that is called too little today does not unflag whom enough evidence flagged, while the chance holds."""
    assert transition(POLICY, FLAG, (0.8,), LITTLE, 0.7) is FLAG
    assert transition(POLICY, FLAG, (0.8,), LITTLE, 0.49) is LITTLE
    assert transition(POLICY, NONE, (0.1,), LITTLE, 0.9) is LITTLE
