"""What prose repeats of a header agrees with it."""

from __future__ import annotations

import pytest

from autograder.authoring.build import instructor_notebook
from autograder.authoring.card import contradictions
from autograder.authoring.header import Options
from autograder.errors import CourseError
from tests.small_course import LESSON, write_course

OPTIONS = Options(points=6, minutes=18, difficulty=2, importance=4, title="A")
CARD = "Worth (3 points) elsewhere. > **Exercise** (6 points)\n> - Difficulty ●●○○○ · importance ●●●●○ · about 18 minutes"


def test_a_true_card_and_no_card_are_fine():
    """Nothing has to be repeated; of several mentions the nearest one counts."""
    assert list(contradictions(CARD, OPTIONS)) == []
    assert list(contradictions("Just a story about 3 numbers.", OPTIONS)) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("(6 points)", "(14 points)", "the text above says points 14, the header says points=6."),
        ("about 18", "about 48", "the text above says minutes 48, the header says minutes=18."),
        ("Difficulty ●●", "Difficulty ●●●", "the text above says difficulty 3, the header says difficulty=2."),
        ("importance ●●●●", "importance ●", "the text above says importance 1, the header says importance=4."),
    ],
)
def test_a_false_card_is_told(old, new, told):
    """Each number by itself."""
    assert list(contradictions(CARD.replace(old, new), OPTIONS)) == [told]


def test_a_build_stops_at_a_false_card(tmp_path):
    """The line is the header's; only the text directly above is read."""
    (assignment,) = write_course(tmp_path, lesson=LESSON.replace("## First", "## First (5 points)"))
    with pytest.raises(CourseError) as e:
        instructor_notebook(assignment)
    assert str(e.value) == f"{assignment.folder}/lesson.py:13: the text above says points 5, the header says points=4."
