"""The README's table and diagram show what the committed simulation measured, and nothing is published from half of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autograder.errors import BootcampError
from autograder.progress.simulator.numbers import plots, published

ROOT = Path(__file__).parents[1]


def _measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(published.MEASURED.read_text("utf-8"))
    return found


def test_the_readme_is_fresh() -> None:
    """Its generated part is what `simulate --publish` would write from measured.json."""
    text = published.README.read_text("utf-8")

    assert published.published(text, _measured()) == text


@pytest.mark.slow
def test_the_diagram_is_fresh() -> None:
    """So is the drawing."""
    assert (ROOT / published.DRAWING).read_text("utf-8") == plots.svg(published.drawing(_measured()))


def test_all_nine_numbers_are_published_at_every_size_cold_and_warm() -> None:
    """1 to 5 in each of the eight columns, 8 in the four that have a bank, 6, 7 and 9 once; with an error wherever one exists."""
    rows = _measured()["rows"]

    assert {r["number"] for r in rows} == set(range(1, 10))
    for case in published.CASES:
        own = {r["number"] for r in rows if r["case"] == case}
        assert own == ({1, 2, 3, 4, 5, 8} if case.endswith("warm") else {1, 2, 3, 4, 5}), case
        assert all(r["n_cohorts"] >= 6 for r in rows if r["case"] == case)
    shown = {line.what for line in published.LINES}
    assert shown <= {r["what"] for r in rows}
    assert all(r["error"] is not None for r in rows if r["what"] in shown and r["value"] is not None)


def test_a_number_that_misses_its_target_is_seen() -> None:
    """Bold is missed; what did not occur is a dash."""
    row = {"value": 0.21, "error": 0.01, "reached": False}

    assert published._value(row, 2) == "**0.21 ± 0.01**"
    assert published._value({**row, "reached": True}, 2) == "0.21 ± 0.01"
    assert published._value({**row, "value": None}, 2) == "–"


def test_half_a_simulation_is_not_published() -> None:
    """A case that was not reached is named; marks that are gone are asked for."""
    data = _measured()
    few = {**data, "rows": [r for r in data["rows"] if r["case"] != "S2 N=30 warm"]}

    with pytest.raises(BootcampError, match="S2 N=30 warm"):
        published.compact(few)
    with pytest.raises(BootcampError, match="are missing"):
        published.published("no marks", data)
