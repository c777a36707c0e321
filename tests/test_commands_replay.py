"""`bootcamp replay`: the verdicts of the server's ledger, from a laptop that has the course, the seed and the notebook alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from autograder.commands.replay import plain
from autograder.home import Home
from autograder.nbgrader_bridge.projection import graded_of
from autograder.records import Blobs, Ledger
from autograder.submission.compose import compose
from tests import tiny
from tests.ledger_world import START, minute

SEED = "s" * 40
WRONG = "def double(x):\n    return x if x.ndim else 2 * x\n"


def run(folder: Path, *args: str) -> str:
    env = {**os.environ, "BOOTCAMP_HOME": str(folder / "var"), "BOOTCAMP_SEED": SEED, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from autograder.cli import main; main()", *args]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_laptop_prints_what_the_server_recorded(tmp_path: Path) -> None:
    """Status, points, hints and notes of every check, for a notebook with a wrong answer; by its id and as a file."""
    server, laptop = tmp_path / "server", tmp_path / "laptop"
    for folder in (server, laptop):
        folder.mkdir()
        tiny.write(folder)
    home = Home.from_env({"BOOTCAMP_HOME": str(server / "var"), "BOOTCAMP_SEED": SEED}, server)
    home.make()
    raw = compose(tiny.manifest(), {**tiny.REFERENCE, "x1_tiny.double": WRONG})
    with Ledger.open(home.ledger_url) as ledger:
        ann = ledger.enrol("ann", "2026", START)
        attempt = ledger.hand_in(ann, tiny.ASSIGNMENT, Blobs(home.blobs).put(raw), minute(1)).attempt.id
    run(server, "work", "--workers", "1", "--once", "--no-publish", "--quiet")
    with Ledger.open(home.ledger_url) as ledger:
        recorded: dict[str, Any] = plain(graded_of(ledger.results(ann)[0].attempts[0]))
    (laptop / "handed_in.ipynb").write_bytes(raw)

    at_server = run(server, "replay", attempt[:8])
    at_laptop = run(laptop, "replay", "--notebook", "handed_in.ipynb", "--assignment", tiny.ASSIGNMENT, "--pseudonym", ann)

    assert at_server == at_laptop
    assert json.loads(at_laptop) == json.loads(json.dumps(recorded))
    assert [v["status"] for v in recorded["verdicts"]] == ["fail", "pass", "pass"]
