"""`bootcamp grade`: a folder of notebooks in; table, JSON, ledger and exit status out, whatever the notebooks hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from autograder.course import Course
from autograder.grading.pool import Job, Pool
from autograder.grading.verdict import Status
from autograder.records import Ledger
from autograder.submission.compose import compose
from tests import tiny

D = "x1_tiny.double"
GOOD = compose(tiny.manifest(), tiny.REFERENCE)
WRONG = compose(tiny.manifest(), {**tiny.REFERENCE, D: "def double(x):\n    return x\n"})
EXIT = compose(tiny.manifest(), {**tiny.REFERENCE, D: "import os\n\ndef double(x):\n    os._exit(0)\n"})
SEED = "a secret of the course, long enough"


def bootcamp(course: Course, *args: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "BOOTCAMP_HOME": str(course.root / "var"), "BOOTCAMP_SEED": SEED}
    code = "from autograder.cli import main; main()"
    if path is not None:
        env["PATH"] = path
    return subprocess.run([sys.executable, "-c", code, *args], cwd=course.root, env=env, capture_output=True, text=True)


@pytest.fixture
def inbox(tiny_course: Course) -> Path:
    folder = tiny_course.root / "inbox"
    folder.mkdir()
    for name, raw in {"ada": GOOD, "bela": WRONG, "chen": EXIT, "dora": b'{"cells": ['}.items():
        (folder / f"{name}.ipynb").write_bytes(raw)
    return folder


def test_a_folder_is_graded_and_the_unreadable_file_named(tiny_course: Course, inbox: Path):
    """One broken file does not stop the batch; the exit status says that there was one."""
    found = bootcamp(tiny_course, "grade", str(inbox), "--json", "--dry-run", "--workers", "2")
    results = {r["student"]: r for r in json.loads(found.stdout)}

    assert found.returncode == 1
    assert {name: r["points"] for name, r in results.items()} == {"ada": 12, "bela": 8, "chen": 8, "dora": 0}
    assert "invalid JSON at line 1" in results["dora"]["problem"]
    assert results["chen"]["graded"]["verdicts"][0]["status"] == "crashed"
    assert not (tiny_course.root / "var" / "ledger.sqlite").exists()


def test_the_seed_is_not_printed(tiny_course: Course, inbox: Path):
    """Neither as text nor as JSON."""
    found = bootcamp(tiny_course, "grade", str(inbox / "ada.ipynb"), "--dry-run")

    assert found.returncode == 0
    assert "12/12" in found.stdout
    assert SEED not in found.stdout + found.stderr


def test_without_a_box_nothing_is_scored(tiny_course: Course, inbox: Path):
    """No bubblewrap: the tier that the course requires is not reached; exit status not 0, and what to install."""
    text = tiny.COURSE.replace('"C"', '"B"')
    (tiny_course.root / "assignments" / "course.toml").write_text(text)
    found = bootcamp(tiny_course, "grade", str(inbox / "ada.ipynb"), "--dry-run", path=str(tiny_course.root))

    assert found.returncode == 2
    assert "12/12" not in found.stdout
    assert "apt-get install bubblewrap" in found.stderr


def test_a_referee_that_dies_costs_a_second_try_and_nothing_else(tiny_course: Course):
    """The job is given to a new referee; every job ends once."""
    jobs = [Job(i, tiny.ASSIGNMENT, f"s{i}", GOOD) for i in range(12)]
    ends = []
    killed = False
    with Pool(tiny_course.root, SEED.encode(), tiny_course.root / "admitted", 2, os.environ) as pool:
        for end in pool.run(jobs):
            ends.append(end)
            killed = killed or kill_a_referee(pool)

    assert killed
    assert sorted(e.key for e in ends) == list(range(12))
    assert all(e.graded and e.graded.points == 12 and not e.fault for e in ends)


def kill_a_referee(pool: Pool) -> bool:
    """Kill a process of ours, as the kernel's out-of-memory killer would; say whether there was one just now."""
    import signal

    for pid in [w.referee_pid for w in pool.workers if w.job and w.referee_pid]:
        with suppress(ProcessLookupError):  # this one had just ended: its last word is still in the pipe
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def test_results_enter_the_ledger_once(tiny_course: Course, inbox: Path):
    """Grading the same bytes again is recognised: one attempt, one grading, first tries as before."""
    from autograder.commands.batch import find_entries, grade_batch
    from autograder.home import Home
    from tests.clock import at

    home = Home.from_env({"BOOTCAMP_HOME": str(tiny_course.root / "var"), "BOOTCAMP_SEED": SEED}, tiny_course.root)
    home.make()
    entries = find_entries(tiny_course, [inbox / "bela.ipynb"])
    first = list(grade_batch(home, entries, "c", 1, keep=True, now=lambda: at(1)))
    second = list(grade_batch(home, entries, "c", 1, keep=True, now=lambda: at(2)))
    with Ledger.open(home.ledger_url) as ledger:
        attempts = ledger.attempts()
        tries = {t.exercise: t.status for t in ledger.first_tries()}

    assert (first[0].recorded, second[0].recorded) == ("recorded", "duplicate")
    assert len(attempts) == 1
    assert tries[D] is Status.FAIL


def test_what_a_name_or_an_answer_says_reaches_no_terminal(tiny_course: Course, inbox: Path):
    """Terminal escapes in a file's name, an assignment's, a cell or an exception are printed harmlessly or not at all."""
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    raising = compose(tiny.manifest(), {**tiny.REFERENCE, D: f"def double(x):\n    raise ValueError({evil!r})\nprint({evil!r})\n"})
    named = json.loads(GOOD)
    named["metadata"]["bootcamp"] = {"assignment": f"{evil}x1"}
    (inbox / f"eve{evil}.ipynb").write_bytes(GOOD)
    (inbox / "fred.ipynb").write_bytes(raising)
    (inbox / "gina.ipynb").write_bytes(json.dumps(named).encode())
    for options in ((), ("--json",)):
        found = bootcamp(tiny_course, "grade", str(inbox), "--dry-run", *options)
        assert not set(found.stdout + found.stderr) & {"\x1b", "\x07", "\u202e"}
        assert "fred" in found.stdout
