"""nbgrader itself, from release to gradebook, on real folders: our door decides the scores, and damage changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

from tests.exchange_world import DOOR, Room, room_in
from tests.small_home import FULL, ID, OUR_FAULT, answers, handed_in

# nbgrader's own code warns when it adds a submission; it is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:Object of type <Submitted:sqlalchemy.exc.SAWarning")

ROOT = Path(__file__).parent.parent
WRONG_MEAN = "class RunningMean:\n    def __init__(self, config): ...\n    def update(self, value): return -1\n"


class Classroom:
    """One nbgrader course with its exchange; every step is nbgrader's own."""

    def __init__(self, room: Room) -> None:
        self.room, self.course, self.home, self.root = room, room.course, room.home, room.root

    def api(self) -> NbGraderAPI:
        config = self.room.config()
        return NbGraderAPI(CourseDirectory(config=config), config=config)

    def hand_in(self, student: str, raw: bytes) -> None:
        """Submit to the exchange as the student, and collect as an instructor."""
        self.room.submit(student, raw)
        with self.room.acting("instructor"):
            done(self.api().collect(ID))

    def autograde(self, student: str):
        return self.api().autograde(ID, student)

    def scores(self, student: str) -> dict[str, float | None]:
        with Gradebook(f"sqlite:///{self.root / 'gradebook.db'}", "bootcamp") as gradebook:
            grades = gradebook.find_submission_notebook(ID, ID, student).grades
            return {f"{ID}.{g.name.removesuffix('-check')}": g.auto_score for g in grades}

    def notebook(self, student: str):
        return json.loads((self.root / "autograded" / student / ID / f"{ID}.ipynb").read_text())


def done(result):
    assert result["success"], result.get("log", "") + result.get("error", "")


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    with room_in(tmp_path_factory.mktemp("flow")) as opened:
        room = Classroom(opened)
        opened.stamp()
        with opened.acting("instructor"):
            done(room.api().release_assignment(ID))
        yield room


def text_of(cell):
    return "".join(cell["source"])


def test_a_right_notebook_earns_what_the_door_gives(room):
    """Released, fetched, submitted, collected and autograded by nbgrader; the gradebook holds the door's points."""
    room.hand_in("ada", handed_in(room.course, answers()))
    done(room.autograde("ada"))

    assert room.scores("ada") == FULL
    assert room.api().get_autograded_students(ID) == {"ada"}
    assert room.api().get_submission(ID, "ada")["score"] == 10.5


def test_a_wrong_a_raising_and_a_missing_answer_cost_only_themselves(room):
    """And the autograded notebook tells a grader why, as plain text."""
    given = answers(running_mean=WRONG_MEAN, low="def low(v):\n    1 / 0\n\ndef high(v): ...\n")
    del given["s1_sums.countdown"]
    room.hand_in("bob", handed_in(room.course, given))
    done(room.autograde("bob"))

    assert room.scores("bob") == {**FULL, "s1_sums.running_mean": 0, "s1_sums.low": 0}
    outputs = next(c["outputs"] for c in room.notebook("bob")["cells"] if c["id"] == "low-check")
    assert [o["output_type"] for o in outputs] == ["display_data", "execute_result"]
    assert "error, 0 of 1.5 points\nZeroDivisionError: division by zero" in "".join(outputs[0]["data"]["text/plain"])
    assert list(outputs[0]["data"]) == ["text/plain"]


def test_damage_around_the_answers_changes_no_score(room):
    """Cells deleted, copied, retyped, without ids or metadata, points edited, noise in the outputs."""
    notebook = json.loads(handed_in(room.course, answers()))
    cells = {c["id"]: c for c in notebook["cells"]}
    del cells["at-start-setup-1"], cells["running_mean-check"]
    cells["total-check"]["metadata"]["nbgrader"]["points"] = 400
    cells["total"]["metadata"]["nbgrader"] = {"grade_id": "low-check", "grade": "yes", "points": -3}
    del cells["running_mean"]["metadata"], cells["running_mean"]["id"]
    cells["low-check"] |= {"cell_type": "markdown", "source": ["# gone"]}
    cells["countdown-check"]["outputs"] = [{"output_type": "stream", "name": "stderr", "text": "x"}]
    notebook["cells"] = [*cells.values(), {"cell_type": "code", "source": "print('mine')", "id": "total"}, {"source": 7}, "what"]
    notebook["metadata"] = {"kernelspec": {"name": "ir", "language": "R"}}
    room.hand_in("cleo", json.dumps(notebook).encode())
    done(room.autograde("cleo"))

    assert room.scores("cleo") == FULL
    assert "print('mine')" in [text_of(c) for c in room.notebook("cleo")["cells"]]


def test_a_resubmission_without_a_check_cell_does_not_keep_the_old_score(room):
    """nbgrader alone would skip the missing cell, and its score would stand for ever."""
    room.hand_in("dora", handed_in(room.course, answers()))
    done(room.autograde("dora"))
    notebook = json.loads(handed_in(room.course, answers(running_mean=WRONG_MEAN)))
    gone = ("running_mean-check", "low", "low-check")
    notebook["cells"] = [c for c in notebook["cells"] if c["id"] not in gone]
    room.hand_in("dora", json.dumps(notebook).encode())
    done(room.autograde("dora"))

    assert room.scores("dora") == {**FULL, "s1_sums.running_mean": 0, "s1_sums.low": 0}


def test_our_fault_leaves_the_submission_to_be_autograded(room):
    """No zero, no half-written scores; nbgrader's log says whose fault it is, and nothing else is scored."""
    room.hand_in("emil", handed_in(room.course, answers(running_mean=OUR_FAULT + "\n" + WRONG_MEAN)))
    result = room.autograde("emil")

    assert not result["success"]
    assert "s1_sums.running_mean: not graded, by our fault and not the student's" in result["log"]
    assert set(room.scores("emil").values()) == {None}
    assert "emil" not in room.api().get_autograded_students(ID)
    assert not (room.root / "autograded" / "emil" / ID).exists()


@pytest.mark.parametrize(
    ("raw", "why"), [(b"{", "invalid JSON at line 1"), (b"\xff\xfe", "is not UTF-8 text"), (b"[]", "JSON list")]
)
def test_a_file_that_is_no_notebook_is_told_and_not_scored(room, raw, why):
    """The next submission of the batch is not touched by it."""
    student = f"broken{len(raw)}{raw[0]}"
    room.hand_in(student, raw)
    result = room.autograde(student)

    assert not result["success"]
    assert why in result["log"]


def test_a_link_is_not_followed(room):
    """nbgrader's collect follows links as the instructor; the door must not grade what a link points at."""
    folder = room.root / "submitted" / "mallory" / ID
    folder.mkdir(parents=True)
    (folder / f"{ID}.ipynb").symlink_to(room.root / "source" / ID / f"{ID}.ipynb")
    result = room.autograde("mallory")

    assert not result["success"]
    assert "Links are not followed" in result["log"]


def test_markup_of_a_student_is_never_rendered(room):
    """Formgrader shows the notebook as a page of its own: what a student wrote must come out as text."""
    from nbconvert.exporters import HTMLExporter

    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    notebook = json.loads(handed_in(room.course, answers(total=f'def total(values):\n    raise ValueError("{evil}")\n')))
    notebook["cells"] += [
        {"cell_type": "markdown", "id": "m", "metadata": {}, "source": f"```\n{evil}\n~~~~ \n`````` {evil}"},
        {"cell_type": "raw", "id": "r", "metadata": {"raw_mimetype": "text/html"}, "source": evil},
        {"cell_type": "code", "id": "c", "metadata": {}, "source": "1", "execution_count": 1, "outputs": [
            {"output_type": "display_data", "metadata": {}, "data": {"text/html": evil}}]},
        {"cell_type": "markdown", "id": "at-start-text-1", "metadata": {}, "source": evil},
    ]  # fmt: skip
    room.hand_in("eve", json.dumps(notebook).encode())
    done(room.autograde("eve"))
    page, _ = HTMLExporter().from_filename(str(room.root / "autograded" / "eve" / ID / f"{ID}.ipynb"))

    assert page.count("alert(1)") >= 4
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_the_command_line_gives_the_same_scores(room):
    """`nbgrader autograde` in the course folder reads our configuration by itself."""
    room.hand_in("finn", handed_in(room.course, answers(low="def low(v): return 0\ndef high(v): return 0\n")))
    (room.root / "nbgrader_local.py").write_text(f"c = get_config()\nc.GradeInBox.door = {DOOR!r}\n")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "nbgrader", "autograde", ID, "--student", "finn"]
    ran = subprocess.run(command, cwd=room.root, env=env, capture_output=True, text=True, timeout=60)
    (room.root / "nbgrader_local.py").unlink()

    assert ran.returncode == 0, ran.stderr
    assert room.scores("finn") == {**FULL, "s1_sums.low": 0}


def test_the_door_knows_who_and_when(room):
    """The ledger gets the student and the time that the exchange wrote, not the time of grading."""
    log = [json.loads(line) for line in (room.home.path / "door.log").read_text().splitlines()]
    at = (room.root / "submitted" / "ada" / ID / "timestamp.txt").read_text().strip()

    assert [entry[2][:19].replace("T", " ") for entry in log if entry[0] == "ada"] == [at[:19]]
    assert {entry[1] for entry in log} == {ID}
