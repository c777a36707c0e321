"""The assignment that goes through a deployment: programs that release it, solve one exercise of it and read the ledger."""

from __future__ import annotations

from autograder.submission.definitions import definitions
from tests.containers.engine import ROOT

ID, EXERCISE = "f1_tensors", "pairwise_sq_dists"
PEOPLE = 'students = ["ada", "bob"]\ninstructors = ["ines"]\norganizers = ["olga"]\n'

# For the engine's python.
RELEASE = f"""
import os
from datetime import UTC, datetime
from autograder import course as courses
from autograder.home import Home
from autograder.records import Ledger
from autograder.service.desk import exchange_of
home = Home.from_env(os.environ)
with Ledger.open(home.ledger_url) as ledger:
    exchange = exchange_of(courses.load(home.course_root), ledger, home.path, lambda: datetime.now(UTC))
    exchange.release({ID!r}, None, "ines", waived="a test of the containers")
"""
# Prints per grading the seconds since the hand-in arrived, and the checks' own.
GRADINGS = """
import json, os
from autograder.home import Home
from autograder.records import Ledger
with Ledger.open(Home.from_env(os.environ).ledger_url) as ledger:
    rows = []
    for a in ledger.attempts():
        for g in ledger.gradings(a.id):
            rows.append({"waited_s": (g.graded_at - a.received_at).total_seconds(), "cpu_s": g.cpu_s})
print(json.dumps(rows))
"""


def solving(value: float) -> str:
    """Return a program for the student's python that solves one exercise of the fetched notebook, each value otherwise."""
    source = definitions((ROOT / "solutions" / f"{ID}.py").read_text("utf-8"))[EXERCISE]
    return f"""
import json, pathlib
path = pathlib.Path.home() / {ID!r} / {ID + ".ipynb"!r}
book = json.loads(path.read_text())
cell = next(c for c in book["cells"] if c["cell_type"] == "code" and "def {EXERCISE}(" in "".join(c["source"]))
cell["source"] = {source!r} + "\\n# {value}\\n"
path.write_text(json.dumps(book))
"""
