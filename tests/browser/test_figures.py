"""Figures with a script, in Chromium: values under the pointer and the arrow keys, a series set aside; axe, and no complaint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright: pip install -e '.[dev]'")

from playwright.sync_api import Page, expect

from autograder.records import Ledger
from autograder.service.desk import Desk
from tests import cohort_world
from tests.browser.axe import findings
from tests.browser.looking import Looking, looking
from tests.browser.stage import IN_CHROMIUM
from tests.browser.test_hub import complaints

pytestmark = IN_CHROMIUM


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    folder = tmp_path_factory.mktemp("term")
    world = cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")
    with Ledger.open(world.ledger_url) as ledger:
        desk = Desk.of(world.course, ledger, lambda: cohort_world.NOW, folder)
        with looking(desk) as look:
            yield look
        desk.surveys.close()


def tips(page: Page, figure: str) -> list[str]:
    found: list[str] = page.locator(f"#{figure} [data-tip]").evaluate_all("all => all.map(e => e.dataset.tip)")
    return found


def test_a_pointed_mark_says_its_values(place: Looking) -> None:
    """The exercise's name and numbers, as in the table; away from every mark there is nothing, and the policy allows it all."""
    page = place.page("instructor")
    found = complaints(page)
    page.goto(place.address("teaching/exercises"))
    tip = page.locator("#scatter .tip")
    page.locator("#scatter [data-tip*='rope']").first.hover(force=True)

    expect(tip).to_contain_text("rope (t1_attention)")
    expect(tip).to_contain_text("discrimination")
    assert findings(page) == []
    page.get_by_role("heading", level=1).hover()
    expect(tip).to_be_empty()
    assert found == []
    page.close()


def test_arrow_keys_walk_through_the_values(place: Looking) -> None:
    """From left to right, each once, told to a screen reader; Escape hides it."""
    page = place.page("organizer")
    page.goto(place.address("calibration"))
    every, tip = tips(page, "reliability"), page.locator("#reliability .tip")
    page.locator("#reliability .canvas").focus()
    walked = []
    for _ in every:
        page.keyboard.press("ArrowRight")
        walked.append("; ".join(tip.inner_text().split("\n")))

    assert len(every) > 2
    assert walked == sorted(every)  # "expected 0.15; ..." is in the order of the axis
    expect(tip).to_have_attribute("role", "status")
    page.keyboard.press("Home")
    expect(tip).to_contain_text(every[0].split("; ")[0])
    page.keyboard.press("Escape")
    expect(tip).to_be_empty()
    page.close()


def test_a_series_is_set_aside_and_comes_back(place: Looking) -> None:
    """A button per series; what is aside is not pointed at."""
    page = place.page("organizer")
    page.goto(place.address("overview"))
    button = page.locator("#density").get_by_role("button", name="reference")
    button.click()

    expect(button).to_have_attribute("aria-pressed", "false")
    page.locator("#density .canvas").focus()
    page.keyboard.press("Home")
    expect(page.locator("#density .tip")).to_contain_text("this cohort")
    button.click()
    expect(page.locator("#density .aside")).to_have_count(0)
    page.close()


def test_without_a_script_the_page_says_the_same(place: Looking) -> None:
    """No button, no tip; drawing and table stand."""
    page = place.page("organizer")
    page.route("**/static/*.js", lambda route: route.abort())
    page.goto(place.address("overview"))

    expect(page.locator("#density svg.drawing")).to_be_visible()
    expect(page.locator(".tip, #density button")).to_have_count(0)
    page.locator("#density summary").click()
    expect(page.locator("#density table")).to_be_visible()
    page.close()
