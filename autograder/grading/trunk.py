"""Names of assignments in, one referee per submission out: forked warm, with the assignment's checks already loaded.

How it works. The trunk is to referees what the zygote is to players. It lives in a jail of its own, which shows it the
interpreter, the engine and the course, read-only. It never sees a student's byte: for each submission it forks a referee,
which puts up the same walls around itself as a player has and, beyond them, may not start a process. What one student's
values may do to one referee, no other student's referee inherits.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from autograder.sandbox import zygote
from autograder.sandbox.jail import huge


def main() -> None:
    """Serve until the controller closes the control socket."""
    zygote.run(_referees)


def _referees() -> zygote.Server:
    from autograder.grading.assignments import Assignments

    assignments = Assignments(Path(sys.argv[1]))

    def load(assignment_id: str) -> None:
        if assignments.load(assignment_id):
            gc.collect()
            gc.freeze()
            huge.collapse()

    return zygote.Server(assignments.play, load)


if __name__ == "__main__":
    main()
