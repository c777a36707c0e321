"""A drafted shortlist in; what recording it would mean, name by name, out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from autograder.pages import wording
from autograder.pages.models import Snapshot
from autograder.pages.organizers.flags import Invited
from autograder.pages.wording import Moment
from autograder.progress.inviting import Drafted
from autograder.progress.policy import Policy
from autograder.progress.shortlist import Candidate


@dataclass(frozen=True)
class ShortlistPage:
    """The list of a decision date, before it is recorded or after."""

    cohort: Annotated[str, "The cohort's name."]
    day: Annotated[str, "The decision date."]
    evaluation: Annotated[int, "The number of the recorded evaluation that it follows from."]
    facts: Annotated[tuple[str, ...], "The rule, and what it rests on."]
    invited: Annotated[tuple[Invited, ...], "Whom the policy invites, in order of the chance."]
    explored: Annotated[tuple[Invited, ...], "Who was drawn from the middle, to learn what a flag is worth."]
    expected_false: Annotated[str, "How many of the list are expected not to end above the bar."]
    recorded: Annotated[str, "Which event holds the list of this date; empty while none does."]
    snapshot: Annotated[Snapshot, "Which state of the records this is."]


def shortlist_page(drafted: Drafted, cohort: str, policy: Policy, names: Mapping[str, str], snapshot: Snapshot) -> ShortlistPage:
    """Return the page; `names` are of the whole cohort."""
    rule, evaluation, known = policy.shortlist, drafted.evaluation, drafted.recorded
    same = known is not None and known.payload["evaluation"] == evaluation.id
    return ShortlistPage(
        cohort=cohort,
        day=drafted.day,
        evaluation=evaluation.id,
        facts=(
            f"policy {policy.version}: at most {rule.seats} seats, {wording.percent(rule.alpha)} expected false",
            f"evaluation {evaluation.id} of {Moment.of(evaluation.at).text}, by {evaluation.actor}",
        ),
        invited=_named(drafted.made.invited, names),
        explored=_named(drafted.made.explored, names),
        expected_false=f"{drafted.made.expected_false:.1f} of {len(drafted.made.invited)}",
        recorded=_recorded(known.id, Moment.of(known.at), known.actor, same) if known else "",
        snapshot=snapshot,
    )


def _recorded(event: int, at: Moment, by: str, same: bool) -> str:
    words = f"The shortlist of this date is recorded as event {event} on {at.text}, by {by}."
    return words if same else f"{words} It follows from an earlier evaluation, so its names may differ from these."


def _named(found: Iterable[Candidate], names: Mapping[str, str]) -> tuple[Invited, ...]:
    return tuple(Invited(names.get(c.pseudonym, c.pseudonym), c.pseudonym, wording.percent(c.p)) for c in found)
