"""An export is what the results pages say, as of any event, in files that a spreadsheet cannot be attacked through."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from autograder.cli import bootcamp
from autograder.errors import BootcampError
from autograder.records import Ledger
from autograder.records.exporting import COLUMNS, harmless, rows, write_csv
from tests.ledger_world import START, graded, handed_in, minute, postgres_ledger, sqlite_ledger

FORMULA = '=HYPERLINK("http://evil","x")'


def fill(ledger: Ledger) -> dict[str, str]:
    """ann handed in twice, one exercise unscored by our fault; a student whose name is a formula handed in once."""
    who = {name: ledger.enrol(name, "2026", START) for name in ("ann", FORMULA)}
    for name, at, mask, rope in (("ann", 1, 0, 1), ("ann", 2, 4, None), (FORMULA, 3, 3, "skipped")):
        attempt = handed_in(who[name], at)
        ledger.append(attempt, graded(attempt, mask=mask, rope=rope), minute(at + 1))
    ledger.receive(handed_in(who["ann"], 9, assignment="t2"))
    return who


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with postgres_ledger() if request.param == "postgresql" else sqlite_ledger(tmp_path) as opened:
        yield opened


def read(ledger: Ledger, **which) -> list[dict[str, str]]:
    file = io.StringIO()
    n = write_csv(rows(ledger, **which), file)
    found = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(found) == n
    return found


def test_a_row_per_student_and_exercise_of_the_latest_attempt(ledger: Ledger) -> None:
    """Standing verdicts, as the ledger's own questions answer them; unscored is empty, never 0."""
    who = fill(ledger)
    found = {(r["pseudonym"], r["exercise"]): r for r in read(ledger)}

    assert list(next(iter(found.values()))) == list(COLUMNS)
    mine = {v.exercise: v for v in ledger.results(who["ann"], "t1")[0].latest.verdicts}
    assert {e for p, e in found if p == who["ann"]} == set(mine)
    assert (found[who["ann"], "T1.mask"]["points"], found[who["ann"], "T1.mask"]["n_attempts"]) == ("4.0", "2")
    assert (found[who["ann"], "T1.rope"]["points"], found[who["ann"], "T1.rope"]["status"]) == ("", "infra")
    assert found[who["ann"], "T1.mask"]["received_at"] == minute(2).isoformat(timespec="seconds")


def test_the_past_and_parts_can_be_exported(ledger: Ledger) -> None:
    """As of an event, one cohort, one assignment, without names."""
    who = fill(ledger)
    then = next(e.id for e in ledger.events(kinds=["attempt.graded"]))

    assert {(r["exercise"], r["points"]) for r in read(ledger, as_of=then)} == {("T1.mask", "0.0"), ("T1.rope", "1.0")}
    assert read(ledger, cohort="2027") == read(ledger, assignment="t9") == []
    assert {r["student"] for r in read(ledger, names=False)} == {""}
    assert {r["pseudonym"] for r in read(ledger, names=False)} == set(who.values())


def test_a_name_cannot_be_a_formula(ledger: Ledger) -> None:
    """What a spreadsheet would compute gets an apostrophe; numbers stay numbers."""
    fill(ledger)

    assert {r["student"] for r in read(ledger)} == {"ann", f"'{FORMULA}"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1"])
def test_every_beginning_of_a_formula_is_made_harmless(text: str) -> None:
    """OWASP's list, and blanks before it, which some spreadsheets trim."""
    assert harmless(text) == f"'{text}"
    assert harmless(f"a{text}") == f"a{text}"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    with sqlite_ledger(tmp_path) as ledger:
        fill(ledger)
    return {"BOOTCAMP_HOME": str(tmp_path), "BOOTCAMP_COURSE": str(tmp_path)}


def test_csv_and_parquet_say_the_same(home: dict[str, str], tmp_path: Path) -> None:
    """One table, two forms, for the owner's eyes; Parquet keeps types and needs no apostrophes."""
    for name in ("out.csv", "out.parquet"):
        done = CliRunner().invoke(bootcamp, ["export", str(tmp_path / name)], env=home, catch_exceptions=False)
        assert "4 rows" in done.output
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    table = pq.read_table(tmp_path / "out.parquet")
    text = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text("utf-8"))))

    assert table.column_names == list(COLUMNS)
    assert [None if r["points"] == "" else float(r["points"]) for r in text] == table["points"].to_pylist()
    assert FORMULA in table["student"].to_pylist()
    assert [r["exercise"] for r in text] == table["exercise"].to_pylist()


def test_another_ending_is_refused_and_a_failure_leaves_nothing(home: dict[str, str], tmp_path: Path) -> None:
    """The message names what is possible; no half file under the name."""
    with pytest.raises(BootcampError, match=r"\.csv or \.parquet"):
        CliRunner().invoke(bootcamp, ["export", str(tmp_path / "out.xlsx")], env=home, catch_exceptions=False)
    with pytest.raises(BootcampError, match="Nothing was written"):
        CliRunner().invoke(bootcamp, ["export", str(tmp_path / "no" / "out.csv")], env=home, catch_exceptions=False)

    assert not list(tmp_path.glob("*out*"))
