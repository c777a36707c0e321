"""One exercise checked alone: only where the course allows it, and never at the first try's expense."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.course import load
from autograder.grading.pool import Finished, Job
from autograder.grading.verdict import Graded
from autograder.service import official
from autograder.service.checker import MAX_PER_MINUTE, Checker, with_answer
from autograder.service.exchange import Refused
from autograder.submission.read import read
from tests.exchange_world import Room, room_in
from tests.small_home import ID, OUR_FAULT, SmallDoor, answers, handed_in

WRONG = "def low(values): return 0\n\ndef high(values): return 0\n"


class SmallGraders:
    """A pool of one that grades with the small door, and speaks about what it was asked only."""

    n_free = 1

    def __init__(self, room: Room) -> None:
        self.room = room
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def ends(self, timeout_s: float) -> list[Finished]:
        job = self.jobs[-1]
        graded = SmallDoor(self.room.home).grade(job.raw, job.assignment, job.student, self.room.clock())
        verdicts = tuple(v for v in graded.verdicts if v.exercise in job.only)
        return [Finished(job.key, Graded(graded.assignment, graded.sha256, verdicts, graded.grader_build, graded.tier))]

    def drop(self, key: int) -> None: ...


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with room_in(tmp_path) as opened:
        opened.let_out()
        yield opened


def checker(room: Room, mode: str) -> tuple[Checker, SmallGraders]:
    """A checker of the room's course in that mode."""
    path = room.course.root / "assignments" / "course.toml"
    text = path.read_text().replace('title = "Small course"', f'title = "Small course"\n\n[grading]\ncheck_alone = "{mode}"')
    path.write_text(text)
    room.desk.exchange.course = load(room.course.root)
    graders = SmallGraders(room)
    return Checker(room.desk.exchange, graders, room.clock), graders


def test_a_course_that_says_nothing_gives_no_verdict_without_a_hand_in(room: Room) -> None:
    """Off is the default, over HTTP too, and nothing for it is handed out."""
    answer = room.world.ask(f"api/assignments/{ID}/check/low", "student", "POST", "{}")

    assert answer.status == 403
    assert "on hand-ins only" in json.loads(answer.body)["error"]
    assert "official.py" not in room.desk.exchange.released_files(ID)


def test_practice_waits_for_the_first_try(room: Room) -> None:
    """Before it, nothing is graded; after it, the verdict is told and only an event is left."""
    ask, graders = checker(room, "practice")
    right = handed_in(room.course, answers())
    with pytest.raises(Refused, match="low has no first try yet: hand the notebook in once"):
        ask.check("ada", ID, "low", right, False)
    others = answers()
    del others[f"{ID}.low"]
    room.submit("ada", handed_in(room.course, others))
    room.grade()
    with pytest.raises(Refused, match="low has no first try yet"):
        ask.check("ada", ID, "low", right, False)
    assert graders.jobs == []

    room.submit("ada", handed_in(room.course, answers(low=WRONG)))
    room.grade()
    told = ask.check("ada", ID, "low", right, False)

    assert (told.words, told.counted[:8]) == ("passed, 1.5 of 1.5 points", "Practice")
    assert graders.jobs[0].only == (f"{ID}.low",)
    student = room.ledger.student("ada")
    assert student is not None
    assert graders.jobs[0].student == student.pseudonym
    assert len(room.ledger.attempts(student.pseudonym)) == 2
    assert [e.payload for e in room.ledger.events(kinds=["exercise.checked"])] == [{"exercise": f"{ID}.low", "status": "pass"}]
    first = {t.exercise: t.fraction for t in room.ledger.first_tries()}
    assert first[f"{ID}.low"] == 0.0


def test_practice_tells_what_a_hand_in_would_tell_and_no_more(room: Room) -> None:
    """The same hint, no check's name or text."""
    ask, _ = checker(room, "practice")
    raw = handed_in(room.course, answers(low=WRONG))
    room.submit("ada", raw)
    room.grade()
    student = room.ledger.student("ada")
    assert student is not None
    handed = next(v for v in room.ledger.results(student.pseudonym)[0].latest.verdicts if v.exercise == f"{ID}.low")

    told = ask.check("ada", ID, "low", raw, False)

    assert told.hints == (handed.hint,)
    assert "check_low" not in str(told)


def test_counting_hands_in_that_answer_and_leaves_the_others(room: Room) -> None:
    """A new attempt with the other answers as they were last handed in; whoever never did starts from the released notebook."""
    ask, _ = checker(room, "counts")
    room.submit("ada", handed_in(room.course, answers(low=WRONG)))
    room.grade()
    ask.clock = room.clock
    now = handed_in(room.course, {f"{ID}.low": answers()[f"{ID}.low"], f"{ID}.total": "def total(values): return 'unfinished'"})

    attempt = {}

    def grade_when_asked(name: str, assignment: str, files: dict[str, bytes], is_staff: bool = False):
        taken = real(name, assignment, files, is_staff)
        attempt["id"] = taken.attempt.id
        room.grade()
        return taken

    real = room.desk.exchange.hand_in
    room.desk.exchange.hand_in = grade_when_asked  # type: ignore[method-assign]
    told = ask.check("ada", ID, "low", now, False)
    fresh = ask.check("bob", ID, "low", now, False)

    assert told.words == fresh.words == "passed, 1.5 of 1.5 points"
    assert "new attempt" in told.counted
    student = room.ledger.student("ada")
    assert student is not None
    latest = room.ledger.results(student.pseudonym)[0].latest
    assert {v.exercise: v.points for v in latest.verdicts}[f"{ID}.total"] == 4.0
    bob = room.ledger.student("bob")
    assert bob is not None
    assert [v.exercise for v in room.ledger.results(bob.pseudonym)[0].latest.verdicts if v.points] == [f"{ID}.low"]


def test_what_the_answer_leans_on_comes_with_it(room: Room) -> None:
    """The author's own helper is carried along; the answers to other exercises are not."""
    manifest = room.course.assignment(ID).manifest()
    notebook = json.loads(
        handed_in(room.course, answers(low="def low(v): return edge(v, min)\n\ndef high(v): return edge(v, max)"))
    )
    helper = {
        "cell_type": "code",
        "id": "mine",
        "metadata": {},
        "outputs": [],
        "source": "def edge(v, f):\n    return f(v)\n\nother = 1",
    }
    notebook["cells"].insert(1, helper)
    base = handed_in(room.course, answers(total="def total(values): return 'older'"))

    made = with_answer(base, manifest, manifest.exercise(f"{ID}.low"), json.dumps(notebook).encode())

    found = read(made, manifest).answers
    program = "\n".join(c.source for c in found[f"{ID}.low"].program)
    assert "def edge" in program
    assert "'older'" in "\n".join(c.source for c in found[f"{ID}.total"].program)
    assert SmallDoor(room.home).grade(made, ID, "x", room.clock()).verdicts[2].points == 1.5


@pytest.mark.parametrize(
    ("exercise", "raw", "match"),
    [
        ("lowest", None, 'no exercise "lowest". There are: total, RunningMean, low, countdown'),
        ("low", b"{", "not a notebook"),
        ("total", "stub", "still as it was handed out"),
    ],
)
def test_what_cannot_be_checked_is_said(room: Room, exercise: str, raw: bytes | str | None, match: str) -> None:
    """Nothing is graded and nothing counted."""
    ask, graders = checker(room, "practice")
    body = handed_in(room.course, {}) if raw == "stub" else raw or handed_in(room.course, answers())

    with pytest.raises(Refused, match=match):
        ask.check("ada", ID, exercise, body, False)  # type: ignore[arg-type]

    assert graders.jobs == []


def test_our_fault_is_no_verdict_on_the_answer(room: Room) -> None:
    """It says "our fault", and counts nothing."""
    ask, _ = checker(room, "practice")
    raw = handed_in(room.course, answers(low=OUR_FAULT + "\n" + WRONG))
    room.submit("ada", handed_in(room.course, answers(low=WRONG)))
    room.grade()

    assert ask.check("ada", ID, "low", raw, False).words == "our fault"


def test_nobody_asks_without_end(room: Room) -> None:
    """A loop in a notebook is stopped, for that student alone."""
    ask, _ = checker(room, "practice")
    raw = handed_in(room.course, answers())
    for _ in range(MAX_PER_MINUTE):
        with pytest.raises(Refused, match="first try"):
            ask.check("ada", ID, "low", raw, False)

    with pytest.raises(Refused, match="a minute"):
        ask.check("ada", ID, "low", raw, False)
    with pytest.raises(Refused, match="first try"):
        ask.check("bob", ID, "low", raw, False)


def test_a_notebook_user_types_one_line(room: Room, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The file that comes with the notebook sends what was last run, saved or not, and prints the verdict."""
    ask, graders = checker(room, "practice")
    room.world.settings["checker"] = ask
    room.submit("ada", handed_in(room.course, answers(low=WRONG)))
    room.grade()
    with room.acting("ada") as folder:
        (folder / ID / "official.py").write_bytes(room.desk.exchange.released_files(ID)["official.py"])
        monkeypatch.setenv("JPY_SESSION_NAME", str(folder / ID / f"{ID}.ipynb"))
        main = types.ModuleType("__main__")
        main.In = ["", "x = 1", answers()[f"{ID}.low"], "check('low')"]  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "__main__", main)
        official.check("low")
        official.check("total_of_nothing")

    shown = capsys.readouterr().out
    assert "low: passed, 1.5 of 1.5 points\nPractice: nothing was counted" in shown
    assert 'no exercise "total_of_nothing"' in shown
    assert b"lowest" not in graders.jobs[0].raw


def test_without_a_hub_the_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """At home there is nobody to ask."""
    monkeypatch.delenv("BOOTCAMP_SERVICE", raising=False)
    official.check("low")

    assert "BOOTCAMP_SERVICE" in capsys.readouterr().out


def test_the_file_needs_the_standard_library_only() -> None:
    """It runs where the engine is not installed."""
    import ast

    names = {
        (a.name if isinstance(n, ast.Import) else n.module or "").split(".")[0]
        for n in ast.walk(ast.parse(Path(official.__file__).read_text()))
        if isinstance(n, ast.Import | ast.ImportFrom)
        for a in n.names
    }
    assert names <= {*sys.stdlib_module_names}
