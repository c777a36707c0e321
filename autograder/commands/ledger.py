"""`bootcamp ledger`: is the log whole; what do we hold about a person; forget a person."""

from __future__ import annotations

import getpass
import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from autograder.home import Home
from autograder.records import Blobs, Ledger, chain


@click.group("ledger")
def command() -> None:
    """Look after the ledger: verify its chain, export or erase a person."""


@command.command("verify")
@click.option("--expect", default="", help="A head that was printed before: finds out whether the newest events were cut off.")
@click.pass_obj
def verify(home: Home, expect: str) -> None:
    """Compute the hash chain of every cohort anew, and name the first event that does not fit. Exit status 1 if one does not."""
    with Ledger.open(home.ledger_url) as ledger, ledger.reading() as db:
        found = chain.verify(db)
        known = bool(expect) and chain.has_link(db, expect)
    if found.broken:
        click.echo(f"BROKEN at {found.broken}. Everything before it is whole. Restore the ledger from a backup.")
        sys.exit(1)
    for cohort, (event, hashed) in sorted(found.heads.items()):
        click.echo(f'cohort "{cohort}": whole up to event {event}, head {hashed}')
    if expect and not known:
        click.echo(f"BROKEN: the head {expect} is in no chain: newer events were cut off, or it is another ledger's.")
        sys.exit(1)
    click.echo(f"{found.n_events} events, unbroken. Write the heads down to find out later whether events were cut off.")


@command.command("export-subject")
@click.argument("name")
@click.option("--blobs", "folder", type=click.Path(path_type=Path, file_okay=False), help="Put the handed-in files here, too.")
@click.pass_obj
def export_subject(home: Home, name: str, folder: Path | None) -> None:
    """Print everything that is kept about NAME, as JSON."""
    from autograder.records.subjects import export_subject as export

    with Ledger.open(home.ledger_url) as ledger:
        data = export(ledger, name)
    click.echo(json.dumps(data, indent=1, ensure_ascii=False, default=str))
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        blobs = Blobs(home.blobs)
        for attempt in data["attempts"]:
            files = {f"{attempt['assignment']}.ipynb": attempt["sha256"], **attempt["files"]}
            for file, sha256 in files.items():
                path = folder / attempt["id"] / Path(file).name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(blobs.get(sha256))


@command.command("erase")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def erase(home: Home, name: str, yes: bool) -> None:
    """Forget NAME: the name, texts, files and bytes go; pseudonymous facts stay, and the chain holds. There is no way back."""
    from autograder.nbgrader_bridge.folders import refuse_bad_name
    from autograder.records.subjects import erase as forget

    refuse_bad_name(name)
    if not yes:
        click.confirm(f'Forget "{name}" for good?', abort=True)
    with Ledger.open(home.ledger_url) as ledger:
        done = forget(ledger, Blobs(home.blobs), name, datetime.now(UTC), getpass.getuser())
    # Replays are a cache, and hold what programs printed.
    shutil.rmtree(home.path / "regrades", ignore_errors=True)
    for kind in ("submitted", "autograded", "feedback"):
        shutil.rmtree(home.nbgrader_root / kind / name, ignore_errors=True)
    click.echo(f"{name} is forgotten ({done.n_attempts} attempts, {done.n_blobs} files), event {done.event}.")
    if (home.nbgrader_root / "gradebook.db").is_file():
        click.echo(
            f"nbgrader's gradebook has a row of its own. Run: cd {home.nbgrader_root} && nbgrader db student remove {name} --force"
        )
    click.echo("Backups keep what they hold: erase there too.")
