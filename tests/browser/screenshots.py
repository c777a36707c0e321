"""Take pictures of every page: `python -m tests.browser.screenshots` writes docker/screenshots/*.png; with --large, of 10,000.

The service with the made-up term of tests/cohort_world.py, so the names and numbers in the pictures belong to nobody. The large
ones are of the bench's term, which `python -m autograder.bench.pages --database sqlite --folder FOLDER` leaves behind.
"""

from __future__ import annotations

import argparse
import io
import pickle
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from autograder.bench.deeds import HOLDER
from autograder.bench.term import COHORT, end_of, name_of, pseudonym_of
from autograder.course import Course, load
from autograder.progress import Policy
from autograder.records import Ledger, roll
from autograder.service.background import Take
from autograder.service.desk import Desk
from autograder.service.office import Office
from autograder.service.roles import ENTER
from autograder.survey import Survey
from autograder.transcripts import register
from tests.browser.furnished import furnished
from tests.browser.looking import DESKTOP, PHONE, Looking, looking
from tests.browser.stage import ROOT

FOLDER = ROOT / "docker" / "screenshots"
MAX_BYTES = 150_000
_COLOURS = (256, 128, 64, 32)


@dataclass(frozen=True)
class Picture:
    """Which page, as whom. `looks`: besides the light one at a desk, which is always taken."""

    name: str
    viewer: str
    path: str
    looks: Sequence[str] = ()
    height: int = 2000  # what is below is cut


_ALL_LOOKS = ("dark", "phone", "phone-dark")
PICTURES = (
    Picture("me", "priya", "me", ("phone", "dark")),
    Picture("me-progress", "priya", "me/progress", ("phone-dark",)),
    Picture("me-attempt", "priya", "me/attempt/{priyas}", ("phone",)),
    Picture("transcripts", "priya", "me/transcripts", ("phone",)),
    Picture("verify", "priya", "verify/{transcript}"),
    Picture("overview", "organizer", "overview", _ALL_LOOKS),
    Picture("cohort", "organizer", "cohort", ("phone",)),
    Picture("flags", "organizer", "flags", _ALL_LOOKS),
    Picture("shortlist", "organizer", "flags/shortlist?date=2026-11-09"),
    Picture("person", "organizer", "cohort/student/{carmen}", _ALL_LOOKS),
    Picture("person-attempt", "organizer", "cohort/student/{priya}/attempt/{priyas}"),
    Picture("comparison", "organizer", "comparison?cohort=2026", ("phone-dark",)),
    Picture("calibration", "organizer", "calibration", ("dark", "phone")),
    Picture("exports", "organizer", "exports"),
    Picture("mentees", "mentor", "mentees"),
    Picture("mentee", "mentor", "mentees/{carmen}", ("phone",)),
    Picture("grading", "instructor", "grading", ("phone",)),
    Picture("teaching", "instructor", "teaching?cohort=2026", ("phone",)),
    Picture("teaching-assignment", "instructor", "teaching/assignment/t1_attention?cohort=2026"),
    Picture("exercises", "instructor", "teaching/exercises?cohort=2026", ("dark", "phone")),
    Picture("exercise", "instructor", "teaching/exercises/t1_attention/rope?cohort=2026", ("phone-dark",)),
    Picture("stuck", "instructor", "teaching/stuck?cohort=2026", ("phone",)),
    Picture("roster", "instructor", "teaching/roster?cohort=2026", ("phone",)),
    Picture("roster-one", "instructor", "teaching/roster/{ada}"),
    Picture("regrades", "instructor", "teaching/regrades", ("phone",)),
    Picture("regrade", "instructor", "teaching/regrades/t1_attention"),
    Picture("error", "student", "overview"),
)
# The same pages of the bench's term: {holder} has a transcript, {able} and {mentee} are worth a look.
LARGE = (
    Picture("me", "holder", "me", ("phone",)),
    Picture("me-progress", "holder", "me/progress", ("dark",)),
    Picture("me-attempt", "holder", "me/attempt/{attempt}", ("phone-dark",)),
    Picture("transcripts", "holder", "me/transcripts"),
    Picture("verify", "holder", "verify/{transcript}", ("phone",)),
    Picture("overview", "organizer", "overview", ("dark", "phone")),
    Picture("cohort", "organizer", "cohort?order=state", ("phone",)),
    Picture("flags", "organizer", "flags", ("dark", "phone-dark"), 4200),
    Picture("shortlist", "organizer", "flags/shortlist?date={day}", ("phone",)),
    Picture("person", "organizer", "cohort/student/{able}", ("phone-dark",)),
    Picture("person-attempt", "organizer", "cohort/student/{holder}/attempt/{attempt}"),
    Picture("comparison", "organizer", "comparison", ("dark", "phone")),
    Picture("calibration", "organizer", "calibration", ("phone-dark",)),
    Picture("exports", "organizer", "exports"),
    Picture("mentees", "mentor", "mentees", ("phone",)),
    Picture("mentee", "mentor", "mentees/{mentee}"),
    Picture("grading", "instructor", "grading"),
    Picture("teaching", "instructor", "teaching", ("phone-dark",)),
    Picture("teaching-assignment", "instructor", "teaching/assignment/a16_topic"),
    Picture("exercises", "instructor", "teaching/exercises", ("dark",)),
    Picture("exercise", "instructor", "teaching/exercises/a16_topic/e03", ("phone",)),
    Picture("stuck", "instructor", "teaching/stuck", ("phone",)),
    Picture("roster", "instructor", "teaching/roster"),
    Picture("roster-one", "instructor", "teaching/roster/{holder}"),
    Picture("regrades", "instructor", "teaching/regrades", ("phone-dark",)),
    Picture("regrade", "instructor", "teaching/regrades/a16_topic"),
)


def take(at: Looking, picture: Picture, known: Mapping[str, str], folder: Path) -> list[Path]:
    """Photograph one page in its looks; return the files."""
    files = []
    for look in ("", *picture.looks):
        page = at.page(picture.viewer, "dark" if "dark" in look else "light", PHONE if "phone" in look else DESKTOP)
        page.goto(at.address(picture.path.format(**known)))
        page.evaluate("document.fonts.ready")
        path = folder / f"{'-'.join(x for x in (picture.name, look) if x)}.png"
        path.write_bytes(_photograph(page, picture.height))
        files.append(path)
        page.close()
    return files


def small(png: bytes) -> bytes:
    """Return the picture with as many colours as fit into MAX_BYTES."""
    image, found = Image.open(io.BytesIO(png)).convert("RGB"), png
    for n in _COLOURS:
        out = io.BytesIO()
        # By coverage: the few pixels of a coloured word must not turn grey among many grey ones.
        fewer = image.quantize(n, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
        fewer.save(out, "PNG", optimize=True)
        found = out.getvalue()
        if len(found) <= MAX_BYTES:
            break
    return found


def _photograph(page: Page, most: int) -> bytes:
    width, height = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, most)}
    return small(page.screenshot(full_page=True, animations="disabled", clip=clip))


def _of_the_term(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="bootcamp-pictures-") as work, furnished(Path(work)) as (at, known):
        _take_all(at, PICTURES, known, folder)


def _kept(term: Path, take: Take) -> Take:
    """Return what takes a survey once and keeps it beside the term: it costs minutes, and pictures are taken again and again."""

    def taken(cohort: str, course: Course, policy: Policy, at: datetime) -> Survey:
        path = term / f"survey-{cohort}.pickle"
        if not path.is_file():
            path.write_bytes(pickle.dumps(take(cohort, course, policy, at)))
        found: Survey = pickle.loads(path.read_bytes())
        return found

    return taken


def _of_the_bench(term: Path, folder: Path) -> None:
    url = f"sqlite:///{term / 'ledger.sqlite'}"
    course = load(term / "course")
    now, day = end_of(course) + timedelta(days=1), f"{end_of(course):%Y-%m-%d}"
    with Ledger.open(url) as ledger:
        desk = Desk.of(course, ledger, lambda: now, term / "home", url)
        desk.surveys.take = _kept(term, desk.surveys.take)
        with closing(desk.surveys), looking(desk) as at:
            for cohort in roll.cohorts(ledger):
                while at.world.ask(f"api/v1/data/states?cohort={cohort}", "organizer").status == 503:
                    time.sleep(2)
            at.world.hub.let_in("holder", name_of(HOLDER), (ENTER,))
            holder, able = pseudonym_of(HOLDER), max(desk.surveys.newest(COHORT).report.students, key=lambda f: f.p)
            known = {
                "day": day,
                "holder": holder,
                "attempt": ledger.results(holder)[-1].latest.attempt.id,
                "transcript": register.of(ledger, holder)[0].statement.code,
                "able": able.pseudonym,
                "mentee": Office(desk).mentees().lines[0].pseudonym,
            }
            _take_all(at, LARGE, known, folder)


def _take_all(at: Looking, pictures: Sequence[Picture], known: Mapping[str, str], folder: Path) -> None:
    for picture in pictures:
        for path in take(at, picture, known, folder):
            print(f"{path}: {path.stat().st_size / 1000:.0f} KB", flush=True)


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots", description="Take pictures of every page.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="where to")
    parser.add_argument("--large", type=Path, help="the folder of the bench's term: pictures of that one, into FOLDER/large")
    given = parser.parse_args()
    folder: Path = given.folder / "large" if given.large else given.folder
    folder.mkdir(parents=True, exist_ok=True)
    if given.large:
        _of_the_bench(given.large, folder)
    else:
        _of_the_term(folder)


if __name__ == "__main__":
    main()
