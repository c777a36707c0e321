"""Ask axe about every page of every role, light at a desk and dark on a phone: `python -m tests.browser.axe` writes the report."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from autograder.service.roles import ROLES
from tests.browser.furnished import furnished
from tests.browser.looking import DESKTOP, PHONE, Looking
from tests.browser.stage import ROOT
from tests.test_service_access import EXPECTED

REPORT = ROOT / "docker" / "screenshots" / "axe.txt"
LOOKS = {"light": DESKTOP, "dark": PHONE}
IMPACTS = ("critical", "serious", "moderate", "minor")
# Pieces of pages, files and what no person reads.
_NO_PAGES = (
    "api/",
    "static/",
    "exports/",
    "healthz",
    "oauth_callback",
    "flags/list",
    "verify/",
    "me/data",
    "teaching/regrade-state",
)


# Where the address of the access tests is one that is refused.
_GOOD = {"flags/shortlist": "flags/shortlist?date=2026-11-09"}


def pages() -> list[str]:
    """Return "role address" for every page that the role may read."""
    found = []
    for path, (address, methods) in EXPECTED.items():
        allowed = methods.get("GET", ((), 0))[0]
        if address and not path.startswith(_NO_PAGES) and not path.endswith(("/state", "/paper")):
            found += [f"{role} {_GOOD.get(address, address)}" for role in ROLES if role in allowed]
    return found


def findings(page: Page, impacts: tuple[str, ...] = IMPACTS[:2]) -> list[str]:
    """Return what axe finds of these impacts, with where it is."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']} ({v['impact']}): {v['nodes'][0]['target']} {v['help']}" for v in found if v["impact"] in impacts]


def report(at: Looking, known: dict[str, str]) -> str:
    """Return the report: a line per page and look, with the findings under it."""
    lines, counts, status, n = [], Counter[str](), 0, 0
    version = ""
    for one in pages():
        role, address = one.split(" ")
        for theme, width in LOOKS.items():
            page = at.page(role, theme, width)
            answer = page.goto(at.address(address.format(**known)))
            status = answer.status if answer else 0
            found = findings(page, IMPACTS)
            version = version or Axe().run(page).response["testEngine"]["version"]
            wide = page.evaluate("document.documentElement.scrollWidth") > width
            page.close()
            counts.update(next(i for i in IMPACTS if f"({i})" in f) for f in found)
            n += 1
            shown = address.format(**dict.fromkeys(known, "…")) or "start"
            lines += [f"{role:<10} {shown:<40} {theme:<5} {width:>5} px  {status}  {len(found)}{'  too wide' if wide else ''}"]
            lines += [f"    {f}" for f in found]
    said = ", ".join(f"{counts[i]} {i}" for i in IMPACTS)
    head = [
        "Written by `python -m tests.browser.axe`: do not edit. Findings of axe on every page, as every role that may read it.",
        f"axe-core {version}, {n} pages and looks: {said}.",
        "",
        f"{'role':<10} {'page':<40} {'theme':<5} {'width':>8}  status  findings",
    ]
    return "\n".join([*head, *lines]) + "\n"


def main() -> None:
    """Write the report."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else REPORT
    with tempfile.TemporaryDirectory(prefix="bootcamp-axe-") as work, furnished(Path(work)) as (at, known):
        path.write_text(report(at, known), "utf-8")
    print(path)


if __name__ == "__main__":
    main()
