"""Every page of every role, from the routes: axe finds nothing serious, nothing breaks the policy, all fits a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright: pip install -e '.[dev]'")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from autograder.records import Ledger
from autograder.service.desk import Desk
from autograder.service.office import Office
from autograder.service.roles import ROLES
from tests import cohort_world
from tests.browser.looking import DESKTOP, PHONE, Looking, looking
from tests.browser.stage import CHROMIUM
from tests.browser.test_hub import complaints
from tests.sample import sampled
from tests.service_world import NAMES
from tests.test_service_access import EXPECTED

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"the browser tests need {CHROMIUM}: apt-get install chromium"),
]

# Pieces of pages, files and what no person reads.
NO_PAGES = ("api/", "static/", "exports/", "healthz", "oauth_callback", "flags/list", "verify/", "me/data")
_SERIOUS = ("serious", "critical")


def _pages() -> list[str]:
    """Return "role address" for every page that the role may read."""
    found = []
    for path, (address, methods) in EXPECTED.items():
        allowed = methods.get("GET", ((), 0))[0]
        if address and not path.startswith(NO_PAGES) and not path.endswith(("/state", "/paper")):
            found += [f"{role} {address}" for role in ROLES if role in allowed]
    return found


LOOKS = [f"{page} {look}" for page in _pages() for look in ("light", "dark")]
SHOWN = sampled(LOOKS, 8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Looking, dict[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("term")
    world = cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")
    pseudonym = world.pseudonyms[NAMES["student"]]
    with Ledger.open(world.ledger_url) as ledger:
        desk = Desk.of(world.course, ledger, lambda: cohort_world.NOW, folder)
        Office(desk).evaluate("", "olga")
        Office(desk).review(pseudonym, "confirm", "Explains well.", "olga")
        real = {"pseudonym": pseudonym, "attempt": ledger.results(pseudonym)[0].latest.attempt.id}
        with looking(desk) as look:
            yield look, real


def serious(page: Page) -> list[str]:
    """Return axe's serious findings, with where they are."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['target']} {v['help']}" for v in found if v["impact"] in _SERIOUS]


@pytest.mark.parametrize("look", SHOWN)
def test_a_page_can_be_read_by_everybody(place: tuple[Looking, dict[str, str]], look: str) -> None:
    """In the light theme at a desk, in the dark one on a phone."""
    at, real = place
    role, address, theme = look.split(" ")
    page = at.page(role, theme, DESKTOP if theme == "light" else PHONE)
    found = complaints(page)
    answer = page.goto(at.address(address.format(**real)))

    assert answer is not None
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= (DESKTOP if theme == "light" else PHONE)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    # A page that does not exist for this role is an error page, and the console says so.
    assert [text for text in found if answer.status == 200] == []
    page.close()


def test_axe_would_find_a_slip(place: tuple[Looking, dict[str, str]]) -> None:
    """The check above can fail: a picture without a name, words that one cannot read."""
    at, _ = place
    page = at.page("student")
    page.goto(at.address("me"))
    page.evaluate("document.querySelector('main').innerHTML += '<img src=/x.png><p class=of id=pale>pale</p>'")
    page.evaluate("document.getElementById('pale').style.color = '#ddd'")

    assert {text.split(":")[0] for text in serious(page)} == {"image-alt", "color-contrast"}
    page.close()


def test_a_slider_moves_the_list(place: tuple[Looking, dict[str, str]]) -> None:
    """The list is fetched as a piece, with one request, and says what the page would say; an unanswered one is told."""
    at, _ = place
    page = at.page("organizer")
    page.goto(at.address("flags"))
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url.rsplit("/", 2)[-2] + "/" + r.url.rsplit("/", 1)[-1]))
    page.get_by_label("Largest expected share").fill("50")
    expect(page.locator("#list")).to_contain_text("expected false")

    assert asked == ["flags/list?cohort=2026&alpha=50&seats=16"]
    expect(page.locator("#alpha-shown")).to_have_text("50 %")
    page.route("**/flags/list*", lambda route: route.fulfill(status=503))
    page.get_by_label("Largest expected share").fill("10")
    expect(page.get_by_role("alert")).to_contain_text("did not answer")
    page.close()
