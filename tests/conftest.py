"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from autograder.course import Course
from tests import sample, tiny

if TYPE_CHECKING:  # imported by the fixtures: most test files need none of it
    from autograder.records import Ledger
    from autograder.service.desk import Desk
    from autograder.survey import Survey
    from tests import cohort_world
    from tests.service_world import World

# How fast examples come says how busy the machine is, and nothing about the code.
settings.register_profile("bootcamp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bootcamp")
pytest.register_assert_rewrite("tests.lesson_world", "tests.lesson_output")


def pytest_report_header() -> str:
    """Say which sample this run draws, so that it can be repeated: BOOTCAMP_TEST_SEED=... pytest."""
    return "samples: everything" if sample.ALL else f"samples: drawn from BOOTCAMP_TEST_SEED={sample.SEED}"


@pytest.fixture
def tiny_course(tmp_path: Path) -> Course:
    """A fresh copy of the tiny course on disk."""
    return tiny.write(tmp_path / "course")


@pytest.fixture(scope="session")
def term(tmp_path_factory: pytest.TempPathFactory) -> cohort_world.World:
    """The made-up term, to be read: course and ledger are made once for all tests."""
    from tests import cohort_world

    folder = tmp_path_factory.mktemp("term")
    return cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")


@pytest.fixture(scope="session")
def survey(term: cohort_world.World) -> Survey:
    """What is said of the term as it was made: one fit for all tests that do not change it."""
    from autograder.progress import load_policy
    from autograder.records import Ledger
    from autograder.survey import take
    from tests import cohort_world

    with Ledger.open(term.ledger_url) as opened:
        return take(opened, cohort_world.COHORT, term.course, load_policy(), cohort_world.NOW)


@pytest.fixture
def ledger(term: cohort_world.World, tmp_path: Path) -> Iterator[Ledger]:
    """A copy of the term's ledger, to be written to."""
    from autograder.records import Ledger

    copy = tmp_path / "ledger.sqlite"
    copy.write_bytes(Path(term.ledger_url.removeprefix("sqlite:///")).read_bytes())
    with Ledger.open(f"sqlite:///{copy}") as opened:
        yield opened


@pytest.fixture
def desk(term: cohort_world.World, ledger: Ledger, tmp_path: Path, survey: Survey) -> Desk:
    """A desk on the copy, whose surveys are the one that there is."""
    from autograder.service.desk import Desk
    from tests import cohort_world

    made = Desk.of(term.course, ledger, lambda: cohort_world.NOW, tmp_path)
    made.surveys.take = lambda *_: survey
    return made


@pytest.fixture
def world(desk: Desk) -> Iterator[World]:
    """The service on that desk."""
    from tests.service_world import serving

    with serving(desk) as running:
        yield running
