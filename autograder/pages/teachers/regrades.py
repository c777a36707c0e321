"""Previews of regrades, the one under way and those that were made in; their before and after out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from autograder.grading.verdict import Status
from autograder.numerals import gain
from autograder.pages import wording
from autograder.pages.catalog import Catalog
from autograder.pages.estimates import STATES
from autograder.pages.figure import Table
from autograder.pages.models import Snapshot
from autograder.pages.wording import Mark, Moment, counted, whole
from autograder.progress import State
from autograder.records import Event
from autograder.records.regrading import REFUSED, UNDONE, Change
from autograder.regrades.orders import Order
from autograder.regrades.previews import Preview

N_SHOWN = 200
FRESH = Mark("as of now", "check", "good", "Nothing was handed in or graded since it was made.")
STALE = Mark("hand-ins came since", "clock", "part", "It says nothing of what was handed in after it was made.")


@dataclass(frozen=True)
class PreviewView:
    """What a regrade would change."""

    assignment: Annotated[str, "The assignment's folder."]
    title: Annotated[str, "The assignment's title."]
    mark: Annotated[Mark, "Whether it still says everything."]
    made: Annotated[Moment, "When it was made."]
    by: Annotated[str, "Who made it."]
    facts: Annotated[tuple[str, ...], "What was replayed, and by which rule."]
    exercises: Annotated[Table, "What changes, by exercise."]
    students: Annotated[Table, "Whom it changes, before and after."]
    more: Annotated[str, "How many more changes there are; empty for none."]
    flips: Annotated[tuple[str, ...], "Which states of the tracker would change."]
    event: Annotated[int, "The event as of which it was made; names it, with the assignment."]
    command: Annotated[str, "What appends it."]
    promises: Annotated[tuple[str, ...], "What regrading would do, sentence by sentence."]


@dataclass(frozen=True)
class UnderWay:
    """A regrade that was ordered and is not made yet."""

    title: Annotated[str, "The assignment's title."]
    at: Annotated[Moment, "When it was ordered."]
    by: Annotated[str, "Who ordered it."]
    rule: Annotated[str, "By which rule."]
    reason: Annotated[str, "What students will read."]
    done: Annotated[str, "How many attempts are replayed, of how many."]
    share: Annotated[int, "The same in per cent."]


@dataclass(frozen=True)
class RegradePage:
    """One preview, before it is ordered."""

    preview: Annotated[PreviewView, "What it would change."]
    under_way: Annotated[str, "Why it cannot be ordered now; empty when it can."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


@dataclass(frozen=True)
class Made:
    """One regrade that was made."""

    event: Annotated[str, "Its number, to undo it by."]
    at: Annotated[Moment, "When."]
    by: Annotated[str, "Who made it."]
    title: Annotated[str, "The assignment's title."]
    what: Annotated[str, "By which rule, or which one it undoes."]
    reason: Annotated[str, "What students read."]


@dataclass(frozen=True)
class RegradesPage:
    """Regrades: those that were only shown, and those that were made."""

    previews: Annotated[tuple[PreviewView, ...], "The newest preview of every assignment that has one."]
    under_way: Annotated[UnderWay | None, "The regrade that is under way."]
    made: Annotated[tuple[Made, ...], "Those that were made, newest first."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def shown(p: Preview) -> Sequence[Change]:
    """Return the changes that a page shows; whose they are is recorded, and they alone are named."""
    return sorted(p.changes, key=lambda c: (c.pseudonym, c.exercise))[:N_SHOWN]


def people(p: Preview) -> set[str]:
    """Return whom a page of the preview shows."""
    return {c.pseudonym for c in shown(p)} | {f.pseudonym for f in p.flips[:N_SHOWN]}


def preview_view(catalog: Catalog, p: Preview, names: Mapping[str, str], is_fresh: bool) -> PreviewView:
    """Return a preview as a page shows it; `names` are of the students in it."""
    ordered = sorted(shown(p), key=lambda c: (names.get(c.pseudonym, c.pseudonym).casefold(), c.exercise))
    n_more = len(p.changes) - len(ordered)
    facts = [f"{counted(p.n_attempts, 'attempt')} replayed", f"rule {p.rule}", f"grader build {p.grader_build}"]
    if p.n_kept:
        facts.append(f"{counted(p.n_kept, 'verdict')} would cost points and would be left out")
    if p.n_faults:
        facts.append(f"{counted(p.n_faults, 'attempt')} could not be replayed, by our fault")
    return PreviewView(
        assignment=p.assignment,
        title=catalog.name(p.assignment),
        mark=FRESH if is_fresh else STALE,
        made=Moment.of(p.at),
        by=p.by,
        facts=tuple(facts),
        exercises=Table(("Exercise", "Verdicts changed", "Up", "Down", "Points"), tuple(_by_exercise(p.changes))),
        students=Table(("Student", "Exercise", "Before", "After", "Points"), tuple(_change(c, names) for c in ordered)),
        more=f"and {whole(n_more)} more changes: bootcamp regrade {p.assignment} --all" if n_more > 0 else "",
        flips=_flips(p, names),
        event=p.event,
        promises=_promises(p, is_fresh),
        command=f"bootcamp regrade {p.assignment} --commit --rule {p.rule} --reason ...",
    )


def _flips(p: Preview, names: Mapping[str, str]) -> tuple[str, ...]:
    n_more = len(p.flips) - N_SHOWN
    said = [
        f"{names.get(f.pseudonym, f.pseudonym)}: {STATES[State(f.before)].word} → {STATES[State(f.after)].word}"
        for f in p.flips[:N_SHOWN]
    ]
    return (*said, *([f"and {whole(n_more)} more"] if n_more > 0 else []))


def _promises(p: Preview, is_fresh: bool) -> tuple[str, ...]:
    up, down = sum(c.gain > 0 for c in p.changes), sum(c.gain < 0 for c in p.changes)
    by_rule = "and none goes down, by the rule" if p.rule == "never-lower" else f"and {whole(down)} go down"
    late = "" if is_fresh else " Attempts came after the preview: they are replayed too, and may change besides."
    flips = f"{counted(len(p.flips), 'state')} of the tracker {'changes' if len(p.flips) == 1 else 'change'}"
    return (
        f"Points of {counted(up, 'verdict')} go up {by_rule}; {flips}.{late}",
        "Graders replay what the preview has not, behind students' hand-ins, and then append everything in one transaction.",
        "Every changed result shows your reason to its student. The first try stays the first try.",
        "The records are only appended to: the regrade can be undone, and that is appended as well.",
    )


def under_way(catalog: Catalog, order: Order | None, n_left: int) -> UnderWay | None:
    """Return how far the open order is; `n_left` of its attempts wait or run."""
    if order is None:
        return None
    n_done = max(0, order.n_attempts - n_left)
    done = f"{whole(n_done)} of {counted(order.n_attempts, 'attempt')} replayed"
    share = 100 * n_done // max(order.n_attempts, 1)
    return UnderWay(catalog.name(order.assignment), Moment.of(order.at), order.by, order.rule, order.reason, done, share)


def made(catalog: Catalog, events: Iterable[Event]) -> tuple[Made, ...]:
    """Return regrades and their undoings, newest first."""
    return tuple(_made(catalog, e) for e in sorted(events, key=lambda e: -e.id))


def _made(catalog: Catalog, e: Event) -> Made:
    title, reason = catalog.name(str(e.payload["assignment"])), str(e.payload.get("reason", ""))
    if e.kind == REFUSED:
        what = f"not made: {e.payload['why']}"
    else:
        what = f"undoes {e.payload['undoes']}" if e.kind == UNDONE else f"rule {e.payload['rule']}"
    return Made(str(e.id), Moment.of(e.at), e.actor, title, what, reason)


def _by_exercise(changes: Sequence[Change]) -> Iterable[tuple[str, ...]]:
    by: dict[str, list[Change]] = defaultdict(list)
    for c in changes:
        by[c.exercise].append(c)
    for exercise, of in sorted(by.items()):
        up, down = sum(c.gain > 0 for c in of), sum(c.gain < 0 for c in of)
        yield exercise, *map(whole, (len(of), up, down)), gain(sum(c.gain for c in of))


def _change(c: Change, names: Mapping[str, str]) -> tuple[str, ...]:
    before, after = _result(c.status_before, c.points_before), _result(c.status_after, c.points_after)
    return names.get(c.pseudonym, c.pseudonym), c.exercise, before, after, gain(c.gain)


def _result(status: str, points: float | None) -> str:
    """Return a verdict in the words that its student reads; "" is none."""
    return f"{wording.VERDICTS[Status(status)].word if status else wording.NOTHING}, {wording.number(points)}"
