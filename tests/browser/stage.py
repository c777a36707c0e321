"""A real JupyterHub with the demo's configuration and a made-up term, and Chromium to look at it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from autograder.home import Home
from autograder.records import Ledger
from autograder.service.desk import exchange_of
from autograder.service.hub import Accounts
from autograder.service.running import RunningHub, running
from tests import cohort_world

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# For `pytestmark` in every file that looks through Chromium.
IN_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"the browser tests need {CHROMIUM}: apt-get install chromium"),
]
ACCOUNTS = Accounts(cohort_world.NAMES, ("ines",), ("olga",), ("mila",))
# Two busy cores make everything slow; what never comes is a failure all the same.
PATIENCE_MS = 60_000


@dataclass
class Stage:
    """A running Hub, its term, and a browser. Each person keeps their own session for the whole run."""

    hub: RunningHub
    world: cohort_world.World
    browser: Browser
    home: Home
    sessions: dict[str, BrowserContext]

    def page(self, name: str, **options: object) -> Page:
        """Return a fresh page of that person's session, signed in through the Hub's own form; options start a new session."""
        key = f"{name} {sorted(options.items())}"
        if key not in self.sessions:
            self.sessions[key] = self.browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
            self._sign_in(self.sessions[key].new_page(), name)
        page = self.sessions[key].new_page()
        page.set_default_timeout(PATIENCE_MS)
        return page

    def _sign_in(self, page: Page, name: str) -> None:
        page.set_default_timeout(PATIENCE_MS)
        page.goto(self.hub.url)
        page.fill("#username_input", name)
        page.fill("#password_input", self.hub.password)
        page.click("#login_submit")
        page.wait_for_url("**/services/bootcamp/**")
        page.close()


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Fill a home, start the Hub in it and a browser beside it; end all of them."""
    course_root = folder / "course"
    home = Home(course_root, folder / "home", f"sqlite:///{folder / 'home' / 'ledger.sqlite'}")
    home.make()
    world = cohort_world.make(course_root, home.ledger_url)
    released = ROOT / "release" / "t1_attention"
    for path in (released / "t1_attention.ipynb", released / "checks.py"):
        shutil.copy(path, course_root / "release" / "t1_attention")
    # What an instructor's course folder holds at the least.
    shutil.copytree(released, home.nbgrader_root / "source" / "t1_attention")
    with Ledger.open(home.ledger_url) as ledger:
        exchange_of(world.course, ledger, home.path, lambda: datetime.now(UTC)).release(
            "t1_attention", None, "ines", waived="a test"
        )
    with running(home, world.course, ACCOUNTS, free_port()) as hub, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        try:
            yield Stage(hub, world, browser, home, {})
        finally:
            browser.close()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port
