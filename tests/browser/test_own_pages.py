"""A student's and an instructor's own way through their pages, in Chromium: waiting, a transcript, an extension, axe."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pypdf import PdfReader

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright: pip install -e '.[dev]'")

from playwright.sync_api import expect

from autograder.grading.verdict import Status
from autograder.records import Ledger
from autograder.service.desk import Desk
from tests import cohort_world
from tests.browser.axe import findings
from tests.browser.looking import PHONE, Looking, looking
from tests.browser.stage import IN_CHROMIUM, PATIENCE_MS
from tests.browser.test_hub import complaints
from tests.cohort_world import NOW

pytestmark = IN_CHROMIUM

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Looking, cohort_world.World, Ledger]]:
    folder = tmp_path_factory.mktemp("term")
    world = cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")
    with Ledger.open(world.ledger_url) as ledger:
        desk = Desk.of(world.course, ledger, lambda: NOW, folder)
        with looking(desk) as look:
            yield look, world, ledger
        desk.surveys.close()


def test_a_page_that_waits_fills_by_itself(place: tuple[Looking, cohort_world.World, Ledger]) -> None:
    """Queued, running, graded: the student does nothing, and the page says each."""
    look, world, ledger = place
    page = look.page("student")
    found = complaints(page)
    manifest = world.course.assignment("f2_autograd").manifest()
    attempt = ledger.hand_in(world.pseudonyms["ada"], "f2_autograd", "a" * 64, NOW).attempt
    page.goto(look.address(f"me/attempt/{attempt.id}"))
    expect(page.get_by_text("It is waiting, 1st in line.")).to_be_visible()

    lease = ledger.queue.claim("w")
    assert lease is not None
    expect(page.get_by_text("It is being graded.")).to_be_visible()
    whole = {e.id: (Status.PASS, 1.0) for e in manifest.exercises}
    ledger.settle(lease, cohort_world.graded(manifest, whole, attempt.sha256), NOW)

    expect(page.get_by_text("all passed")).to_be_visible()
    assert found == []
    page.close()


def test_a_student_signs_a_transcript_and_a_stranger_checks_it(place: tuple[Looking, cohort_world.World, Ledger]) -> None:
    """By the page's own forms: signed, opened without an account, kept as a PDF, withdrawn, gone."""
    look, _, _ = place
    page, stranger = look.page("student"), look.browser.new_context(viewport={"width": PHONE, "height": 800}).new_page()
    found, theirs = complaints(page), complaints(stranger)
    page.goto(look.address("me"))
    page.get_by_role("link", name="My progress").click()
    expect(page.get_by_role("heading", name="Tracks")).to_be_visible()
    page.get_by_role("link", name="Transcripts").click()
    page.get_by_label("The name that it shows").fill("Ada Lovelace")
    page.get_by_label(cohort_world.ASSIGNMENTS["f1_tensors"][0]).uncheck()
    page.get_by_role("button", name="Sign").click()
    expect(page.get_by_text("Signed.")).to_be_visible()
    address = page.locator(".address a").inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF").click()
    text = " ".join(p.extract_text() for p in PdfReader(download.value.path()).pages)

    stranger.goto(address)

    assert address.startswith(look.address("verify/"))
    assert findings(stranger) == []
    assert stranger.evaluate("document.documentElement.scrollWidth") <= PHONE
    expect(stranger.get_by_text("Ada Lovelace")).to_be_visible()
    expect(stranger.get_by_text("what it says is still so")).to_be_visible()
    expect(stranger.get_by_text(cohort_world.ASSIGNMENTS["f1_tensors"][0])).to_have_count(0)
    assert "Ada Lovelace" in text
    assert address.rsplit("/", 1)[1] in text.replace("\n", "")

    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator(".address")).to_have_count(0)
    stranger.reload()
    expect(stranger.get_by_role("heading", name="Withdrawn")).to_be_visible()
    expect(stranger.get_by_text("Ada")).to_have_count(0)
    assert found == theirs == []
    stranger.context.close()


def test_an_instructor_grants_an_extension(place: tuple[Looking, cohort_world.World, Ledger]) -> None:
    """Found by name, granted with a reason; the student's own page has the new date at once."""
    look, _, _ = place
    page = look.page("instructor")
    found = complaints(page)
    page.goto(look.address("teaching/roster"))
    page.get_by_label("Name holds").fill("AD")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="ada", exact=True).click()
    page.get_by_label("Assignment", exact=True).select_option("f2_autograd")
    page.get_by_label("Until (UTC)").fill("2099-03-01T18:00")
    page.get_by_label(re.compile("^Why")).fill("a broken arm")
    page.get_by_role("button", name="Grant").click()

    expect(page.get_by_text("Recorded.", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Build your own autograd"))).to_contain_text("1 Mar 2099, 18:00 UTC")
    student = look.page("student")
    student.goto(look.address("me"))
    row = student.get_by_role("row", name=re.compile("Build your own autograd"))
    expect(row).to_contain_text("extended for you")
    expect(student.get_by_text("a broken arm")).to_have_count(0)
    assert found == []
