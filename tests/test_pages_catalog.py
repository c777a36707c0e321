"""What pages call things: extensions are asked for once per page, and a page that is made sees no other ones."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from autograder.deadlines import Extension
from autograder.pages.catalog import Catalog
from tests import cohort_world


def test_a_page_asks_for_extensions_once(tmp_path: Path) -> None:
    """The settled catalogue answers every line from one question, and the other one goes on asking."""
    course = cohort_world.write_course(tmp_path / "course")
    due = course.assignment("t1_attention").due
    assert due
    later = due + timedelta(days=3)
    asked: list[int] = []

    def granted() -> list[Extension]:
        asked.append(1)
        return [Extension("ada", "t1_attention", later)] if len(asked) == 1 else []

    settled = Catalog(course, granted).settled()

    assert [settled.lateness("t1_attention", due, "ada").due for _ in range(9)] == [later] * 9
    assert settled.lateness("t1_attention", due, "bela").due == due
    assert len(asked) == 1
