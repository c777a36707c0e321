"""Surveys in the background: nobody waits for a large one, a failure is said and tried again, a dead process harms no page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.errors import InfraError
from autograder.progress import Policy, load_policy
from autograder.records import Ledger
from autograder.service.background import NotYetError, OwnProcess, Surveys
from autograder.service.desk import Desk
from autograder.survey import Survey, take
from tests import cohort_world
from tests.cohort_world import COHORT, NOW, START
from tests.service_world import Text, serving

PATIENCE_S = 0.05


@dataclass
class Hands:
    """Takes real surveys, when it is let, at whatever cost it is told, or fails."""

    ledger: Ledger
    cost_s: float = 0.0
    fails: bool = False
    n_taken: int = 0
    free: threading.Event = field(default_factory=threading.Event)

    def __call__(self, cohort: str, course: Course, policy: Policy, at: datetime) -> Survey:
        assert self.free.wait(60)
        self.n_taken += 1
        if self.fails:
            raise InfraError("no disk")
        return replace(take(self.ledger, cohort, course, policy, at), cost_s=self.cost_s)


@dataclass
class Place:
    """A ledger, hands, surveys and a clock that a test moves."""

    ledger: Ledger
    hands: Hands
    surveys: Surveys
    now: list[datetime]

    def settle(self) -> None:
        """Let what runs end."""
        self.hands.free.set()
        self.surveys._executor.submit(lambda: None).result(60)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    course = cohort_world.write_course(tmp_path / "course")
    now = [NOW]
    with Ledger.open(f"sqlite:///{tmp_path / 'l.sqlite'}") as ledger:
        hands = Hands(ledger)
        surveys = Surveys(course, ledger, load_policy(), lambda: now[0], hands, PATIENCE_S)
        yield Place(ledger, hands, surveys, now)
        hands.free.set()
        surveys.close()


def test_who_comes_first_is_told_that_there_is_none_yet(place: Place) -> None:
    """The first survey of a large cohort takes longer than a person waits."""
    with pytest.raises(NotYetError) as told:
        place.surveys.newest(COHORT)
    assert not told.value.has_failed

    place.settle()
    assert place.surveys.newest(COHORT).cohort == COHORT
    assert place.hands.n_taken == 1


def test_a_costly_survey_is_shown_while_the_next_is_taken(place: Place) -> None:
    """A change begins a new one after a pause of ten times the cost; until it is there the old one is shown, with its event."""
    place.hands.cost_s = 6.0
    place.hands.free.set()
    place.surveys.patience_s = 60
    old = place.surveys.newest(COHORT)
    place.ledger.enrol("ada", COHORT, START)

    assert place.surveys.newest(COHORT) is old
    assert place.hands.n_taken == 1  # the pause
    place.now[0] += timedelta(seconds=61)
    place.hands.free.clear()
    assert place.surveys.newest(COHORT) is old  # nobody waits for it
    place.settle()
    assert place.surveys.newest(COHORT).event > old.event
    assert place.hands.n_taken == 2


def test_a_cheap_survey_is_waited_for(place: Place) -> None:
    """In a small cohort the page that follows a change shows it."""
    place.hands.free.set()
    place.surveys.patience_s = 60
    old = place.surveys.newest(COHORT)
    place.ledger.enrol("ada", COHORT, START)

    assert place.surveys.newest(COHORT).activity.n_students == old.activity.n_students + 1


def test_a_failure_is_said_and_tried_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """What went wrong is in the log; after a minute the next question tries once more."""
    place.hands.fails = True
    place.hands.free.set()
    place.surveys.patience_s = 60
    for _ in range(2):
        with pytest.raises(NotYetError) as told:
            place.surveys.newest(COHORT)
        assert told.value.has_failed
    assert place.hands.n_taken == 1
    assert "no disk" in caplog.text

    place.hands.fails = False
    place.now[0] += timedelta(seconds=61)
    assert place.surveys.newest(COHORT).cohort == COHORT


def test_pages_say_that_they_are_being_computed(tmp_path: Path) -> None:
    """The page asks for itself again until it is there, without a script of ours; a failure is a sentence."""
    course = cohort_world.write_course(tmp_path / "course")
    with Ledger.open(f"sqlite:///{tmp_path / 'l.sqlite'}") as ledger:
        ledger.enrol("ada", COHORT, START)
        hands = Hands(ledger)
        surveys = Surveys(course, ledger, load_policy(), lambda: NOW, hands, PATIENCE_S)
        desk = replace(Desk.of(course, ledger, lambda: NOW, tmp_path), surveys=surveys)
        with serving(desk) as world:
            waiting = Text(world.ask("cohort?order=state", "organizer").body)
            assert "Being computed" in waiting.text
            asks = [a for _, a in waiting.elements if "hx-get" in a]
            assert [(a["hx-get"], a["hx-target"]) for a in asks] == [("/services/bootcamp/cohort?order=state", "#main")]
            hands.fails = True
            hands.free.set()
            surveys._executor.submit(lambda: None).result(60)
            assert "could not be computed" in Text(world.ask("cohort", "organizer").body).text
        surveys.close()


def test_a_process_of_its_own_takes_the_same_survey(tmp_path: Path) -> None:
    """Whoever takes it, it says the same; and a process that dies is an error of ours, with its status."""
    course, url, policy = cohort_world.write_course(tmp_path / "course"), f"sqlite:///{tmp_path / 'l.sqlite'}", load_policy()
    with Ledger.open(url) as ledger:
        ledger.enrol("ada", COHORT, START)
        here = take(ledger, COHORT, course, policy, NOW)
    there = OwnProcess(url)(COHORT, course, policy, NOW)

    assert replace(there, cost_s=0, paths=None) == replace(here, cost_s=0, paths=None)
    (tmp_path / "text").write_text("this is no database, and long enough not to be taken for an empty one " * 9)
    with pytest.raises(InfraError, match="cannot open the ledger"):
        OwnProcess(f"sqlite:///{tmp_path / 'text'}")(COHORT, course, policy, NOW)

    doomed = OwnProcess(url)
    killer = threading.Timer(0.3, doomed.stop)
    killer.start()
    with pytest.raises(InfraError, match="ended with status -15"):
        doomed(COHORT, course, policy, NOW)
    killer.join()
