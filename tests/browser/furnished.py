"""The made-up term with something to see on every page, before Chromium: two cohorts, decisions, a transcript, a preview."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from autograder.grading.verdict import Status
from autograder.records import Ledger
from autograder.records.regrading import Decision, Replayed, preview
from autograder.regrades import previews
from autograder.service.desk import Desk
from autograder.service.office import Office
from autograder.service.own import Own
from autograder.service.roles import ENTER
from tests import cohort_world
from tests.browser.looking import Looking, looking
from tests.service_world import NAMES

_EARLIER, _REPLAYED = "2025", ("ada", "bela", "dana", "hana", "jonas", "sven")
_MENDED = ("t1_attention.rope", "f1_tensors.bilinear")


@contextmanager
def furnished(folder: Path) -> Iterator[tuple[Looking, dict[str, str]]]:
    """Serve the term; yield it with what addresses hold: names -> pseudonyms, the student's own, attempts, a transcript."""
    world = cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")
    cohort_world.add_cohort(world, _EARLIER, 30, -0.8)
    with Ledger.open(world.ledger_url) as ledger:
        desk = Desk.of(world.course, ledger, lambda: cohort_world.NOW, folder)
        desk.surveys.cheap_s = math.inf  # on a busy machine a page would show what was before
        known = _furnish(desk, world)
        with closing(desk.surveys), looking(desk) as at:
            at.world.hub.let_in("priya", "priya", (ENTER,))
            yield at, known


def _furnish(desk: Desk, world: cohort_world.World) -> dict[str, str]:
    office, ledger, who = Office(desk), desk.ledger, world.pseudonyms
    office.evaluate(cohort_world.COHORT, "olga")
    for name, decision, why in (
        ("carmen", "confirm", "Solved what few did, and explained it well."),
        ("noor", "defer", "Look again after the next notebook."),
        (NAMES["student"], "confirm", "Explains well."),
    ):
        office.review(who[name], decision, why, "olga")
    issued = Own(desk).issue("priya", "Priya Raman", ["f1_tensors", "f2_autograd"])
    Own(desk).ask("bela", "review", "t1_attention", "My rope is right on paper: could somebody look?")
    for exercise in _MENDED:
        _preview(desk, world, exercise)
    newest = {name: ledger.results(who[name])[-1].latest.attempt.id for name in ("priya", NAMES["student"])}
    return {
        **who,
        "pseudonym": who[NAMES["student"]],
        "attempt": newest[NAMES["student"]],
        "priyas": newest["priya"],
        "transcript": issued.statement.code,
    }


def _preview(desk: Desk, world: cohort_world.World, exercise: str) -> None:
    """Keep what mending a check of one exercise would change."""
    assignment, ledger = exercise.split(".")[0], desk.ledger
    manifest, replayed = world.course.assignment(assignment).manifest(), []
    for name in _REPLAYED:
        for result in ledger.results(world.pseudonyms[name], assignment):
            said = {v.exercise: (v.status, (v.points or 0.0) / v.max_points) for v in result.latest.verdicts}
            new = {e.id: said.get(e.id, (Status.SKIPPED, 0.0)) for e in manifest.exercises} | {exercise: (Status.PASS, 1.0)}
            attempt = result.latest.attempt
            replayed.append(Replayed(attempt, cohort_world.graded(manifest, new, attempt.sha256, "a3c1")))
    found = preview(ledger, Decision(assignment, "never-lower"), replayed, desk.clock())
    flips = [previews.Flip(world.pseudonyms["dana"], "none", "watch")]
    kept = previews.preview_of(found, assignment, "never-lower", "a3c1", 0, flips, desk.clock(), "ines", ledger.last_event())
    previews.keep(desk.previews, kept)
