"""Two real cohorts in one ledger, compared on one scale through the page: the shift between them is found, and said how surely."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.cli import bootcamp
from autograder.records import Ledger
from autograder.service.desk import Desk
from autograder.service.open_data import BASE
from tests import cohort_world
from tests.cohort_world import COHORT, NOW
from tests.service_world import Text, World, as_json, serving

EARLIER, N, SHIFT = "2025", 40, -1.5


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> cohort_world.World:
    folder = tmp_path_factory.mktemp("two")
    world = cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")
    cohort_world.add_cohort(world, EARLIER, N, SHIFT)
    return world


@pytest.fixture
def page(two: cohort_world.World, tmp_path: Path) -> Iterator[World]:
    with Ledger.open(two.ledger_url) as ledger:
        desk = Desk.of(two.course, ledger, lambda: NOW, tmp_path)
        with serving(desk) as running:
            yield running
        desk.surveys.close()


def linked(page: World, base: str) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Return the rows of the links and each cohort's mean on the scale of `base`, as the page says them."""
    said = as_json(page.ask(f"{BASE}/pages/comparison?cohort={base}", "organizer"))["page"]
    means = {row[0]: float(row[2].replace("−", "-")) for row in said["abilities"]["table"]["rows"]}
    return {row[0]: row[1:] for row in said["links"]["rows"]}, means


def test_the_shift_between_two_cohorts_is_found(page: World) -> None:
    """On either scale the earlier cohort lies below, by what was put in, within the uncertainty that the page states."""
    rows, means = linked(page, COHORT)

    assert rows[COHORT][0] == "gives the scale"
    state, common, shift = rows[EARLIER]
    assert state == "linked"
    n_used, n_common = map(int, re.findall(r"\d+", common))
    assert 5 <= n_used <= n_common
    found, se = (float(x.replace("−", "-")) for x in shift.split(" ± "))
    # In SDs of the later cohort: abilities were drawn with SD 1.1 around 0.2, three of them set by hand.
    sd = 1.4
    assert abs((means[EARLIER] - means[COHORT]) - SHIFT / sd) < 0.6
    assert found < -3 * se < 0
    assert se < 0.3
    back, other = linked(page, EARLIER)
    assert back[EARLIER][0] == "gives the scale"
    assert other[COHORT] > other[EARLIER]
    shown = Text(page.ask(f"comparison?cohort={COHORT}", "organizer").body)
    assert f"{EARLIER} linked {common} {shift}" in shown.text
    assert len(shown.having("svg")) > 2


def test_a_cohort_that_is_measured_against_a_bank_has_its_scale(two: cohort_world.World, tmp_path: Path) -> None:
    """With items fixed by the earlier cohort the link is exact: every common exercise lies on the line."""
    env = {"BOOTCAMP_COURSE": str(two.course.root), "BOOTCAMP_LEDGER": two.ledger_url, "BOOTCAMP_HOME": str(tmp_path)}
    done = CliRunner().invoke(bootcamp, ["progress", "bank", "--from", EARLIER, "--for", COHORT], env=env, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with Ledger.open(two.ledger_url) as ledger:
        desk = Desk.of(two.course, ledger, lambda: NOW, tmp_path)
        with serving(desk) as page:
            rows, means = linked(page, EARLIER)
        desk.surveys.close()

    _, common, shift = rows[COHORT]
    n_used, n_common = map(int, re.findall(r"\d+", common))
    assert n_used == n_common
    assert shift.endswith("± 0.00")
    assert means[COHORT] > means[EARLIER]
