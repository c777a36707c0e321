"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course import Course
from tests import tiny


@pytest.fixture
def tiny_course(tmp_path: Path) -> Course:
    """A fresh copy of the tiny course on disk."""
    return tiny.write(tmp_path / "course")
