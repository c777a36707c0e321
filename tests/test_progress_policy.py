"""The policy file is complete, validated with line numbers, and decides as section 3 of the tracker's design says."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.errors import CourseError
from autograder.progress import State, load_policy
from autograder.progress.policy import DEFAULT, decide, lacking

POLICY = load_policy()


def test_the_shipped_policy_has_the_agreed_thresholds() -> None:
    """Top tenth, 20 first tries, 2 notebooks, SD at most .85, watch from .40, provisional from .80; boxes A and B."""
    e, s = POLICY.evidence, POLICY.states

    assert (POLICY.version, POLICY.target.top_share) == ("3", 0.1)
    assert (e.min_first_tries, e.min_notebooks, e.max_sd_ratio) == (20, 2, 0.85)
    assert (e.tiers, e.kinds, e.skipped) == (("A", "B"), ("verified",), "missing")
    assert (s.watch, s.provisional, s.provisional_twice, s.dropped_below, s.strict) == (0.4, 0.8, 0.65, 0.5, False)
    assert (POLICY.rising.chance, POLICY.rising.min_weeks, POLICY.rising.min_tracks) == (0.9, 4, 2)
    assert (POLICY.shortlist.alpha, POLICY.integrity.hold_below, e.max_residual_z) == (0.2, 0.5, 3.3)


@pytest.mark.parametrize(
    ("n_items", "n_notebooks", "sd", "p", "state"),
    [
        (20, 2, 0.85, 0.80, State.PROVISIONAL),
        (20, 2, 0.85, 0.799999, State.WATCH),
        (20, 2, 0.85, 0.40, State.WATCH),
        (20, 2, 0.85, 0.399999, State.NONE),
        (19, 2, 0.5, 0.99, State.NEEDS_EVIDENCE),
        (99, 1, 0.5, 0.99, State.NEEDS_EVIDENCE),
        (99, 9, 0.850001, 0.99, State.NEEDS_EVIDENCE),
        (0, 0, 1.0, 0.1, State.NEEDS_EVIDENCE),
    ],
)
def test_states_change_exactly_at_the_thresholds(n_items: int, n_notebooks: int, sd: float, p: float, state: State) -> None:
    """Evidence comes first; then p decides, thresholds included."""
    assert decide(POLICY, n_items, n_notebooks, sd, p) is state


def test_what_is_lacking_is_said_with_numbers() -> None:
    """Every unmet requirement is named with what is there and what is needed."""
    assert lacking(POLICY, 20, 2, 0.5) == ()
    assert lacking(POLICY, 1, 1, 0.9) == (
        "1 first try counts, 20 are needed",
        "there is evidence from 1 of at least 2 notebooks",
        "the uncertainty is 90 % of what it was before any evidence, 85 % is allowed",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("watch = 0.40", "wach = 0.40", r'policy\.toml:\d+: unknown key "states\.wach"\. Expected one of: watch, provisional'),
        ("watch = 0.40", "", r'the key "states\.watch" is missing'),
        ("watch = 0.40", "watch = 0.90", "watch must not be above provisional"),
        ("dropped_below = 0.50", "dropped_below = 0.70", "expected dropped_below <= provisional_twice <= provisional"),
        ("explore_low = 0.20", "explore_low = 0.80", "explore_low must be below explore_high"),
        ('use = "auto"', 'use = "magic"', r"engine\.use: found 'magic'"),
        ("provisional = 0.80", "provisional = 80", r"policy\.toml:\d+: states\.provisional: found 80"),
        ("top_share = 0.10", "top_share = 0", r"target\.top_share: found 0"),
        ('tiers = ["A", "B"]', 'tiers = ["A", "Z"]', r"evidence\.tiers\.1: found 'Z'"),
        ('skipped = "missing"', 'skipped = "zero"', r"evidence\.skipped: found 'zero'"),
        ('version = "3"', 'version = "3"\nvershun = 3', r'policy\.toml:4: unknown key "vershun"'),
        ("[states]", "[states", r"policy\.toml:\d+: not valid TOML"),
    ],
)
def test_a_wrong_policy_is_refused_with_file_and_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Unknown keys, missing keys and impossible values are errors that say where and what was expected."""
    text = DEFAULT.read_text("utf-8")
    assert old in text
    path = tmp_path / "policy.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")

    with pytest.raises(CourseError, match=message):
        load_policy(path)


def test_the_error_names_the_line_of_the_key(tmp_path: Path) -> None:
    """The line is that of the key in its own table."""
    path = tmp_path / "policy.toml"
    lines = DEFAULT.read_text("utf-8").replace("provisional = 0.80", "provisional = 7").splitlines()
    path.write_text("\n".join(lines), "utf-8")

    with pytest.raises(CourseError) as caught:
        load_policy(path)

    assert caught.value.line == lines.index("provisional = 7") + 1


def test_a_missing_policy_is_refused(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(CourseError, match=r"none\.toml: cannot read the policy"):
        load_policy(tmp_path / "none.toml")
