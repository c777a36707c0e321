"""nbgrader's gradebook and folders are a projection of verdicts: made by SQL, as nbgrader's own autograde leaves them."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from nbgrader import api

from autograder.course import load
from autograder.errors import BootcampError, InfraError
from autograder.grading.verdict import Graded, Status
from autograder.nbgrader_bridge import tables
from autograder.nbgrader_bridge.publish import Submitted, publish_results
from tests.nbgrader_world import NOW, World
from tests.small_home import FULL, ID, OUR_FAULT, answers, handed_in

# nbgrader's own code warns when it adds a submission; it is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:Object of type <Submitted:sqlalchemy.exc.SAWarning")
WRONG = "def low(v): return 0\ndef high(v): return 0\n"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_the_tables_are_nbgraders():
    """Every table and column that is written exists in nbgrader's models with the same type; the schema version is current."""
    for table in tables.metadata.tables.values():
        if table.name != "alembic_version":
            theirs = api.Base.metadata.tables[table.name].columns
            for column in table.columns:
                assert type(column.type) in type(theirs[column.name].type).__mro__, f"{table.name}.{column.name}"
                assert column.primary_key == theirs[column.name].primary_key


@pytest.mark.parametrize("n_days_late", [0, 3])
def test_publishing_and_autograding_leave_the_same_gradebook(tmp_path, n_days_late):
    """Row by row, but for random ids: a right, a wrong and an untouched answer; in time and late."""
    a, b = World(tmp_path / "a"), World(tmp_path / "b")
    for w in (a, b):
        with (w.course.root / "assignments" / "course.toml").open("a") as file:
            file.write("\n[late]\npercent_per_day = 20\n")
    a.course = load(a.course.root)
    given = answers(low=WRONG)
    del given["s1_sums.countdown"]
    at = a.course.assignment(ID).due + timedelta(days=n_days_late, hours=-1) if n_days_late else NOW
    found = a.submitted("ada", at=at, raw=handed_in(a.course, given))
    a.publish(found)
    folder = b.root / "submitted" / "ada" / ID
    folder.mkdir(parents=True)
    (folder / f"{ID}.ipynb").write_bytes(found.raw)
    (folder / "timestamp.txt").write_text((a.root / "submitted" / "ada" / ID / "timestamp.txt").read_text())
    result = b.nbgrader().autograde(ID, "ada")

    assert result["success"], result["log"]
    mine, theirs = a.rows(), b.rows()
    assert len(mine["grade"]) == 4
    # nbgrader enters a ghost course into every database that it opens; so it does when tests open it.
    mine.pop("course"), theirs.pop("course")
    assert mine == theirs
    assert a.scores("ada") == b.scores("ada") == {**FULL, "s1_sums.low": 0}
    with a.gradebook() as gradebook:
        notebook = gradebook.find_submission_notebook(ID, ID, "ada")
        assert notebook.score > 0
        assert notebook.late_submission_penalty == (pytest.approx(0.6 * notebook.score) if n_days_late else None)


def test_published_and_autograded_notebooks_are_the_same(tmp_path):
    """What formgrader opens does not depend on who graded; a student's own cells and prose are in it once."""
    world = World(tmp_path)
    notebook = json.loads(handed_in(world.course, answers(low=WRONG)))
    notebook["cells"].append({"cell_type": "markdown", "id": "m", "metadata": {}, "source": "What I *thought*."})
    notebook["cells"].append({"cell_type": "code", "id": "c", "metadata": {}, "source": "print(1)"})
    found = world.submitted("ada", raw=json.dumps(notebook).encode())
    world.publish(found)
    path = world.root / "autograded" / "ada" / ID
    mine = {p.name: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    result = world.nbgrader().autograde(ID, "ada")

    assert result["success"], result["log"]
    theirs = {p.name: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    assert sorted(mine) == sorted(theirs) == ["checks.py", f"{ID}.ipynb", "timestamp.txt", "values.csv"]
    assert cells(mine[f"{ID}.ipynb"]) == cells(theirs[f"{ID}.ipynb"])
    assert mine["checks.py"] == theirs["checks.py"]


def cells(raw):
    found = json.loads(raw)["cells"]
    for cell in found:
        # Jupyter writes a text as a list of lines, we as one text: both are the format's.
        cell["source"] = "".join(cell["source"])
        for output in cell.get("outputs", []):
            output["data"] = {k: "".join(v) for k, v in output["data"].items()}
    return found


def test_nbgrader_shows_what_was_published(world):
    """Its own queries, as formgrader asks them."""
    world.publish(world.submitted("ada"), world.submitted("bob", low=WRONG))
    shown = {s["student"]: s for s in world.nbgrader().get_submissions(ID)}

    assert {s: (x["score"], x["max_score"], x["needs_manual_grade"], x["autograded"]) for s, x in shown.items()} == {
        "ada": (10.5, 10.5, False, True),
        "bob": (9.0, 10.5, False, True),
    }
    assert shown["ada"]["timestamp"] == "2026-10-05T12:00:00.250000"
    assert world.nbgrader().get_notebook_submissions(ID, ID)[0]["failed_tests"] in (0, 1)


def test_formgrader_can_show_the_notebook(world):
    """It runs nbgrader's GetGrades over the file, which looks up every cell in the gradebook."""
    from nbconvert.exporters import HTMLExporter
    from nbgrader.preprocessors import GetGrades

    world.publish(world.submitted("ada", low=WRONG))
    of = {"student": "ada", "assignment": ID, "notebook": ID, "db_url": world.url}
    exporter = HTMLExporter(preprocessors=[GetGrades])
    _, resources = exporter.from_filename(str(world.root / "autograded" / "ada" / ID / f"{ID}.ipynb"), resources={"nbgrader": of})

    assert (resources["nbgrader"]["score"], resources["nbgrader"]["max_score"]) == (9.0, 10.5)


def test_scores_by_hand_survive(world):
    """What a person entered is kept, counts, and is to be looked at again when the automatic score is new."""
    world.publish(world.submitted("ada", low=WRONG))
    with world.gradebook() as gradebook:
        grade = gradebook.find_grade("low-check", ID, ID, "ada")
        grade.manual_score, grade.extra_credit = 1.25, 0.5
        comment = gradebook.find_comment("low", ID, ID, "ada")
        comment.manual_comment = "Nearly."
        gradebook.db.commit()
    world.publish(world.submitted("ada", at=NOW + timedelta(hours=1)))

    assert world.scores("ada") == FULL
    assert world.scores("ada", "manual_score")["s1_sums.low"] == 1.25
    assert world.scores("ada", "extra_credit")["s1_sums.low"] == 0.5
    assert {k for k, v in world.scores("ada", "needs_manual_grade").items() if v} == {"s1_sums.low"}
    with world.gradebook() as gradebook:
        assert gradebook.find_comment("low", ID, ID, "ada").manual_comment == "Nearly."
        assert gradebook.find_submission(ID, "ada").score == 4 + 5 + 1.75


def test_our_fault_is_no_score(world):
    """What was scored counts; what was not has no score, waits for a person, and shows as not yet autograded."""
    world.publish(world.submitted("ada"))
    broken = OUR_FAULT + "\n" + answers()["s1_sums.low"]
    world.publish(world.submitted("ada", at=NOW + timedelta(hours=1), low=broken))

    assert world.scores("ada") == {**FULL, "s1_sums.low": None}
    assert {k for k, v in world.scores("ada", "needs_manual_grade").items() if v} == {"s1_sums.low"}
    assert world.nbgrader().get_autograded_students(ID) == set()
    assert (world.root / "submitted" / "ada" / ID / f"{ID}.ipynb").is_file()


def test_the_newest_submission_counts(world):
    """Grading an old file again, or the files of a folder in any order, does not bring the past back."""
    old, new = world.submitted("ada", low=WRONG), world.submitted("ada", at=NOW + timedelta(hours=1))

    assert world.publish(new, old) == 1
    assert world.publish(old) == 0
    assert world.scores("ada") == FULL
    assert (world.root / "submitted" / "ada" / ID / f"{ID}.ipynb").read_bytes() == new.raw


def test_what_was_collected_and_not_yet_graded_is_not_overwritten(world):
    """nbgrader's collect may run between grading and publishing."""
    folder = world.root / "submitted" / "ada" / ID
    folder.mkdir(parents=True)
    (folder / f"{ID}.ipynb").write_bytes(b"{}")
    (folder / "timestamp.txt").write_text("2026-10-05 12:00:01 UTC")

    assert world.publish(world.submitted("ada")) == 0
    assert (folder / f"{ID}.ipynb").read_bytes() == b"{}"


def test_what_nbgrader_collected_keeps_its_time_and_files(world):
    """`bootcamp grade` over nbgrader's submitted/ sees new times on the files; the exchange's time counts."""
    found = world.submitted("ada", at=NOW + timedelta(days=3))
    folder = world.root / "submitted" / "ada" / ID
    folder.mkdir(parents=True)
    (folder / f"{ID}.ipynb").write_bytes(found.raw)
    (folder / "timestamp.txt").write_text("2026-10-05 09:30:00.500000 UTC")
    (folder / "notes.txt").write_text("mine")

    assert world.publish(found) == 1
    assert (folder / "notes.txt").read_text() == "mine"
    assert world.nbgrader().get_submission(ID, "ada")["timestamp"] == "2026-10-05T09:30:00.500000"
    assert world.nbgrader().get_autograded_students(ID) == {"ada"}


def test_publishing_twice_changes_nothing(world):
    """A projection can be made again."""
    world.publish(world.submitted("ada", low=WRONG))
    before = world.rows()
    assert world.publish(world.submitted("ada", low=WRONG)) == 1
    assert world.rows() == before


def test_a_batch_is_one_transaction(world):
    """A name that cannot be a folder stops the batch before anything is written."""
    before = world.rows()
    with pytest.raises(BootcampError) as e:
        world.publish(world.submitted("ada"), world.submitted("../bob"))
    assert str(e.value) == "'../bob' cannot be a student's name in nbgrader's folders: it contains '/'; at most 128 characters."
    assert world.rows() == before
    assert not (world.root / "submitted").exists()


@pytest.mark.parametrize(
    "name", ["", " ada", "ada ", ".ada", "-rf", "a/b", "a\\b", "a*", "a?", "[ab]", "a+b", "a\x00", "a\nb", "x" * 129]
)
def test_names_that_are_paths_or_patterns_are_refused(world, name):
    """nbgrader globs with names, and splits its exchange's folder names at "+"."""
    with pytest.raises(BootcampError, match="cannot be a student's name"):
        world.publish(world.submitted(name))


@pytest.mark.parametrize("name", ["ada", "ada.lovelace@example.org", "Ada Lovelace (1)", "łukasz_3", "o'neil", "a{0}b"])
def test_names_of_people_are_accepted(world, name):
    """The gradebook shows them as they are."""
    assert world.publish(world.submitted(name)) == 1
    assert world.scores(name) == FULL


def test_a_student_who_links_the_folder_elsewhere_changes_nothing_there(world):
    """submitted/ may hold what a student's collect left; only the link is replaced."""
    outside = world.home.path / "outside"
    outside.mkdir()
    (outside / "keep.txt").write_text("x")
    (world.root / "submitted" / "ada").mkdir(parents=True)
    (world.root / "submitted" / "ada" / ID).symlink_to(outside)
    world.publish(world.submitted("ada"))

    assert [p.name for p in outside.iterdir()] == ["keep.txt"]
    assert (world.root / "submitted" / "ada" / ID / f"{ID}.ipynb").is_file()


def test_unreadable_files_are_left_out(world):
    """There is no verdict to project; the ledger and the command line say what was wrong."""
    graded = Graded(ID, "0" * 64, (), "small", "B", error="not a notebook")
    assert world.publish(Submitted("ada", b"{", NOW, graded)) == 0


def test_results_of_the_command_line_are_published(world):
    """What `bootcamp grade` has in hand: entries with bytes and times, some without verdicts."""
    found = world.submitted("ada")

    @dataclass(frozen=True)
    class Entry:
        student: str
        raw: bytes
        received_at: datetime

    @dataclass(frozen=True)
    class Result:
        entry: Entry
        graded: Graded | None

    entry = Entry("ada", found.raw, NOW)
    assert publish_results(world.home, world.course, [Result(entry, found.graded), Result(entry, None)]) == 1
    assert world.scores("ada") == FULL


def test_points_of_another_course_version_are_refused(world):
    """The gradebook was prepared for other points: nothing is written, and the message says what to run."""
    found = world.submitted("ada")
    verdicts = tuple(replace(v, max_points=8.0) if v.exercise == "s1_sums.total" else v for v in found.graded.verdicts)
    before = world.rows()
    with pytest.raises(InfraError, match="Bring the gradebook up to date: bootcamp init"):
        world.publish(replace(found, graded=replace(found.graded, verdicts=verdicts)))
    assert world.rows() == before


def test_a_missing_gradebook_is_named(world):
    """With the command that makes it."""
    (world.root / "gradebook.db").unlink()
    with pytest.raises(BootcampError, match=r"gradebook.db: there is no gradebook yet. Run: bootcamp init$"):
        world.publish(world.submitted("ada"))


def test_a_gradebook_of_another_schema_is_refused(world):
    """An nbgrader that changed its tables must not be written to by guesswork."""
    with sqlite3.connect(world.root / "gradebook.db") as db:
        db.execute("update alembic_version set version_num = 'f00'")
    with pytest.raises(BootcampError, match=r"schema f00, expected nbgrader's \w+. Back the file up, then run .* db upgrade$"):
        world.publish(world.submitted("ada"))


def test_a_skipped_exercise_is_told_as_nbgrader_tells_it(world):
    """The comment beside an unchanged stub; it goes away with the first answer."""
    given = answers()
    del given["s1_sums.low"]
    raw = handed_in(world.course, given)
    found = world.submitted("ada", raw=raw)
    assert found.graded.verdicts[2].status is Status.SKIPPED
    world.publish(found)
    with world.gradebook() as gradebook:
        assert gradebook.find_comment("low", ID, ID, "ada").auto_comment == "No response."
    world.publish(world.submitted("ada", at=NOW + timedelta(hours=1)))
    with world.gradebook() as gradebook:
        assert gradebook.find_comment("low", ID, ID, "ada").auto_comment is None
