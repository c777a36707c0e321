"""Make the pictures of the README: `python -m tests.browser.screenshots` writes docker/screenshots/*.png.

A real Hub with the made-up term of tests/cohort_world.py, so the names and numbers in the pictures belong to nobody.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.browser.stage import ROOT, Stage, staged


@dataclass(frozen=True)
class Picture:
    """Which page, as whom, how large; height 0 is the whole page."""

    name: str
    viewer: str
    path: str
    height: int
    theme: str = "light"
    width: int = 1200


PICTURES = (
    Picture("me", "priya", "me", 640),
    Picture("cohort", "olga", "cohort", 900),
    Picture("overview", "olga", "overview", 1000),
    Picture("flags", "olga", "flags", 1000),
    Picture("person", "olga", "cohort/student/{carmen}", 1000),
    Picture("person-dark", "olga", "cohort/student/{noor}", 900, "dark"),
    Picture("comparison", "olga", "comparison", 0),
    Picture("calibration", "olga", "calibration", 0),
    Picture("exports", "olga", "exports", 0),
    Picture("mentees", "mila", "mentees", 0),
    Picture("grading", "ines", "grading", 900),
    Picture("me-phone", "priya", "me", 1500, "light", 390),
    Picture("overview-phone", "olga", "overview", 1500, "dark", 390),
)


def take(stage: Stage, picture: Picture, folder: Path) -> Path:
    """Photograph one page into the folder; return the file."""
    options = {"viewport": {"width": picture.width, "height": 900}, "color_scheme": picture.theme, "device_scale_factor": 1}
    page = stage.page(picture.viewer, **options)
    page.goto(stage.hub.service_url + picture.path.format(**stage.world.pseudonyms))
    path = folder / f"{picture.name}.png"
    clip = {"x": 0, "y": 0, "width": picture.width, "height": picture.height}
    page.screenshot(path=path, full_page=True, animations="disabled", **({"clip": clip} if picture.height else {}))
    return path


def _decide(stage: Stage) -> None:
    """Record an evaluation and a decision, so that there is something to see."""
    page = stage.page("olga")
    page.goto(f"{stage.hub.service_url}flags")
    page.get_by_role("button", name="Record today's evaluation").click()
    page.goto(f"{stage.hub.service_url}cohort/student/{stage.world.pseudonyms['carmen']}")
    page.get_by_label("Decision").select_option("confirm")
    page.get_by_label("Why, in a sentence").fill("Solved what few did, and explained it well.")
    page.get_by_role("button", name="Record the decision").click()
    page.wait_for_url("**#timeline")
    page.close()


def main() -> None:
    """Take every picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docker" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bootcamp-pictures-") as work, staged(Path(work)) as stage:
        _decide(stage)
        for picture in PICTURES:
            print(take(stage, picture, folder))


if __name__ == "__main__":
    main()
