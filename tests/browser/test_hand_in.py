"""The path of one submission in a real browser: fetch, edit and submit in JupyterLab, the official result seconds later.

Real JupyterHub, real graders, the real first assignment. `BOOTCAMP_PICTURES=folder` keeps what the browser showed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autograder import course as courses
from autograder.home import Home
from autograder.records import Ledger
from autograder.service.desk import exchange_of
from autograder.service.hub import Accounts
from autograder.service.running import running
from autograder.submission.definitions import definitions
from tests import cohort_world

pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright: pip install -e '.[dev]'")

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.stage import CHROMIUM, FLAGS, IN_CHROMIUM, PATIENCE_MS, ROOT, Stage, free_port

pytestmark = IN_CHROMIUM

expect.set_options(timeout=PATIENCE_MS)
ID, EXERCISE, WRONG = "f1_tensors", "pairwise_sq_dists", "bilinear"
ACCOUNTS = Accounts(("ada", "bob"), ("ines",), ("olga",))


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """The repository's own course in a new home, the first assignment released, one grader."""
    home = Home.from_env({"BOOTCAMP_HOME": str(folder / "home")}, ROOT)
    home.make()
    course = courses.load(ROOT)
    with Ledger.open(home.ledger_url) as ledger:
        exchange_of(course, ledger, home.path, lambda: datetime.now(UTC)).release(ID, None, "ines", waived="a test")
    world = cohort_world.World(course, home.ledger_url, {})
    with running(home, course, ACCOUNTS, free_port(), n_workers=1) as hub, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        try:
            yield Stage(hub, world, browser, home, {})
        finally:
            browser.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("path")) as running_stage:
        yield running_stage


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("BOOTCAMP_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")


def open_assignment_list(page: Page) -> None:
    page.locator(".lm-MenuBar-itemLabel", has_text="Nbgrader").click()
    page.locator(".lm-Menu-itemLabel", has_text="Assignment List").click()


def answer_in_lab(page: Page, name: str, source: str) -> None:
    """Put the source into the exercise's cell as a person would, and save."""
    cell = page.locator(".jp-CodeCell", has_text=f"def {name}(").first
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(source)
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-DirListing-item", has_text=f"{ID}.ipynb")).to_be_visible()


def test_fetch_edit_submit_and_see_the_result(stage: Stage) -> None:
    """One student, one right answer and one wrong one: the page changes by itself, and feedback comes by nbgrader's own button."""
    lab, mine = stage.page("ada"), stage.page("ada")
    complaints: list[str] = []
    mine.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    lab.goto(f"{stage.hub.service_url}me")
    lab.get_by_role("link", name="Open JupyterLab").click()
    open_assignment_list(lab)
    lab.get_by_role("button", name="Fetch").click()
    expect(lab.get_by_role("button", name="Submit")).to_be_visible()
    lab.locator(".jp-DirListing-item", has_text=ID).dblclick()
    lab.locator(".jp-DirListing-item", has_text=f"{ID}.ipynb").dblclick()
    answer_in_lab(lab, EXERCISE, definitions((ROOT / "solutions" / f"{ID}.py").read_text("utf-8"))[EXERCISE])
    answer_in_lab(lab, WRONG, f"def {WRONG}(x, w, y, bias):\n    return x @ w[0] + bias")
    saved = stage.hub.settings.users / "ada" / ID / f"{ID}.ipynb"
    lab.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    cells = {c["id"]: "".join(c["source"]) for c in json.loads(saved.read_text("utf-8"))["cells"]}
    assert "clamp(min=0)" in cells[EXERCISE]
    assert "w[0]" in cells[WRONG]

    lab.locator(".lm-TabBar-tabLabel", has_text="Assignments").click()
    lab.get_by_role("button", name="Submit").click()
    expect(lab.get_by_text(re.compile(r"UTC: (waiting|being graded|graded)")).first).to_be_visible()
    picture(lab, "assignment-list")
    mine.goto(f"{stage.hub.service_url}me")
    picture(mine, "waiting")

    # Not loaded again by us: it asks for itself.
    expect(mine.get_by_text(re.compile(r"1 of \d+ exercises passed"))).to_be_visible()
    picture(mine, "result")
    assert complaints == []

    lab.get_by_role("button", name="Fetch Feedback").click()
    lab.get_by_text("(view feedback)").click()
    lab.locator(".jp-DirListing-item", has_text=f"{ID}.html").dblclick()
    inside = lab.frame_locator("iframe").first
    expect(inside.get_by_role("heading", name=re.compile("attempt 1"))).to_be_visible()
    expect(inside.get_by_role("row", name=re.compile(EXERCISE))).to_contain_text("passed")
    picture(lab, "feedback")
    with Ledger.open(stage.home.ledger_url) as ledger:
        student = ledger.student("ada")
        (result,) = ledger.results(student.pseudonym)
    assert [v.exercise for v in result.latest.verdicts if v.points] == [f"{ID}.{EXERCISE}"]


def test_a_student_says_that_a_result_is_wrong_and_an_instructor_reads_it(stage: Stage) -> None:
    """The form on the student's page proves itself by the page's own token; the Grading page shows the words as text."""
    page = stage.page("ada")
    page.goto(f"{stage.hub.service_url}me")
    page.get_by_role("link", name="Attempt 1").first.click()
    page.get_by_text("I think this is wrong").first.click()
    page.get_by_label("What should it say").first.fill("<b>It is right</b> for n=0, too.")
    page.get_by_role("button", name="Report this result").first.click()
    expect(page.get_by_text("Reported.")).to_be_visible()

    ines = stage.page("ines")
    ines.goto(f"{stage.hub.service_url}grading")
    expect(ines.get_by_text("<b>It is right</b> for n=0, too.")).to_be_visible()
    expect(ines.get_by_role("row", name=re.compile(f"^{ID}.{WRONG} 1 "))).to_be_visible()
    picture(ines, "grading")


def test_a_students_server_has_a_token_for_the_service_and_little_else(stage: Stage) -> None:
    """The Hub gives a server's token what its user may do in the bootcamp: enough to hand in, nothing to administer."""
    page = stage.page("bob")
    page.goto(f"{stage.hub.service_url}me")
    with Ledger.open(stage.home.ledger_url) as ledger:
        assert ledger.student("bob") is None
    answer = page.goto(f"{stage.hub.service_url}grading")
    assert answer is not None
    assert answer.status == 403
