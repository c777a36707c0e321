"""The service's application without a Hub around it, and Chromium signed in by the service's own cookie: quick, for every page.

What the real Hub does is tested on tests/browser/stage.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tornado import web

from autograder.service.desk import Desk
from tests.browser.stage import CHROMIUM, FLAGS, PATIENCE_MS
from tests.service_world import PREFIX, World, serving

DESKTOP, PHONE = 1200, 390


@dataclass
class Looking:
    """Chromium before the running service."""

    world: World
    browser: Browser
    contexts: dict[tuple[str, str, int], BrowserContext] = field(default_factory=dict)

    def page(self, role: str, theme: str = "light", width: int = DESKTOP) -> Page:
        """Return a fresh page of somebody in this role."""
        key = (role, theme, width)
        if key not in self.contexts:
            made = self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
            value = web.create_signed_value(self.world.cookie_secret, "service-bootcamp", role).decode()
            made.add_cookies([{"name": "service-bootcamp", "value": value, "domain": "127.0.0.1", "path": PREFIX}])
            self.contexts[key] = made
        page = self.contexts[key].new_page()
        page.set_default_timeout(PATIENCE_MS)
        return page

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.world.port}{PREFIX}{path}"


@contextmanager
def looking(desk: Desk) -> Iterator[Looking]:
    """Serve the desk, and start a browser."""
    with serving(desk) as world, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        try:
            yield Looking(world, browser)
        finally:
            browser.close()
