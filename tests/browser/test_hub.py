"""The main way of every role through a real JupyterHub, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from autograder.records import Ledger
from tests import cohort_world

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright: pip install -e '.[dev]'")

from playwright.sync_api import ConsoleMessage, Page, expect

from tests.browser.stage import IN_CHROMIUM, PATIENCE_MS, Stage, staged

pytestmark = IN_CHROMIUM

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("hub")) as running:
        yield running


def complaints(page: Page) -> list[str]:
    """Collect what the browser complains about from now on; a breach of the content policy is one."""
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda e: found.append(str(e)))
    return found


def test_a_stranger_is_sent_to_sign_in(stage: Stage) -> None:
    """Without a session every page of the service ends at the Hub's form."""
    context = stage.browser.new_context()
    page = context.new_page()
    page.goto(f"{stage.hub.service_url}cohort")

    expect(page).to_have_url(re.compile("/hub/login"))
    context.close()


def test_a_student_sees_their_own_results_with_hints(stage: Stage) -> None:
    """After signing in a student stands before their own work: points, words, and the hint of what failed."""
    page = stage.page("priya")
    found = complaints(page)
    page.goto(stage.hub.url)

    expect(page.get_by_role("heading", name="My work")).to_be_visible()
    with Ledger.open(stage.home.ledger_url) as ledger:
        results = ledger.results(stage.world.pseudonyms["priya"])
    for result in results:
        row = page.get_by_role("row", name=re.compile(re.escape(stage.world.course.assignment(result.assignment).title)))
        expect(row).to_contain_text(f"{result.latest.points:.2f}".rstrip("0").rstrip("."))
    failed, of = next((v, r) for r in results for v in r.latest.verdicts if v.hint and v.status.value == "fail")
    page.get_by_role("link", name=stage.world.course.assignment(of.assignment).title, exact=True).click()
    expect(page.get_by_text(failed.hint).first).to_be_visible()
    expect(page.get_by_text("bela")).to_have_count(0)
    assert found == []


@pytest.mark.parametrize(
    ("name", "path"),
    [("priya", "cohort"), ("mila", "cohort"), ("ines", "flags"), ("priya", "cohort/student/{ada}"), ("olga", "mentees")],
)
def test_the_lesser_role_is_refused_with_a_page(stage: Stage, name: str, path: str) -> None:
    """Scopes from the real Hub: the wrong role gets 403 and a page that says what to do."""
    page = stage.page(name)
    answer = page.goto(stage.hub.service_url + path.format(ada=stage.world.pseudonyms["ada"]))

    assert answer is not None
    assert answer.status == 403
    expect(page.get_by_role("heading", name="Forbidden")).to_be_visible()
    expect(page.get_by_text("ask an organizer")).to_be_visible()


def test_an_organizer_sees_the_cohort_and_a_person(stage: Stage) -> None:
    """The cohort table has every student with an estimate; a name leads to the person, and looking is recorded."""
    page = stage.page("olga")
    found = complaints(page)
    page.goto(stage.hub.service_url)
    expect(page.get_by_role("img", name=re.compile("^From hand-in to all points"))).to_be_visible()
    page.get_by_role("link", name="Students", exact=True).click()

    table = page.get_by_role("table")
    expect(table.get_by_role("row")).to_have_count(1 + len(cohort_world.NAMES))
    row = table.get_by_role("row", name=re.compile("^priya"))
    expect(row).to_contain_text(re.compile(r"[+−]\d\.\d"))
    expect(row.locator("svg.strip .interval")).to_be_attached()
    page.get_by_role("link", name="by state").click()
    expect(page.get_by_role("link", name="by state")).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="priya").click()
    expect(page.get_by_role("heading", name="priya")).to_be_visible()
    expect(page.get_by_role("img", name="Estimated ability")).to_be_visible()
    page.get_by_text("Every attempt").click()
    page.get_by_role("link", name=re.compile("Attempt")).first.click()
    expect(page.get_by_text("handed in by priya")).to_be_visible()
    with Ledger.open(stage.home.ledger_url) as ledger:
        views = ledger.events(kinds=["person.viewed"], subject=stage.world.pseudonyms["priya"])
    assert [(v.actor, v.payload["page"]) for v in views] == [("olga", "person"), ("olga", "attempt")]
    assert found == []


def test_an_instructor_sees_the_cohort_but_opens_nobody(stage: Stage) -> None:
    """Instructors read the table; the profile of a person is for organizers, so no name is a link."""
    page = stage.page("ines")
    page.goto(f"{stage.hub.service_url}cohort")

    expect(page.get_by_role("row", name=re.compile("^priya"))).to_be_visible()
    expect(page.get_by_role("link", name="priya")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("name", "path"), [("priya", "me"), ("olga", "cohort"), ("olga", "cohort/student/{priya}")])
def test_pages_fit_a_phone_in_both_themes(stage: Stage, name: str, path: str, theme: str) -> None:
    """Nothing is wider than the screen but what scrolls by itself, the theme follows the reader, and Tab begins at "skip"."""
    page = stage.page(name, viewport={"width": 390, "height": 800}, color_scheme=theme)
    found = complaints(page)
    page.goto(stage.hub.service_url + path.format(priya=stage.world.pseudonyms["priya"]))

    width, ground = page.evaluate("[document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]")
    page.keyboard.press("Tab")

    assert width <= 390
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 150) == (theme == "dark")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    assert found == []


def test_an_organizer_confirms_and_a_mentor_sees(stage: Stage) -> None:
    """Evaluate, move the slider, confirm with a reason; then the mentor has one invitee, all through the real Hub."""
    page = stage.page("olga")
    found = complaints(page)
    page.goto(f"{stage.hub.service_url}flags")
    page.get_by_role("button", name="Record today's evaluation").click()
    expect(page.get_by_text("The newest evaluation is event")).to_be_visible()
    page.get_by_label("Largest expected share").fill("40")
    expect(page.locator("#list")).to_contain_text("expected false")
    page.get_by_role("row", name=re.compile("^carmen")).get_by_role("link").click()
    page.get_by_label("Decision").select_option("confirm")
    page.get_by_label("Why, in a sentence").fill("Solved what few did <script>alert(1)</script>")
    page.get_by_role("button", name="Record the decision").click()
    expect(page.locator(".timeline")).to_contain_text("Solved what few did <script>alert(1)</script>")
    assert found == []

    mentor = stage.page("mila")
    mentor.goto(stage.hub.service_url)
    expect(mentor.get_by_role("table").get_by_role("row")).to_have_count(2)
    mentor.get_by_role("link", name="carmen").click()
    expect(mentor.get_by_text("Solved what few did")).to_be_visible()


def test_the_theme_is_remembered(stage: Stage) -> None:
    """The switch beats the system's theme, on the next page too."""
    page = stage.page("bela", color_scheme="light")
    page.goto(f"{stage.hub.service_url}me")
    switch = page.get_by_role("button", name="Theme: system")
    switch.click()
    page.get_by_role("button", name="Theme: light").click()
    page.reload()

    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", ground)[:3])) < 150


def test_signing_out_ends_the_session(stage: Stage) -> None:
    """After "Sign out" the same browser is a stranger to the service too."""
    page = stage.page("ada", locale="en-GB")
    page.goto(f"{stage.hub.service_url}me")
    page.get_by_role("link", name="Sign out").click()
    page.wait_for_url("**/hub/**")
    page.goto(f"{stage.hub.service_url}me")

    expect(page).to_have_url(re.compile("/hub/login"))


def test_a_student_fetches_and_opens_the_released_notebook(stage: Stage) -> None:
    """Assignment List, Fetch, open: the kernel starts without a question, and Formgrader is not on the menu."""
    page = stage.page("priya")
    page.goto(f"{stage.hub.service_url}me")
    page.get_by_role("link", name="Open JupyterLab").click()
    page.locator(".lm-MenuBar-itemLabel", has_text="Nbgrader").click()
    expect(page.locator(".lm-Menu-itemLabel", has_text="Assignment List")).to_be_visible()
    expect(page.locator(".lm-Menu-itemLabel", has_text="Formgrader")).to_have_count(0)
    page.locator(".lm-Menu-itemLabel", has_text="Assignment List").click()
    page.get_by_role("button", name="Fetch", exact=True).click()
    expect(page.get_by_role("button", name="Submit")).to_be_visible()
    page.locator(".jp-DirListing-item", has_text="t1_attention").dblclick()
    page.locator(".jp-DirListing-item", has_text="t1_attention.ipynb").dblclick()

    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle")
    expect(page.get_by_role("heading", name=re.compile("Attention and a GPT block"))).to_be_visible()
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    fetched = {p.name for p in (stage.hub.settings.users / "priya" / "t1_attention").iterdir()}
    assert fetched >= {"checks.py", "t1_attention.ipynb"}
    assert "assignment.json" not in fetched


def test_an_instructor_opens_formgrader(stage: Stage) -> None:
    """Formgrader stands inside Lab, on the course folder of this home; Assignment List is not on the menu."""
    page = stage.page("ines")
    page.goto(f"{stage.hub.service_url}cohort")
    page.get_by_role("link", name="Open JupyterLab").click()
    page.locator(".lm-MenuBar-itemLabel", has_text="Nbgrader").click()
    expect(page.locator(".lm-Menu-itemLabel", has_text="Assignment List")).to_have_count(0)
    page.locator(".lm-Menu-itemLabel").get_by_text("Formgrader", exact=True).click()

    inside = page.frame_locator("iframe[src*=formgrader], iframe").first
    expect(inside.get_by_role("heading", name="Manage Assignments")).to_be_visible()
    expect(inside.get_by_role("row", name=re.compile("t1_attention"))).to_be_visible()
    expect(inside.get_by_text("course directory root is not a subdirectory")).to_have_count(0)
