"""`bootcamp replay`: one attempt in; its verdicts as JSON out, the same on every machine with the course's seed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import click

from autograder.errors import BootcampError, InfraError
from autograder.grading.verdict import Graded
from autograder.home import Home


@click.command("replay")
@click.argument("attempt", default="")
@click.option("--notebook", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Replay this file instead.")
@click.option("--assignment", default="", help="With --notebook: the assignment.")
@click.option("--pseudonym", default="", help="With --notebook: the student's pseudonym, which keys the draws.")
@click.pass_obj
def command(home: Home, attempt: str, notebook: Path | None, assignment: str, pseudonym: str) -> None:
    """Grade ATTEMPT (its id, or how that begins) again and print the verdicts; nothing is recorded.

    Inputs are drawn from the course's seed, the student and the code, and there is no clock in the output: a laptop with
    the seed prints what the server printed. Without the ledger at hand, name --notebook, --assignment and --pseudonym.
    """
    if notebook:
        if not assignment or not pseudonym:
            raise BootcampError("--notebook needs --assignment and --pseudonym (as the ledger knows the student).")
        raw = notebook.read_bytes()
    else:
        raw, assignment, pseudonym = _from_ledger(home, attempt)
    from autograder.grading.pool import Pool

    with Pool(home.course_root, home.seed(), home.path / "admitted", 1, os.environ) as pool:
        graded = pool.grade(raw, assignment, pseudonym)
    click.echo(f"build {graded.grader_build or 'none'}, tier {graded.tier}, {graded.cpu_s:.2f} CPU s", err=True)
    click.echo(json.dumps(plain(graded), indent=1, ensure_ascii=False))
    if not graded.error and not graded.is_complete:
        raise InfraError("some exercises are unscored by our fault, see their notes.")


def plain(graded: Graded) -> dict[str, Any]:
    """Return the verdicts without what differs between machines: CPU seconds, build, tier and keys."""
    data = graded.as_json()
    for verdict in data["verdicts"]:
        for name in ("cpu_s", "key"):
            verdict.pop(name)
        for check in verdict["checks"]:
            check.pop("cpu_s")
    return {name: data[name] for name in ("assignment", "sha256", "error", "notes", "verdicts")}


def _from_ledger(home: Home, begins: str) -> tuple[bytes, str, str]:
    from autograder.records import Blobs, Ledger

    with Ledger.open(home.ledger_url) as ledger:
        found = [a for a in ledger.attempts() if begins and a.id.startswith(begins)]
    if len(found) != 1:
        what = f"{len(found)} attempts begin with" if found else "no attempt is"
        raise BootcampError(f'{what} "{begins}". Expected an id from `bootcamp work`, the ledger or a result page.')
    raw = Blobs(home.blobs).get(found[0].sha256)
    assert hashlib.sha256(raw).hexdigest() == found[0].sha256
    return raw, found[0].assignment, found[0].pseudonym
