"""The routing table in; who asks for which page in the bench, and why some addresses are left out, out.

A test holds this against the routing table: a GET route stands in PAGES, in FILES or in LEFT_OUT.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from autograder.service.open_data import BASE
from autograder.service.routes import ROUTES, Route

# Who asks for what. {who}, {s}, {attempt} and {mentee} are others at every request; what each stands for: pages.values.
PAGES: Sequence[tuple[str, str]] = (
    ("organizer", "overview"),
    ("organizer", "overview?cohort=2025"),
    ("organizer", "cohort"),
    ("organizer", "cohort?order=state&part=7"),
    ("organizer", "flags"),
    ("organizer", "flags?alpha=50&seats=200&part=2"),
    ("organizer", "flags/list?alpha=20&seats=16"),
    ("organizer", "flags/list?alpha=50&seats=200"),
    ("organizer", "flags/shortlist?date={day}"),
    ("organizer", "flags/shortlist?date=2030-01-01"),
    ("organizer", "cohort/student/{who}"),
    ("organizer", "cohort/student/{mentee}"),
    ("organizer", "cohort/student/{who}/attempt/{attempt}"),
    ("organizer", "comparison"),
    ("organizer", "comparison?cohort=2025"),
    ("organizer", "calibration"),
    ("organizer", "exports"),
    ("mentor", "mentees"),
    ("mentor", "mentees/{mentee}"),
    ("instructor", "grading"),
    ("instructor", "teaching"),
    ("instructor", "teaching/assignment/a16_topic"),
    ("instructor", "teaching/exercises"),
    ("instructor", "teaching/exercises/a16_topic/e03"),
    ("instructor", "teaching/stuck"),
    ("instructor", "teaching/roster"),
    ("instructor", "teaching/roster?q=77&part=2"),
    ("instructor", "teaching/roster/{who}"),
    ("instructor", "teaching/roster/{who}/attempt/{attempt}"),
    ("instructor", "teaching/regrades"),
    ("instructor", "teaching/regrades/a16_topic"),
    ("instructor", "teaching/regrade-state"),
    ("student{s}", "me"),
    ("student{s}", "me/progress"),
    ("student{s}", "me/attempt/{attempt}"),
    ("student{s}", "me/attempt/{attempt}/state"),
    ("{holder}", "me/transcripts"),
    ("nobody", "verify/{code}"),
    ("student{s}", BASE),
    ("organizer", f"{BASE}/data/findings"),
    ("instructor", f"{BASE}/results?part=7"),
)

# Files to keep are as large as what they hold, and asked for once: shown, not judged.
FILES: Sequence[tuple[str, str]] = (
    ("organizer", "exports/findings.csv"),
    ("student{s}", "me/data"),
    ("{holder}", "me/transcripts/{code}/paper"),
    ("nobody", "verify/{code}/transcript.json"),
    ("instructor", "api/submissions?assignment=a16_topic"),
    ("student{s}", "api/attempts"),
    ("student{s}", "api/attempts/{attempt}"),
    ("student{s}", "api/attempts/{attempt}/feedback"),
)

# A route's path -> why nobody asks for it here.
LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "": "sends the reader on, and reads nothing",
        "api/assignments": "what is released; the bench's course releases nothing (`make bench-path` fetches a real release)",
        r"api/assignments/([0-9A-Za-z_-]{1,64})/files": "a release's archive, the same for every size of cohort",
        r"api/submissions/([0-9A-Za-z_-]{1,64})/files": "one notebook's archive, and the bench's notebooks were never written",
        "metrics": "Prometheus reads it, with a right of its own; its numbers do not grow with the cohort",
        "healthz": "no page, and one short query",
        r"static/([a-z]+\.[a-z]+)": "assets, from memory, and then from the browser's cache",
        "oauth_callback": "where the Hub sends a browser back after signing in",
    }
)


def route_of(address: str) -> Route | None:
    """Return the route that answers an address of these tables, None when none does."""
    path = re.sub(r"\{\w+\}", "x", address.split("?")[0])
    return next((r for r in ROUTES if re.fullmatch(r.path, path)), None)


def twins() -> list[tuple[str, str]]:
    """Return who asks for the data of which page: of every page that has them."""
    return [(role, f"{BASE}/pages/{address}") for role, address in PAGES if (r := route_of(address)) and r.is_page]
