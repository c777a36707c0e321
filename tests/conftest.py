"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from autograder.course import Course
from tests import sample, tiny

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
