"""A student's past evaluations and today's chance in, the state that lasts out: hysteresis, and nothing that is final."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from autograder.progress.policy import Policy, State


@dataclass(frozen=True)
class Past:
    """One recorded evaluation of one student."""

    at: datetime
    p: float
    state: State


def recent(past: Sequence[Past], now: datetime | None, policy: Policy) -> tuple[float, ...]:
    """Return the chances that today's is compared with, oldest first; () when no evaluation is long enough ago.

    They begin with the newest evaluation that is `min_days_between` days old, and go on with every later one: what must hold
    twice in a row must have held all the time between, however often somebody looked. Without a time all of it is long ago.
    """
    days = timedelta(days=policy.states.min_days_between)
    old = [k for k, one in enumerate(past) if now is None or now - one.at >= days]
    return tuple(one.p for one in past[old[-1] :]) if old else ()


def transition(policy: Policy, was: State | None, before: Sequence[float], proposed: State, p: float) -> State:
    """Return today's state: `was` the last recorded one, `before` what `recent` returns, `proposed` today's by itself."""
    rule = policy.states
    if proposed is State.NEEDS_EVIDENCE:
        # What was flagged on enough evidence does not unflag itself because an SD went up by a hair.
        return was if was in (State.PROVISIONAL, State.WATCH) and p >= rule.dropped_below else State.NEEDS_EVIDENCE
    if p >= rule.provisional:
        return State.PROVISIONAL
    if not rule.strict and before and min(p, *before) >= rule.provisional_twice:
        return State.PROVISIONAL
    highest = max(p, *before) if before else 1.0
    if was is State.PROVISIONAL:
        return State.DROPPED if highest < rule.dropped_below else State.PROVISIONAL
    if was is State.DROPPED:
        return State.WATCH if p >= rule.dropped_below else State.DROPPED
    if p >= rule.watch or (was is State.WATCH and highest >= rule.watch):
        return State.WATCH
    return State.NONE
