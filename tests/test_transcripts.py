"""Transcripts: a stranger can check one, nobody can make one up, the holder can take it back, a regrade shows beside it."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from pypdf import PdfReader

from autograder.commands.transcripts import command
from autograder.errors import BootcampError
from autograder.grading.verdict import Status
from autograder.home import Home
from autograder.records import Blobs, Ledger
from autograder.records.regrading import Decision, Replayed, commit
from autograder.records.subjects import erase
from autograder.transcripts import register
from autograder.transcripts.keys import Keys, Signature
from autograder.transcripts.paper import paper
from autograder.transcripts.register import Changed, Gone, Transcript, TranscriptError
from autograder.transcripts.statement import Statement, clean_name
from tests import cohort_world
from tests.cohort_world import NOW

TITLES = {a: title for a, (title, _) in cohort_world.ASSIGNMENTS.items()}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> cohort_world.World:
    folder = tmp_path_factory.mktemp("term")
    return cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")


@pytest.fixture
def world(filled: cohort_world.World, tmp_path: Path) -> cohort_world.World:
    """Return a copy of the term that a test may change."""
    copy = tmp_path / "ledger.sqlite"
    copy.write_bytes(Path(filled.ledger_url.removeprefix("sqlite:///")).read_bytes())
    return replace(filled, ledger_url=f"sqlite:///{copy}")


@pytest.fixture
def ledger(world: cohort_world.World) -> Iterator[Ledger]:
    with Ledger.open(world.ledger_url) as opened:
        yield opened


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "home" / "transcripts")


def issue(ledger: Ledger, keys: Keys, world: cohort_world.World, who: str = "ada", name: str = "Ada Lovelace") -> Transcript:
    pseudonym = world.pseudonyms[who]
    return register.issue(ledger, keys, pseudonym, ledger.results(pseudonym), world.course.title, name, TITLES, NOW)


def test_another_program_verifies_the_statement(ledger: Ledger, keys: Keys, world: cohort_world.World, tmp_path: Path) -> None:
    """OpenSSL, with the published key, accepts the signed text as it stands, and nothing else."""
    made = issue(ledger, keys, world)
    for name, content in {
        "text": made.text.encode(), "other": made.text.replace("Ada", "Bob").encode(), "sig": made.signature.value,
        "pem": (keys.pem(made.signature.key) or "").encode(),
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)

    def verify(text: str) -> int:
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", "pem", "-sigfile", "sig", "-in", text]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert (verify("text"), verify("other")) == (0, 1)
    assert keys.holds(made.signature, made.text.encode())
    assert not keys.holds(made.signature, made.text.replace("Ada", "Bob").encode())


def test_a_statement_says_what_the_ledger_says(ledger: Ledger, keys: Keys, world: cohort_world.World) -> None:
    """A line per graded assignment, with the newest graded attempt's points; the text gives the statement back."""
    made = issue(ledger, keys, world)
    results = {r.assignment: r for r in ledger.results(world.pseudonyms["ada"])}

    assert {x.assignment for x in made.statement.lines} == set(results)
    for x in made.statement.lines:
        newest = results[x.assignment].latest
        assert (x.points, x.max_points) == (round(newest.points, 2), newest.max_points)
        assert x.n_passed == sum(v.status is Status.PASS for v in newest.verdicts)
    assert Statement.of(made.text) == made.statement
    assert (made.statement.name, made.statement.as_of) == ("Ada Lovelace", made.event - 1)


def test_what_waits_or_cannot_be_read_is_no_line(ledger: Ledger, keys: Keys, world: cohort_world.World) -> None:
    """An attempt that is not graded yet leaves the one before it standing; an assignment without any is left out."""
    waiting = issue(ledger, keys, world, "leila")

    graded = [a for r in ledger.results(world.pseudonyms["leila"]) for a in r.attempts if a.verdicts]
    assert set(waiting.attempts.values()) <= {a.attempt.id for a in graded}
    with pytest.raises(TranscriptError, match="at least one assignment"):
        issue(ledger, keys, world, "yuki")


def test_the_address_tells_nothing_and_cannot_be_guessed(ledger: Ledger, keys: Keys, world: cohort_world.World) -> None:
    """The number of an event and 128 random bits; the right number with another secret is nothing at all."""
    one, two = issue(ledger, keys, world), issue(ledger, keys, world)
    code = one.statement.code

    assert register.find(ledger, code) == one
    number, secret = code.split("-", 1)
    assert len(secret) == 22
    assert not {"ada", world.pseudonyms["ada"]} & {number, secret}
    for other in (f"{number}-{two.statement.code.split('-', 1)[1]}", f"1-{secret}", f"{number}-", number, "", code + "a", "9" * 40):
        assert register.find(ledger, other) is None


def test_the_log_holds_no_word_of_it(ledger: Ledger, keys: Keys, world: cohort_world.World) -> None:
    """Neither the name nor the secret stands in an event."""
    made = issue(ledger, keys, world)

    said = json.dumps([dict(e.payload) for e in ledger.events(made.event - 1)])
    assert "Ada" not in said
    assert made.statement.code.split("-", 1)[1] not in said


@pytest.mark.parametrize("end", ["withdrawn", "erased"])
def test_a_transcript_that_is_taken_back_is_gone(
    ledger: Ledger, keys: Keys, world: cohort_world.World, tmp_path: Path, end: str
) -> None:
    """Withdrawn by its holder or erased with them: the address says so and no more, and no byte of the name is left."""
    made = issue(ledger, keys, world, name="Augusta Ada Byron")
    if end == "withdrawn":
        register.withdraw(ledger, world.pseudonyms["ada"], made.statement.code, NOW)
    else:
        erase(ledger, Blobs(tmp_path / "blobs"), "ada", NOW, "olga")

    assert register.find(ledger, made.statement.code) == Gone()
    assert register.of(ledger, world.pseudonyms["ada"]) == []
    ledger.close()
    left = [p for p in tmp_path.glob("ledger.sqlite*") if b"Augusta Ada" in p.read_bytes()]
    assert left == []


def test_nobody_withdraws_a_strangers(ledger: Ledger, keys: Keys, world: cohort_world.World) -> None:
    """Only its holder can; to others it does not exist."""
    made = issue(ledger, keys, world)

    with pytest.raises(TranscriptError, match="no such transcript of yours"):
        register.withdraw(ledger, world.pseudonyms["bela"], made.statement.code, NOW)
    assert register.find(ledger, made.statement.code) == made


def test_a_regrade_shows_beside_it(ledger: Ledger, keys: Keys, world: cohort_world.World) -> None:
    """The statement stands as it was signed; what its attempts have now, and why, is said beside it."""
    made = issue(ledger, keys, world)
    assert register.changes(ledger, made) == []
    attempt = ledger.attempt(made.attempts["f1_tensors"])
    assert attempt is not None
    manifest = world.course.assignment("f1_tensors").manifest()
    none = cohort_world.graded(manifest, {e.id: (Status.FAIL, 0.0) for e in manifest.exercises}, attempt.sha256, build="other")
    later = NOW + timedelta(days=1)
    commit(ledger, Decision("f1_tensors", "true", "the check let float32 pass", "ines"), [Replayed(attempt, none)], later)

    said = next(x for x in made.statement.lines if x.assignment == "f1_tensors")
    assert said.points > 0
    assert register.changes(ledger, made) == [Changed(TITLES["f1_tensors"], said.points, 0, later, "the check let float32 pass")]
    assert issue(ledger, keys, world).statement.lines[0].points == 0


def test_so_many_are_kept_at_a_time(ledger: Ledger, keys: Keys, world: cohort_world.World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A student cannot fill the ledger; withdrawing one makes room."""
    monkeypatch.setattr(register, "MAX_LIVE", 1)
    made = issue(ledger, keys, world)
    with pytest.raises(TranscriptError, match="Withdraw one"):
        issue(ledger, keys, world)

    register.withdraw(ledger, world.pseudonyms["ada"], made.statement.code, NOW)
    issue(ledger, keys, world)

    monkeypatch.setattr(register, "MAX_LIVE", 9)
    monkeypatch.setattr(register, "MAX_PER_DAY", 2)
    with pytest.raises(TranscriptError, match="Come back tomorrow"):
        issue(ledger, keys, world)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("  Ada   Lovelace\n", "Ada Lovelace"),
        ("\u202eeilrahC", "eilrahC"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("x" * 90, "x" * 80),
        ("\x1b[31mred", "[31mred"),
        ("\ud800", "?"),
    ],
)
def test_a_name_is_what_can_be_seen(typed: str, shown: str) -> None:
    """No control code, no mark that prints backwards, one form of each letter, and an end."""
    assert clean_name(typed) == shown


def test_the_key_is_its_owners_alone(keys: Keys, tmp_path: Path) -> None:
    """Made when first needed, mode 0600 in a folder of mode 0700; one that others can read signs nothing."""
    keys.sign(b"x")
    folder = tmp_path / "home" / "transcripts"
    private = folder / "signing_key.pem"
    assert (folder.stat().st_mode & 0o777, private.stat().st_mode & 0o777) == (0o700, 0o600)
    assert sorted(p.name for p in folder.iterdir()) == [f"{keys.current()}.pub", "signing_key.pem"]

    private.chmod(0o640)

    with pytest.raises(BootcampError, match=r"mode 640.*bootcamp transcripts rotate"):
        keys.sign(b"x")
    keys.rotate(withdraw=True)
    assert keys.holds(keys.sign(b"x"), b"x")
    private.write_text("no key")
    with pytest.raises(BootcampError, match="holds no Ed25519 key"):
        keys.sign(b"x")


def test_old_signatures_outlive_a_rotation(keys: Keys) -> None:
    """The old public key stays; a key that leaked is withdrawn, and then what it signed holds no longer."""
    old = keys.sign(b"x")
    new = keys.rotate()
    assert keys.holds(old, b"x")
    assert keys.sign(b"x").key == new != old.key
    assert set(keys.all()) == {old.key, new}

    newest = keys.rotate(withdraw=True)

    assert not keys.holds(Signature(new, b"x" * 64), b"x")
    assert keys.all() == sorted([old.key, newest])


def test_an_exchanged_public_key_is_none_of_ours(keys: Keys, tmp_path: Path) -> None:
    """A file under an old name that holds another key verifies nothing."""
    stranger = Keys(tmp_path / "elsewhere")
    forged = stranger.sign(b"x")
    name = keys.current()
    (tmp_path / "home" / "transcripts" / f"{name}.pub").write_text(stranger.pem(forged.key) or "")

    assert not keys.holds(Signature(name, forged.value), b"x")
    assert keys.pem("../../etc/passwd") is None


def test_the_paper_says_the_same_and_carries_the_proof(ledger: Ledger, keys: Keys, world: cohort_world.World) -> None:
    """Name, titles, points, address, in letters beyond Latin-1; the signed text and its signature are attached."""
    made = issue(ledger, keys, world, name="Зоя Łukasz Ωmega")
    address = f"https://hub.example.org/services/bootcamp/verify/{made.statement.code}"

    read = PdfReader(io.BytesIO(paper(made, address)))

    text = " ".join(" ".join(page.extract_text() for page in read.pages).split())
    assert "Зоя Łukasz Ωmega" in text
    assert address in text.replace(" ", "")[: len(text)] or address.replace(" ", "") in text.replace(" ", "")
    for x in made.statement.lines:
        assert x.title in text
        assert f"{x.points:g} / {x.max_points:g}" in text
    (signed,), (signature,) = read.attachments["transcript.json"], read.attachments["transcript.sig"]
    assert keys.holds(Signature(made.signature.key, signature), signed)


def test_a_name_that_the_font_lacks_is_no_row_of_boxes(ledger: Ledger, keys: Keys, world: cohort_world.World) -> None:
    """The paper then points at the address, which shows it."""
    made = issue(ledger, keys, world, name="山田太郎")

    read = PdfReader(io.BytesIO(paper(made, "https://hub.example.org/verify/x")))

    assert made.statement.name == "山田太郎"
    assert "(name: see the address below)" in read.pages[0].extract_text()


def test_the_command_line_checks_the_files_of_a_paper(ledger: Ledger, world: cohort_world.World, tmp_path: Path) -> None:
    """What is attached to the PDF is enough, with the home's keys; a changed text is refused with status 2."""
    home = Home(tmp_path, tmp_path / "home", world.ledger_url)
    made = issue(ledger, Keys(home.transcript_keys), world)
    (tmp_path / "t.json").write_text(made.text)
    (tmp_path / "t.sig").write_bytes(made.signature.value)
    arguments = ["verify", str(tmp_path / "t.json"), str(tmp_path / "t.sig")]

    done = CliRunner().invoke(command, arguments, obj=home)
    assert f"by this course's key {made.signature.key}" in done.output
    CliRunner().invoke(command, ["rotate"], obj=home, catch_exceptions=False)
    assert CliRunner().invoke(command, arguments, obj=home).exit_code == 0

    (tmp_path / "t.json").write_text(made.text + " ")
    assert isinstance(CliRunner().invoke(command, arguments, obj=home).exception, BootcampError)
