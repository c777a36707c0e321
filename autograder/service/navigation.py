"""The entries of the navigation, each with the scope of whoever is shown it. Plain data; the routing table grants access."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autograder.service.roles import FLAGS, GRADE, INSIDE, MENTOR, READ_ALL


@dataclass(frozen=True)
class Link:
    """An entry of the navigation. A page says which entry it belongs to by the same path: `place(..., here=path)`.

    What is not for staff is left out for them, to keep theirs on one line; they may open it all the same.
    """

    path: str
    text: str
    scope: str
    is_for_staff: bool = True


NAVIGATION = (
    Link("overview", "Overview", READ_ALL),
    Link("cohort", "Students", READ_ALL),
    Link("flags", "Flags", FLAGS),
    Link("comparison", "Cohorts", READ_ALL),
    Link("calibration", "Calibration", FLAGS),
    Link("exports", "Exports", FLAGS),
    Link("mentees", "Invitees", MENTOR),
    Link("teaching", "Teaching", GRADE),
    Link("grading", "Grading", GRADE),
    Link("me", "My work", INSIDE),
    Link("me/progress", "My progress", INSIDE, is_for_staff=False),
)


def links(may: Callable[[str], bool]) -> list[Link]:
    """Return the entries for somebody of whom `may` says which scopes they hold."""
    shown = [link for link in NAVIGATION if link.scope == INSIDE or may(link.scope)]
    return [link for link in shown if link.is_for_staff or not may(READ_ALL)]
