"""A home, a course, a port and accounts in; the exit status of one evening with JupyterHub out."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from autograder.course import Course
from autograder.home import Home
from autograder.service.hub import Accounts
from autograder.service.running import RunningHub, running, tail

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def launch(
    home: Home, course: Course, port: int, accounts: Accounts, say: Callable[[str], None] = print, n_workers: int = 0
) -> int:
    """Run the Hub and its graders until Ctrl-C; return the exit status: 0 when a person ended it, 1 when it ended by itself.

    Call it from the main thread. Raises: BootcampError when the port is taken or the Hub does not start.
    """
    before = {number: signal.signal(number, _end) for number in _ENDING}
    try:
        say("Starting JupyterHub...")
        with running(home, course, accounts, port, n_workers) as hub:
            for line in _welcome(hub):
                say(line)
            try:
                status = hub.wait()
            except KeyboardInterrupt:
                say("Stopping...")
                return 0
            say(f"JupyterHub ended by itself with status {status}. Its last words:\n{tail(hub.settings.log)}")
            return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # A second Ctrl-C must not cut the stopping short and leave servers behind.
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def _welcome(hub: RunningHub) -> Iterator[str]:
    accounts = hub.settings.accounts
    shown = [("student", accounts.students), ("instructor", accounts.instructors), ("organizer", accounts.organizers)]
    yield ""
    yield f"  JupyterHub   {hub.url}"
    yield f"  Password     {hub.password}   (the same for every account)"
    for role, names in [*shown, ("mentor", accounts.mentors)]:
        if names:
            more = f"   and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"  {role.capitalize():<12} {names[0]}{more}"
    yield ""
    yield "  As a student: My work shows every result with its hint; Open JupyterLab, then nbgrader > Assignment List:"
    yield "  fetch, edit, submit, and see the official result seconds later."
    yield "  As an organizer: Cohort shows points, estimates and how sure they are; click a person for the reasons."
    yield "  As an instructor: Grading shows the queue; Open JupyterLab, then nbgrader > Formgrader."
    yield ""
    yield "  DEMONSTRATION ONLY: one Unix user plays everybody, so nothing keeps the people apart. It listens on"
    yield f"  127.0.0.1 alone. Log: {hub.settings.log}"
    yield "  Ctrl-C stops everything."
    yield ""
