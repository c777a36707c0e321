"""A cell's header says what the cell is; whatever it cannot mean is refused with what was expected."""

from __future__ import annotations

import pytest

from autograder.authoring.header import HeaderError, read_header

EXERCISE = 'exercise points=6 minutes=18 difficulty=2 importance=4 title="A mask"'


@pytest.mark.parametrize(
    ("text", "kind"),
    [("[markdown]", "text"), (" [md]", "text"), ("setup", "setup"), ("demo", "demo"), ("", "demo"), (EXERCISE, "exercise")],
)
def test_the_first_word_says_the_kind(text, kind):
    """Nothing at all is a demo: the playground is the default."""
    assert read_header(text).kind == kind


def test_options_are_read_in_any_order_with_quotes():
    """A value with spaces stands in double quotes, which may be escaped inside."""
    options = read_header(r'exercise title="The \"last\" one" importance=1 points=2.5 minutes=3 difficulty=5').options

    assert options is not None
    assert (options.title, options.points, options.minutes, options.bonus) == ('The "last" one', 2.5, 3, False)


def test_a_bonus_exercise_has_no_points():
    """points=0 is allowed with bonus=true, and only there."""
    options = read_header(EXERCISE.replace("points=6", "points=0") + " bonus=true").options

    assert options is not None
    assert (options.points, options.bonus) == (0, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "exercice points=6",
            'unknown kind of cell "exercice". Did you mean "exercise"? Expected one of: [markdown], setup, exercise, demo, '
            "or nothing (a demo).",
        ),
        (
            EXERCISE.replace("points", "point"),
            'unknown key "point". Did you mean "points"? Expected: points, minutes, difficulty, importance, title, bonus.',
        ),
        (
            EXERCISE.replace("minutes=18 ", ""),
            'the exercise has no "minutes". Expected: points, minutes, difficulty, importance and title; bonus=true if it is one.',
        ),
        (EXERCISE.replace("=6", "=0"), "points=0: expected more than 0. Only a bonus exercise (bonus=true) has 0."),
        (EXERCISE.replace("=6", "=-2"), "points=-2: expected more than 0. Only a bonus exercise (bonus=true) has 0."),
        (EXERCISE.replace("=6", "=nan"), "points=nan: expected a finite number."),
        (EXERCISE + " bonus=true", "points=6: a bonus exercise has 0 points."),
        (EXERCISE.replace("difficulty=2", "difficulty=6"), "difficulty=6: expected less than or equal to 5."),
        (EXERCISE.replace("minutes=18", "minutes=soon"), "minutes=soon: expected a valid integer."),
        (EXERCISE + " points=7", '"points" stands twice in one header.'),
        (
            EXERCISE.replace('"A mask"', "A mask"),
            'cannot read "mask". Expected key=value pairs; a value with spaces stands in double quotes.',
        ),
        ("setup points=3", 'unknown key "points": a setup cell has no options; only an exercise has.'),
    ],
)
def test_what_cannot_be_meant_is_refused(text, message):
    """The message says what was found and what was expected."""
    with pytest.raises(HeaderError) as e:
        read_header(text)
    assert str(e.value) == message
