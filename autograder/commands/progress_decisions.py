"""`bootcamp progress review | appeal | set-aside | clear`: what people decide and ask for, with a reason, into the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from autograder.commands.progress_audit import by_whom
from autograder.errors import BootcampError
from autograder.home import Home
from autograder.records import Ledger

_reason = click.option("--reason", required=True, help="Why, in a sentence; it stays in the log.")


@click.command("review")
@click.argument("student")
@click.option("--decision", required=True, type=click.Choice(["confirm", "defer", "decline"]))
@_reason
@by_whom
@click.pass_obj
def review(home: Home, student: str, decision: str, reason: str, actor: str) -> None:
    """Record a person's decision about a flag. The tracker itself confirms, defers and declines nobody."""
    from autograder.progress import reviewing

    with Ledger.open(home.ledger_url) as ledger:
        pseudonym = _pseudonym(ledger, student)
        event, row = reviewing.review(ledger, pseudonym, decision, reason, datetime.now(UTC), actor)
    click.echo(f"{student}: {decision} on what evaluation row {row} says; event {event}, by {actor}.")


@click.command("appeal")
@click.argument("student")
@click.option("--wish", required=True, type=click.Choice(["exclusion", "regrade", "review"]))
@click.option("--assignment", default=None, help="The notebook that it is about.")
@_reason
@by_whom
@click.pass_obj
def appeal(home: Home, student: str, wish: str, assignment: str | None, reason: str, actor: str) -> None:
    """Record what a student asks for: leave a notebook out, grade it again, or let a person look."""
    from autograder.progress import decisions

    _record(home, decisions.APPEALED, student, {"wish": wish, "assignment": assignment, "reason": _said(reason)}, actor)


@click.command("set-aside")
@click.option("--student", default=None, help="One student's notebook (with --assignment).")
@click.option("--assignment", default=None, help="The notebook.")
@click.option("--exercise", default=None, help="An exercise, for everybody: its hidden check is under suspicion.")
@click.option("--undo", is_flag=True, help="Count it again.")
@_reason
@by_whom
@click.pass_obj
def set_aside(
    home: Home, student: str | None, assignment: str | None, exercise: str | None, undo: bool, reason: str, actor: str
) -> None:
    """Take evidence out of the estimate, or put it back: one student's notebook, or one exercise for everybody."""
    from autograder.progress import decisions

    kind = decisions.INCLUDED if undo else decisions.EXCLUDED
    if exercise and not student and not assignment:
        _record(home, kind, None, {"exercise": exercise, "reason": _said(reason)}, actor)
    elif student and assignment and not exercise:
        _record(home, kind, student, {"assignment": assignment, "reason": _said(reason)}, actor)
    else:
        raise BootcampError("name either --student and --assignment, or --exercise.")


@click.command("clear")
@click.argument("exercise")
@click.option("--build", "grader_build", required=True, help="The grader build whose check you looked at.")
@_reason
@by_whom
@click.pass_obj
def clear(home: Home, exercise: str, grader_build: str, reason: str, actor: str) -> None:
    """Say that you looked at a suspected hidden check and found it right: its first tries count again."""
    from autograder.progress import decisions

    _record(home, decisions.CLEARED, None, {"exercise": exercise, "grader_build": grader_build, "reason": _said(reason)}, actor)


def _record(home: Home, kind: str, student: str | None, payload: dict[str, Any], actor: str) -> None:
    with Ledger.open(home.ledger_url) as ledger:
        subject = _pseudonym(ledger, student) if student else None
        event = ledger.record(kind, datetime.now(UTC), actor, subject, payload)
    about = student or payload.get("exercise")
    click.echo(f"{kind.removeprefix('progress.')}: {about}; event {event}, by {actor}.")


def _pseudonym(ledger: Ledger, student: str) -> str:
    found = ledger.student(student)
    if found:
        return found.pseudonym
    if any(s.pseudonym == student for s in ledger.students()):
        return student
    raise BootcampError(f'no student "{student}" is enrolled. bootcamp progress lists everybody.')


def _said(reason: str) -> str:
    from autograder.progress.reviewing import said_why

    return said_why(reason)
