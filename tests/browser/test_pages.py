"""Every page of every role, from the routes: axe finds nothing serious, nothing breaks the policy, all fits a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright: pip install -e '.[dev]'")

from playwright.sync_api import expect

from autograder.service.background import NotYetError, Surveys
from autograder.survey import Survey
from tests.browser.axe import findings, pages
from tests.browser.furnished import furnished
from tests.browser.looking import DESKTOP, PHONE, Looking
from tests.browser.stage import IN_CHROMIUM
from tests.browser.test_hub import complaints
from tests.sample import sampled

pytestmark = IN_CHROMIUM

LOOKS = [f"{page} {look}" for page in pages() for look in ("light", "dark")]
SHOWN = sampled(LOOKS, 8)
# Those with the most columns always, any other now and then.
DENSE = ["student me", "instructor teaching/stuck"]
FITTED = [*DENSE, *sampled([p for p in pages() if p not in DENSE], 2)]
A4 = 718  # the paper's width within margins of 1 cm, in CSS pixels
WIDE = "[...document.querySelectorAll('.card, .figure')].filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.innerText)"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Looking, dict[str, str]]]:
    with furnished(tmp_path_factory.mktemp("term")) as (at, known):
        yield at, known


@pytest.mark.parametrize("look", SHOWN)
def test_a_page_can_be_read_by_everybody(place: tuple[Looking, dict[str, str]], look: str) -> None:
    """In the light theme at a desk, in the dark one on a phone."""
    at, real = place
    role, address, theme = look.split(" ")
    page = at.page(role, theme, DESKTOP if theme == "light" else PHONE)
    found = complaints(page)
    answer = page.goto(at.address(address.format(**real)))

    assert answer is not None
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= (DESKTOP if theme == "light" else PHONE)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    # A page that does not exist for this role is an error page, and the console says so.
    assert [text for text in found if answer.status == 200] == []
    page.close()


@pytest.mark.parametrize("one", FITTED)
def test_no_card_is_wider_than_its_place(place: tuple[Looking, dict[str, str]], one: str) -> None:
    """From a small phone over tablets to a desk, and on A4 paper, where nothing can be scrolled."""
    at, real = place
    role, address = one.split(" ")
    page = at.page(role)
    page.goto(at.address(address.format(**real)))
    for width in (360, 640, 700, 820, 1000, A4):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(media="print" if width == A4 else "screen")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(WIDE) == [], f"at {width} px"
    page.close()


def test_axe_would_find_a_slip(place: tuple[Looking, dict[str, str]]) -> None:
    """The check above can fail: a picture without a name, words that one cannot read."""
    at, _ = place
    page = at.page("student")
    page.goto(at.address("me"))
    page.evaluate("document.querySelector('main').innerHTML += '<img src=/x.png><p class=of id=pale>pale</p>'")
    page.evaluate("document.getElementById('pale').style.color = '#ddd'")

    assert {text.split(" ")[0] for text in findings(page)} == {"image-alt", "color-contrast"}
    page.close()


def test_a_page_that_was_being_computed_fills(place: tuple[Looking, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself and whole: its content, its title, and in the footer which state of the records it is."""
    at, _ = place

    def not_yet(self: Surveys, cohort: str) -> Survey:
        raise NotYetError(False)

    page = at.page("organizer")
    with monkeypatch.context() as patch:
        patch.setattr(Surveys, "newest", not_yet)
        page.goto(at.address("overview"))
        expect(page.get_by_role("status")).to_contain_text("Being computed")
    expect(page.get_by_role("heading", name="Cohort 2026")).to_be_visible()
    expect(page.locator("footer")).to_contain_text("Records as of event")
    expect(page).to_have_title(re.compile("^Overview"))
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

    assert [a for a in asked if not a.startswith("static/")] == ["flags/list?cohort=2026&alpha=50&seats=16"]
    expect(page.locator("#alpha-shown")).to_have_text("50 %")
    page.get_by_role("slider", name="Seats").fill("2")
    expect(page.locator("#list")).to_contain_text("Every seat is taken")
    assert asked[-1] == "flags/list?cohort=2026&alpha=50&seats=2"
    expect(page.locator("#seats-shown")).to_have_text("2")
    page.route("**/flags/list*", lambda route: route.fulfill(status=503))
    page.get_by_label("Largest expected share").fill("10")
    expect(page.get_by_role("alert")).to_contain_text("did not answer")
    page.close()
