"""`bootcamp progress` and its subcommands on a term's ledger: what each prints, appends and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autograder.commands.progress import command
from autograder.errors import BootcampError
from autograder.home import Home
from autograder.progress import decisions, inputs
from autograder.records import Ledger
from tests import cohort_world

COHORT = cohort_world.COHORT


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("term")
    url = f"sqlite:///{folder / 'ledger.sqlite'}"
    cohort_world.make(folder / "course", url)
    return Home(folder / "course", folder, url)


def run(home: Home, *args: str) -> Result:
    return CliRunner().invoke(command, list(args), obj=home, catch_exceptions=False)


def count(home: Home, *kinds: str) -> int:
    with Ledger.open(home.ledger_url) as ledger:
        return len(ledger.events(0, kinds))


def test_without_a_subcommand_it_shows_and_records_nothing(home: Home) -> None:
    """Everybody has a row; the log stays as it was."""
    with Ledger.open(home.ledger_url) as ledger:
        before = ledger.last_event()
    found = run(home, "--cohort", COHORT)

    assert "24 students" in found.output
    assert "checked by gaussian-1" in found.output
    with Ledger.open(home.ledger_url) as ledger:
        assert ledger.last_event() == before


def test_a_decision_takes_its_whole_way(home: Home) -> None:
    """Evaluate, explain, shortlist, review, appeal: each appends what it says, and the evaluation is rebuilt bit for bit."""
    evaluated = run(home, "evaluate", "--cohort", COHORT, "--by", "olga")
    assert "by olga" in evaluated.output
    assert count(home, inputs.EVALUATION, inputs.EVALUATED) == 25

    explained = run(home, "explain", "carmen", "--cohort", COHORT)
    assert "The chance is" in explained.output
    assert "For: solved" in explained.output
    assert "never a verdict" in explained.output

    shown = run(home, "shortlist", "--date", "2026-12-01", "--cohort", COHORT)
    assert "expected false:" in shown.output
    assert "Not recorded" in shown.output
    listed = run(home, "shortlist", "--date", "2026-12-01", "--cohort", COHORT, "--record", "--by", "olga")
    assert count(home, "progress.shortlist") == 1
    assert shown.output.splitlines()[:-1] == listed.output.splitlines()[:-1]

    run(home, "review", "carmen", "--decision", "confirm", "--reason", "read the notebooks", "--by", "mentor")
    run(home, "appeal", "carmen", "--wish", "review", "--reason", "please look again", "--by", "carmen")
    again = run(home, "explain", "carmen", "--cohort", COHORT).output
    assert "reviewed by mentor" in again
    assert "please look again" in again

    assert "every one rebuilt bit for bit" in run(home, "rebuild").output


def test_a_decision_without_a_reason_or_a_person_is_refused(home: Home) -> None:
    """Nothing is appended."""
    before = count(home, *decisions.HUMAN)

    assert run(home, "review", "ada", "--decision", "decline").exit_code == 2
    with pytest.raises(BootcampError, match="needs a reason"):
        run(home, "review", "ada", "--decision", "decline", "--reason", " ")
    with pytest.raises(BootcampError, match='no student "nobody" is enrolled'):
        run(home, "appeal", "nobody", "--wish", "review", "--reason", "why not")
    with pytest.raises(BootcampError, match="either --student and --assignment, or --exercise"):
        run(home, "set-aside", "--student", "ada", "--reason", "why not")
    assert count(home, *decisions.HUMAN) == before


def test_setting_a_notebook_aside_can_be_undone(home: Home) -> None:
    """It is named in the explanation while it holds, for mentor and student."""
    args = ("set-aside", "--student", "noor", "--assignment", "f1_tensors")
    run(home, *args, "--reason", "under inquiry", "--by", "olga")
    assert "f1_tensors was set aside" in run(home, "explain", "noor", "--cohort", COHORT).output
    assert "You will be heard" in run(home, "explain", "noor", "--own", "--cohort", COHORT).output
    run(home, *args, "--undo", "--reason", "cleared", "--by", "olga")
    assert "was set aside" not in run(home, "explain", "noor", "--cohort", COHORT).output


def test_a_students_own_view_speaks_to_them_and_of_nobody_else(home: Home) -> None:
    """No rank, no chance, no other name; what counts, and what may be asked for."""
    for name in ("ada", "carmen", "yuki"):
        found = run(home, "explain", name, "--own", "--cohort", COHORT).output
        assert "You can ask for an exclusion, a regrade or a human review" in found
        assert "Nobody is turned down by this number" in found
        assert "rank" not in found
        assert "chance" not in found
        assert not [other for other in cohort_world.NAMES if other != name and f" {other} " in found]


def test_a_bank_is_kept_and_used(home: Home) -> None:
    """A cohort's items are kept, and the same cohort measured against them names the bank's version."""
    kept = run(home, "bank", "--from", COHORT, "--for", COHORT, "--by", "olga").output
    version = kept.split()[1].rstrip(":")

    report = json.loads(run(home, "--cohort", COHORT, "--json").output)

    assert report["bank"] == version
    assert report["engine"] == "hierarchy-3"


def test_the_model_can_be_checked_on_real_first_tries(home: Home) -> None:
    """Expected against observed, by tenths, and the calibration error."""
    assert "calibration error 0." in run(home, "reliability", "--cohort", COHORT).output


def test_the_simulation_writes_its_table(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers with errors and targets; JSON without NaN; plots as descriptions and drawings."""
    from autograder.progress.simulator import rebuilding, study
    from autograder.progress.simulator.cohort import Setting
    from autograder.progress.simulator.numbers import speed
    from autograder.progress.simulator.replicate import Case

    monkeypatch.setattr(study, "quick", lambda: study.Plan({Case(Setting.ALL, 24, warm=False): 2}))
    # Their own tests are elsewhere; here the table is.
    monkeypatch.setattr(speed, "measure", lambda others: [speed.Speed("nothing", 0.5, 1.0), speed.Speed("ours", 0.1, None)])
    monkeypatch.setattr(rebuilding, "rebuilt_flags", lambda ledger, policy, seed, n, warm: (30, 4, 1))
    asked = ("simulate", "--out", str(tmp_path / "out"), "--cohorts", str(tmp_path / "cohorts"))
    found = run(home, *asked)

    assert "S2 N=24 cold, 2 cohorts" in found.output
    assert "of 30 rows with 4 flags rebuilt otherwise" in found.output
    assert "MISSED" in found.output.split("rebuilt otherwise")[1].splitlines()[0]
    data = json.loads((tmp_path / "out" / "table.json").read_text("utf-8"))
    assert {r["number"] for r in data["rows"]} == {1, 2, 3, 4, 5, 6, 7, 9}
    assert {p.name for p in (tmp_path / "cohorts").iterdir()} == {"made-by.txt", "s2-n24-cold-000.npz", "s2-n24-cold-001.npz"}
    # The same again from the shelf, without a minute of computing; and half a study is not published.
    assert run(home, *asked, "--minutes", "0").output.split("speed")[0] == found.output.split("speed")[0]
    with pytest.raises(BootcampError, match="--publish needs --full"):
        run(home, *asked, "--publish")
    plot = json.loads((tmp_path / "out" / "reliability-s2-n24-cold.vl.json").read_text("utf-8"))
    assert "48 students" in plot["title"]
