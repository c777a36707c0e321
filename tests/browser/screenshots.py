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
    Picture("me", "priya", "me", 1130),
    Picture("cohort", "olga", "cohort", 1310),
    Picture("person-dark", "olga", "cohort/student/{carmen}", 1130, "dark"),
    Picture("me-phone", "priya", "me", 1500, "light", 390),
)


def take(stage: Stage, picture: Picture, folder: Path) -> Path:
    """Photograph one page into the folder; return the file."""
    options = {"viewport": {"width": picture.width, "height": 900}, "color_scheme": picture.theme, "device_scale_factor": 1.5}
    page = stage.page(picture.viewer, **options)
    page.goto(stage.hub.service_url + picture.path.format(**stage.world.pseudonyms))
    path = folder / f"{picture.name}.png"
    clip = {"x": 0, "y": 0, "width": picture.width, "height": picture.height}
    page.screenshot(path=path, full_page=True, animations="disabled", **({"clip": clip} if picture.height else {}))
    return path


def main() -> None:
    """Take every picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docker" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bootcamp-pictures-") as work, staged(Path(work)) as stage:
        for picture in PICTURES:
            print(take(stage, picture, folder))


if __name__ == "__main__":
    main()
